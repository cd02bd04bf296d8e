//! What every online store does, as one suite: a new store is one call away from being tested.
//!
//! The functions panic on the first difference, like any test. They use views of their own (`conformance_..`) and leave
//! rows behind, so give them a store of its own.

use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, FeatureRow, Timestamp, Value};

use crate::store::{OnlineError, OnlineStore, PutReport, ViewSchema};

/// Every rule of [`OnlineStore`].
///
/// # Panics
/// On the first rule that does not hold.
pub async fn check_online_store(store: Arc<dyn OnlineStore>) {
    keys_keep_their_order(&*store).await;
    the_newest_row_wins(&*store).await;
    a_retry_changes_nothing(&*store).await;
    known_time_breaks_ties(&*store).await;
    all_types_and_nulls_read_back(&*store).await;
    keys_of_all_kinds_are_distinct(&*store).await;
    many_rows_are_written_at_once(&*store).await;
    other_columns_drop_the_rows(&*store).await;
    what_does_not_fit_is_refused_whole(&*store).await;
    unknown_views_are_named(&*store).await;
    concurrent_writers_leave_the_newest(store).await;
}

async fn keys_keep_their_order(store: &dyn OnlineStore) {
    defined(store, "conformance_order").await;
    put(store, "conformance_order", [("ann", 2), ("bob", 1)]).await;
    let got = store
        .get("conformance_order", &keys(["bob", "eve", "ann", "bob"]))
        .await
        .expect("the view is defined");
    assert_eq!(
        got,
        [Some(row(1)), None, Some(row(2)), Some(row(1))],
        "keys keep their order, repeats are answered"
    );
    let none = store.get("conformance_order", &[]).await.expect("the view is defined");
    assert_eq!(none, [], "no keys, no rows");
}

async fn the_newest_row_wins(store: &dyn OnlineStore) {
    defined(store, "conformance_newest").await;
    let report = put(store, "conformance_newest", [("ann", 2), ("ann", 3), ("ann", 1)]).await;
    assert_eq!(
        report,
        PutReport { written: 1, kept: 2 },
        "one row per key is written, the newest"
    );
    let report = put(store, "conformance_newest", [("ann", 2), ("bob", 9)]).await;
    assert_eq!(
        report,
        PutReport { written: 1, kept: 1 },
        "a late older row is not written"
    );
    let got = store
        .get("conformance_newest", &keys(["ann", "bob"]))
        .await
        .expect("the view is defined");
    assert_eq!(
        got,
        [Some(row(3)), Some(row(9))],
        "a late older row never replaces a newer one"
    );
}

async fn a_retry_changes_nothing(store: &dyn OnlineStore) {
    defined(store, "conformance_retry").await;
    put(store, "conformance_retry", [("ann", 1)]).await;
    let report = put(store, "conformance_retry", [("ann", 1)]).await;
    assert_eq!(
        report,
        PutReport { written: 1, kept: 0 },
        "the same row is written over itself"
    );
    assert_eq!(
        one(store, "conformance_retry", "ann").await,
        Some(row(1)),
        "a retry changes nothing"
    );
    let other = FeatureRow {
        values: vec![Value::Int(77)],
        ..row(1)
    };
    store
        .put("conformance_retry", vec![(key("ann"), other.clone())])
        .await
        .expect("the row fits");
    assert_eq!(
        one(store, "conformance_retry", "ann").await,
        Some(other),
        "of equal times the last stays: a correction counts"
    );
}

async fn known_time_breaks_ties(store: &dyn OnlineStore) {
    defined(store, "conformance_known").await;
    let known = |at: Option<i64>, value| FeatureRow {
        event_time: Timestamp(5),
        known_time: at.map(Timestamp),
        values: vec![Value::Int(value)],
    };
    for (written, left) in [
        (known(None, 0), 0),
        (known(Some(7), 7), 7),
        (known(Some(6), 6), 7),
        (known(None, 1), 7),
    ] {
        store
            .put("conformance_known", vec![(key("ann"), written)])
            .await
            .expect("the row fits");
        let got = one(store, "conformance_known", "ann")
            .await
            .expect("the row was written");
        assert_eq!(
            got.values,
            [Value::Int(left)],
            "of equal event times the one learned last wins"
        );
    }
}

