//! The rows of a source by entity: all at once, or one partition after the other where they would not fit into memory.

use std::sync::Arc;

use foretell_features::EntityKey;

use crate::error::Result;
use crate::events::EventIndex;
use crate::scan::SourceFrame;
use crate::spill::Spill;

/// All rows of some entities.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) source: Arc<SourceFrame>,
    pub(crate) events: Arc<EventIndex>,
}

/// A source's rows; each entity is in exactly one partition.
#[derive(Debug, Clone)]
pub(crate) enum Partitions {
    Whole(Partition),
    Spilled(Arc<Spill>, foretell_features::Entity),
}

impl Partitions {
    pub(crate) fn len(&self) -> usize {
        match self {
            Partitions::Whole(_) => 1,
            Partitions::Spilled(spill, _) => spill.len(),
        }
    }

    /// The partition that has an entity's rows; a key that cannot have any is nowhere.
    pub(crate) fn of(&self, key: &EntityKey) -> Option<usize> {
        match self {
            Partitions::Whole(_) => Some(0),
            Partitions::Spilled(spill, _) => spill.of(key),
        }
    }

    /// One of them, read anew where it lies on disk.
    pub(crate) fn load(&self, at: usize) -> Result<Partition> {
        match self {
            Partitions::Whole(it) => Ok(it.clone()),
            Partitions::Spilled(spill, entity) => {
                let source = Arc::new(spill.read(at)?);
                let events = Arc::new(EventIndex::of(&source, Some(entity))?);
                Ok(Partition { source, events })
            }
        }
    }

    /// All of them, one after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = Result<Partition>> {
        (0..self.len()).map(|at| self.load(at))
    }

    /// Rows of a question by the partition that answers them; rows without key, or whose key is nowhere, go to the first.
    pub(crate) fn parted<'a>(&self, keys: impl Iterator<Item = Option<&'a EntityKey>>) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.len()];
        for (row, key) in keys.enumerate() {
            rows[key.and_then(|it| self.of(it)).unwrap_or(0)].push(row);
        }
        rows
    }
}
