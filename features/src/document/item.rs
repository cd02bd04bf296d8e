//! Items as typed values.

use super::tree::Item;
use crate::expression::Expression;
use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};

/// What a TOML value can be read as.
pub trait FromItem: Sized {
    /// What it is, for `` `x` is missing; it is .. ``: `a text`, `a span like "90d"`.
    const EXPECTED: &'static str;

    /// Reads the value.
    ///
    /// # Errors
    /// One sentence: what is wrong and what would be right.
    fn from_item(item: &Item) -> Result<Self, String>;
}

fn refuse<T: FromItem>(item: &Item) -> Result<T, String> {
    Err(format!("not {}. got={item}", T::EXPECTED))
}

impl FromItem for String {
    const EXPECTED: &'static str = "a text";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Text(it) => Ok(it.clone()),
            other => refuse(other),
        }
    }
}

impl FromItem for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Boolean(it) => Ok(*it),
            other => refuse(other),
        }
    }
}

impl FromItem for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Integer(it) => Ok(*it as f64),
            Item::Float(it) if it.is_finite() => Ok(*it),
            other => refuse(other),
        }
    }
}

impl FromItem for usize {
    const EXPECTED: &'static str = "a whole number of at least 1";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Integer(it) if *it >= 1 => usize::try_from(*it).or_else(|_| refuse(item)),
            other => refuse(other),
        }
    }
}

/// Spans in definitions are lengths: never zero.
impl FromItem for Span {
    const EXPECTED: &'static str = "a span of time like \"90d\", \"12h\", \"5m\" or \"30s\"";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Text(it) => match it.parse::<Span>() {
                Ok(span) if span.0 > 0 => Ok(span),
                _ => refuse(item),
            },
            other => refuse(other),
        }
    }
}

impl FromItem for Timestamp {
    const EXPECTED: &'static str = "a time like \"2026-06-30\" or \"2026-06-30T12:00:00Z\"";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Time(it) => Ok(*it),
            Item::Text(it) => it.parse().or_else(|_| refuse(item)),
            other => refuse(other),
        }
    }
}

impl FromItem for DataType {
    const EXPECTED: &'static str = "a type: boolean, int64, double, string or timestamp";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Text(it) => it.parse(),
            other => refuse(other),
        }
    }
}

impl FromItem for Expression {
    const EXPECTED: &'static str = "an expression in quotes";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Text(it) => Expression::parse(it).map_err(|error| error.to_string()),
            other => refuse(other),
        }
    }
}

/// Numbers, texts, bools and times as typed.
impl FromItem for Value {
    const EXPECTED: &'static str = "a number, a text or a boolean";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::Text(it) => Ok(Value::text(it.as_str())),
            Item::Integer(it) => Ok(Value::Int(*it)),
            Item::Float(it) if it.is_finite() => Ok(Value::Float(*it)),
            Item::Boolean(it) => Ok(Value::Bool(*it)),
            Item::Time(it) => Ok(Value::Time(*it)),
            other => refuse(other),
        }
    }
}

impl<T: FromItem> FromItem for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn from_item(item: &Item) -> Result<Self, String> {
        match item {
            Item::List(items) => items.iter().map(|it| T::from_item(&it.item)).collect(),
            other => refuse(other),
        }
    }
}
