//! Every aggregate on small cases by hand, and merging against folding at once.

use proptest::prelude::*;

use super::*;
use crate::time::{Span, Timestamp};
use crate::value::Value;
use crate::window::Window;

const DAY: Span = Span::DAY;

fn all() -> [Aggregation; 12] {
    use Aggregation as A;
    [
        A::Count,
        A::Sum,
        A::Mean,
        A::Min,
        A::Max,
        A::Std,
        A::CountDistinct,
        A::First,
        A::Last,
        A::SinceLast { unit: DAY },
        A::SinceFirst { unit: DAY },
        A::Trend { unit: DAY },
    ]
}

fn partial(data_type: DataType, events: &[(i64, Value)]) -> Partial {
    let parts = all().into_iter().map(|it| Parts::of(Some(data_type), it));
    let mut partial = Partial::new(Some(data_type), parts.fold(Parts::NONE, Parts::and));
    for (day, value) in events {
        partial.add(value, Timestamp(day * DAY.0), None);
    }
    partial
}

fn check(data_type: DataType, events: &[(i64, Value)], expected: [Value; 12]) {
    let partial = partial(data_type, events);
    let got = all().map(|it| partial.finish(it, Timestamp(10 * DAY.0)));
    assert_eq!(got, expected, "{events:?}");
}

#[test]
fn numbers_are_aggregated_without_their_nulls() {
    use Value::{Float, Int, Null};
    let floats = [
        (1, Float(1.0)),
        (2, Float(f64::NAN)),
        (3, Float(5.0)),
        (4, Null),
        (2, Float(3.0)),
    ];
    check(
        DataType::Double,
        &floats,
        [
            Int(3),
            Float(9.0),
            Float(3.0),
            Float(1.0),
            Float(5.0),
            Float(2.0),
            Int(3),
            Float(1.0),
            Float(5.0),
            Float(7.0),
            Float(9.0),
            Float(2.0),
        ],
    );
    check(
        DataType::Int64,
        &[(1, Int(2)), (1, Int(2))],
        [
            Int(2),
            Int(4),
            Float(2.0),
            Int(2),
            Int(2),
            Float(0.0),
            Int(1),
            Int(2),
            Int(2),
            Float(9.0),
            Float(9.0),
            Null,
        ],
    );
}

#[test]
fn over_no_events_count_and_sum_are_zero_and_all_else_is_null() {
    let mut expected = [const { Value::Null }; 12];
    expected[0] = Value::Int(0);
    expected[6] = Value::Int(0);
    for (data_type, zero) in [(DataType::Int64, Value::Int(0)), (DataType::Double, Value::Float(0.0))] {
        expected[1] = zero;
        check(data_type, &[], expected.clone());
        check(data_type, &[(1, Value::Null)], expected.clone());
    }
}

#[test]
fn what_64_bits_cannot_hold_and_infinity_minus_infinity_are_null() {
    let sum = |data_type, values: &[Value]| {
        let events: Vec<(i64, Value)> = values.iter().map(|it| (1, it.clone())).collect();
        partial(data_type, &events).finish(Aggregation::Sum, Timestamp(0))
    };
    let (max, inf) = (Value::Int(i64::MAX), f64::INFINITY);
    assert_eq!(sum(DataType::Int64, &[max.clone(), Value::Int(1)]), Value::Null);
    assert_eq!(sum(DataType::Int64, &[max.clone(), Value::Int(1), Value::Int(-1)]), max);
    assert_eq!(
        sum(DataType::Double, &[Value::Float(inf), Value::Float(1.0)]),
        Value::Float(inf)
    );
    assert_eq!(
        sum(DataType::Double, &[Value::Float(inf), Value::Float(-inf)]),
        Value::Null
    );
    let cancelling = [1e300, 1.0, -1e300].map(Value::Float);
    assert_eq!(sum(DataType::Double, &cancelling), Value::Float(1.0));
}

#[test]
fn among_equal_times_the_later_known_is_last_then_the_greater() {
    let mut partial = partial(DataType::String, &[]);
    let cases = [("b", None), ("z", Some(1)), ("c", Some(2)), ("d", Some(2)), ("a", None)];
    for (text, known) in cases {
        partial.add(&Value::text(text), Timestamp(5), known.map(Timestamp));
    }
    assert_eq!(partial.finish(Aggregation::First, Timestamp(9)), Value::text("a"));
    assert_eq!(partial.finish(Aggregation::Last, Timestamp(9)), Value::text("d"));
}

#[test]
fn the_hash_of_a_text_never_changes_because_it_is_stored() {
    assert_eq!(text_key(""), 0xefd0_1f60_ba99_2926);
    assert_eq!(text_key("paid"), 0xa3e9_30eb_6787_3c3b);
}

#[test]
fn tiles_grow_with_age_until_no_window_reaches_them() {
    let feature = |window| WindowFeature {
        stream: 0,
        aggregation: Aggregation::Count,
        window,
    };
    let windows = [Span::HOUR, Span::days(2), Span::days(30)].map(|it| feature(Some(Window::of(it))));
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-06-30T12:34:56Z");
    let cases = [
        ("2026-06-30T12:34:00Z", tile("2026-06-30T12:30:00Z", 300)),
        ("2026-06-30T11:34:00Z", tile("2026-06-30T11:30:00Z", 300)),
        ("2026-06-30T10:59:00Z", tile("2026-06-30T10:00:00Z", 3600)),
        ("2026-06-28T12:00:00Z", tile("2026-06-28T12:00:00Z", 3600)),
        ("2026-06-28T11:59:00Z", tile("2026-06-28T11:00:00Z", 3600)),
        ("2026-06-27T23:00:00Z", tile("2026-06-27", 86400)),
        ("2026-05-31T00:00:00Z", tile("2026-05-31", 86400)),
        ("2026-05-30T23:59:59Z", Bucket::Beyond),
    ];
    let plan = WindowPlan::new(vec![None], windows.to_vec());
    let ageing = plan.ageing(now, None);
    for (time, expected) in cases {
        assert_eq!(ageing.bucket(at(time)), expected, "{time}");
    }
    let exact = feature(Some(Window::exact(Span::days(1))));
    let ageing = WindowPlan::new(vec![None], vec![exact, feature(None)]).ageing(now, None);
    assert_eq!(ageing.bucket(at("2026-06-29T12:34:56Z")), Bucket::Raw);
    assert_eq!(ageing.bucket(at("2026-06-29T12:34:55Z")), Bucket::Ever);
}

fn tile(from: &str, seconds: i64) -> Bucket {
    Bucket::Tile {
        from: from.parse().unwrap(),
        length: Span(seconds * Span::SECOND.0),
    }
}

fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => a == b,
    }
}

proptest! {
    #[test]
    fn cutting_a_stream_in_two_changes_nothing(values in prop::collection::vec((0i64..100, 0.0..1e6f64), 0..40), at in any::<prop::sample::Index>()) {
        let events: Vec<(i64, Value)> = values.into_iter().map(|(day, it)| (day, Value::Float(it))).collect();
        let (left, right) = events.split_at(at.index(events.len() + 1));
        let mut merged = partial(DataType::Double, right);
        merged.merge(&partial(DataType::Double, left));
        let whole = partial(DataType::Double, &events);
        for aggregation in all().into_iter().take(11) {
            let (merged, whole) = (merged.finish(aggregation, Timestamp(0)), whole.finish(aggregation, Timestamp(0)));
            prop_assert!(close(&merged, &whole), "{aggregation:?}: {merged} and {whole}");
        }
    }
}
