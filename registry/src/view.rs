//! What callers see of a model and of a version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::digest::{Digest, TxId};
use crate::error::{RegistryError, Result};
use crate::head::Head;
use crate::reference::VersionRef;
use crate::sign::Signature;
use crate::state::{CatalogEntry, ModelLog, VersionEntry};

/// A model as it was at one record of its log. Cheap to clone, however many versions there are.
#[derive(Clone, Debug)]
pub struct ModelState {
    /// Its name.
    pub name: String,
    /// What stays the same when it is renamed; the folder of its log.
    pub id: String,
    named_at: i64,
    head: Arc<Head<ModelLog>>,
}

/// An immutable version, with what points to it and is noted about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelVersion {
    /// The model's name.
    pub model: String,
    /// Its number, from 1, never used twice.
    pub version: u64,
    /// Digest of its manifest, and so of its package.
    pub digest: Digest,
    /// Aliases that point to it.
    pub aliases: Vec<String>,
    /// Free text.
    pub description: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Task, algorithm, metrics, lineage: what the publisher said.
    pub metadata: Arc<Value>,
    /// Who vouches for its package.
    pub signatures: Vec<Signature>,
    /// MLflow's deprecated stage, if one was ever set.
    pub stage: Option<String>,
    /// Who published it.
    pub actor: String,
    /// The commit that published it.
    pub txid: TxId,
    /// Microseconds since 1970, UTC.
    pub created_at: i64,
    /// Microseconds since 1970, UTC; tags and aliases do not count, as in MLflow.
    pub updated_at: i64,
}

impl ModelState {
    pub(crate) fn new(name: &str, entry: &CatalogEntry, head: Arc<Head<ModelLog>>) -> Self {
        Self {
            name: name.to_owned(),
            id: entry.id.clone(),
            named_at: entry.named_at,
            head,
        }
    }

    /// How many records its log has.
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// When it was created: microseconds since 1970, UTC.
    pub fn created_at(&self) -> i64 {
        self.log().created_at
    }

    /// When it was renamed, described, or got or lost a version: microseconds since 1970, UTC.
    pub fn updated_at(&self) -> i64 {
        self.log().updated_at.max(self.named_at)
    }

    /// Free text.
    pub fn description(&self) -> &str {
        &self.log().description
    }

    /// The model's own tags.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.log().tags
    }

    /// Where each alias points.
    pub fn aliases(&self) -> &BTreeMap<String, u64> {
        &self.log().aliases
    }

    /// Versions that were not deleted, by number.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = ModelVersion> + '_ {
        self.log().live().map(|(number, entry)| self.view(number, entry))
    }

    /// The same to look at and pass over: [`VersionRow::version`] is for those that are kept.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = VersionRow<'_>> + '_ {
        self.log().live().map(|(number, entry)| VersionRow {
            model: self,
            number,
            entry,
        })
    }

    /// The newest version of each of MLflow's stages that has one, by number; `None` is what was never set.
    pub fn newest_by_stage(&self) -> Vec<ModelVersion> {
        let newest = self.log().newest_by_stage();
        let mut newest: Vec<_> = newest.into_values().map(|(number, it)| self.view(number, it)).collect();
        newest.sort_by_key(|it| it.version);
        newest
    }

    /// The version with this number.
    pub fn version(&self, version: u64) -> Result<ModelVersion> {
        let entry = self.log().version(&self.name, version)?;
        Ok(self.view(version, entry))
    }

    /// The version that this alias points to.
    pub fn alias(&self, alias: &str) -> Result<ModelVersion> {
        self.version(self.log().alias(&self.name, alias)?)
    }

    /// The highest live version, if there is one.
    pub fn latest(&self) -> Option<ModelVersion> {
        self.versions().next_back()
    }

    /// The version that is meant.
    pub fn resolve(&self, version: &VersionRef) -> Result<ModelVersion> {
        match version {
            VersionRef::Alias(alias) => self.alias(alias),
            VersionRef::Version(version) => self.version(*version),
            VersionRef::Latest => self.latest().ok_or_else(|| RegistryError::NoVersion {
                model: self.name.clone(),
            }),
        }
    }

    fn log(&self) -> &ModelLog {
        &self.head.state
    }

    fn view(&self, version: u64, entry: &VersionEntry) -> ModelVersion {
        let pointing = self.aliases().iter().filter(|it| *it.1 == version);
        ModelVersion {
            model: self.name.clone(),
            version,
            digest: entry.manifest,
            aliases: pointing.map(|it| it.0.clone()).collect(),
            description: entry.description.clone(),
            tags: entry.tags.clone(),
            metadata: entry.metadata.clone(),
            signatures: entry.signatures.clone(),
            stage: entry.stage.clone(),
            actor: entry.actor.clone(),
            txid: entry.txid.clone(),
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

/// A version where it lies in the state of its model: nothing of it is copied.
#[derive(Clone, Copy, Debug)]
pub struct VersionRow<'a> {
    model: &'a ModelState,
    number: u64,
    entry: &'a VersionEntry,
}

impl<'a> VersionRow<'a> {
    /// The model's name.
    pub fn model(&self) -> &'a str {
        &self.model.name
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Digest of its package.
    pub fn digest(&self) -> Digest {
        self.entry.manifest
    }

    /// Tags.
    pub fn tags(&self) -> &'a BTreeMap<String, String> {
        &self.entry.tags
    }

    /// What the publisher said.
    pub fn metadata(&self) -> &'a Value {
        &self.entry.metadata
    }

    /// MLflow's deprecated stage, if one was ever set.
    pub fn stage(&self) -> Option<&'a str> {
        self.entry.stage.as_deref()
    }

    /// Microseconds since 1970, UTC.
    pub fn created_at(&self) -> i64 {
        self.entry.created_at
    }

    /// Microseconds since 1970, UTC.
    pub fn updated_at(&self) -> i64 {
        self.entry.updated_at
    }

    /// All of it.
    pub fn version(&self) -> ModelVersion {
        self.model.view(self.number, self.entry)
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.model, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChangeRequest, ModelOp, PublishRequest, Registry, Stamp};

    #[tokio::test]
    async fn the_newest_of_each_stage_is_found_as_if_every_version_was_looked_at() {
        let registry = Registry::open("memory:").unwrap();
        let stamp = Stamp::new("ann", 1);
        for _ in 0..600 {
            let request = PublishRequest::new("m", Vec::new(), stamp.clone());
            registry.publish(request).await.unwrap();
        }
        let stage = |version, stage: &str| ModelOp::SetStage {
            version,
            stage: stage.to_owned(),
        };
        let steps = [
            vec![stage(1, "Staging"), stage(256, "Production"), stage(257, "Archived")],
            vec![stage(600, "Production"), stage(599, "Archived")],
            vec![
                ModelOp::DeleteVersion { version: 600 },
                ModelOp::DeleteVersion { version: 598 },
            ],
            vec![stage(256, "None"), stage(1, "Production")],
        ];
        for ops in steps {
            let model = registry
                .change(ChangeRequest::new("m", ops, stamp.clone()))
                .await
                .unwrap();
            let mut naive = BTreeMap::new();
            for version in model.versions() {
                naive.insert(version.stage.clone(), version);
            }
            let mut naive: Vec<_> = naive.into_values().collect();
            naive.sort_by_key(|it| it.version);
            assert_eq!(model.newest_by_stage(), naive);
            let rows: Vec<_> = model.rows().map(|it| it.version()).collect();
            assert!(rows.iter().eq(model.versions().collect::<Vec<_>>().iter()));
        }
    }
}
