//! What the events of one stream have come to, as far as its aggregations need it.

use std::cmp::Ordering;

use crate::aggregate::cell::{Cell, Reading, Row};
use crate::aggregate::dd::Dd;
use crate::aggregate::distinct::Keys;
use crate::aggregate::moments::{CoMoments, Moments};
use crate::definition::Aggregation;
use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};

/// Which parts of a [`Partial`] are kept. The count always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u16);

/// A value and where it stands among the others: by time, then known time (none first), then the value itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// When it happened.
    pub time: Timestamp,
    /// When it was learned of.
    pub known: Option<Timestamp>,
    /// The value.
    pub value: Value,
}

/// The events of one stream, folded. Only the [`Parts`] asked for are true, the others stay as they began; null values and rows
/// that do not count were left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// The type of the values; `None` is `*`.
    pub data_type: Option<DataType>,
    /// What is kept.
    pub parts: Parts,
    /// Values folded.
    pub count: u64,
    /// Sum of integers, exactly.
    pub integers: i128,
    /// Sum of floats.
    pub floats: Dd,
    /// Mean and spread.
    pub moments: Moments,
    /// Values over time.
    pub co_moments: CoMoments,
    /// Least value, null over none.
    pub min: Value,
    /// Greatest value, null over none.
    pub max: Value,
    /// First in order.
    pub first: Option<Placed>,
    /// Last in order.
    pub last: Option<Placed>,
    /// Earliest event; means nothing over none.
    pub first_time: Timestamp,
    /// Latest event; means nothing over none.
    pub last_time: Timestamp,
    /// Distinct values.
    pub keys: Keys,
}

impl Parts {
    /// The count alone.
    pub const NONE: Self = Self(0);
    /// Sum of integers.
    pub const INTEGERS: Self = Self(1);
    /// Sum of floats.
    pub const FLOATS: Self = Self(1 << 1);
    /// Mean and spread.
    pub const MOMENTS: Self = Self(1 << 2);
    /// Values over time.
    pub const CO_MOMENTS: Self = Self(1 << 3);
    /// Least value.
    pub const MIN: Self = Self(1 << 4);
    /// Greatest value.
    pub const MAX: Self = Self(1 << 5);
    /// First value.
    pub const FIRST: Self = Self(1 << 6);
    /// Last value.
    pub const LAST: Self = Self(1 << 7);
    /// Earliest event.
    pub const FIRST_TIME: Self = Self(1 << 8);
    /// Latest event.
    pub const LAST_TIME: Self = Self(1 << 9);
    /// Distinct values.
    pub const KEYS: Self = Self(1 << 10);

    /// What an aggregation needs.
    pub fn of(data_type: Option<DataType>, aggregation: Aggregation) -> Self {
        match aggregation {
            Aggregation::Count => Self::NONE,
            Aggregation::Sum | Aggregation::Mean if data_type == Some(DataType::Int64) => Self::INTEGERS,
            Aggregation::Sum | Aggregation::Mean => Self::FLOATS,
            Aggregation::Std => Self::MOMENTS,
            Aggregation::Trend { .. } => Self::CO_MOMENTS,
            Aggregation::Min => Self::MIN,
            Aggregation::Max => Self::MAX,
            Aggregation::First => Self::FIRST,
            Aggregation::Last => Self::LAST,
            Aggregation::SinceFirst { .. } => Self::FIRST_TIME,
            Aggregation::SinceLast { .. } => Self::LAST_TIME,
            Aggregation::CountDistinct => Self::KEYS,
        }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As a number, the same in every build.
    pub fn bits(self) -> u16 {
        self.0
    }
}

impl Partial {
    /// Over no events, keeping these parts.
    pub fn new(data_type: Option<DataType>, parts: Parts) -> Self {
        Self {
            data_type,
            parts,
            count: 0,
            integers: 0,
            floats: Dd::default(),
            moments: Moments::default(),
            co_moments: CoMoments::default(),
            min: Value::Null,
            max: Value::Null,
            first: None,
            last: None,
            first_time: Timestamp(0),
            last_time: Timestamp(0),
            keys: Keys::default(),
        }
    }

    /// Adds one event. Nulls and NaN do not count, except for `*`, where every row does.
    pub fn add(&mut self, value: &Value, time: Timestamp, known: Option<Timestamp>) {
        fn one<C>(cell: C, time: Timestamp, known: Option<Timestamp>) -> std::iter::Once<Reading<C>> {
            std::iter::once(Reading { time, known, cell })
        }
        match value {
            _ if self.data_type.is_none() => self.fold(one(Row, time, known)),
            Value::Bool(it) => self.fold(one(*it, time, known)),
            Value::Int(it) => self.fold(one(*it, time, known)),
            Value::Float(it) if !it.is_nan() => self.fold(one(*it, time, known)),
            Value::Time(it) => self.fold(one(*it, time, known)),
            Value::Str(it) => self.fold(one(&**it, time, known)),
            Value::Null | Value::Float(_) => {}
        }
    }

