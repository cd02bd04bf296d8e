//! One non-null value of a stream as it lies in a column or in stored bytes: aggregated without becoming a [`Value`] first.

use std::cmp::Ordering;

use crate::aggregate::distinct::text_key;
use crate::time::Timestamp;
use crate::value::Value;

/// One event of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Reading<C> {
    /// When it happened.
    pub time: Timestamp,
    /// When it was learned of, where the source says.
    pub known: Option<Timestamp>,
    /// Its value.
    pub cell: C,
}

/// The cell of `*`: the row itself.
#[derive(Debug, Clone, Copy)]
pub struct Row;

/// A value that can be aggregated. What a type has no use for (the number in a text) has a harmless answer: [`super::aggregate_type`]
/// lets nobody ask.
pub trait Cell: Copy {
    /// The number in it, NaN where there is none.
    fn number(self) -> f64 {
        f64::NAN
    }

    /// The integer in it, 0 where there is none.
    fn integer(self) -> i64 {
        0
    }

    /// What makes it distinct: equal for equal values.
    fn key(self) -> u64;

    /// Total order among values of the type; the two zeros differ, so that the order of events cannot show.
    fn order(self, other: Self) -> Ordering;

    /// The same against a held value; other types come out equal.
    fn order_to(self, held: &Value) -> Ordering;

    /// As a value to keep.
    fn value(self) -> Value;
}

impl Cell for Row {
    fn key(self) -> u64 {
        0
    }
    fn order(self, _: Self) -> Ordering {
        Ordering::Equal
    }
    fn order_to(self, _: &Value) -> Ordering {
        Ordering::Equal
    }
    fn value(self) -> Value {
        Value::Null
    }
}

impl Cell for bool {
    fn key(self) -> u64 {
        u64::from(self)
    }
    fn order(self, other: Self) -> Ordering {
        self.cmp(&other)
    }
    fn order_to(self, held: &Value) -> Ordering {
        match held {
            Value::Bool(it) => self.cmp(it),
            _ => Ordering::Equal,
        }
    }
    fn value(self) -> Value {
        Value::Bool(self)
    }
}

impl Cell for i64 {
    fn number(self) -> f64 {
        self as f64
    }
    fn integer(self) -> i64 {
        self
    }
    fn key(self) -> u64 {
        self as u64
    }
    fn order(self, other: Self) -> Ordering {
        self.cmp(&other)
    }
    fn order_to(self, held: &Value) -> Ordering {
        match held {
            Value::Int(it) => self.cmp(it),
            _ => Ordering::Equal,
        }
    }
    fn value(self) -> Value {
        Value::Int(self)
    }
}

impl Cell for f64 {
    fn number(self) -> f64 {
        self
    }
    fn key(self) -> u64 {
        // Adding 0.0 makes the two zeros one.
        (self + 0.0).to_bits()
    }
    fn order(self, other: Self) -> Ordering {
        self.total_cmp(&other)
    }
    fn order_to(self, held: &Value) -> Ordering {
        match held {
            Value::Float(it) => self.total_cmp(it),
            _ => Ordering::Equal,
        }
    }
    fn value(self) -> Value {
        if self.is_nan() { Value::Null } else { Value::Float(self) }
    }
}

impl Cell for Timestamp {
    fn key(self) -> u64 {
        self.0 as u64
    }
    fn order(self, other: Self) -> Ordering {
        self.cmp(&other)
    }
    fn order_to(self, held: &Value) -> Ordering {
        match held {
            Value::Time(it) => self.cmp(it),
            _ => Ordering::Equal,
        }
    }
    fn value(self) -> Value {
        Value::Time(self)
    }
}

impl Cell for &str {
    fn key(self) -> u64 {
        text_key(self)
    }
    fn order(self, other: Self) -> Ordering {
        self.cmp(other)
    }
    fn order_to(self, held: &Value) -> Ordering {
        match held {
            Value::Str(it) => self.cmp(it),
            _ => Ordering::Equal,
        }
    }
    fn value(self) -> Value {
        Value::text(self)
    }
}
