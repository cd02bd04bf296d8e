//! The catalog: which names there are, and which log each one stands for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Nearest, RegistryError, Result};
use crate::head::Fold;
use crate::record::{CatalogOp, Record};
use crate::seal::Broken;

/// Names and ids of models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Catalog {
    names: BTreeMap<String, CatalogEntry>,
    /// Ids of deleted models; their logs stay for the audit.
    deleted: Vec<String>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CatalogEntry {
    pub(crate) id: String,
    /// When the name was given, by creation or renaming.
    pub(crate) named_at: i64,
}

impl Catalog {
    pub(crate) fn entry(&self, name: &str) -> Result<&CatalogEntry> {
        self.names.get(name).ok_or_else(|| self.unknown(name))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&CatalogEntry> {
        self.names.get(name)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &CatalogEntry)> {
        self.names.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    pub(crate) fn deleted(&self) -> &[String] {
        &self.deleted
    }

    fn unknown(&self, name: &str) -> RegistryError {
        RegistryError::UnknownModel {
            name: name.to_owned(),
            nearest: Nearest::to(name, self.names.keys()),
        }
    }

    fn give(&mut self, name: &str, id: String, time: i64) -> Result<()> {
        if self.names.contains_key(name) {
            return Err(RegistryError::AlreadyExists { name: name.to_owned() });
        }
        self.names.insert(name.to_owned(), CatalogEntry { id, named_at: time });
        Ok(())
    }

    fn take(&mut self, name: &str) -> Result<CatalogEntry> {
        self.names.remove(name).ok_or_else(|| self.unknown(name))
    }
}

impl Fold for Catalog {
    type Op = CatalogOp;
    type Root = Self;

    fn apply(&mut self, _subject: &str, record: &Record<CatalogOp>) -> Result<()> {
        for op in &record.ops {
            match op {
                CatalogOp::CreateModel { name, id } => self.give(name, id.clone(), record.time)?,
                CatalogOp::RenameModel { from, to } => {
                    let entry = self.entry(from)?.clone();
                    self.give(to, entry.id, record.time)?;
                    self.take(from)?;
                }
                CatalogOp::DeleteModel { name } => {
                    let entry = self.take(name)?;
                    self.deleted.push(entry.id);
                }
            }
        }
        Ok(())
    }

    fn root(&self) -> Self {
        self.clone()
    }

    fn restore(root: Self, _parts: &[Bytes]) -> Result<Self, Broken> {
        Ok(root)
    }
}
