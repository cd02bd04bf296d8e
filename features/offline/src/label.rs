//! What happened after the cutoff, and when a label is complete.

use std::sync::Arc;

use foretell_features::spelling::hint;
use foretell_features::{
    Aggregation, Ahead, Column, Cutoffs, DataType, Entity, EntityKey, Expression, LabelSpec, Span, Timestamp,
    TrainingSetSpec, Value,
};

use crate::aggregate::{Aggregate, Event};
use crate::error::{OfflineStoreError, Result, definition};
use crate::events::{EventIndex, Knowledge};
use crate::needs::Columns;
use crate::partitions::{Partition, Partitions};
use crate::scan::{SourceFrame, SourceSchema};
use crate::store::OfflineStore;

/// A label over its source.
#[derive(Debug)]
pub(crate) struct Label<'a> {
    pub(crate) schema: Arc<SourceSchema>,
    pub(crate) partitions: Partitions,
    spec: &'a LabelSpec,
    /// First and last event of all.
    span: Option<(Timestamp, Timestamp)>,
    /// A source in memory is made ready once.
    whole: Option<Arc<LabelPart>>,
}

/// A label over one partition of its source, ready to be asked.
#[derive(Debug)]
pub(crate) struct LabelPart {
    source: Arc<SourceFrame>,
    pub(crate) events: Arc<EventIndex>,
    kind: LabelKind,
}

#[derive(Debug)]
enum LabelKind {
    /// One number per source row.
    Column(Vec<Option<f64>>),
    Ahead {
        horizon: Span,
        what: Outcome,
    },
}

#[derive(Debug)]
enum Outcome {
    Absence(Aggregate),
    Occurrence(Aggregate),
    Total(Aggregate),
}

/// What is known of an entity at a cutoff.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    pub(crate) value: f64,
    /// The file row that a column label comes from.
    pub(crate) file_row: Option<u64>,
}

impl<'a> Label<'a> {
    /// Over the label's source; `default_source` is meant where a column names none.
    pub(crate) fn of(
        store: &OfflineStore,
        entity: &Entity,
        spec: &'a LabelSpec,
        default_source: Option<&str>,
    ) -> Result<Self> {
        let name = source_name(spec, default_source)?;
        let schema = store.schema(name)?;
        if horizon(spec).is_some() && schema.source.event_time.is_none() {
            let reason = format!("it looks ahead in source `{name}`, which has no event_time");
            return Err(definition("label", reason));
        }
        let partitions = store.partitions(name, Some(&entity.name), &needed(spec))?;
        let mut label = Self {
            schema,
            partitions,
            spec,
            span: None,
            whole: None,
        };
        label.survey()?;
        Ok(label)
    }

    /// Goes through the partitions once, for what is true of all of them together.
    fn survey(&mut self) -> Result<()> {
        let mut positive = false;
        for at in 0..self.partitions.len() {
            let part = self.part(at)?;
            positive |= part.has_positive();
            self.span = match (self.span, part.events.span()) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
            if self.partitions.len() == 1 {
                self.whole = Some(part);
            }
        }
        match self.spec {
            LabelSpec::Column {
                column,
                positive: Some(wanted),
                ..
            } if !positive => Err(no_positive(
                column,
                wanted,
                &self.partitions.load(0)?.source.column(column)?,
            )),
            _ => Ok(()),
        }
    }

    /// One partition, made ready.
    pub(crate) fn part(&self, at: usize) -> Result<Arc<LabelPart>> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let Partition { source, events } = self.partitions.load(at)?;
        let kind = match self.spec {
            LabelSpec::Column { column, positive, .. } => {
                LabelKind::Column(numbers(&source, column, positive.as_deref())?)
            }
            LabelSpec::Absence(it) => ahead(it, Outcome::Absence(events_of(&source, it)?)),
            LabelSpec::Occurrence(it) => ahead(it, Outcome::Occurrence(events_of(&source, it)?)),
            LabelSpec::Total { ahead: it, value } => ahead(it, Outcome::Total(total(&source, it, value)?)),
        };
        Ok(Arc::new(LabelPart { source, events, kind }))
    }

    pub(crate) fn name(&self) -> &str {
        self.schema.name()
    }

    /// How far it looks ahead.
    pub(crate) fn horizon(&self) -> Span {
        horizon(self.spec).unwrap_or(Span(0))
    }

    /// Whether it is about what happens after the cutoff.
    pub(crate) fn looks_ahead(&self) -> bool {
        horizon(self.spec).is_some()
    }

    /// First and last event of all.
    pub(crate) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }
}

