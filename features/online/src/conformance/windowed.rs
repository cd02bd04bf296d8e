//! Windows over any store: events count from the moment they are pushed, once each, in whatever order they come.

use std::sync::Arc;

use foretell_features::{DataType, EntityKey, Status, Timestamp, Value};

use super::{define_text, key};
use crate::catalog::OnlineView;
use crate::online_features::OnlineFeatures;
use crate::write::{MaterializedEntity, SourceRows};

const DAY: i64 = 86_400_000_000;

pub(super) async fn check(features: &OnlineFeatures) {
    let view = defined(features).await;
    an_event_counts_from_the_next_instant_on(features, &view).await;
    a_retried_call_counts_once_and_equal_rows_in_it_as_often_as_they_are_there(features, &view).await;
    the_files_replace_what_was_pushed_before_them(features, &view).await;
    all_rows_are_checked_before_any_is_written(features, &view).await;
}

async fn defined(features: &OnlineFeatures) -> Arc<OnlineView> {
    let text = r#"
        [entity.id]
        key = { id = "string" }
        [source.conformance_orders]
        path = "orders.parquet"
        event_time = "at"
        where = "amount >= 0"
        [view.conformance_windows]
        entity = "id"
        source = "conformance_orders"
        [view.conformance_windows.features]
        orders_2d = { count = "*", window = "2d", hop = "exact" }
        spend_30d = { sum = "amount", window = "30d" }
        last_amount = { latest = "amount" }
    "#;
    let inputs = [
        ("id", DataType::String),
        ("at", DataType::Timestamp),
        ("amount", DataType::Int64),
    ];
    let inputs = inputs.map(|(it, of)| (it.to_owned(), of)).into();
    define_text(features, "conformance_windows", text, inputs).await
}

async fn an_event_counts_from_the_next_instant_on(features: &OnlineFeatures, view: &OnlineView) {
    push(features, &[("ann", 5 * DAY, 3), ("ann", 4 * DAY, 4), ("bob", DAY, 9)]).await;
    for (at, expected) in [
        (5 * DAY, [1, 4]),
        (5 * DAY + 1, [2, 7]),
        (6 * DAY, [2, 7]),
        (6 * DAY + 1, [1, 7]),
        (60 * DAY, [0, 0]),
    ] {
        assert_eq!(windows(features, view, "ann", at).await, expected, "at {at}");
    }
    push(features, &[("ann", 5 * DAY, -1)]).await;
    assert_eq!(
        windows(features, view, "ann", 6 * DAY).await,
        [2, 7],
        "`where` drops rows"
    );
    let reads = features
        .read(view, &[key("nobody")], &view.project_all(), Timestamp(DAY))
        .await;
    let reads = reads.expect("the view is there");
    let got: Vec<_> = reads.row(0).iter().map(|it| (it.value.clone(), it.status)).collect();
    let empty = (Value::Int(0), Status::NotFound);
    assert_eq!(
        got,
        [empty.clone(), empty, (Value::Null, Status::NotFound)],
        "nobody has no events"
    );
}

async fn a_retried_call_counts_once_and_equal_rows_in_it_as_often_as_they_are_there(
    features: &OnlineFeatures,
    view: &OnlineView,
) {
    for _ in 0..3 {
        push(features, &[("cid", DAY, 5), ("cid", DAY, 5), ("cid", 2 * DAY, 1)]).await;
        assert_eq!(windows(features, view, "cid", 2 * DAY + 1).await, [3, 11]);
    }
}

async fn the_files_replace_what_was_pushed_before_them(features: &OnlineFeatures, view: &OnlineView) {
    push(features, &[("dan", 10 * DAY, 1), ("dan", 20 * DAY, 2)]).await;
    let mut from_files = event(view, "dan", 9 * DAY, 40);
    from_files.window.id = 1;
    let entity = MaterializedEntity {
        key: key("dan"),
        latest: None,
        events: vec![from_files.window],
    };
    features
        .replace(view, vec![entity.clone()], Timestamp(15 * DAY))
        .await
        .expect("the rows fit");
    let after = windows(features, view, "dan", 20 * DAY + 1).await;
    assert_eq!(after, [1, 42], "before day 15 the files, after it what was pushed");
    features
        .replace(view, vec![entity], Timestamp(12 * DAY))
        .await
        .expect("the rows fit");
    assert_eq!(
        windows(features, view, "dan", 20 * DAY + 1).await,
        after,
        "an older one changes nothing"
    );
}

async fn all_rows_are_checked_before_any_is_written(features: &OnlineFeatures, view: &OnlineView) {
    let mut rows = rows(&[("eve", DAY, 1)]);
    rows.rows
        .push(vec![Value::text("eve"), Value::text("yesterday"), Value::Int(2)]);
    let refused = features.push("conformance_orders", &rows, Timestamp(DAY)).await;
    let refused = refused.expect_err("a time that is none").to_string();
    assert!(refused.contains("row 1") && refused.contains("at"), "{refused}");
    rows.rows.pop();
    rows.columns[2] = "amuont".to_owned();
    let refused = features.push("conformance_orders", &rows, Timestamp(DAY)).await;
    let refused = refused.expect_err("a column is missing").to_string();
    assert!(refused.contains("`amount`") && refused.contains("amuont"), "{refused}");
    assert_eq!(
        windows(features, view, "eve", 3 * DAY).await,
        [0, 0],
        "nothing was written"
    );
}

fn event(view: &OnlineView, who: &str, at: i64, amount: i64) -> foretell_features::SourceEvent {
    let row = [Value::text(who), Value::Time(Timestamp(at)), Value::Int(amount)];
    let event = view.plan.event(&row, 0, Timestamp(0)).expect("the row fits");
    event.expect("the row counts")
}

async fn push(features: &OnlineFeatures, events: &[(&str, i64, i64)]) {
    let now = Timestamp(30 * DAY);
    features
        .push("conformance_orders", &rows(events), now)
        .await
        .expect("the rows fit");
}

fn rows(events: &[(&str, i64, i64)]) -> SourceRows {
    let row = |(who, at, amount): &(&str, i64, i64)| {
        vec![
            Value::text(*who),
            Value::text(Timestamp(*at).to_string()),
            Value::Int(*amount),
        ]
    };
    SourceRows {
        columns: ["id", "at", "amount"].map(str::to_owned).into(),
        rows: events.iter().map(row).collect(),
    }
}

/// Orders of two days and spend of thirty.
async fn windows(features: &OnlineFeatures, view: &OnlineView, who: &str, at: i64) -> [i64; 2] {
    let keys: [EntityKey; 1] = [key(who)];
    let reads = features
        .read(view, &keys, &view.project(&[0, 1], None), Timestamp(at))
        .await;
    let reads = reads.expect("the view is there");
    [0, 1].map(|it| match reads.row(0)[it].value {
        Value::Int(it) => it,
        ref other => panic!("not an integer: {other}"),
    })
}