    /// Adds events that count, in any order: no nulls, no NaN. It walks over them once for each part kept.
    pub fn fold<C: Cell>(&mut self, events: impl Iterator<Item = Reading<C>> + Clone) {
        let n = events.clone().count() as u64;
        if n == 0 {
            return;
        }
        self.fold_sums(events.clone(), n);
        self.fold_extremes(events.clone());
        self.fold_order(events.clone());
        self.fold_times(events.clone());
        if self.parts.has(Parts::KEYS) {
            self.keys.extend(events.map(|it| it.cell.key()));
        }
        self.count = self.count.saturating_add(n);
    }

    fn fold_sums<C: Cell>(&mut self, events: impl Iterator<Item = Reading<C>> + Clone, n: u64) {
        if self.parts.has(Parts::INTEGERS) {
            let sum: i128 = events.clone().map(|it| i128::from(it.cell.integer())).sum();
            self.integers = self.integers.saturating_add(sum);
        }
        if self.parts.has(Parts::FLOATS) {
            events.clone().for_each(|it| self.floats.push(it.cell.number()));
        }
        if self.parts.has(Parts::MOMENTS) {
            let added = Moments::of(events.clone().map(|it| it.cell.number()), n);
            self.moments = self.moments.merged(self.count, added, n);
        }
        if self.parts.has(Parts::CO_MOMENTS) {
            let added = CoMoments::of(events.map(|it| (it.time, it.cell.number())), n);
            self.co_moments = self.co_moments.merged(self.count, added, n);
        }
    }

    fn fold_extremes<C: Cell>(&mut self, events: impl Iterator<Item = Reading<C>> + Clone) {
        if self.parts.has(Parts::MIN) {
            let least = events
                .clone()
                .map(|it| it.cell)
                .reduce(|a, b| if b.order(a).is_lt() { b } else { a });
            keep(&mut self.min, least, Ordering::Less);
        }
        if self.parts.has(Parts::MAX) {
            let greatest = events
                .map(|it| it.cell)
                .reduce(|a, b| if b.order(a).is_gt() { b } else { a });
            keep(&mut self.max, greatest, Ordering::Greater);
        }
    }

    fn fold_order<C: Cell>(&mut self, events: impl Iterator<Item = Reading<C>> + Clone) {
        if self.parts.has(Parts::FIRST) {
            let first = events.clone().reduce(|a, b| if order(&b, &a).is_lt() { b } else { a });
            place(&mut self.first, first, Ordering::Less);
        }
        if self.parts.has(Parts::LAST) {
            let last = events.reduce(|a, b| if order(&b, &a).is_gt() { b } else { a });
            place(&mut self.last, last, Ordering::Greater);
        }
    }

    fn fold_times<C: Cell>(&mut self, events: impl Iterator<Item = Reading<C>> + Clone) {
        let before = self.count > 0;
        if let (true, Some(it)) = (
            self.parts.has(Parts::FIRST_TIME),
            events.clone().map(|it| it.time).min(),
        ) {
            self.first_time = if before { it.min(self.first_time) } else { it };
        }
        if let (true, Some(it)) = (self.parts.has(Parts::LAST_TIME), events.map(|it| it.time).max()) {
            self.last_time = if before { it.max(self.last_time) } else { it };
        }
    }

    /// Adds what other events of the same stream have come to. What only one of the two keeps is true of neither afterwards:
    /// ask only for parts that both have.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.integers = self.integers.saturating_add(other.integers);
        self.merge_floats(other.floats);
        self.moments = self.moments.merged(self.count, other.moments, other.count);
        self.co_moments = self.co_moments.merged(self.count, other.co_moments, other.count);
        self.offer_min(&other.min);
        self.offer_max(&other.max);
        other.first.iter().for_each(|it| self.offer_first(it));
        other.last.iter().for_each(|it| self.offer_last(it));
        self.merge_first_time(other.first_time);
        self.merge_last_time(other.last_time);
        self.keys.extend(&other.keys);
        self.count = self.count.saturating_add(other.count);
    }

    /// Adds the sum of other events.
    pub fn merge_floats(&mut self, other: Dd) {
        self.floats = if self.count == 0 {
            other
        } else {
            self.floats.plus(other)
        };
    }

    /// Takes the time of the earliest of other events, which are counted afterwards.
    pub fn merge_first_time(&mut self, other: Timestamp) {
        self.first_time = if self.count == 0 {
            other
        } else {
            self.first_time.min(other)
        };
    }