impl LabelPart {
    /// The label of an entity at a cutoff; `None` where it is not known.
    pub(crate) fn answer(&self, key: &EntityKey, cutoff: Timestamp) -> Option<Answer> {
        let query = self.events.query(Some(key), cutoff);
        match &self.kind {
            LabelKind::Column(values) => {
                let newest = self.events.latest(query, None, Knowledge::Hindsight)?;
                let row = self.events.row(newest);
                let file_row = Some(self.source.file_rows[row]);
                Some(Answer {
                    value: values[row]?,
                    file_row,
                })
            }
            LabelKind::Ahead { horizon, what } => {
                let events = self.events.between(query.entity, cutoff, cutoff.plus(*horizon));
                let events = events.map(|it| Event {
                    row: self.events.row(it),
                    time: self.events.time(it),
                    known: self.events.known_time(it),
                });
                let value = match what {
                    Outcome::Absence(any) => f64::from(any.over(events, cutoff) == Value::Int(0)),
                    Outcome::Occurrence(any) => f64::from(any.over(events, cutoff) != Value::Int(0)),
                    Outcome::Total(sum) => sum.over(events, cutoff).as_f64()?,
                };
                Some(Answer { value, file_row: None })
            }
        }
    }

    /// The entities that appear before the instant, each with its first file row by then.
    pub(crate) fn appearing(&self, before: Timestamp) -> impl Iterator<Item = (u64, u32)> {
        let first_row = move |entity: u32| {
            let events = self.events.between(Some(entity), Timestamp(i64::MIN), before);
            let first = events.map(|it| self.events.row(it)).min()?;
            Some((self.source.file_rows[first], entity))
        };
        (0..self.events.n_keys()).filter_map(first_row)
    }

    /// Every entity with the file row in which its key was seen first.
    pub(crate) fn entities(&self) -> impl Iterator<Item = (u64, EntityKey)> {
        let first = |entity: u32| self.source.file_rows[self.events.first_row(entity)];
        (0..self.events.n_keys()).map(move |it| (first(it), self.events.key(it)))
    }

    fn has_positive(&self) -> bool {
        match &self.kind {
            LabelKind::Column(values) => values.contains(&Some(1.0)),
            LabelKind::Ahead { .. } => true,
        }
    }
}

fn horizon(spec: &LabelSpec) -> Option<Span> {
    match spec {
        LabelSpec::Column { .. } => None,
        LabelSpec::Absence(it) | LabelSpec::Occurrence(it) | LabelSpec::Total { ahead: it, .. } => Some(it.horizon),
    }
}

/// The columns that a label looks at.
pub(crate) fn needed(spec: &LabelSpec) -> Columns {
    let (ahead, value) = match spec {
        LabelSpec::Column { column, .. } => return [column.clone()].into(),
        LabelSpec::Absence(it) | LabelSpec::Occurrence(it) => (it, None),
        LabelSpec::Total { ahead, value } => (ahead, Some(value)),
    };
    let expressions = ahead.filter.iter().chain(value);
    expressions.flat_map(|it| it.columns()).map(str::to_owned).collect()
}

/// The cutoffs, oldest first, each with a label that is complete at `as_of`.
pub(crate) fn cutoffs(spec: &TrainingSetSpec, label: &Label<'_>, cutoffs: &Cutoffs) -> Result<Vec<Timestamp>> {
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
    let (Some(last), Some((begin, end))) = (all.last(), label.span()) else {
        let reason = format!("source `{}` has no event of any entity", label.name());
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
            label.name()
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

fn total(source: &SourceFrame, spec: &Ahead, value: &Expression) -> Result<Aggregate> {
    let values = source.evaluate("label value", value)?;
    if !matches!(values, Column::Int(_) | Column::Float(_)) {
        let reason = format!("`{value}` is {}, not a number", values.data_type());
        return Err(definition("label value", reason));
    }
    Ok(Aggregate {
        aggregation: Aggregation::Sum,
        values: Some(Arc::new(values)),
        ..events_of(source, spec)?
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
    Ok((0..values.len()).map(of_row).collect())
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
