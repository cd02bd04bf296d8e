//! What each operator and function does with values. The meaning is written down in the module above.

use std::cmp::Ordering;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};

use super::{BinaryOperator, Function, UnaryOperator, pattern};
use crate::time::{Span, Timestamp};
use crate::value::Value;

/// NaN is null.
pub(super) fn float(it: f64) -> Value {
    if it.is_nan() { Value::Null } else { Value::Float(it) }
}

pub(super) fn clean(value: Value) -> Value {
    match value {
        Value::Float(it) => float(it),
        other => other,
    }
}

pub(super) fn unary(operator: UnaryOperator, value: Value) -> Value {
    match (operator, value) {
        (UnaryOperator::IsNull, it) => Value::Bool(it.is_null()),
        (UnaryOperator::IsNotNull, it) => Value::Bool(!it.is_null()),
        (UnaryOperator::Not, Value::Bool(it)) => Value::Bool(!it),
        (UnaryOperator::Negate, Value::Int(it)) => integer(it.checked_neg()),
        (UnaryOperator::Negate, Value::Float(it)) => Value::Float(-it),
        _ => Value::Null,
    }
}

/// All but AND and OR, which need not look at both sides.
pub(super) fn binary(operator: BinaryOperator, left: &Value, right: &Value) -> Value {
    match operator {
        BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply | BinaryOperator::Modulo => {
            arithmetic(operator, left, right)
        }
        BinaryOperator::Divide => match (number(left), number(right)) {
            (Some(_), Some(0.0)) => Value::Null,
            (Some(a), Some(b)) => float(a / b),
            _ => Value::Null,
        },
        BinaryOperator::And => and(left, right),
        BinaryOperator::Or => or(left, right),
        _ => compare(left, right).map_or(Value::Null, |it| Value::Bool(holds(operator, it))),
    }
}

fn holds(operator: BinaryOperator, ordering: Ordering) -> bool {
    match operator {
        BinaryOperator::Equal => ordering.is_eq(),
        BinaryOperator::NotEqual => ordering.is_ne(),
        BinaryOperator::Less => ordering.is_lt(),
        BinaryOperator::LessOrEqual => ordering.is_le(),
        BinaryOperator::Greater => ordering.is_gt(),
        _ => ordering.is_ge(),
    }
}

fn and(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), Value::Bool(true)) => Value::Bool(true),
        _ => Value::Null,
    }
}

fn or(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Bool(true), _) | (_, Value::Bool(true)) => Value::Bool(true),
        (Value::Bool(false), Value::Bool(false)) => Value::Bool(false),
        _ => Value::Null,
    }
}

fn arithmetic(operator: BinaryOperator, left: &Value, right: &Value) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        return integer(match operator {
            BinaryOperator::Add => a.checked_add(*b),
            BinaryOperator::Subtract => a.checked_sub(*b),
            BinaryOperator::Multiply => a.checked_mul(*b),
            // The least integer modulo -1 is 0, not an overflow.
            _ => (*b != 0).then(|| a.wrapping_rem(*b)),
        });
    }
    let (Some(a), Some(b)) = (number(left), number(right)) else {
        return Value::Null;
    };
    match operator {
        BinaryOperator::Add => float(a + b),
        BinaryOperator::Subtract => float(a - b),
        BinaryOperator::Multiply => float(a * b),
        // Modulo by zero is NaN, and so null.
        _ => float(a % b),
    }
}

/// The order of two values of one kind; none where one is null.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => number(left)?.partial_cmp(&number(right)?),
    }
}

pub(super) fn is_in(value: &Value, list: &[Value], negated: bool) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    let found = list.iter().any(|it| compare(value, it) == Some(Ordering::Equal));
    Value::Bool(found != negated)
}

pub(super) fn call(function: Function, arguments: &[Value]) -> Value {
    match (function, arguments) {
        (Function::Greatest, all) => extreme(all, Ordering::Greater),
        (Function::Least, all) => extreme(all, Ordering::Less),
        (Function::Coalesce, all) => all.iter().find(|it| !it.is_null()).cloned().unwrap_or_default(),
        (Function::NullIf, [a, b]) if compare(a, b) == Some(Ordering::Equal) => Value::Null,
        (Function::NullIf, [a, _]) => a.clone(),
        (Function::Concat, all) => concat(all),
        (Function::StartsWith, [Value::Str(text), Value::Str(prefix)]) => Value::Bool(text.starts_with(&**prefix)),
        (Function::Matches, [Value::Str(text), Value::Str(pattern)]) => pattern::is_match(pattern, text),
        (Function::ToTimestamp, [value, format @ ..]) => to_timestamp(value, format),
        (Function::AddDays, [Value::Time(time), days]) => add_days(*time, days),
        (
            Function::Year | Function::Month | Function::Day | Function::Weekday | Function::Hour,
            [Value::Time(time)],
        ) => calendar(function, *time),
        (Function::Lower | Function::Upper | Function::Length, [Value::Str(text)]) => of_text(function, text),
        (Function::ToDouble | Function::ToInt64 | Function::ToText | Function::ToBoolean, [value]) => {
            cast(function, value)
        }
        (_, [value]) => of_number(function, value),
        _ => Value::Null,
    }
}

