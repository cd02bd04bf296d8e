//! Window aggregates over columns: the events of one entity, folded straight from the rows they lie in. What they come to is the
//! arithmetic of [`foretell_features::aggregate`], the same as online.

use std::sync::Arc;

use foretell_features::aggregate::{Cell, Parts, Reading, Row};
use foretell_features::{Aggregation, Column, Partial, Timestamp, Value};

/// What is aggregated, and how.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) aggregation: Aggregation,
    /// Values by source row; `None` is `*`.
    pub(crate) values: Option<Arc<Column>>,
    /// Source rows that count.
    pub(crate) filter: Option<Vec<bool>>,
}

/// One event as an aggregate sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) row: usize,
    pub(crate) time: Timestamp,
    pub(crate) known: Option<Timestamp>,
}

impl Aggregate {
    /// The answer over some events; `at` is the cutoff.
    pub(crate) fn over(&self, events: impl Iterator<Item = Event> + Clone, at: Timestamp) -> Value {
        match &self.filter {
            Some(keep) => self.of(events.filter(|it| keep[it.row]), at),
            None => self.of(events, at),
        }
    }

    fn of(&self, events: impl Iterator<Item = Event> + Clone, at: Timestamp) -> Value {
        let data_type = self.values.as_ref().map(|it| it.data_type());
        let mut partial = Partial::new(data_type, Parts::of(data_type, self.aggregation));
        match self.values.as_deref() {
            None => partial.fold(readings(events, |_| Some(Row))),
            Some(Column::Bool(it)) => partial.fold(readings(events, |row| it[row])),
            Some(Column::Int(it)) => partial.fold(readings(events, |row| it[row])),
            Some(Column::Float(it)) => partial.fold(readings(events, |row| it[row])),
            Some(Column::Str(it)) => partial.fold(readings(events, |row| it[row].as_deref())),
            Some(Column::Time(it)) => partial.fold(readings(events, |row| it[row])),
        }
        partial.finish(self.aggregation, at)
    }
}

/// The events that have a value.
fn readings<C: Cell>(
    events: impl Iterator<Item = Event> + Clone,
    cell: impl Fn(usize) -> Option<C> + Clone,
) -> impl Iterator<Item = Reading<C>> + Clone {
    events.filter_map(move |it| {
        Some(Reading {
            time: it.time,
            known: it.known,
            cell: cell(it.row)?,
        })
    })
}
