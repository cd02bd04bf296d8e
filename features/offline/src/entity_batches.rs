//! The rows of a view's source, entity by entity: what materialization turns into latest values and window events.
//!
//! Memory is bounded by one batch and one partition of the source, never by the number of entities.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use foretell_features::{Column, EntityKey, Expression, Timestamp};

use crate::error::Result;
use crate::events::{EventIndex, Knowledge};
use crate::needs;
use crate::partitions::Partition;
use crate::store::OfflineStore;

/// Which rows, and what of them.
#[derive(Debug, Clone, Copy)]
pub struct EntityBatchSpec<'a> {
    /// The view: its entity groups the rows of its source. A global view is one entity with the empty key.
    pub view: &'a str,
    /// Rows that happened at this instant or before, and were known by it (but see [`OfflineStore::in_hindsight`]).
    pub to: Timestamp,
    /// What to compute of each row, over file and computed columns: values and conditions alike.
    pub expressions: &'a [Expression],
    /// Only these entities.
    pub keys: Option<&'a BTreeSet<EntityKey>>,
    /// Only rows of these files, paths as in [`OfflineStore::source_files`].
    pub files: Option<&'a BTreeSet<PathBuf>>,
}

/// Some entities with all their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityBatch {
    /// The entities, by key. Each has at least one row.
    pub entities: Vec<EntityEvents>,
    /// When each row happened; `Timestamp(i64::MIN)` in a snapshot, whose rows hold at every time.
    pub times: Vec<Timestamp>,
    /// When each row was learned of, where the source says.
    pub known: Option<Vec<Option<Timestamp>>>,
    /// One column per expression, in their order.
    pub columns: Vec<Column>,
}

/// One entity of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityEvents {
    /// Its key.
    pub key: EntityKey,
    /// Its rows in the batch: by event time, then known time (null first), then place in the files. The last one is the latest.
    pub rows: Range<usize>,
}

/// What was gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchTotals {
    /// Rows in the files, asked for or not.
    pub rows_read: u64,
    /// Entities handed out.
    pub entities: u64,
}

/// A batch is full with so many rows; one entity's rows are never parted.
const BATCH_ROWS: usize = 65_536;

impl OfflineStore {
    /// Hands out the entities of a view with the rows known by `to`, each entity once, some at a time. Order: by key within a
    /// partition of the source (a small source is one partition).
    ///
    /// # Errors
    /// An unknown view, an unreadable source, an expression that does not fit, and whatever `each` returns.
    pub fn for_each_entity_batch<E: From<crate::OfflineStoreError>>(
        &self,
        spec: &EntityBatchSpec<'_>,
        each: impl FnMut(EntityBatch) -> Result<(), E>,
    ) -> Result<BatchTotals, E> {
        let mut each = each;
        let view = self.view(spec.view)?;
        let mut totals = BatchTotals {
            rows_read: self.rows_of(&view.source, spec.files)?,
            entities: 0,
        };
        self.each_partition(spec, |it| {
            totals.entities += batches(&it, self.knowledge, spec, &mut each)?;
            Ok::<(), E>(())
        })?;
        Ok(totals)
    }

    fn rows_of(&self, source: &str, files: Option<&BTreeSet<PathBuf>>) -> Result<u64> {
        let schema = self.schema(source)?;
        Ok(files.map_or(schema.rows(), |files| schema.rows_in(files)))
    }

    /// Rows of some files are in one partition: they are few, or all files had been asked for.
    fn each_partition<E: From<crate::OfflineStoreError>>(
        &self,
        spec: &EntityBatchSpec<'_>,
        mut each: impl FnMut(Partition) -> Result<(), E>,
    ) -> Result<(), E> {
        let view = self.view(spec.view)?;
        let entity = view.entity.as_deref().map(|it| self.entity(it)).transpose()?;
        let mut columns = needs::of_key(entity, &self.schema(&view.source)?.source);
        columns.extend(needs::of_admission(view));
        columns.extend(spec.expressions.iter().flat_map(|it| it.columns()).map(str::to_owned));
        let Some(files) = spec.files else {
            let partitions = self.partitions(&view.source, view.entity.as_deref(), &columns)?;
            return partitions.each().try_for_each(|it| each(self.admitted(view, it?)?));
        };
        let source = Arc::new(self.source_in(&view.source, files, &columns)?);
        let events = Arc::new(EventIndex::of(&source, entity)?);
        each(self.admitted(view, Partition { source, events })?)
    }
}

/// The entities of one partition; how many there were.
fn batches<E: From<crate::OfflineStoreError>>(
    partition: &Partition,
    knowledge: Knowledge,
    spec: &EntityBatchSpec<'_>,
    each: &mut impl FnMut(EntityBatch) -> Result<(), E>,
) -> Result<u64, E> {
    let Partition { source, events } = partition;
    let place = format!("view `{}`", spec.view);
    let values = spec
        .expressions
        .iter()
        .map(|it| source.evaluate(&place, it))
        .collect::<Result<Vec<Column>>>()?;
    let mut entities: Vec<(EntityKey, u32)> = (0..events.n_keys())
        .map(|code| (events.key(code), code))
        .filter(|(key, _)| spec.keys.is_none_or(|wanted| wanted.contains(key)))
        .collect();
    entities.sort_unstable();
    let (mut batch, mut handed_out) = (Batch::default(), 0);
    for (key, code) in entities {
        batch.add(key, events.until(code, spec.to, knowledge));
        if batch.events.len() >= BATCH_ROWS {
            handed_out += batch.entities.len() as u64;
            each(std::mem::take(&mut batch).finished(events, &values))?;
        }
    }
    if !batch.entities.is_empty() {
        handed_out += batch.entities.len() as u64;
        each(batch.finished(events, &values))?;
    }
    Ok(handed_out)
}

/// A batch being filled: positions in the event index.
#[derive(Debug, Default)]
struct Batch {
    entities: Vec<EntityEvents>,
    events: Vec<usize>,
}

impl Batch {
    fn add(&mut self, key: EntityKey, events: impl Iterator<Item = usize>) {
        let start = self.events.len();
        self.events.extend(events);
        let rows = start..self.events.len();
        if !rows.is_empty() {
            self.entities.push(EntityEvents { key, rows });
        }
    }

    fn finished(self, index: &EventIndex, values: &[Column]) -> EntityBatch {
        let rows: Vec<usize> = self.events.iter().map(|it| index.row(*it)).collect();
        let known = || self.events.iter().map(|it| index.known_time(*it)).collect();
        EntityBatch {
            times: self.events.iter().map(|it| index.time(*it)).collect(),
            known: index.has_known_times().then(known),
            columns: values.iter().map(|it| it.select(&rows)).collect(),
            entities: self.entities,
        }
    }
}
