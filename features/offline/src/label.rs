//! What happened after the cutoff, and when a label is complete.

use std::sync::Arc;

use foretell_features::spelling::hint;
use foretell_features::{
    Aggregation, Ahead, Column, Cutoffs, DataType, Entity, EntityKey, LabelSpec, Span, Timestamp, TrainingSetSpec,
    Value,
};

use crate::aggregate::{Aggregate, Event};
use crate::error::{OfflineStoreError, Result, definition};
use crate::events::{EventIndex, Knowledge};
use crate::scan::SourceFrame;
use crate::store::OfflineStore;

/// A label over its source, ready to be asked.
pub(crate) struct Label {
    pub(crate) source: Arc<SourceFrame>,
    pub(crate) events: Arc<EventIndex>,
    pub(crate) kind: LabelKind,
}

pub(crate) enum LabelKind {
    /// One number per source row.
    Column(Vec<Option<f64>>),
    Ahead {
        horizon: Span,
        what: Outcome,
    },
}

pub(crate) enum Outcome {
    Absence(Aggregate),
    Occurrence(Aggregate),
    Total(Aggregate),
}

impl Label {
    /// Reads the label's source; `default_source` is meant where a column names none.
    pub(crate) fn of(
        store: &OfflineStore,
        entity: &Entity,
        spec: &LabelSpec,
        default_source: Option<&str>,
    ) -> Result<Self> {
        let name = source_name(spec, default_source)?;
        let source = store.source(name)?;
        let kind = match spec {
            LabelSpec::Column { column, positive, .. } => {
                LabelKind::Column(numbers(&source, column, positive.as_deref())?)
            }
            LabelSpec::Absence(it) => ahead(it, Outcome::Absence(events_of(&source, it)?)),
            LabelSpec::Occurrence(it) => ahead(it, Outcome::Occurrence(events_of(&source, it)?)),
            LabelSpec::Total { ahead: it, value } => {
                let mut total = events_of(&source, it)?;
                let values = source.evaluate("label value", value)?;
                if !matches!(values, Column::Int(_) | Column::Float(_)) {
                    return Err(definition(
                        "label value",
                        format!("`{value}` is {}, not a number", values.data_type()),
                    ));
                }
                total.aggregation = Aggregation::Sum;
                total.values = Some(Arc::new(values));
                ahead(it, Outcome::Total(total))
            }
        };
        if matches!(kind, LabelKind::Ahead { .. }) && source.source.event_time.is_none() {
            let reason = format!("it looks ahead in source `{name}`, which has no event_time");
            return Err(definition("label", reason));
        }
        let events = store.events(name, Some(&entity.name))?;
        Ok(Self { source, events, kind })
    }

    /// How far it looks ahead.
    pub(crate) fn horizon(&self) -> Span {
        match &self.kind {
            LabelKind::Column(_) => Span(0),
            LabelKind::Ahead { horizon, .. } => *horizon,
        }
    }

    /// The label of an entity at a cutoff; `None` where it is not known.
    pub(crate) fn value(&self, key: &EntityKey, cutoff: Timestamp) -> Option<f64> {
        let query = self.events.query(Some(key), cutoff);
        match &self.kind {
            LabelKind::Column(values) => {
                let newest = self.events.latest(query, None, Knowledge::Hindsight)?;
                values[self.events.row(newest)]
            }
            LabelKind::Ahead { horizon, what } => {
                let events = self.events.between(query.entity, cutoff, cutoff.plus(*horizon));
                let events = events.map(|it| Event {
                    row: self.events.row(it),
                    time: self.events.time(it),
                });
                match what {
                    Outcome::Absence(any) => Some(f64::from(any.over(events, cutoff) == Value::Int(0))),
                    Outcome::Occurrence(any) => Some(f64::from(any.over(events, cutoff) != Value::Int(0))),
                    Outcome::Total(sum) => sum.over(events, cutoff).as_f64(),
                }
            }
        }
    }

    /// The file row that a column label comes from.
    pub(crate) fn file_row(&self, key: &EntityKey, cutoff: Timestamp) -> Option<u64> {
        let newest = self
            .events
            .latest(self.events.query(Some(key), cutoff), None, Knowledge::Hindsight)?;
        Some(self.source.file_rows[self.events.row(newest)])
    }

