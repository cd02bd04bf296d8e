//! The obvious way to aggregate: all events in one list, folded with arithmetic of its own. Slow, and the judge of every fast way.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use foretell_features::{Aggregation, DataType, Span, Timestamp, Value, WindowEvent, WindowFeature};

/// In what way an answer is not what the events say; `None`: it is.
pub(crate) fn difference(
    events: &[&WindowEvent],
    feature: &WindowFeature,
    data_type: Option<DataType>,
    at: Timestamp,
    got: &Value,
) -> Option<String> {
    let inside = |it: &&&WindowEvent| match feature.window {
        Some(window) => window.contains(it.time, at),
        None => it.time < at,
    };
    let known = |it: &&&WindowEvent| it.known.is_none_or(|it| it <= at);
    let value = |it: &&WindowEvent| Some((it.time, it.known, it.values[feature.stream].clone()?));
    let mut seen: Vec<Seen> = events.iter().filter(inside).filter(known).filter_map(value).collect();
    seen.retain(|(_, _, value)| match value {
        Value::Null => data_type.is_none(),
        Value::Float(it) => !it.is_nan(),
        _ => true,
    });
    seen.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| order(&a.2, &b.2)));
    let (expected, slack) = expected(&seen, feature.aggregation, data_type, at);
    let equal = match (&expected, got) {
        (Value::Float(a), Value::Float(b)) => a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + slack,
        (a, b) => a == b,
    };
    (!equal).then(|| format!("expected {expected}, got {got}, over {}", seen.len()))
}

type Seen = (Timestamp, Option<Timestamp>, Value);

/// The answer, and by how much a float may differ beside its relative error: what doubles cannot tell apart in the input.
fn expected(seen: &[Seen], aggregation: Aggregation, data_type: Option<DataType>, at: Timestamp) -> (Value, f64) {
    let n = seen.len() as f64;
    let numbers: Vec<f64> = seen.iter().filter_map(|it| it.2.as_f64()).collect();
    let magnitude = numbers.iter().fold(0.0, |sum, it| sum + it.abs());
    let whole = || {
        seen.iter()
            .map(|it| if let Value::Int(it) = it.2 { i128::from(it) } else { 0 })
            .sum::<i128>()
    };
    let values = || seen.iter().map(|it| &it.2);
    let one = |it: Option<&Value>| it.cloned().unwrap_or(Value::Null);
    let since = |it: Option<&Seen>, unit: Span| {
        it.map_or(Value::Null, |it| Value::Float((at.0 - it.0.0) as f64 / unit.0 as f64))
    };
    let integers = data_type == Some(DataType::Int64);
    let exact = |it: Value| (it, 0.0);
    match aggregation {
        Aggregation::Count => exact(Value::Int(seen.len() as i64)),
        Aggregation::CountDistinct => {
            let text = |it: &Value| match it {
                Value::Float(it) => format!("{}", it + 0.0),
                other => format!("{other}"),
            };
            exact(Value::Int(values().map(text).collect::<BTreeSet<_>>().len() as i64))
        }
        Aggregation::Sum if integers => exact(i64::try_from(whole()).map_or(Value::Null, Value::Int)),
        Aggregation::Sum => (number(exact_sum(&numbers)), magnitude * 1e-28),
        _ if seen.is_empty() => exact(Value::Null),
        Aggregation::Mean if integers => exact(Value::Float(whole() as f64 / n)),
        Aggregation::Mean => (number(exact_sum(&numbers) / n), magnitude * 1e-28),
        Aggregation::Std => (std(&numbers), magnitude * 1e-14),
        Aggregation::Trend { unit } => trend(seen, &numbers, unit),
        Aggregation::Min => exact(one(values().min_by(|a, b| order(a, b)))),
        Aggregation::Max => exact(one(values().max_by(|a, b| order(a, b)))),
        Aggregation::First => exact(one(values().next())),
        Aggregation::Last => exact(one(values().next_back())),
        Aggregation::SinceFirst { unit } => exact(since(seen.first(), unit)),
        Aggregation::SinceLast { unit } => exact(since(seen.last(), unit)),
    }
}

fn std(numbers: &[f64]) -> Value {
    if numbers.len() < 2 || numbers.iter().any(|it| !it.is_finite()) {
        return Value::Null;
    }
    let mean = exact_sum(numbers) / numbers.len() as f64;
    let squares: Vec<f64> = numbers.iter().map(|it| (it - mean) * (it - mean)).collect();
    Value::Float((exact_sum(&squares) / (numbers.len() - 1) as f64).sqrt())
}

fn trend(seen: &[Seen], numbers: &[f64], unit: Span) -> (Value, f64) {
    let n = seen.len() as f64;
    if seen.len() < 2 || seen[0].0 == seen[seen.len() - 1].0 || numbers.iter().any(|it| !it.is_finite()) {
        return (Value::Null, 0.0);
    }
    let x: Vec<f64> = seen.iter().map(|it| (it.0.0 - seen[0].0.0) as f64).collect();
    let (mean_x, mean_y) = (exact_sum(&x) / n, exact_sum(numbers) / n);
    let squares: Vec<f64> = x.iter().map(|it| (it - mean_x) * (it - mean_x)).collect();
    let products: Vec<f64> = x
        .iter()
        .zip(numbers)
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .collect();
    let (sxx, sxy) = (exact_sum(&squares), exact_sum(&products));
    let size: f64 = numbers
        .iter()
        .zip(&x)
        .map(|(y, x)| (y.abs() + mean_y.abs()) * (x - mean_x).abs())
        .sum();
    let slack = size * 1e-14 / sxx * unit.0 as f64;
    (number(sxy / sxx * unit.0 as f64), slack)
}

/// The sum without rounding until the end: what is left over is kept in parts that do not overlap (Shewchuk 1997).
fn exact_sum(numbers: &[f64]) -> f64 {
    if numbers.iter().any(|it| !it.is_finite()) {
        return numbers.iter().sum();
    }
    let mut parts: Vec<f64> = Vec::new();
    for number in numbers {
        let mut x = *number;
        let mut kept = Vec::new();
        for part in &parts {
            let (large, small) = if x.abs() < part.abs() { (*part, x) } else { (x, *part) };
            let sum = large + small;
            let left = small - (sum - large);
            if left != 0.0 {
                kept.push(left);
            }
            x = sum;
        }
        kept.push(x);
        parts = kept;
    }
    parts.iter().sum()
}

fn number(it: f64) -> Value {
    if it.is_nan() { Value::Null } else { Value::Float(it) }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}
