//! One model: its versions, where its aliases point, and where they pointed before.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::versions::{Versions, VersionsRoot};
use crate::digest::{Digest, TxId};
use crate::error::{Nearest, RegistryError, Result};
use crate::head::{Fold, Part};
use crate::record::{Expected, ModelOp, Record};
use crate::seal::Broken;
use crate::sign::Signature;

/// The state of a model's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelLog {
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) aliases: BTreeMap<String, u64>,
    versions: Versions,
    /// Where each alias has pointed, oldest first, less what was rolled back; `None`: nowhere.
    trails: BTreeMap<String, Vec<Option<u64>>>,
}

/// What a snapshot says of a model; the versions themselves are in chunks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ModelRoot {
    created_at: i64,
    updated_at: i64,
    description: String,
    tags: BTreeMap<String, String>,
    aliases: BTreeMap<String, u64>,
    versions: VersionsRoot,
    trails: BTreeMap<String, Vec<Option<u64>>>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionEntry {
    pub(crate) manifest: Digest,
    pub(crate) txid: TxId,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) actor: String,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) metadata: Arc<Value>,
    pub(crate) stage: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signatures: Vec<Signature>,
    pub(crate) deleted: bool,
}

impl ModelLog {
    /// The number that the next version gets.
    pub(crate) fn next_version(&self) -> u64 {
        self.versions.last() + 1
    }

    /// Versions that were not deleted, by number.
    pub(crate) fn live(&self) -> impl DoubleEndedIterator<Item = (u64, &Arc<VersionEntry>)> {
        self.versions.iter().filter(|it| !it.1.deleted)
    }

    /// The newest live version of each stage.
    pub(crate) fn newest_by_stage(&self) -> BTreeMap<Option<&str>, (u64, &Arc<VersionEntry>)> {
        self.versions.newest_by_stage()
    }

    /// How many versions were deleted.
    pub(crate) fn n_deleted(&self) -> usize {
        self.versions.deleted()
    }

    pub(crate) fn version(&self, model: &str, version: u64) -> Result<&Arc<VersionEntry>> {
        let found = self.versions.get(version).filter(|it| !it.deleted);
        found.ok_or_else(|| {
            let nearest = Nearest::among(self.live().map(|it| it.0));
            RegistryError::UnknownVersion {
                model: model.to_owned(),
                version,
                nearest,
            }
        })
    }

    pub(crate) fn alias(&self, model: &str, alias: &str) -> Result<u64> {
        let found = self.aliases.get(alias).copied();
        found.ok_or_else(|| {
            let nearest = Nearest::to(alias, self.aliases.keys());
            RegistryError::UnknownAlias {
                model: model.to_owned(),
                alias: alias.to_owned(),
                nearest,
            }
        })
    }

    pub(crate) fn created_by(&self, txid: &TxId) -> Option<u64> {
        let newest_first = self.versions.iter().rev();
        newest_first.filter(|it| &it.1.txid == txid).map(|it| it.0).next()
    }

    /// Where a rollback of the alias leads: the newest live version before the place it points to now.
    pub(crate) fn before(&self, model: &str, alias: &str) -> Result<u64> {
        let Some((now, past)) = self.trails.get(alias).and_then(|it| it.split_last()) else {
            return Err(self
                .alias(model, alias)
                .err()
                .unwrap_or_else(|| nothing_before(model, alias)));
        };
        let live = |version: &u64| self.versions.get(*version).is_some_and(|it| !it.deleted);
        let mut earlier = past.iter().rev().flatten().copied().filter(|it| Some(*it) != *now);
        earlier.find(live).ok_or_else(|| nothing_before(model, alias))
    }

    /// The first expectation that does not hold, in words.
    pub(crate) fn surprise(&self, expected: &Expected) -> Option<String> {
        let wrong = expected
            .iter()
            .find(|(alias, version)| self.aliases.get(*alias) != version.as_ref());
        wrong.map(|(alias, version)| {
            let found = self.aliases.get(alias).copied();
            format!(
                "alias `{alias}` was expected at {} but is at {}",
                place(*version),
                place(found)
            )
        })
    }

