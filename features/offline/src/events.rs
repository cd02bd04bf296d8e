//! A source's rows by entity and time: one sort, then every question is a binary search.

use std::ops::Range;

use foretell_features::{EntityKey, Span, Timestamp, Window};
use rayon::prelude::*;

use crate::error::Result;
use crate::keys::{KeyIndex, NO_KEY};
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
    /// When it was learned of, in microseconds; [`UNKNOWN`] where nobody says.
    known: Option<Vec<i64>>,
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

/// No time: before all others, so that it loses every tie.
const UNKNOWN: i64 = i64::MIN;

impl EventIndex {
    /// Groups and sorts the rows of a source by an entity's key; no entity is one group. Rows without key or event time are out.
    pub(crate) fn of(source: &SourceFrame, entity: Option<&foretell_features::Entity>) -> Result<Self> {
        Self::admitted(source, entity, None)
    }

    /// The same, without the rows that `admitted` leaves out.
    pub(crate) fn admitted(
        source: &SourceFrame,
        entity: Option<&foretell_features::Entity>,
        admitted: Option<&[bool]>,
    ) -> Result<Self> {
        let columns = entity.map(|it| source.key_columns(it)).transpose()?.unwrap_or_default();
        let (keys, mut codes) = KeyIndex::of(&columns, source.n_rows());
        let named = &source.schema.source;
        let micros = |name: &Option<String>| name.as_deref().map(|it| source.micros(it, UNKNOWN)).transpose();
        let times = micros(&named.event_time)?;
        if let Some(times) = &times {
            let undated = codes.iter_mut().zip(times).filter(|(_, time)| **time == UNKNOWN);
            undated.for_each(|(code, _)| *code = NO_KEY);
        }
        if let Some(admitted) = admitted {
            let left_out = codes.iter_mut().zip(admitted).filter(|(_, admitted)| !**admitted);
            left_out.for_each(|(code, _)| *code = NO_KEY);
        }
        let known = micros(&named.known_time)?;
        let (starts, mut rows) = grouped(&codes, keys.len());
        drop(codes);
        if let Some(times) = &times {
            let known = |row: u32| known.as_ref().map_or(UNKNOWN, |it| it[row as usize]);
            let order = |row: u32| (times[row as usize], known(row), row);
            of_each(&starts, &mut rows).for_each(|rows| {
                if !rows.is_sorted_by_key(|it| order(*it)) {
                    rows.sort_unstable_by_key(|it| order(*it));
                }
            });
        }
        let time = |row: &u32| times.as_ref().map_or(ALWAYS, |it| Timestamp(it[*row as usize]));
        Ok(Self {
            times: rows.par_iter().map(time).collect(),
            known: known.map(|known| rows.par_iter().map(|row| known[*row as usize]).collect()),
            keys,
            starts,
            rows,
        })
    }

    /// How many entities there are.
    pub(crate) fn n_keys(&self) -> u32 {
        u32::try_from(self.keys.len()).expect("keys are numbered in 32 bits")
    }

    /// The key of an entity.
    pub(crate) fn key(&self, entity: u32) -> EntityKey {
        self.keys.key(entity)
    }

    /// The source row in which an entity's key was seen first, dated or not.
    pub(crate) fn first_row(&self, entity: u32) -> usize {
        self.keys.first_row(entity)
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
            (Some(known), Knowledge::AsKnown) => known[event] != UNKNOWN && known[event] <= at.0,
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
        self.known
            .as_ref()
            .map(|it| it[event])
            .filter(|it| *it != UNKNOWN)
            .map(Timestamp)
    }

    /// First and last event of all.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((*self.times.iter().min()?, *self.times.iter().max()?))
    }

    fn of_entity(&self, entity: u32) -> Range<usize> {
        self.starts[entity as usize]..self.starts[entity as usize + 1]
    }
}

/// Where each group's rows begin (and one more), and the rows by group, in file order.
fn grouped(codes: &[u32], groups: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; groups + 1];
    let with_key = || (0u32..).zip(codes).filter(|(_, code)| **code != NO_KEY);
    with_key().for_each(|(_, code)| starts[*code as usize + 1] += 1);
    for group in 1..starts.len() {
        starts[group] += starts[group - 1];
    }
    let mut next = starts.clone();
    let mut rows = vec![0; starts[groups]];
    for (row, code) in with_key() {
        let at = &mut next[*code as usize];
        rows[*at] = row;
        *at += 1;
    }
    (starts, rows)
}

/// Each group's rows, some groups at a time on each core.
fn of_each<'a>(starts: &'a [usize], rows: &'a mut [u32]) -> impl ParallelIterator<Item = &'a mut [u32]> {
    const GROUPS: usize = 4096;
    let mut rest = rows;
    let mut parts = Vec::new();
    let bounds: Vec<&[usize]> = starts[..starts.len() - 1].chunks(GROUPS).collect();
    for (at, bounds) in bounds.iter().enumerate() {
        let end = starts[(at * GROUPS + bounds.len()).min(starts.len() - 1)];
        let (part, more) = rest.split_at_mut(end - bounds[0]);
        parts.push((at * GROUPS, bounds.len(), part));
        rest = more;
    }
    parts.into_par_iter().flat_map_iter(move |(first, groups, part)| {
        let lengths = (first..first + groups).map(|it| starts[it + 1] - starts[it]);
        let mut rest = Some(part);
        lengths.map(move |length| {
            let (group, more) = rest.take().expect("put back below").split_at_mut(length);
            rest = Some(more);
            group
        })
    })
}
