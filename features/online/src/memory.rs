//! A store that lives as long as the process: for tests, and for predictions from rows that need no store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use foretell_features::Timestamp;

use crate::record;
use crate::store::{Change, Edit, OnlineError, OnlineStore, See, Walk};

/// Bytes in memory. Reads of different spaces never wait for one another.
#[derive(Debug, Default)]
pub struct MemoryStore {
    spaces: RwLock<BTreeMap<String, Arc<Space>>>,
}

type Space = RwLock<HashMap<Vec<u8>, Vec<u8>>>;

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn space(&self, name: &str) -> Option<Arc<Space>> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        spaces.get(name).cloned()
    }
}

#[async_trait]
impl OnlineStore for MemoryStore {
    async fn read(&self, space: &str, keys: &[Vec<u8>], see: See<'_>) -> Result<(), OnlineError> {
        let Some(space) = self.space(space) else {
            return (0..keys.len()).try_for_each(|at| see(at, None));
        };
        let rows = space.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys = keys.iter().enumerate();
        keys.try_for_each(|(at, key)| see(at, rows.get(key).map(Vec::as_slice)))
    }

    async fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: Change) -> Result<u64, OnlineError> {
        let space = {
            let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(spaces.entry(space.to_owned()).or_default())
        };
        // A key is changed whole, so a panic elsewhere cannot have left the map half-written.
        let mut rows = space.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = 0;
        for (at, key) in keys.into_iter().enumerate() {
            match change(at, rows.get(&key).map(Vec::as_slice))? {
                Edit::Keep => continue,
                Edit::Write(bytes) => drop(rows.insert(key, bytes)),
                Edit::Delete => drop(rows.remove(&key)),
            }
            changed += 1;
        }
        Ok(changed)
    }

    async fn walk(&self, space: &str, see: Walk<'_>) -> Result<(), OnlineError> {
        let Some(space) = self.space(space) else { return Ok(()) };
        let rows = space.read().unwrap_or_else(PoisonError::into_inner);
        for (key, bytes) in rows.iter() {
            if !see(key, bytes)? {
                break;
            }
        }
        Ok(())
    }

    async fn spaces(&self) -> Result<Vec<String>, OnlineError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        Ok(spaces.keys().cloned().collect())
    }

    async fn remove(&self, space: &str) -> Result<(), OnlineError> {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        spaces.remove(space);
        Ok(())
    }

    async fn expire(&self, space: &str, before: Timestamp) -> Result<(), OnlineError> {
        if let Some(space) = self.space(space) {
            let mut rows = space.write().unwrap_or_else(PoisonError::into_inner);
            rows.retain(|_, bytes| record::newest(bytes).is_none_or(|it| it >= before));
        }
        Ok(())
    }
}