async fn all_types_and_nulls_read_back(store: &dyn OnlineStore) {
    let columns: ViewSchema = [
        DataType::Boolean,
        DataType::Int64,
        DataType::Double,
        DataType::String,
        DataType::Timestamp,
    ]
    .map(|it| (it.to_string(), it))
    .into();
    store
        .define("conformance_types", &columns)
        .await
        .expect("a view can be defined");
    assert_eq!(
        store.schema("conformance_types").await.expect("the store answers"),
        Some(columns)
    );
    let full = [
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Float(-0.5),
        Value::text("żółw 🐢\0"),
        time(-1),
    ];
    let empty = [
        Value::Bool(false),
        Value::Int(0),
        Value::Float(f64::INFINITY),
        Value::text(""),
        time(i64::MAX),
    ];
    let nulls = [const { Value::Null }; 5];
    for (name, values) in [("full", full), ("empty", empty), ("nulls", nulls)] {
        let written = FeatureRow {
            values: values.into(),
            ..row(i64::MAX)
        };
        store
            .put("conformance_types", vec![(key(name), written.clone())])
            .await
            .expect("the row fits");
        assert_eq!(one(store, "conformance_types", name).await, Some(written), "{name}");
    }
    let nan = FeatureRow {
        values: [
            Value::Null,
            Value::Null,
            Value::Float(f64::NAN),
            Value::Null,
            Value::Null,
        ]
        .into(),
        ..row(1)
    };
    store
        .put("conformance_types", vec![(key("nan"), nan)])
        .await
        .expect("the row fits");
    let got = one(store, "conformance_types", "nan")
        .await
        .expect("the row was written");
    assert_eq!(got.values[2], Value::Null, "NaN is stored as null");
}

async fn keys_of_all_kinds_are_distinct(store: &dyn OnlineStore) {
    defined(store, "conformance_keys").await;
    let text = |it: &str| KeyPart::Str(it.into());
    let distinct = [
        vec![],
        vec![text("")],
        vec![text(""), text("")],
        vec![text("1")],
        vec![KeyPart::Int(1)],
        vec![KeyPart::Int(-1)],
        vec![text("a"), text("b")],
        vec![text("ab"), text("")],
        vec![text("ab")],
        vec![text("é")],
        vec![text("e\u{301}")],
        vec![text(&"long".repeat(1000))],
    ]
    .map(EntityKey);
    let rows = distinct
        .iter()
        .zip(1..)
        .map(|(key, at)| (key.clone(), row(at)))
        .collect();
    store.put("conformance_keys", rows).await.expect("the rows fit");
    let got = store
        .get("conformance_keys", &distinct)
        .await
        .expect("the view is defined");
    let expected: Vec<_> = (1..).take(distinct.len()).map(|at| Some(row(at))).collect();
    assert_eq!(got, expected, "different keys never meet");
}

async fn many_rows_are_written_at_once(store: &dyn OnlineStore) {
    defined(store, "conformance_many").await;
    let many: Vec<_> = (0..5000)
        .map(|at| (EntityKey(vec![KeyPart::Int(at)]), row(at)))
        .collect();
    let report = store.put("conformance_many", many.clone()).await.expect("the rows fit");
    assert_eq!(report, PutReport { written: 5000, kept: 0 });
    let (keys, rows): (Vec<_>, Vec<_>) = many.into_iter().rev().unzip();
    let got = store.get("conformance_many", &keys).await.expect("the view is defined");
    assert_eq!(got, rows.into_iter().map(Some).collect::<Vec<_>>());
}

async fn other_columns_drop_the_rows(store: &dyn OnlineStore) {
    let view = "conformance_schema";
    defined(store, view).await;
    put(store, view, [("ann", 1)]).await;
    defined(store, view).await;
    assert_eq!(
        one(store, view, "ann").await,
        Some(row(1)),
        "the same columns again keep the rows"
    );
    let wider: ViewSchema = vec![("n".to_owned(), DataType::Int64), ("m".to_owned(), DataType::Int64)];
    store.define(view, &wider).await.expect("a view can be defined");
    assert_eq!(one(store, view, "ann").await, None, "other columns drop the rows");
    assert_eq!(
        *columns(store, view).await,
        wider,
        "rows come with the columns they have"
    );
    assert_eq!(store.schema(view).await.expect("the store answers"), Some(wider));
    defined(store, view).await;
    assert_eq!(one(store, view, "ann").await, None, "dropped rows do not come back");
    put(store, view, [("ann", 1)]).await;
    assert_eq!(
        one(store, view, "ann").await,
        Some(row(1)),
        "a dropped row can be written again"
    );
}

