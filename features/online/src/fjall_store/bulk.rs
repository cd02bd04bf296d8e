//! Many keys at once: sorted, merged with what is stored, written as finished tables. The journal sees none of it; tables
//! are on disk when the write returns.

use std::sync::PoisonError;

use fjall::{Guard, Keyspace};

use super::{Inner, Space, failed};
use crate::store::{Change, Edit, OnlineError};

/// From here on tables are cheaper than the journal.
pub(super) const MANY: usize = 8192;
/// Stored keys passed over before looking for the next one anew is cheaper.
const STEPS: usize = 32;

impl Inner {
    pub(super) fn update_many(&self, space: &Space, keys: Vec<Vec<u8>>, change: &Change) -> Result<u64, OnlineError> {
        let broken = |error: fjall::Error| failed(&self.path, &error);
        let mut sorted: Vec<(Vec<u8>, usize)> = keys.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let _alone = space.writers.write().unwrap_or_else(PoisonError::into_inner);
        let mut stored = Stored::of(&space.rows).map_err(broken)?;
        let mut changed = 0;
        let mut tables = space.rows.start_ingestion().map_err(broken)?;
        for (key, at) in sorted {
            match change(at, stored.under(&key).map_err(broken)?)? {
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

/// What is stored under ascending keys: one walk where they lie close, a look-up where they do not.
struct Stored<'a> {
    rows: &'a Keyspace,
    walk: Option<fjall::Iter>,
    /// Where the walk stands.
    here: Option<fjall::KvPair>,
}

impl<'a> Stored<'a> {
    fn of(rows: &'a Keyspace) -> fjall::Result<Self> {
        let empty = rows.is_empty()?;
        Ok(Self {
            rows,
            walk: (!empty).then(|| rows.iter()),
            here: None,
        })
    }

    fn under(&mut self, key: &[u8]) -> fjall::Result<Option<&[u8]>> {
        if self.walk.is_none() {
            return Ok(None);
        }
        for _ in 0..STEPS {
            if self.here.as_ref().is_some_and(|it| it.0.as_ref() >= key) || !self.step()? {
                return Ok(self
                    .here
                    .as_ref()
                    .filter(|it| it.0.as_ref() == key)
                    .map(|it| it.1.as_ref()));
            }
        }
        self.walk = Some(self.rows.range(key.to_vec()..));
        self.here = None;
        self.step()?;
        Ok(self
            .here
            .as_ref()
            .filter(|it| it.0.as_ref() == key)
            .map(|it| it.1.as_ref()))
    }

    /// One stored key further; `false` at the end.
    fn step(&mut self) -> fjall::Result<bool> {
        let next = self.walk.as_mut().and_then(Iterator::next);
        self.here = next.map(Guard::into_inner).transpose()?;
        Ok(self.here.is_some())
    }
}
