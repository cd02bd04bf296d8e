//! The log as an auditor reads it: every change with who, when and why, and whether the chain of hashes holds.

use std::fmt;

use serde::Serialize;

use crate::digest::Digest;
use crate::error::{RegistryError, Result};
use crate::head::Fold;
use crate::log::Log;
use crate::record::{CatalogOp, ModelOp, Record};
use crate::registry::Registry;

/// Every change there ever was.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditReport {
    /// In the order of their times; within one log in the order of the log.
    pub entries: Vec<AuditEntry>,
    /// One sentence for each break of a chain; what follows a break in its log is not shown.
    pub problems: Vec<String>,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// `catalog`, or the model's name, in brackets if the model was deleted.
    pub log: String,
    /// Position in that log, from 1.
    pub seq: u64,
    /// Microseconds since 1970, UTC, by the writer's clock.
    pub time: i64,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What changed, a sentence each.
    pub what: Vec<String>,
    /// Whether gates or other evidence lie in the record.
    pub evidence: bool,
    /// Checksum of the record; the next one names it.
    pub sha256: Digest,
}

impl AuditReport {
    /// Whether every chain holds.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Registry {
    /// Reads every record of every log, those of deleted models too, believing no hint. Besides the chains this checks
    /// what [`Registry::verify`] checks of the ends of the logs and of the files.
    pub async fn audit(&self) -> Result<AuditReport> {
        let mut report = AuditReport {
            problems: self.verify().await?.problems,
            ..AuditReport::default()
        };
        let catalog = report.read(self.catalog(), "catalog").await?;
        for (name, entry) in catalog.entries() {
            report.read(&self.log_of(&entry.id), name).await?;
        }
        for id in catalog.deleted() {
            report.read(&self.log_of(id), &format!("[{id}]")).await?;
        }
        report.entries.sort_by_key(|it| it.time);
        Ok(report)
    }
}

impl AuditReport {
    async fn read<F: Fold>(&mut self, log: &Log<F>, name: &str) -> Result<F>
    where
        F::Op: fmt::Display,
    {
        let first = self.entries.len();
        let mut hashes = Vec::new();
        let entries = &mut self.entries;
        let (head, verdict) = log
            .replay(|record| {
                hashes.push(record.prev_hash);
                entries.push(AuditEntry::of(record, name));
            })
            .await;
        // A record's hash is what its successor names, and the last one's is the head's.
        let hashes = hashes.into_iter().skip(1).chain([head.hash]);
        self.entries[first..]
            .iter_mut()
            .zip(hashes)
            .for_each(|(it, hash)| it.sha256 = hash);
        match verdict {
            Err(error @ RegistryError::Storage { .. }) => Err(error),
            Err(error) if !self.problems.contains(&error.to_string()) => {
                self.problems.push(error.to_string());
                Ok(head.state)
            }
            _ => Ok(head.state),
        }
    }
}

impl AuditEntry {
    fn of<O: fmt::Display>(record: &Record<O>, log: &str) -> Self {
        Self {
            log: log.to_owned(),
            seq: record.seq,
            time: record.time,
            actor: record.actor.clone(),
            reason: record.reason.clone(),
            what: record.ops.iter().map(ToString::to_string).collect(),
            evidence: record.evidence.is_some(),
            sha256: record.prev_hash,
        }
    }
}

impl fmt::Display for ModelOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |version: &Option<u64>| version.map_or_else(|| "the model".to_owned(), |it| format!("version {it}"));
        match self {
            Self::CreateVersion { version, manifest, .. } => write!(f, "version {version} created, {manifest}"),
            Self::DeleteVersion { version } => write!(f, "version {version} deleted"),
            Self::SetAlias { alias, version } => write!(f, "alias `{alias}` set to version {version}"),
            Self::DeleteAlias { alias } => write!(f, "alias `{alias}` deleted"),
            Self::RollBackAlias { alias, version } => write!(f, "alias `{alias}` rolled back to version {version}"),
            Self::SetTag { version, key, value } => write!(f, "tag `{key}` of {} set to `{value}`", of(version)),
            Self::DeleteTag { version, key } => write!(f, "tag `{key}` of {} deleted", of(version)),
            Self::SetDescription { version, .. } => write!(f, "description of {} changed", of(version)),
            Self::SetStage { version, stage } => write!(f, "version {version} moved to stage {stage}"),
            Self::AddSignature { version, signature } => write!(f, "version {version} signed by {}", signature.key_id),
        }
    }
}

impl fmt::Display for CatalogOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateModel { name, .. } => write!(f, "model `{name}` created"),
            Self::RenameModel { from, to } => write!(f, "model `{from}` renamed to `{to}`"),
            Self::DeleteModel { name } => write!(f, "model `{name}` deleted"),
        }
    }
}
