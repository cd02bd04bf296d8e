//! One record of a log: one commit, written once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, TxId};
use crate::sign::Signature;

/// The record format that this build writes; it reads all up to it.
pub(crate) const FORMAT: u32 = 1;

/// Who does something, when, and why. The time is the caller's: microseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Person or service, as the access layer knows it.
    pub actor: String,
    /// Microseconds since 1970, UTC.
    pub time: i64,
    /// Free text for the audit log.
    pub reason: Option<String>,
}

impl Stamp {
    /// A stamp without a reason.
    pub fn new(actor: impl Into<String>, time: i64) -> Self {
        Self {
            actor: actor.into(),
            time,
            reason: None,
        }
    }

    /// The same with a reason.
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }
}

/// Where aliases must point for a commit to be right (`None`: must not exist): the compare of compare-and-swap.
pub type Expected = BTreeMap<String, Option<u64>>;

/// One commit. `O` is [`ModelOp`] in a model's log and [`CatalogOp`] in the catalog's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<O> {
    /// Version of this format.
    pub format: u32,
    /// Names the commit.
    pub txid: TxId,
    /// Position in the log, from 1.
    pub seq: u64,
    /// Checksum of the record before; for the first one a digest of the log's own name.
    pub prev_hash: Digest,
    /// Microseconds since 1970, UTC, by the writer's clock; `seq` orders, not this.
    pub time: i64,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the writer required of the state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// What justified a promotion: gates, metrics, approvals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// What changed, in order, all or nothing.
    pub ops: Vec<O>,
}

/// A change of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelOp {
    /// A new version, numbered one above every version that ever was.
    CreateVersion {
        /// Its number.
        version: u64,
        /// Digest of the package manifest.
        manifest: Digest,
        /// Free text.
        #[serde(default)]
        description: String,
        /// Tags it is born with.
        #[serde(default)]
        tags: BTreeMap<String, String>,
        /// Task, algorithm, metrics, lineage: not interpreted here.
        #[serde(default)]
        metadata: Value,
        /// Who vouches for the package.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signatures: Vec<Signature>,
    },
    /// A version is gone; its number stays used, aliases to it are removed.
    DeleteVersion {
        /// Its number.
        version: u64,
    },
    /// An alias points to a version from now on.
    SetAlias {
        /// The alias.
        alias: String,
        /// Where to.
        version: u64,
    },
    /// An alias points nowhere from now on.
    DeleteAlias {
        /// The alias.
        alias: String,
    },
    /// An alias points to where it pointed before its last move; a further rollback goes further back.
    RollBackAlias {
        /// The alias.
        alias: String,
        /// Where that was.
        version: u64,
    },
    /// A tag of a version, or of the model.
    SetTag {
        /// `None`: the model's.
        version: Option<u64>,
        /// The tag's name.
        key: String,
        /// The tag's value.
        value: String,
    },
    /// A tag is gone.
    DeleteTag {
        /// `None`: the model's.
        version: Option<u64>,
        /// The tag's name.
        key: String,
    },
    /// The description of a version, or of the model.
    SetDescription {
        /// `None`: the model's.
        version: Option<u64>,
        /// Free text.
        description: String,
    },
    /// Somebody vouches for a version's package.
    AddSignature {
        /// Its number.
        version: u64,
        /// The signature.
        signature: Signature,
    },
    /// MLflow's deprecated stage, kept for its clients.
    SetStage {
        /// Its number.
        version: u64,
        /// `None`, `Staging`, `Production` or `Archived`; not interpreted here.
        stage: String,
    },
}

/// A change of the names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogOp {
    /// A name for a model log.
    CreateModel {
        /// The name.
        name: String,
        /// Folder of its log.
        id: String,
    },
    /// Another name for the same model.
    RenameModel {
        /// The name until now.
        from: String,
        /// The name from now on.
        to: String,
    },
    /// The name is free again; the log stays for the audit.
    DeleteModel {
        /// The name.
        name: String,
    },
}