    fn change(&mut self, model: &str, record: &Record<ModelOp>, op: &ModelOp) -> Result<()> {
        match op {
            ModelOp::CreateVersion { version, .. } if *version != self.next_version() => {
                let reason = format!("version {version} is not the next, {} is", self.next_version());
                return Err(RegistryError::Conflict {
                    reason,
                    log: model.to_owned(),
                    seq: record.seq,
                });
            }
            ModelOp::CreateVersion { .. } => {
                self.versions.push(VersionEntry::born(record, op));
                self.updated_at = record.time;
            }
            ModelOp::DeleteVersion { version } => self.delete_version(model, *version, record.time)?,
            ModelOp::SetAlias { alias, version } => {
                self.version(model, *version)?;
                self.point(alias, Some(*version));
            }
            ModelOp::DeleteAlias { alias } => self.point(alias, None),
            ModelOp::RollBackAlias { alias, version } => self.roll_back(model, alias, *version)?,
            ModelOp::SetTag {
                version: None,
                key,
                value,
            } => drop(self.tags.insert(key.clone(), value.clone())),
            ModelOp::DeleteTag { version: None, key } => drop(self.tags.remove(key)),
            ModelOp::SetDescription {
                version: None,
                description,
            } => {
                self.description.clone_from(description);
                self.updated_at = record.time;
            }
            ModelOp::SetTag {
                version: Some(version),
                key,
                value,
            } => {
                self.edit(model, *version)?.tags.insert(key.clone(), value.clone());
            }
            ModelOp::DeleteTag {
                version: Some(version),
                key,
            } => drop(self.edit(model, *version)?.tags.remove(key)),
            ModelOp::SetDescription {
                version: Some(version),
                description,
            } => {
                let entry = self.edit(model, *version)?;
                entry.description.clone_from(description);
                entry.updated_at = record.time;
            }
            ModelOp::AddSignature { version, signature } => {
                let signatures = &mut self.edit(model, *version)?.signatures;
                signatures.retain(|it| it.key_id != signature.key_id);
                signatures.push(signature.clone());
            }
            ModelOp::SetStage { version, stage } => {
                let entry = self.edit(model, *version)?;
                entry.stage = Some(stage.clone());
                entry.updated_at = record.time;
                self.updated_at = record.time;
            }
        }
        Ok(())
    }

    fn edit(&mut self, model: &str, version: u64) -> Result<&mut VersionEntry> {
        self.version(model, version)?;
        Ok(self.versions.edit(version).expect("checked in the line above"))
    }

    fn delete_version(&mut self, model: &str, version: u64, time: i64) -> Result<()> {
        self.version(model, version)?;
        self.versions.delete(version, time);
        self.updated_at = time;
        let pointing: Vec<_> = self
            .aliases
            .iter()
            .filter(|it| *it.1 == version)
            .map(|it| it.0.clone())
            .collect();
        for alias in pointing {
            self.point(&alias, None);
        }
        Ok(())
    }

    fn point(&mut self, alias: &str, to: Option<u64>) {
        self.place(alias, to);
        let trail = self.trails.entry(alias.to_owned()).or_default();
        if trail.last() != Some(&to) {
            trail.push(to);
        }
    }

    fn roll_back(&mut self, model: &str, alias: &str, version: u64) -> Result<()> {
        if self.before(model, alias)? != version {
            return Err(nothing_before(model, alias));
        }
        let trail = self.trails.entry(alias.to_owned()).or_default();
        trail.pop();
        while trail.last().is_some_and(|it| *it != Some(version)) {
            trail.pop();
        }
        self.place(alias, Some(version));
        Ok(())
    }

    fn place(&mut self, alias: &str, to: Option<u64>) {
        match to {
            Some(version) => self.aliases.insert(alias.to_owned(), version),
            None => self.aliases.remove(alias),
        };
    }
}

impl Fold for ModelLog {
    type Op = ModelOp;
    type Root = ModelRoot;

    fn apply(&mut self, subject: &str, record: &Record<ModelOp>) -> Result<()> {
        if let Some(reason) = record.expected.as_ref().and_then(|it| self.surprise(it)) {
            let seq = record.seq - 1;
            return Err(RegistryError::Conflict {
                reason,
                log: subject.to_owned(),
                seq,
            });
        }
        if record.seq == 1 {
            (self.created_at, self.updated_at) = (record.time, record.time);
        }
        record.ops.iter().try_for_each(|op| self.change(subject, record, op))
    }

    fn root(&self) -> ModelRoot {
        ModelRoot {
            created_at: self.created_at,
            updated_at: self.updated_at,
            description: self.description.clone(),
            tags: self.tags.clone(),
            aliases: self.aliases.clone(),
            versions: self.versions.root(),
            trails: self.trails.clone(),
        }
    }

    fn unsaved(&self) -> Vec<Part> {
        self.versions.unsaved()
    }

    fn parts(root: &ModelRoot) -> &[Digest] {
        &root.versions.chunks
    }

    fn restore(root: ModelRoot, parts: &[Bytes]) -> Result<Self, Broken> {
        Ok(Self {
            created_at: root.created_at,
            updated_at: root.updated_at,
            description: root.description,
            tags: root.tags,
            aliases: root.aliases,
            versions: Versions::restore(&root.versions, parts)?,
            trails: root.trails,
        })
    }
}

impl VersionEntry {
    fn born(record: &Record<ModelOp>, op: &ModelOp) -> Self {
        let ModelOp::CreateVersion {
            manifest,
            description,
            tags,
            metadata,
            signatures,
            ..
        } = op
        else {
            unreachable!("only called with CreateVersion");
        };
        Self {
            manifest: *manifest,
            txid: record.txid.clone(),
            created_at: record.time,
            updated_at: record.time,
            actor: record.actor.clone(),
            description: description.clone(),
            tags: tags.clone(),
            metadata: Arc::new(metadata.clone()),
            stage: None,
            signatures: signatures.clone(),
            deleted: false,
        }
    }
}

fn nothing_before(model: &str, alias: &str) -> RegistryError {
    RegistryError::NothingToRollBack {
        model: model.to_owned(),
        alias: alias.to_owned(),
    }
}

fn place(version: Option<u64>) -> String {
    version.map_or_else(|| "no version".to_owned(), |it| format!("version {it}"))
}
