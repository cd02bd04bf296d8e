//! Erasing an entity for good: whom, and what was done, told without saying who it was.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::definition::Definitions;
use crate::spelling;
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// Whom to erase: every entity whose key has these parts. One column of a composite key means all keys with that part.
#[derive(Debug, Clone, PartialEq)]
pub struct ErasurePattern {
    /// Column, type and value (an integer or a text, as the type says), by column.
    parts: Vec<(String, DataType, Value)>,
}

/// What to erase, and as of when.
#[derive(Debug, Clone, PartialEq)]
pub struct ErasureRequest {
    /// Whom.
    pub pattern: ErasurePattern,
    /// Rows and events of the entity up to this instant are refused for ever; later ones are a new life.
    pub at: Timestamp,
    /// Look, and change nothing.
    pub dry_run: bool,
}

/// What was erased. It names columns and files, never the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErasureReceipt {
    /// Name of the receipt.
    pub id: String,
    /// The key columns given.
    pub columns: Vec<String>,
    /// SHA-256 of the project's salt and the key: who holds the key can check that it is theirs.
    pub key_digest: String,
    /// The instant up to which the entity is gone.
    pub at: Timestamp,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Rows removed from the online store, per view.
    pub online: Vec<ErasedView>,
    /// Files with rows of the entity.
    pub files: Vec<ErasedFile>,
    /// What could not be searched, and why.
    pub passed_over: Vec<String>,
}

/// Rows removed from one view of the online store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErasedView {
    /// The view.
    pub view: String,
    /// Entities removed.
    pub entities: u64,
}

/// Rows removed from one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErasedFile {
    /// `source orders`, `quarantine purchases`, `requests`.
    pub place: String,
    /// The file.
    pub path: PathBuf,
    /// Rows removed.
    pub rows: u64,
    /// SHA-256 of the file before.
    pub before: String,
    /// SHA-256 of the file now; none where no row was left and the file is gone, or nothing was changed.
    pub after: Option<String>,
}

impl ErasurePattern {
    /// A pattern from `column=value` texts; every column must be a key column of some entity.
    ///
    /// # Errors
    /// No column, a column twice or of no key, a value that its type cannot hold.
    pub fn parse<'a>(
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
        definitions: &Definitions,
    ) -> Result<Self, String> {
        let mut parts: Vec<(String, DataType, Value)> = Vec::new();
        for (column, value) in given {
            let keys = || definitions.entities.values().flat_map(|it| &it.key);
            let Some((_, data_type)) = keys().find(|(name, _)| name == column) else {
                let hint = spelling::hint(column, keys().map(|(name, _)| name.as_str()));
                return Err(format!("`{column}` is no key column of any entity{hint}"));
            };
            if parts.iter().any(|(it, ..)| it == column) {
                return Err(format!("`{column}` is given twice"));
            }
            let value = Value::text(value)
                .cast(*data_type)
                .map_err(|it| format!("`{column}` is {it}"))?;
            if value.is_null() {
                return Err(format!("`{column}` is blank; a key is never null"));
            }
            parts.push((column.to_owned(), *data_type, value));
        }
        if parts.is_empty() {
            return Err("say whom to erase, for example customer_id=C1".to_owned());
        }
        parts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { parts })
    }

    /// Column, type and value, by column.
    pub fn parts(&self) -> &[(String, DataType, Value)] {
        &self.parts
    }

    /// The columns.
    pub fn columns(&self) -> Vec<String> {
        self.parts.iter().map(|(column, ..)| column.clone()).collect()
    }

    /// Whether the values of a row, by column, are the entity's. Numbers and texts that spell the same key are the same.
    pub fn matches(&self, value_of: impl Fn(&str) -> Value) -> bool {
        let same = |(column, data_type, wanted): &(String, DataType, Value)| {
            value_of(column).cast(*data_type).is_ok_and(|it| it == *wanted)
        };
        self.parts.iter().all(same)
    }
}

impl ErasureReceipt {
    /// Rows removed in all places.
    pub fn rows(&self) -> u64 {
        let online: u64 = self.online.iter().map(|it| it.entities).sum();
        online + self.files.iter().map(|it| it.rows).sum::<u64>()
    }
}
