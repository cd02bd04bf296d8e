//! Many keys at once: sorted, merged with what is stored, written as finished tables. The journal sees none of it; tables
//! are on disk when the write returns.

use std::sync::PoisonError;

use super::{Inner, Space, failed};
use crate::store::{Change, Edit, OnlineError};

/// From here on tables are cheaper than the journal.
pub(super) const MANY: usize = 8192;

impl Inner {
    pub(super) fn update_many(&self, space: &Space, keys: Vec<Vec<u8>>, change: &Change) -> Result<u64, OnlineError> {
        let broken = |error: fjall::Error| failed(&self.path, &error);
        let mut sorted: Vec<(Vec<u8>, usize)> = keys.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let _alone = space.writers.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = space.rows.is_empty().map_err(broken)?;
        let mut changed = 0;
        let mut tables = space.rows.start_ingestion().map_err(broken)?;
        for (key, at) in sorted {
            let stored = if fresh {
                None
            } else {
                space.rows.get(&key).map_err(broken)?
            };
            match change(at, stored.as_deref())? {
                Edit::Keep => continue,
                Edit::Write(bytes) => tables.write(key, bytes).map_err(broken)?,
                Edit::Delete => tables.write_tombstone(key).map_err(broken)?,
            }
            changed += 1;
        }
        if changed > 0 {
            tables.finish().map_err(broken)?;
        }
        Ok(changed)
    }
}