    /// Takes the time of the latest of other events, which are counted afterwards.
    pub fn merge_last_time(&mut self, other: Timestamp) {
        self.last_time = if self.count == 0 {
            other
        } else {
            self.last_time.max(other)
        };
    }

    /// Takes a value if it is less.
    pub fn offer_min(&mut self, other: &Value) {
        keep_value(&mut self.min, other, Ordering::Less);
    }

    /// Takes a value if it is greater.
    pub fn offer_max(&mut self, other: &Value) {
        keep_value(&mut self.max, other, Ordering::Greater);
    }

    /// Takes a value if it comes before.
    pub fn offer_first(&mut self, other: &Placed) {
        place_value(&mut self.first, other, Ordering::Less);
    }

    /// Takes a value if it comes after.
    pub fn offer_last(&mut self, other: &Placed) {
        place_value(&mut self.last, other, Ordering::Greater);
    }

    /// The answer of an aggregation whose parts are kept; `at` is the instant asked about. Over no events count and sum are 0
    /// and all else is null; a sum of integers that 64 bits cannot hold is null, and so is what infinities leave undefined.
    pub fn finish(&self, aggregation: Aggregation, at: Timestamp) -> Value {
        let integers = self.data_type == Some(DataType::Int64);
        match aggregation {
            Aggregation::Count => Value::Int(self.count as i64),
            Aggregation::CountDistinct => Value::Int(self.keys.len() as i64),
            Aggregation::Sum if integers => i64::try_from(self.integers).map_or(Value::Null, Value::Int),
            Aggregation::Sum => number(self.floats.value()),
            _ if self.count == 0 => Value::Null,
            Aggregation::Mean if integers => number(self.integers as f64 / self.count as f64),
            Aggregation::Mean => number(self.floats.value() / self.count as f64),
            Aggregation::Std if self.count < 2 => Value::Null,
            Aggregation::Std => number((self.moments.m2.value() / (self.count - 1) as f64).sqrt()),
            Aggregation::Trend { unit } => number(self.co_moments.slope() * unit.0 as f64),
            Aggregation::Min => self.min.clone(),
            Aggregation::Max => self.max.clone(),
            Aggregation::First => self.first.as_ref().map_or(Value::Null, |it| it.value.clone()),
            Aggregation::Last => self.last.as_ref().map_or(Value::Null, |it| it.value.clone()),
            Aggregation::SinceFirst { unit } => since(self.first_time, at, unit),
            Aggregation::SinceLast { unit } => since(self.last_time, at, unit),
        }
    }
}

fn order<C: Cell>(a: &Reading<C>, b: &Reading<C>) -> Ordering {
    (a.time, a.known)
        .cmp(&(b.time, b.known))
        .then_with(|| a.cell.order(b.cell))
}

fn keep<C: Cell>(held: &mut Value, cell: Option<C>, wanted: Ordering) {
    let better = |it: &C| held.is_null() || it.order_to(held) == wanted;
    if let Some(cell) = cell.filter(better) {
        *held = cell.value();
    }
}

fn place<C: Cell>(held: &mut Option<Placed>, event: Option<Reading<C>>, wanted: Ordering) {
    let Some(event) = event else { return };
    let better = |it: &Placed| {
        let by_time = (event.time, event.known).cmp(&(it.time, it.known));
        by_time.then_with(|| event.cell.order_to(&it.value)) == wanted
    };
    if held.as_ref().is_none_or(better) {
        *held = Some(Placed {
            time: event.time,
            known: event.known,
            value: event.cell.value(),
        });
    }
}

fn keep_value(held: &mut Value, other: &Value, wanted: Ordering) {
    if !other.is_null() && (held.is_null() || value_order(other, held) == wanted) {
        *held = other.clone();
    }
}

fn place_value(held: &mut Option<Placed>, other: &Placed, wanted: Ordering) {
    let better = |it: &Placed| {
        let by_time = (other.time, other.known).cmp(&(it.time, it.known));
        by_time.then_with(|| value_order(&other.value, &it.value)) == wanted
    };
    if held.as_ref().is_none_or(better) {
        *held = Some(other.clone());
    }
}

fn value_order(a: &Value, b: &Value) -> Ordering {
    match a {
        Value::Null => Ordering::Equal,
        Value::Bool(it) => it.order_to(b),
        Value::Int(it) => it.order_to(b),
        Value::Float(it) => it.order_to(b),
        Value::Time(it) => it.order_to(b),
        Value::Str(it) => (&**it).order_to(b),
    }
}

fn since(time: Timestamp, at: Timestamp, unit: Span) -> Value {
    Value::Float(at.since(time).0 as f64 / unit.0 as f64)
}

/// NaN (infinity minus infinity) is null.
fn number(it: f64) -> Value {
    if it.is_nan() { Value::Null } else { Value::Float(it) }
}
