//! What each kind of expectation finds in the rows.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use foretell_features::{Bounds, Check, Column, Rule, Timestamp, Value};

use super::Rows;
use crate::sketch::{Quantiles, hash_into};

/// What came of one check: `failed` are positions among the rows looked at, ascending.
pub(super) struct Verdict {
    pub(super) passed: bool,
    pub(super) failed: Vec<usize>,
    pub(super) observed: Value,
}

impl Verdict {
    fn of_rows(failed: Vec<usize>, observed: Value) -> Self {
        Self {
            passed: failed.is_empty(),
            failed,
            observed,
        }
    }

    /// Nothing to measure is no failure: `rows` and `null_rate` say when rows are missing.
    fn of_number(number: Option<f64>, bounds: &Bounds) -> Self {
        Self {
            passed: number.is_none_or(|it| bounds.hold(it)),
            failed: Vec::new(),
            observed: number.map_or(Value::Null, Value::Float),
        }
    }
}

/// The least value for `min`, the greatest for `max`, the first wrong one for `in` and `matches`, how many nulls.
pub(super) fn each_row(rule: &Rule, holds: &[bool], values: &Column) -> Verdict {
    let failed: Vec<usize> = (0..holds.len()).filter(|it| !holds[*it]).collect();
    let observed = match rule {
        Rule::NotNull => Value::Int(failed.len() as i64),
        Rule::Min(_) => extreme(values, std::cmp::Ordering::Less),
        Rule::Max(_) => extreme(values, std::cmp::Ordering::Greater),
        Rule::In(_) | Rule::Matches(_) => failed.first().map_or(Value::Null, |it| values.value(*it)),
    };
    Verdict::of_rows(failed, observed)
}

/// Every expectation of all rows together but references.
pub(super) fn measured(check: &Check, values: &[Column], rows: &Rows, to: Timestamp) -> Verdict {
    match check {
        Check::Unique(_) => unique(values, rows.at.len()),
        Check::Increasing(_) => increasing(&values[0]),
        Check::NullRate(_, bounds) => {
            let column = &values[0];
            let nulls = (0..column.len()).filter(|it| column.value(*it).is_null()).count();
            let rate = (!column.is_empty()).then(|| nulls as f64 / column.len() as f64);
            Verdict::of_number(rate, bounds)
        }
        Check::Mean(_, bounds) => Verdict::of_number(mean(&values[0]), bounds),
        Check::Quantile { q, bounds, .. } => {
            let mut quantiles = Quantiles::default();
            numbers(&values[0]).for_each(|it| quantiles.add(it));
            Verdict::of_number(quantiles.sorted().at(*q), bounds)
        }
        Check::Rows(bounds) => Verdict {
            observed: Value::Int(rows.at.len() as i64),
            ..Verdict::of_number(Some(rows.at.len() as f64), bounds)
        },
        Check::FreshWithin(span) => {
            let age = rows.newest.map(|it| to.since(it));
            Verdict {
                passed: age.is_some_and(|it| it <= *span),
                failed: Vec::new(),
                observed: age.map_or_else(|| Value::text("no event"), |it| Value::text(it.to_string())),
            }
        }
        Check::EachRow { .. } | Check::References { .. } => unreachable!("measured by functions of their own"),
    }
}

/// The values that the other column lacks; numbers and texts are compared as they are written.
pub(super) fn references(values: &Column, there: &Column) -> Verdict {
    let known: HashSet<String> = (0..there.len()).map(|it| there.value(it).to_string()).collect();
    let lost = |it: &usize| match values.value(*it) {
        Value::Null => false,
        value => !known.contains(&value.to_string()),
    };
    let failed: Vec<usize> = (0..values.len()).filter(lost).collect();
    let observed = failed.first().map_or(Value::Null, |it| values.value(*it));
    Verdict::of_rows(failed, observed)
}

/// The second and later rows of each group of equals. 64-bit hashes stand for values: of 50 million rows, two different ones
/// are taken for equal with a chance below 1 in 10,000.
fn unique(columns: &[Column], n_rows: usize) -> Verdict {
    let mut seen = HashSet::new();
    let again = |row: &usize| {
        let mut hasher = DefaultHasher::new();
        for column in columns {
            match column.value(*row) {
                Value::Null => return false,
                value => hash_into(&value, &mut hasher),
            }
        }
        columns.len().hash(&mut hasher);
        !seen.insert(hasher.finish())
    };
    let failed: Vec<usize> = (0..n_rows).filter(again).collect();
    let observed = Value::Int(failed.len() as i64);
    Verdict::of_rows(failed, observed)
}

/// Rows whose value is less than the one before.
fn increasing(values: &Column) -> Verdict {
    let mut before = Value::Null;
    let mut failed = Vec::new();
    let mut observed = Value::Null;
    for row in 0..values.len() {
        let value = values.value(row);
        if value.is_null() {
            continue;
        }
        if compare(&value, &before) == Some(std::cmp::Ordering::Less) {
            if failed.is_empty() {
                observed = value.clone();
            }
            failed.push(row);
        }
        before = value;
    }
    Verdict::of_rows(failed, observed)
}

fn mean(values: &Column) -> Option<f64> {
    let (sum, n) = numbers(values).fold((0.0, 0.0), |(sum, n), it| (sum + it, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

fn numbers(values: &Column) -> impl Iterator<Item = f64> {
    (0..values.len()).map(|it| values.number(it)).filter(|it| !it.is_nan())
}

fn extreme(values: &Column, wanted: std::cmp::Ordering) -> Value {
    let all = (0..values.len()).map(|it| values.value(it)).filter(|it| !it.is_null());
    let best = all.reduce(|best, it| if compare(&it, &best) == Some(wanted) { it } else { best });
    best.unwrap_or_default()
}

fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
