//! One value of one feature, and its type.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a column or a feature holds. Names follow SQL and Feast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// `true` or `false`.
    Boolean,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit float; NaN is not null here, it becomes null at the edge.
    Double,
    /// UTF-8 text; a category.
    String,
    /// UTC microseconds.
    Timestamp,
}

/// One value. JSON: null, bool, number, string; a timestamp travels as RFC 3339 text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing known.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// 64-bit signed integer.
    Int(i64),
    /// 64-bit float.
    Float(f64),
    /// UTC microseconds. Read back from JSON it is `Str`, and cast by the declared type.
    #[serde(skip_deserializing)]
    Time(Timestamp),
    /// UTF-8 text.
    Str(Arc<str>),
}

/// A value that its declared type cannot hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not {expected}. got=`{got}`")]
pub struct CastError {
    /// The declared type.
    pub expected: DataType,
    /// What came instead.
    pub got: Value,
}

impl Value {
    /// Text as a value.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Str(text.into())
    }

    /// Whether nothing is known.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The type it has; null has none.
    pub fn data_type(&self) -> Option<DataType> {
        match self {
            Value::Null => None,
            Value::Bool(_) => Some(DataType::Boolean),
            Value::Int(_) => Some(DataType::Int64),
            Value::Float(_) => Some(DataType::Double),
            Value::Time(_) => Some(DataType::Timestamp),
            Value::Str(_) => Some(DataType::String),
        }
    }

    /// The number in it, where there is one: bools are 0 and 1, times are seconds since 1970.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Bool(it) => Some(f64::from(u8::from(*it))),
            Value::Int(it) => Some(*it as f64),
            Value::Float(it) => Some(*it),
            Value::Time(it) => Some(it.0 as f64 / 1e6),
            Value::Null | Value::Str(_) => None,
        }
    }

    /// The text in it, where it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(it) => Some(it),
            _ => None,
        }
    }

    /// The same value in the declared type. Numbers widen, text that spells a number, a bool or a time is read,
    /// anything becomes text; NaN and blank text for anything but text are null.
    ///
    /// # Errors
    /// The value does not fit: `CastError` names both.
    pub fn cast(self, to: DataType) -> Result<Value, CastError> {
        let cast = match (to, &self) {
            (_, Value::Null) => Some(Value::Null),
            (_, Value::Float(it)) if it.is_nan() => Some(Value::Null),
            (DataType::String, Value::Str(_)) => Some(self.clone()),
            (_, Value::Str(it)) if it.trim().is_empty() => Some(Value::Null),
            (DataType::Boolean, Value::Bool(_)) => Some(self.clone()),
            (DataType::Boolean, Value::Int(it @ (0 | 1))) => Some(Value::Bool(*it == 1)),
            (DataType::Boolean, Value::Str(it)) => it.to_ascii_lowercase().parse().ok().map(Value::Bool),
            (DataType::Int64, Value::Int(_)) => Some(self.clone()),
            (DataType::Int64, Value::Bool(it)) => Some(Value::Int(i64::from(*it))),
            (DataType::Int64, Value::Float(it)) if it.fract() == 0.0 && it.abs() < 9.0e15 => {
                Some(Value::Int(*it as i64))
            }
            (DataType::Int64, Value::Str(it)) => it.trim().parse().ok().map(Value::Int),
            (DataType::Double, Value::Str(it)) => {
                it.trim().parse().ok().filter(|it: &f64| !it.is_nan()).map(Value::Float)
            }
            (DataType::Double, Value::Time(_)) => None,
            (DataType::Double, _) => self.as_f64().map(Value::Float),
            (DataType::String, _) => Some(Value::text(self.to_string())),
            (DataType::Timestamp, Value::Time(_)) => Some(self.clone()),
            (DataType::Timestamp, Value::Str(it)) => it.parse().ok().map(Value::Time),
            _ => None,
        };
        cast.ok_or(CastError {
            expected: to,
            got: self,
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(it) => write!(f, "{it}"),
            Value::Int(it) => write!(f, "{it}"),
            Value::Float(it) => write!(f, "{it}"),
            Value::Time(it) => write!(f, "{it}"),
            Value::Str(it) => f.write_str(it),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataType::Boolean => "boolean",
            DataType::Int64 => "int64",
            DataType::Double => "double",
            DataType::String => "string",
            DataType::Timestamp => "timestamp",
        })
    }
}

impl std::str::FromStr for DataType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "boolean" | "bool" => Ok(DataType::Boolean),
            "int64" | "int" => Ok(DataType::Int64),
            "double" | "float64" => Ok(DataType::Double),
            "string" => Ok(DataType::String),
            "timestamp" => Ok(DataType::Timestamp),
            other => Err(format!(
                "unknown type `{other}`; use boolean, int64, double, string or timestamp"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cast_by_meaning_and_blank_text_is_null() {
        let cases = [
            (Value::text("5"), DataType::Int64, Some(Value::Int(5))),
            (Value::text(" "), DataType::Double, Some(Value::Null)),
            (Value::text(""), DataType::String, Some(Value::text(""))),
            (Value::Float(f64::NAN), DataType::Double, Some(Value::Null)),
            (Value::Float(2.0), DataType::Int64, Some(Value::Int(2))),
            (Value::Float(2.5), DataType::Int64, None),
            (Value::Int(7), DataType::String, Some(Value::text("7"))),
            (Value::text("many"), DataType::Double, None),
        ];
        for (value, to, expected) in cases {
            assert_eq!(value.clone().cast(to).ok(), expected, "{value} as {to}");
        }
    }
}