    /// The entities that appear before the instant, by their first row in the file.
    pub(crate) fn appearing(&self, before: Timestamp) -> Vec<&EntityKey> {
        let first_row = |(entity, key): (u32, _)| {
            let events = self.events.between(Some(entity), Timestamp(i64::MIN), before);
            events.map(|it| self.events.row(it)).min().map(|row| (row, key))
        };
        let mut entities: Vec<(usize, &EntityKey)> = (0..).zip(self.events.keys()).filter_map(first_row).collect();
        entities.sort_unstable_by_key(|(row, _)| *row);
        entities.into_iter().map(|(_, key)| key).collect()
    }
}

/// The cutoffs, oldest first, each with a label that is complete at `as_of`.
pub(crate) fn cutoffs(spec: &TrainingSetSpec, label: &Label, cutoffs: &Cutoffs) -> Result<Vec<Timestamp>> {
    let horizon = label.horizon();
    let mut all = match cutoffs {
        Cutoffs::Every { every, count } => {
            let last = spec.as_of.minus(horizon);
            (0..*count as i64)
                .map(|back| last.minus(Span(every.0.saturating_mul(back))))
                .collect()
        }
        Cutoffs::At(given) => given.clone(),
    };
    all.sort_unstable();
    all.dedup();
    let (Some(last), Some((begin, end))) = (all.last(), label.events.span()) else {
        let reason = format!("source `{}` has no event of any entity", label.source.name());
        return Err(OfflineStoreError::NoRows { reason });
    };
    if last.plus(horizon) > spec.as_of {
        let reason = format!(
            "the label at {last} needs {horizon} of data, but the clock (`as_of`) stands at {}",
            spec.as_of
        );
        return Err(definition(
            "training.cutoffs",
            format!("{reason}; take an earlier cutoff or a shorter horizon"),
        ));
    }
    if horizon.0 > 0 && end < last.plus(Span(horizon.0 / 2)) {
        let reason = format!(
            "the label looks {horizon} ahead of {last}, but source `{}` has events from {begin} to {end} only",
            label.source.name()
        );
        return Err(definition(
            "label",
            format!("{reason}; set `as_of` near the end of the data or shorten the horizon"),
        ));
    }
    Ok(all)
}

/// The source that a label looks at.
pub(crate) fn source_name<'a>(spec: &'a LabelSpec, default_source: Option<&'a str>) -> Result<&'a str> {
    match spec {
        LabelSpec::Column { source, column, .. } => source
            .as_deref()
            .or(default_source)
            .ok_or_else(|| definition("label", format!("say which source has the column `{column}`"))),
        LabelSpec::Absence(it) | LabelSpec::Occurrence(it) | LabelSpec::Total { ahead: it, .. } => Ok(&it.source),
    }
}

fn ahead(spec: &Ahead, what: Outcome) -> LabelKind {
    LabelKind::Ahead {
        horizon: spec.horizon,
        what,
    }
}

/// Counts the events that the label's `where` lets through.
fn events_of(source: &SourceFrame, spec: &Ahead) -> Result<Aggregate> {
    let filter = source.holds("label where", spec.filter.as_ref())?;
    Ok(Aggregate {
        aggregation: Aggregation::Count,
        values: None,
        filter,
    })
}

fn numbers(source: &SourceFrame, column: &str, positive: Option<&str>) -> Result<Vec<Option<f64>>> {
    let values = source.meant_column(column)?;
    let Some(positive) = positive else {
        if values.data_type() == DataType::String {
            let reason = "it is text; say which value means 1, `positive = \"..\"`";
            return Err(definition(format!("label column `{column}`"), reason));
        }
        return Ok((0..values.len())
            .map(|row| Some(values.number(row)).filter(|it| !it.is_nan()))
            .collect());
    };
    let wanted = Value::text(positive).cast(values.data_type()).map_err(|_| {
        let reason = format!("it is {}, which is never `{positive}`", values.data_type());
        definition(format!("label column `{column}`"), reason)
    })?;
    let of_row = |row: usize| match values.value(row) {
        Value::Null => None,
        value => Some(f64::from(value == wanted)),
    };
    let labels: Vec<Option<f64>> = (0..values.len()).map(of_row).collect();
    if labels.contains(&Some(1.0)) {
        Ok(labels)
    } else {
        Err(no_positive(column, positive, &values))
    }
}

fn no_positive(column: &str, positive: &str, values: &Column) -> OfflineStoreError {
    let there: std::collections::BTreeSet<String> = (0..values.len())
        .map(|row| values.value(row))
        .filter(|it| !it.is_null())
        .map(|it| it.to_string())
        .take(1000)
        .collect();
    let hint = hint(positive, there.iter().map(String::as_str));
    definition(
        format!("label column `{column}`"),
        format!("no row has the positive value `{positive}`{hint}"),
    )
}
