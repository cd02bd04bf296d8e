//! A source's rows by entity and time: one sort, then every question is a binary search.

use std::ops::Range;

use foretell_features::{EntityKey, Span, Timestamp, Window};

use crate::error::{Result, definition};
use crate::keys::KeyIndex;
use crate::scan::SourceFrame;

/// Whether a join may see rows that were learned of only after the instant asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Knowledge {
    /// `known_time <= t`; a row whose known time is null was never known.
    #[default]
    AsKnown,
    /// Everything that is in the files today.
    Hindsight,
}

/// Rows grouped by entity; within one, by event time, then known time (null first), then place in the file.
#[derive(Debug)]
pub(crate) struct EventIndex {
    keys: KeyIndex,
    /// Where each entity's events begin; one more at the end.
    starts: Vec<usize>,
    /// Source row of each event.
    rows: Vec<u32>,
    /// When it happened; a snapshot's rows happened before all time.
    times: Vec<Timestamp>,
    /// When it was learned of.
    known: Option<Vec<Option<Timestamp>>>,
}

/// An entity at an instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// The entity's code, where the source has it.
    pub(crate) entity: Option<u32>,
    pub(crate) at: Timestamp,
}

/// Rows of a snapshot hold at every time.
const ALWAYS: Timestamp = Timestamp(i64::MIN);

impl EventIndex {
    /// Groups and sorts the rows of a source by an entity's key; no entity is one group. Rows without key or event time are out.
    pub(crate) fn of(source: &SourceFrame, entity: Option<&foretell_features::Entity>) -> Result<Self> {
        let columns = entity.map(|it| source.key_columns(it)).transpose()?.unwrap_or_default();
        let (keys, codes) = KeyIndex::of(&columns, source.n_rows());
        let times = source.event_times()?;
        let known = source.known_times()?;
        let time = |row: usize| times.as_ref().map_or(Some(ALWAYS), |it| it[row]);
        let mut events: Vec<(u32, Timestamp, Option<Timestamp>, u32)> = Vec::with_capacity(codes.len());
        for (row, code) in codes.iter().enumerate() {
            let Some((code, time)) = code.zip(time(row)) else {
                continue;
            };
            let row_number = u32::try_from(row).map_err(|_| {
                definition(
                    format!("source `{}`", source.name()),
                    "it has more than 4,294,967,295 rows",
                )
            })?;
            events.push((code, time, known.as_ref().and_then(|it| it[row]), row_number));
        }
        events.sort_unstable();
        let mut starts = vec![0; keys.keys().len() + 1];
        for event in &events {
            starts[event.0 as usize + 1] += 1;
        }
        for entity in 1..starts.len() {
            starts[entity] += starts[entity - 1];
        }
        Ok(Self {
            keys,
            starts,
            rows: events.iter().map(|it| it.3).collect(),
            times: events.iter().map(|it| it.1).collect(),
            known: known.is_some().then(|| events.iter().map(|it| it.2).collect()),
        })
    }

    /// All entities, in order of first appearance in the file.
    pub(crate) fn keys(&self) -> &[EntityKey] {
        self.keys.keys()
    }

    pub(crate) fn query(&self, key: Option<&EntityKey>, at: Timestamp) -> Query {
        Query {
            entity: key.and_then(|it| self.keys.code(it)),
            at,
        }
    }

    /// The event whose row holds at the instant: the newest event not after it and not older than `max_age`, both inclusive;
    /// of equal ones the last learned, then the last in the file.
    pub(crate) fn latest(&self, query: Query, max_age: Option<Span>, knowledge: Knowledge) -> Option<usize> {
        let events = self.of_entity(query.entity?);
        let end = events.start + self.times[events.clone()].partition_point(|it| *it <= query.at);
        let newest = (events.start..end)
            .rev()
            .find(|it| self.was_known(*it, query.at, knowledge))?;
        let age = max_age.filter(|_| self.times[newest] != ALWAYS);
        let fresh = age.is_none_or(|age| self.times[newest].plus(age) >= query.at);
        fresh.then_some(newest)
    }

    /// The events in `[t - w, t)`, all before `t` without a window. Not all of them need to have been known.
    pub(crate) fn window(&self, query: Query, window: Option<Window>) -> Range<usize> {
        let from = window.map_or(ALWAYS, |it| it.start(query.at));
        self.between(query.entity, from, query.at)
    }

    /// The entity's events in `[from, to)`.
    pub(crate) fn between(&self, entity: Option<u32>, from: Timestamp, to: Timestamp) -> Range<usize> {
        let Some(entity) = entity else { return 0..0 };
        let events = self.of_entity(entity);
        let times = &self.times[events.clone()];
        let start = events.start + times.partition_point(|it| *it < from);
        start..(events.start + times.partition_point(|it| *it < to)).max(start)
    }

    /// The entity's events that happened at the instant or before and were known at it, oldest first.
    pub(crate) fn until(&self, entity: u32, to: Timestamp, knowledge: Knowledge) -> impl Iterator<Item = usize> {
        let events = self.of_entity(entity);
        let end = events.start + self.times[events.clone()].partition_point(|it| *it <= to);
        (events.start..end).filter(move |it| self.was_known(*it, to, knowledge))
    }

    /// Whether an event was known at an instant.
    pub(crate) fn was_known(&self, event: usize, at: Timestamp, knowledge: Knowledge) -> bool {
        match (&self.known, knowledge) {
            (Some(known), Knowledge::AsKnown) => known[event].is_some_and(|it| it <= at),
            _ => true,
        }
    }

    /// Whether knowledge can matter at all.
    pub(crate) fn has_known_times(&self) -> bool {
        self.known.is_some()
    }

    /// The source row of an event.
    pub(crate) fn row(&self, event: usize) -> usize {
        self.rows[event] as usize
    }

    pub(crate) fn time(&self, event: usize) -> Timestamp {
        self.times[event]
    }

    pub(crate) fn known_time(&self, event: usize) -> Option<Timestamp> {
        self.known.as_ref().and_then(|it| it[event])
    }

    /// First and last event of all.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((*self.times.iter().min()?, *self.times.iter().max()?))
    }

    fn of_entity(&self, entity: u32) -> Range<usize> {
        self.starts[entity as usize]..self.starts[entity as usize + 1]
    }
}
