//! When a write counts as done. With [`Durability::Sync`] writers that come while the disk is busy share the next flush.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fjall::{Database, PersistMode};

use super::Durability;

pub(super) struct Journal {
    database: Database,
    durability: Durability,
    /// Writes handed to the journal so far.
    written: AtomicU64,
    /// Of these, how many the disk has.
    flushed: Mutex<u64>,
}

impl Journal {
    pub(super) fn new(database: Database, durability: Durability) -> Self {
        Self {
            database,
            durability,
            written: AtomicU64::new(0),
            flushed: Mutex::new(0),
        }
    }

    /// Whether a write waits for the disk, and so belongs on a thread that may.
    pub(super) fn waits(&self) -> bool {
        self.durability == Durability::Sync
    }

    /// Returns when all that was written before is as durable as asked for. A committed batch is with the operating system
    /// already.
    pub(super) fn acknowledge(&self) -> fjall::Result<()> {
        if self.durability == Durability::Buffer {
            return Ok(());
        }
        let mine = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if *flushed >= mine {
            return Ok(());
        }
        let all = self.written.load(Ordering::SeqCst);
        self.database.persist(PersistMode::SyncData)?;
        *flushed = all;
        Ok(())
    }
}
