//! Who was erased, and until when: rows of them that come back with an old file are not seen. Keys are kept as salted digests.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use foretell_features::{Column, DataType, ErasurePattern, Timestamp, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{OfflineStoreError, Result};
use crate::needs::Columns;
use crate::state::write_whole;

/// `erased.json` of a project's state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Tombstones {
    /// Not secret: it only keeps digests of two projects apart, and tables of common keys useless.
    salt: String,
    erased: Vec<Tombstone>,
}

type KeyColumns = Vec<(String, DataType)>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tombstone {
    columns: KeyColumns,
    digest: String,
    at: Timestamp,
}

impl Tombstones {
    /// Those of a state folder; none where nothing was erased yet.
    pub(crate) fn read(state: &Path) -> Result<Self> {
        let path = path(state);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::fresh()),
            Err(error) => return Err(unreadable(&path, &error.to_string())),
        };
        serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, &error.to_string()))
    }

    fn fresh() -> Self {
        // The keys of a `RandomState` come from the system's randomness.
        let random = RandomState::new();
        Self {
            salt: format!("{:016x}{:016x}", random.hash_one(1u8), random.hash_one(2u8)),
            erased: Vec::new(),
        }
    }

    /// Adds an entity, or moves its instant forward; whether anything changed.
    pub(crate) fn add(&mut self, pattern: &ErasurePattern, at: Timestamp) -> bool {
        let (columns, digest) = (columns_of(pattern), self.digest(pattern));
        match self
            .erased
            .iter_mut()
            .find(|it| it.columns == columns && it.digest == digest)
        {
            Some(it) if it.at >= at => false,
            Some(it) => {
                it.at = at;
                true
            }
            None => {
                self.erased.push(Tombstone { columns, digest, at });
                true
            }
        }
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are always JSON");
        write_whole(&path(state), &bytes)
    }

    /// What a receipt says in place of the key.
    pub(crate) fn digest(&self, pattern: &ErasurePattern) -> String {
        self.digest_of(pattern.parts().iter().map(|(_, _, value)| value))
    }

    fn digest_of<'a>(&self, values: impl Iterator<Item = &'a Value>) -> String {
        let mut hash = Sha256::new();
        hash.update(self.salt.as_bytes());
        for value in values {
            let text = value.to_string();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hex(&hash.finalize())
    }

    /// Those that can be told from the columns of a source.
    pub(crate) fn over(&self, there: impl Fn(&str) -> bool) -> Erased {
        let told = |it: &&Tombstone| it.columns.iter().all(|(name, _)| there(name));
        let mut erased = Erased {
            tombstones: Self {
                salt: self.salt.clone(),
                erased: Vec::new(),
            },
            by_columns: Vec::new(),
        };
        for it in self.erased.iter().filter(told) {
            match erased.by_columns.iter_mut().find(|(columns, _)| *columns == it.columns) {
                Some((_, until)) => drop(until.insert(it.digest.clone(), it.at)),
                None => erased
                    .by_columns
                    .push((it.columns.clone(), [(it.digest.clone(), it.at)].into())),
            }
        }
        erased
    }
}

/// Those who are not to be seen in a source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Erased {
    tombstones: Tombstones,
    /// Key columns, and by digest of their values until when.
    by_columns: Vec<(KeyColumns, HashMap<String, Timestamp>)>,
}

impl Erased {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_columns.is_empty()
    }

    /// The columns that tell.
    pub(crate) fn columns(&self) -> Columns {
        let all = self.by_columns.iter().flat_map(|(columns, _)| columns);
        all.map(|(name, _)| name.clone()).collect()
    }

    /// Per row, whether it may be seen: it is of nobody erased, or happened later. A row without time happened before.
    pub(crate) fn visible(
        &self,
        rows: usize,
        column: impl Fn(&str) -> Result<Column>,
        times: Option<&[Option<Timestamp>]>,
    ) -> Result<Vec<bool>> {
        let mut visible = vec![true; rows];
        for (columns, until) in &self.by_columns {
            let values = columns
                .iter()
                .map(|(name, _)| column(name))
                .collect::<Result<Vec<_>>>()?;
            // Keys repeat, and a digest costs more than looking a key up.
            let mut known: HashMap<Vec<String>, Option<Timestamp>> = HashMap::new();
            for (row, visible) in visible.iter_mut().enumerate() {
                let key: Vec<Value> = values
                    .iter()
                    .zip(columns)
                    .map(|(values, (_, data_type))| values.value(row).cast(*data_type).unwrap_or_default())
                    .collect();
                let texts = key.iter().map(Value::to_string).collect();
                let end = known
                    .entry(texts)
                    .or_insert_with(|| until.get(&self.tombstones.digest_of(key.iter())).copied());
                let time = times.and_then(|it| it[row]);
                *visible &= end.is_none_or(|end| time.is_some_and(|time| time > end));
            }
        }
        Ok(visible)
    }
}

fn columns_of(pattern: &ErasurePattern) -> Vec<(String, DataType)> {
    let parts = pattern.parts().iter();
    parts.map(|(name, data_type, _)| (name.clone(), *data_type)).collect()
}

fn path(state: &Path) -> PathBuf {
    state.join("erased.json")
}

fn unreadable(path: &Path, reason: &str) -> OfflineStoreError {
    OfflineStoreError::Read {
        name: "erasures".to_owned(),
        path: path.display().to_string(),
        reason: format!("{reason}; who was erased must be known before data is read, so mend it"),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
