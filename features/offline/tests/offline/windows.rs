//! Windows, their edges and hops, and every aggregate.

use crate::common::{Project, at, key, refs};
use foretell_features::{EntityFrame, Value};

const TOML: &str = r#"
[entity.who]
key = { who = "string" }
[source.orders]
path = "orders.csv"
event_time = "at"
types = { who = "string" }
[view.orders]
entity = "who"
source = "orders"
[view.orders.features]
n = { count = "*" }
n_2d = { count = "*", window = "2d", hop = "exact" }
n_30d = { count = "*", window = "30d" }
amounts = { count = "amount" }
total = { sum = "amount" }
paid = { sum = "amount", where = "status = 'paid'" }
items = { sum = "items" }
mean = { mean = "amount" }
least = { min = "amount" }
greatest = { max = "amount" }
spread = { std = "amount" }
statuses = { count_distinct = "status" }
first_status = { first = "status" }
last_status = { last = "status" }
growth = { trend = "amount", unit = "1d" }
since_last = { since_last = "*", unit = "1d" }
since_first = { since_first = "*", unit = "1h" }
since_paid = { since_last = "*", where = "status = 'paid'", unit = "1d" }
"#;

const ORDERS: &str = "who,at,amount,items,status
ann,2024-01-01,1.5,1,paid
ann,2024-01-02,2.5,2,open
ann,2024-01-03,,3,paid
bob,2024-01-03,10,4,
";

fn check(who: &str, now: &str, expected: &[(&str, Value)]) {
    let project = Project::new(TOML, &[("orders.csv", ORDERS)]);
    let frame = EntityFrame::new(vec![key(who)], vec![at(now)]);
    let table = project.open().historical(&frame, &refs(&["orders:*"]), &[]).unwrap();
    for (name, expected) in expected {
        assert_eq!(
            table.column(name).unwrap().value(0),
            *expected,
            "{name} of {who} at {now}"
        );
    }
}

fn number(it: f64) -> Value {
    Value::Float(it)
}

#[test]
fn every_aggregate_looks_at_the_events_before_the_cutoff() {
    check(
        "ann",
        "2024-01-04",
        &[
            ("n", Value::Int(3)),
            ("n_2d", Value::Int(2)),
            ("amounts", Value::Int(2)),
            ("total", number(4.0)),
            ("paid", number(1.5)),
            ("items", Value::Int(6)),
            ("mean", number(2.0)),
            ("least", number(1.5)),
            ("greatest", number(2.5)),
            ("spread", number(0.5f64.sqrt())),
            ("statuses", Value::Int(2)),
            ("first_status", Value::text("paid")),
            ("last_status", Value::text("paid")),
            ("growth", number(1.0)),
            ("since_last", number(1.0)),
            ("since_first", number(72.0)),
            ("since_paid", number(1.0)),
        ],
    );
}

#[test]
fn over_no_events_count_and_sum_are_zero_and_all_else_is_null() {
    let nothing = [
        ("n", Value::Int(0)),
        ("amounts", Value::Int(0)),
        ("statuses", Value::Int(0)),
        ("total", number(0.0)),
        ("items", Value::Int(0)),
        ("mean", Value::Null),
        ("least", Value::Null),
        ("spread", Value::Null),
        ("last_status", Value::Null),
        ("since_last", Value::Null),
    ];
    check("nobody", "2024-01-04", &nothing);
    check("ann", "2024-01-01", &nothing);
    check(
        "bob",
        "2024-01-04",
        &[
            ("spread", Value::Null),
            ("growth", Value::Null),
            ("statuses", Value::Int(0)),
            ("last_status", Value::Null),
        ],
    );
}

#[test]
fn the_start_is_rounded_down_to_the_hop_and_the_cutoff_is_outside() {
    check("ann", "2024-01-31T00:00:00Z", &[("n_30d", Value::Int(3))]);
    check("ann", "2024-01-31T23:59:59Z", &[("n_30d", Value::Int(3))]);
    check("ann", "2024-02-01T00:00:00Z", &[("n_30d", Value::Int(2))]);
    check("ann", "2024-01-03T00:00:00Z", &[("n_2d", Value::Int(2))]);
    check("ann", "2024-01-03T00:00:00.000001Z", &[("n_2d", Value::Int(2))]);
}