async fn what_does_not_fit_is_refused_whole(store: &dyn OnlineStore) {
    defined(store, "conformance_fit").await;
    let long = EntityKey(vec![KeyPart::Str("x".repeat(100_000).into())]);
    let wrong = [
        (
            key("eve"),
            FeatureRow {
                values: vec![Value::text("1")],
                ..row(1)
            },
        ),
        (
            key("eve"),
            FeatureRow {
                values: vec![],
                ..row(1)
            },
        ),
        (long, row(1)),
    ];
    for wrong in wrong {
        let result = store.put("conformance_fit", vec![(key("ann"), row(1)), wrong]).await;
        assert!(matches!(result, Err(OnlineError::Schema { .. })), "{result:?}");
    }
    assert_eq!(
        one(store, "conformance_fit", "ann").await,
        None,
        "a refused write writes nothing"
    );
}

async fn unknown_views_are_named(store: &dyn OnlineStore) {
    let put = store.put("conformance_nowhere", vec![(key("ann"), row(1))]).await;
    assert!(
        matches!(&put, Err(OnlineError::UnknownView { view }) if view == "conformance_nowhere"),
        "{put:?}"
    );
    let got = store.get("conformance_nowhere", &keys(["ann"])).await;
    assert!(
        matches!(&got, Err(OnlineError::UnknownView { view }) if view == "conformance_nowhere"),
        "{got:?}"
    );
    assert_eq!(
        store.schema("conformance_nowhere").await.expect("the store answers"),
        None
    );
}

async fn concurrent_writers_leave_the_newest(store: Arc<dyn OnlineStore>) {
    let names: Vec<String> = (0..20).map(|it| format!("c{it}")).collect();
    defined(&*store, "conformance_race").await;
    let writer = |writer: i64| {
        let (store, names) = (Arc::clone(&store), names.clone());
        tokio::spawn(async move {
            for turn in 0..20 {
                // Every writer writes every instant it owns, in an order of its own.
                let at = ((turn * 7 + writer * 3) % 20) * 8 + writer;
                let rows = names.iter().map(|it| (key(it), row(at))).collect();
                store.put("conformance_race", rows).await.expect("the rows fit");
            }
        })
    };
    for task in (0..8).map(writer).collect::<Vec<_>>() {
        task.await.expect("no writer panics");
    }
    for name in &names {
        assert_eq!(
            one(&*store, "conformance_race", name).await,
            Some(row(19 * 8 + 7)),
            "the newest of all writers wins"
        );
    }
}

async fn defined(store: &dyn OnlineStore, view: &str) {
    store
        .define(view, &vec![("n".to_owned(), DataType::Int64)])
        .await
        .expect("a view can be defined");
}

async fn put<const N: usize>(store: &dyn OnlineStore, view: &str, rows: [(&str, i64); N]) -> PutReport {
    let rows = rows.map(|(name, at)| (key(name), row(at))).into();
    store.put(view, rows).await.expect("the rows fit the view")
}

async fn one(store: &dyn OnlineStore, view: &str, name: &str) -> Option<FeatureRow> {
    let mut rows = store.get(view, &keys([name])).await.expect("the view is defined");
    assert_eq!(rows.len(), 1, "one answer per key");
    rows.remove(0)
}

async fn columns(store: &dyn OnlineStore, view: &str) -> Arc<ViewSchema> {
    store.read(view, &[]).await.expect("the view is defined").columns
}

fn row(at: i64) -> FeatureRow {
    FeatureRow {
        event_time: Timestamp(at),
        known_time: None,
        values: vec![Value::Int(at)],
    }
}

fn key(name: &str) -> EntityKey {
    EntityKey(vec![KeyPart::Str(name.into())])
}

fn keys<const N: usize>(names: [&str; N]) -> Vec<EntityKey> {
    names.map(key).into()
}

fn time(at: i64) -> Value {
    Value::Time(Timestamp(at))
}
