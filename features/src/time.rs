//! Instants and spans in UTC microseconds, the only clock unit inside Foretell.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Naive input is read as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds, written `90d`, `12h`, `5m`, `30s` or `250ms` in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

/// Text that is not a time, or not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339, not `YYYY-MM-DD[ HH:MM:SS]`.
    #[error("not a time, write `2026-06-30` or `2026-06-30T12:00:00Z`. got=`{0}`")]
    Timestamp(String),
    /// Not a whole number with a unit.
    #[error("not a span of time, write `90d`, `12h`, `5m`, `30s` or `250ms`. got=`{0}`")]
    Span(String),
}

const UNITS: [(&str, i64); 7] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
    ("w", 604_800_000_000),
];

impl Timestamp {
    /// The instant `span` later; saturates at the ends of time.
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier; saturates at the ends of time.
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// `self - earlier`, negative when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The calendar date in UTC, where the instant lies in chrono's range (years -262143 to 262142).
    pub fn date(self) -> Option<NaiveDate> {
        DateTime::from_timestamp_micros(self.0).map(|it| it.date_naive())
    }

    /// Midnight UTC of a date.
    pub fn from_date(date: NaiveDate) -> Self {
        Self(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
    }
}

impl Span {
    /// One day.
    pub const DAY: Span = Span(86_400_000_000);
    /// One hour.
    pub const HOUR: Span = Span(3_600_000_000);
    /// One second.
    pub const SECOND: Span = Span(1_000_000);

    /// A whole number of days.
    pub fn days(n: i64) -> Self {
        Span(n * Self::DAY.0)
    }

    /// The length in seconds.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(zoned.timestamp_micros()));
        }
        for format in [
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S%.f",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M",
        ] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self(naive.and_utc().timestamp_micros()));
            }
        }
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) => Ok(Self::from_date(date)),
            Err(_) => Err(TimeError::Timestamp(text.to_owned())),
        }
    }
}

impl FromStr for Span {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let refuse = || TimeError::Span(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = trimmed.split_at(split);
        let number: i64 = number.parse().map_err(|_| refuse())?;
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
        number.checked_mul(*size).map(Span).ok_or_else(refuse)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are left out: people who write `7d` expect to read `7d`.
        let exact = UNITS[..6].iter().rev().find(|(_, size)| self.0 % size == 0);
        let (name, size) = exact.expect("every span is a whole number of microseconds");
        write!(f, "{}{name}", self.0 / size)
    }
}

macro_rules! as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Timestamp);
as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naive_times_are_utc_and_zones_are_converted() {
        let cases = [
            ("1970-01-02", 86_400_000_000),
            ("1970-01-01 00:00:01", 1_000_000),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:00.000001Z", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(Timestamp(expected)), "{text}");
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn spans_read_and_print_alike() {
        for text in ["90d", "12h", "5m", "30s", "250ms", "1us"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for wrong in ["", "d", "90", "-3d", "3 days", "99999999999999999d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
