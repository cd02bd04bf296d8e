//! The answer of `/get-online-features`, written straight into bytes.

use std::io::Write as _;
use std::ops::Range;

use foretell_features::{Status, Timestamp, Value};

use crate::features::Column;

/// The document; `views` are those read, where the request wants their versions told.
pub(super) fn json(columns: &[Column], views: Option<&[String]>) -> Vec<u8> {
    let rows = columns.first().map_or(0, |it| it.values.len());
    let mut out = Vec::with_capacity(256 + columns.len() * (64 + rows * 48));
    out.extend_from_slice(b"{\"results\":[");
    // Features of one view have the same times; they are formatted once.
    let mut last: Option<(&[Timestamp], Range<usize>)> = None;
    for (at, column) in columns.iter().enumerate() {
        comma(&mut out, at);
        out.extend_from_slice(b"{\"values\":");
        list(&mut out, &column.values, value);
        out.extend_from_slice(b",\"statuses\":");
        list(&mut out, &column.statuses, |out, it| out.extend_from_slice(status(*it)));
        out.extend_from_slice(b",\"event_timestamps\":");
        let start = out.len();
        match last.as_ref().filter(|(times, _)| *times == column.times) {
            Some((_, written)) => out.extend_from_within(written.clone()),
            None => list(&mut out, &column.times, json_of),
        }
        last = Some((&column.times, start..out.len()));
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":");
    list(&mut out, columns, |out, it| json_of(out, &it.name));
    if let Some(views) = views {
        out.extend_from_slice(b",\"feature_view_metadata\":");
        // Feast counts versions; the current one is 0.
        list(&mut out, views, |out, it| {
            json_of(out, &serde_json::json!({ "name": it, "version": 0 }))
        });
    }
    out.extend_from_slice(b"}}");
    out
}

fn comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        comma(out, at);
        write(out, item);
    }
    out.push(b']');
}

/// A float is written so that it reads back as one (`3.0`), a time as seconds since 1970. JSON has no infinity: it travels as
/// text, as Feast sends it. NaN is null in every store.
fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Float(it) if it.is_infinite() => {
            out.extend_from_slice(if *it > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        }
        Value::Time(it) => json_of(out, &it.0.div_euclid(1_000_000)),
        Value::Int(it) => write!(out, "{it}").expect("bytes in memory take all"),
        other => json_of(out, other),
    }
}

fn status(status: Status) -> &'static [u8] {
    match status {
        Status::Present => b"\"PRESENT\"",
        Status::NullValue => b"\"NULL_VALUE\"",
        Status::NotFound => b"\"NOT_FOUND\"",
        Status::OutsideMaxAge => b"\"OUTSIDE_MAX_AGE\"",
    }
}

fn json_of(out: &mut Vec<u8>, it: &impl serde::Serialize) {
    serde_json::to_writer(out, it).expect("texts, numbers and null are JSON");
}

#[cfg(test)]
mod tests {
    use foretell_features::FeatureRead;

    use super::*;

    #[test]
    fn values_read_back_as_what_they_are() {
        let cases = [
            (Value::Float(3.0), "3.0"),
            (Value::Float(1e300), "1e+300"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(f64::NAN), "null"),
            (Value::Float(f64::INFINITY), "\"Infinity\""),
            (Value::Float(f64::NEG_INFINITY), "\"-Infinity\""),
            (Value::Int((1 << 53) + 1), "9007199254740993"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::Bool(true), "true"),
            (Value::text("a\"b"), "\"a\\\"b\""),
            (Value::Time(Timestamp(-1)), "-1"),
            (Value::Null, "null"),
        ];
        for (it, expected) in cases {
            let mut out = Vec::new();
            value(&mut out, &it);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{it}");
        }
    }

    #[test]
    fn times_that_are_the_same_again_are_written_again() {
        let read = |time: i64| FeatureRead {
            value: Value::Int(1),
            status: Status::Present,
            event_time: Some(Timestamp(time)),
        };
        let column = |name: &str, times: [i64; 2]| Column::read(name.to_owned(), times.into_iter().map(read));
        let columns = [column("a", [0, 1]), column("b", [0, 1]), column("c", [1_500_000, 1])];
        let answer: serde_json::Value = serde_json::from_slice(&json(&columns, None)).unwrap();
        let times = |at: usize| answer["results"][at]["event_timestamps"].clone();
        assert_eq!(
            times(0),
            serde_json::json!(["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z"])
        );
        assert_eq!(times(1), times(0));
        assert_eq!(times(2)[0], "1970-01-01T00:00:01.500Z");
    }
}
