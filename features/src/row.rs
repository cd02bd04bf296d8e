//! Keys, stored rows and what reading them tells.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};

/// One part of an entity key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    /// An integer key column.
    Int(i64),
    /// A text key column.
    Str(Arc<str>),
}

/// The key of one entity: one part per key column, in the entity's order. Never null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey(pub Vec<KeyPart>);

/// A view's row for one entity, as stored and as served: values in the order of the view's features.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    /// When it happened, or the cutoff for aggregates.
    pub event_time: Timestamp,
    /// When it was learned, where the source knows.
    pub known_time: Option<Timestamp>,
    /// One value per feature of the view.
    pub values: Vec<Value>,
}

/// What a read of one feature found (Feast's statuses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// A value.
    Present,
    /// A row whose value is null.
    NullValue,
    /// No row for the key.
    NotFound,
    /// A row older than the view's `max_age`; the value comes along.
    OutsideMaxAge,
}

/// One feature as read: value, status, and the time of the row it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRead {
    /// The value; null unless the status says otherwise.
    pub value: Value,
    /// How it was found.
    pub status: Status,
    /// The row's event time.
    pub event_time: Option<Timestamp>,
}

/// A key that cannot be made from the values given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A null part never matches anything.
    #[error("key column `{column}` is null")]
    Null {
        /// The key column.
        column: String,
    },
    /// A part of the wrong type.
    #[error("key column `{column}` is not {expected}. got=`{got}`")]
    Type {
        /// The key column.
        column: String,
        /// The declared type.
        expected: DataType,
        /// What came instead.
        got: Value,
    },
}

impl EntityKey {
    /// A key from values, cast to the declared types (`5` is a string key `"5"`, `"5"` an integer key 5).
    ///
    /// # Errors
    /// A null part, or one that cannot be cast.
    pub fn from_values<'a>(columns: impl IntoIterator<Item = (&'a str, DataType, Value)>) -> Result<Self, KeyError> {
        let part = |(name, data_type, value): (&str, DataType, Value)| {
            let key_type = if data_type == DataType::Int64 {
                DataType::Int64
            } else {
                DataType::String
            };
            match value.cast(key_type) {
                Ok(Value::Int(it)) => Ok(KeyPart::Int(it)),
                Ok(Value::Str(it)) => Ok(KeyPart::Str(it)),
                Ok(_) => Err(KeyError::Null {
                    column: name.to_owned(),
                }),
                Err(error) => Err(KeyError::Type {
                    column: name.to_owned(),
                    expected: error.expected,
                    got: error.got,
                }),
            }
        };
        columns.into_iter().map(part).collect::<Result<_, _>>().map(EntityKey)
    }

    /// Bytes that no other key has, whatever the parts hold: each part is tagged and length-prefixed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 12);
        for part in &self.0 {
            match part {
                KeyPart::Int(it) => {
                    bytes.push(0);
                    bytes.extend_from_slice(&it.to_be_bytes());
                }
                KeyPart::Str(it) => {
                    bytes.push(1);
                    let len = u32::try_from(it.len()).expect("a key is shorter than 4 GiB");
                    bytes.extend_from_slice(&len.to_be_bytes());
                    bytes.extend_from_slice(it.as_bytes());
                }
            }
        }
        bytes
    }
}

impl EntityKey {
    /// The key whose [`EntityKey::encode`] these bytes are, `None` where they are of none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = bytes;
        while let Some((tag, after)) = rest.split_first() {
            let (part, after) = match tag {
                0 => {
                    let (number, after) = after.split_first_chunk()?;
                    (KeyPart::Int(i64::from_be_bytes(*number)), after)
                }
                1 => {
                    let (len, after) = after.split_first_chunk()?;
                    let (text, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize)?;
                    (KeyPart::Str(std::str::from_utf8(text).ok()?.into()), after)
                }
                _ => return None,
            };
            parts.push(part);
            rest = after;
        }
        Some(EntityKey(parts))
    }
}

impl KeyPart {
    /// The part as a value.
    pub fn value(&self) -> Value {
        match self {
            KeyPart::Int(it) => Value::Int(*it),
            KeyPart::Str(it) => Value::Str(it.clone()),
        }
    }
}

impl FeatureRead {
    /// No row for the key.
    pub const NOT_FOUND: FeatureRead = FeatureRead {
        value: Value::Null,
        status: Status::NotFound,
        event_time: None,
    };

    /// Reads feature `at` of a stored row at the instant `now`; older than `max_age` keeps the value and says so.
    pub fn of(row: &FeatureRow, at: usize, now: Timestamp, max_age: Option<Span>) -> Self {
        let value = row.values[at].clone();
        let fresh = max_age.is_none_or(|age| row.event_time.plus(age) >= now);
        let status = match (fresh, value.is_null()) {
            (false, _) => Status::OutsideMaxAge,
            (true, true) => Status::NullValue,
            (true, false) => Status::Present,
        };
        Self {
            value,
            status,
            event_time: Some(row.event_time),
        }
    }

    /// The value as models and derived features take it, the same online and offline: one that is too old is null; without a
    /// record a count is 0, and so is a sum.
    pub fn into_counted(self) -> Value {
        match self.status {
            Status::OutsideMaxAge => Value::Null,
            _ => self.value,
        }
    }

    /// The age at `now`, where there is a row.
    pub fn age(&self, now: Timestamp) -> Option<Span> {
        self.event_time.map(|time| now.since(time))
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match part {
                KeyPart::Int(it) => write!(f, "{it}")?,
                KeyPart::Str(it) => f.write_str(it)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_what_the_join_says() {
        let read = |value: i64, status| FeatureRead {
            value: Value::Int(value),
            status,
            event_time: None,
        };
        for (read, expected) in [
            (read(3, Status::Present), Value::Int(3)),
            (read(3, Status::OutsideMaxAge), Value::Null),
            (read(0, Status::NotFound), Value::Int(0)),
            (FeatureRead::NOT_FOUND, Value::Null),
        ] {
            assert_eq!(read.clone().into_counted(), expected, "{read:?}");
        }
    }

    #[test]
    fn a_key_reads_back_from_its_bytes() {
        let text = |it: &str| KeyPart::Str(it.into());
        for parts in [
            vec![],
            vec![text("")],
            vec![text("a"), KeyPart::Int(-7), text("ż")],
            vec![KeyPart::Int(i64::MAX)],
        ] {
            let key = EntityKey(parts);
            let bytes = key.encode();
            assert_eq!(EntityKey::decode(&bytes), Some(key.clone()));
            for cut in 1..bytes.len() {
                assert_ne!(EntityKey::decode(&bytes[..cut]), Some(key.clone()), "cut at {cut}");
            }
        }
        assert_eq!(EntityKey::decode(&[7]), None);
    }
}