fn extreme(all: &[Value], wanted: Ordering) -> Value {
    let known = all.iter().filter(|it| !it.is_null());
    let best = known.reduce(|best, it| if compare(it, best) == Some(wanted) { it } else { best });
    let double = all.iter().any(|it| matches!(it, Value::Float(_)));
    match best {
        Some(Value::Int(it)) if double => Value::Float(*it as f64),
        other => other.cloned().unwrap_or_default(),
    }
}

fn concat(all: &[Value]) -> Value {
    let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
    texts.map_or(Value::Null, |it| Value::text(it.concat()))
}

fn of_text(function: Function, text: &str) -> Value {
    match function {
        Function::Lower => Value::text(text.to_lowercase()),
        Function::Upper => Value::text(text.to_uppercase()),
        _ => integer(i64::try_from(text.chars().count()).ok()),
    }
}

fn of_number(function: Function, value: &Value) -> Value {
    if let Value::Int(it) = value {
        match function {
            Function::Abs => return integer(it.checked_abs()),
            Function::Floor | Function::Ceil | Function::Round => return Value::Int(*it),
            _ => {}
        }
    }
    let Some(it) = number(value) else { return Value::Null };
    match function {
        Function::Abs => float(it.abs()),
        Function::Ln if it <= 0.0 => Value::Null,
        Function::Ln => float(it.ln()),
        Function::Exp => float(it.exp()),
        // The root of a negative number is NaN, and so null.
        Function::Sqrt => float(it.sqrt()),
        Function::Floor => float(it.floor()),
        Function::Ceil => float(it.ceil()),
        Function::Round => float(it.round()),
        _ => Value::Null,
    }
}

fn cast(function: Function, value: &Value) -> Value {
    match (function, value) {
        (_, Value::Null) => Value::Null,
        (Function::ToText, it) => Value::text(it.to_string()),
        (Function::ToDouble, Value::Bool(it)) => Value::Float(f64::from(u8::from(*it))),
        (Function::ToDouble, Value::Str(it)) => it.trim().parse().map_or(Value::Null, float),
        (Function::ToDouble, it) => number(it).map_or(Value::Null, float),
        (Function::ToInt64, Value::Int(it)) => Value::Int(*it),
        (Function::ToInt64, Value::Bool(it)) => Value::Int(i64::from(*it)),
        (Function::ToInt64, Value::Str(it)) => integer(it.trim().parse().ok()),
        (Function::ToInt64, Value::Float(it)) => integer(whole(it.trunc())),
        (Function::ToBoolean, Value::Bool(it)) => Value::Bool(*it),
        (Function::ToBoolean, Value::Str(it)) => {
            it.trim().to_ascii_lowercase().parse().map_or(Value::Null, Value::Bool)
        }
        (Function::ToBoolean, it) => number(it).map_or(Value::Null, |it| Value::Bool(it != 0.0)),
        _ => Value::Null,
    }
}

/// The integer, where 64 bits hold it.
fn whole(it: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&it).then_some(it as i64)
}

fn to_timestamp(value: &Value, format: &[Value]) -> Value {
    let time = match (value, format) {
        (Value::Time(it), _) => Some(*it),
        (Value::Str(text), []) => text.parse().ok(),
        (Value::Str(text), [Value::Str(format)]) => formatted(text.trim(), format),
        _ => None,
    };
    time.map_or(Value::Null, Value::Time)
}

/// With `%z` the offset counts; a date without time of day is midnight.
fn formatted(text: &str, format: &str) -> Option<Timestamp> {
    let zoned = DateTime::parse_from_str(text, format).map(|it| it.to_utc());
    let naive = || NaiveDateTime::parse_from_str(text, format).map(|it| it.and_utc());
    let date = || NaiveDate::parse_from_str(text, format).map(|it| it.and_time(chrono::NaiveTime::MIN).and_utc());
    let time = zoned.or_else(|_| naive()).or_else(|_| date()).ok()?;
    Some(Timestamp(time.timestamp_micros()))
}

fn add_days(time: Timestamp, days: &Value) -> Value {
    let span = match days {
        Value::Int(days) => days.checked_mul(Span::DAY.0),
        Value::Float(days) => whole((days * Span::DAY.0 as f64).round()),
        _ => None,
    };
    let later = span.and_then(|it| time.0.checked_add(it));
    later.map_or(Value::Null, |it| Value::Time(Timestamp(it)))
}

fn calendar(function: Function, time: Timestamp) -> Value {
    let Some(time): Option<DateTime<Utc>> = DateTime::from_timestamp_micros(time.0) else {
        return Value::Null;
    };
    Value::Int(match function {
        Function::Year => i64::from(time.year()),
        Function::Month => i64::from(time.month()),
        Function::Day => i64::from(time.day()),
        Function::Weekday => i64::from(time.weekday().number_from_monday()),
        _ => i64::from(time.hour()),
    })
}

fn integer(it: Option<i64>) -> Value {
    it.map_or(Value::Null, Value::Int)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(it) => Some(*it as f64),
        Value::Float(it) => Some(*it),
        _ => None,
    }
}
