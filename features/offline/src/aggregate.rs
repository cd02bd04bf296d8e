//! Window aggregates over the events of one entity, in event order: nulls are skipped, sums run in that order on one thread,
//! so the last bit of a float never depends on the number of cores.

use std::collections::HashSet;
use std::sync::Arc;

use foretell_features::{Aggregation, Column, DataType, Span, Timestamp, Value};

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
}

/// The type of an aggregate over values of a type (`None` is `*`).
///
/// # Errors
/// Why it cannot be, in a few words.
pub(crate) fn aggregate_type(aggregation: Aggregation, values: Option<DataType>) -> Result<DataType, String> {
    use Aggregation as A;
    let number = matches!(values, Some(DataType::Int64 | DataType::Double));
    match (aggregation, values) {
        (A::Count, _) => Ok(DataType::Int64),
        (A::SinceLast { .. } | A::SinceFirst { .. }, _) => Ok(DataType::Double),
        (_, None) => Err("this aggregate is over a column, `*` is for count and since".to_owned()),
        (A::CountDistinct, _) => Ok(DataType::Int64),
        (A::Sum, Some(it)) if number => Ok(it),
        (A::Mean | A::Std, _) if number => Ok(DataType::Double),
        (A::Sum | A::Mean | A::Std, Some(it)) => Err(format!("sum, mean and std are over numbers, not {it}")),
        (A::Min | A::Max | A::First | A::Last, Some(it)) => Ok(it),
    }
}

impl Aggregate {
    /// The answer over some events, oldest first; `at` is the cutoff.
    pub(crate) fn over(&self, events: impl Iterator<Item = Event> + Clone, at: Timestamp) -> Value {
        let counts = |it: &Event| self.filter.as_ref().is_none_or(|keep| keep[it.row]) && self.has_value(it.row);
        let mut events = events.filter(counts);
        match self.aggregation {
            Aggregation::Count => Value::Int(events.count() as i64),
            Aggregation::CountDistinct => Value::Int(self.distinct(events) as i64),
            Aggregation::Sum => self.sum(events),
            Aggregation::Mean => {
                let (sum, n) = self
                    .numbers(events)
                    .fold((0.0, 0.0), |(sum, n), it| (sum + it, n + 1.0));
                if n > 0.0 { finite(sum / n) } else { Value::Null }
            }
            Aggregation::Std => std(self.numbers(events)),
            Aggregation::Min => self.extreme(events, std::cmp::Ordering::Less),
            Aggregation::Max => self.extreme(events, std::cmp::Ordering::Greater),
            Aggregation::First => events.next().map_or(Value::Null, |it| self.value(it.row)),
            Aggregation::Last => events.last().map_or(Value::Null, |it| self.value(it.row)),
            Aggregation::SinceFirst { unit } => since(events.next(), at, unit),
            Aggregation::SinceLast { unit } => since(events.last(), at, unit),
        }
    }

    fn has_value(&self, row: usize) -> bool {
        match self.values.as_deref() {
            None => true,
            Some(Column::Bool(it)) => it[row].is_some(),
            Some(Column::Int(it)) => it[row].is_some(),
            Some(Column::Float(it)) => it[row].is_some(),
            Some(Column::Str(it)) => it[row].is_some(),
            Some(Column::Time(it)) => it[row].is_some(),
        }
    }

    fn value(&self, row: usize) -> Value {
        self.values.as_ref().map_or(Value::Null, |it| it.value(row))
    }

    fn numbers(&self, events: impl Iterator<Item = Event> + Clone) -> impl Iterator<Item = f64> + Clone {
        events.map(|it| self.values.as_ref().map_or(f64::NAN, |values| values.number(it.row)))
    }

    /// Integers are summed exactly; a sum that 64 bits cannot hold is null.
    fn sum(&self, events: impl Iterator<Item = Event> + Clone) -> Value {
        if let Some(Column::Int(values)) = self.values.as_deref() {
            let sum: i128 = events.map(|it| i128::from(values[it.row].unwrap_or(0))).sum();
            return i64::try_from(sum).map_or(Value::Null, Value::Int);
        }
        finite(self.numbers(events).fold(0.0, |sum, it| sum + it))
    }

    fn extreme(&self, events: impl Iterator<Item = Event>, wanted: std::cmp::Ordering) -> Value {
        let Some(values) = self.values.as_deref() else {
            return Value::Null;
        };
        let better = |a: usize, b: usize| match values {
            Column::Bool(it) => it[a].cmp(&it[b]),
            Column::Int(it) => it[a].cmp(&it[b]),
            Column::Float(it) => it[a].partial_cmp(&it[b]).unwrap_or(std::cmp::Ordering::Equal),
            Column::Str(it) => it[a].cmp(&it[b]),
            Column::Time(it) => it[a].cmp(&it[b]),
        };
        let best = events
            .map(|it| it.row)
            .reduce(|best, row| if better(row, best) == wanted { row } else { best });
        best.map_or(Value::Null, |row| values.value(row))
    }

    fn distinct(&self, events: impl Iterator<Item = Event>) -> usize {
        match self.values.as_deref() {
            Some(Column::Str(it)) => events
                .filter_map(|event| it[event.row].as_deref())
                .collect::<HashSet<_>>()
                .len(),
            Some(Column::Int(it)) => events.filter_map(|event| it[event.row]).collect::<HashSet<_>>().len(),
            // Adding 0.0 makes the two zeros one.
            Some(Column::Float(it)) => events
                .filter_map(|event| it[event.row])
                .map(|it| (it + 0.0).to_bits())
                .collect::<HashSet<_>>()
                .len(),
            Some(Column::Bool(it)) => events.filter_map(|event| it[event.row]).collect::<HashSet<_>>().len(),
            Some(Column::Time(it)) => events.filter_map(|event| it[event.row]).collect::<HashSet<_>>().len(),
            None => 0,
        }
    }
}

/// Sample standard deviation, in two passes; null for fewer than two.
fn std(numbers: impl Iterator<Item = f64> + Clone) -> Value {
    let n = numbers.clone().count() as f64;
    if n < 2.0 {
        return Value::Null;
    }
    let mean = numbers.clone().fold(0.0, |sum, it| sum + it) / n;
    let squares = numbers.fold(0.0, |sum, it| sum + (it - mean) * (it - mean));
    finite((squares / (n - 1.0)).sqrt())
}

fn since(event: Option<Event>, at: Timestamp, unit: Span) -> Value {
    event.map_or(Value::Null, |it| {
        Value::Float(at.since(it.time).0 as f64 / unit.0 as f64)
    })
}

/// NaN (infinity minus infinity) is null.
fn finite(it: f64) -> Value {
    if it.is_nan() { Value::Null } else { Value::Float(it) }
}
