//! What every online store does, as one suite: a new store is one call away from being tested.
//!
//! The functions panic on the first difference, like any test. They use views of their own (`conformance_..`) and leave
//! rows behind, so give them a store of its own.

use std::path::PathBuf;
use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, Definitions, EntityKey, FeatureRow, Status, Timestamp, Value, ViewDefinition};

use crate::catalog::OnlineView;
use crate::erased::Erasure;
use crate::online_features::OnlineFeatures;
use crate::store::{Edit, OnlineError, OnlineStore, PutReport};
use crate::write::{MaterializedEntity, SourceRows};

mod windowed;

/// Every rule of [`OnlineStore`], and of [`OnlineFeatures`] over it.
///
/// # Panics
/// On the first rule that does not hold.
pub async fn check_online_store(store: Arc<dyn OnlineStore>) {
    bytes_are_changed_one_key_at_a_time(&*store).await;
    nothing_is_lost_between_concurrent_changes(Arc::clone(&store)).await;
    many_keys_are_changed_at_once(&*store).await;
    spaces_come_and_go(&*store).await;
    let features = OnlineFeatures::open(store).await.expect("an empty store opens");
    keys_keep_their_order(&features).await;
    the_newest_row_wins(&features).await;
    a_retry_changes_nothing(&features).await;
    known_time_breaks_ties(&features).await;
    all_types_and_nulls_read_back(&features).await;
    keys_of_all_kinds_are_distinct(&features).await;
    versions_live_side_by_side(&features).await;
    what_does_not_fit_is_refused_whole(&features).await;
    unknown_views_are_named(&features).await;
    old_values_are_told_with_their_age(&features).await;
    concurrent_writers_leave_the_newest(&features).await;
    the_erased_stay_erased(&features).await;
    windowed::check(&features).await;
    definitions_and_erasures_outlive_the_process(&features).await;
}

async fn bytes_are_changed_one_key_at_a_time(store: &dyn OnlineStore) {
    let space = "conformance.bytes";
    let key = |it: &str| it.as_bytes().to_vec();
    assert_eq!(
        seen(store, space, &[key("a")]).await,
        [None],
        "a space that is not there has nothing"
    );
    let set = |at: usize, _: Option<&[u8]>| {
        Ok(if at == 1 {
            Edit::Keep
        } else {
            Edit::Write(vec![at as u8])
        })
    };
    let changed = store
        .update(space, vec![key("a"), key("b"), key("c")], Arc::new(set))
        .await;
    assert_eq!(changed.expect("keys can be written"), 2, "kept keys are not counted");
    let keys = [key("c"), key("b"), key("a"), key("c")];
    let expected = [Some(vec![2]), None, Some(vec![0]), Some(vec![2])];
    assert_eq!(
        seen(store, space, &keys).await,
        expected,
        "keys keep their order, repeats are answered"
    );
    let gone = |_: usize, stored: Option<&[u8]>| Ok(stored.map_or(Edit::Keep, |_| Edit::Delete));
    store
        .update(space, vec![key("a"), key("b")], Arc::new(gone))
        .await
        .expect("keys can be deleted");
    assert_eq!(seen(store, space, &keys[1..3]).await, [None, None]);
}

async fn nothing_is_lost_between_concurrent_changes(store: Arc<dyn OnlineStore>) {
    let space = "conformance.counter";
    let count = |_: usize, stored: Option<&[u8]>| {
        let before = stored.map_or(0, |it| u32::from_le_bytes(it.try_into().expect("four bytes")));
        Ok(Edit::Write((before + 1).to_le_bytes().to_vec()))
    };
    let adder = |_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..50 {
                let keys = vec![b"one".to_vec(), b"two".to_vec()];
                store
                    .update(space, keys, Arc::new(count))
                    .await
                    .expect("keys can be written");
            }
        })
    };
    for task in (0..8).map(adder).collect::<Vec<_>>() {
        task.await.expect("no writer panics");
    }
    let counted = seen(&*store, space, &[b"one".to_vec(), b"two".to_vec()]).await;
    assert_eq!(
        counted,
        [Some(400u32.to_le_bytes().to_vec()), Some(400u32.to_le_bytes().to_vec())]
    );
}

async fn many_keys_are_changed_at_once(store: &dyn OnlineStore) {
    let space = "conformance.many";
    let keys: Vec<Vec<u8>> = (0..20_000u32).rev().map(|it| it.to_be_bytes().to_vec()).collect();
    for turn in 0..3u8 {
        let change = move |at: usize, stored: Option<&[u8]>| {
            assert_eq!(stored.is_some(), turn > 0, "what the last turn wrote is there");
            Ok(if turn == 2 && at.is_multiple_of(2) {
                Edit::Delete
            } else {
                Edit::Write(vec![turn; 9])
            })
        };
        let changed = store.update(space, keys.clone(), Arc::new(change)).await;
        assert_eq!(changed.expect("many keys can be written"), 20_000);
    }
    let after = seen(store, space, &keys).await;
    let expected = (0..keys.len()).map(|at| (at % 2 == 1).then(|| vec![2; 9]));
    assert!(after.into_iter().eq(expected), "many keys are written and deleted");
    let mut walked = 0;
    let walk = &mut |_: &[u8], _: &[u8]| {
        walked += 1;
        Ok(true)
    };
    store.walk(space, walk).await.expect("a space can be walked");
    assert_eq!(walked, 10_000);
}

async fn spaces_come_and_go(store: &dyn OnlineStore) {
    let write = |_: usize, _: Option<&[u8]>| Ok(Edit::Write(vec![1]));
    for space in ["conformance.one", "conformance.two"] {
        store
            .update(space, vec![vec![7]], Arc::new(write))
            .await
            .expect("keys can be written");
    }
    store.remove("conformance.one").await.expect("a space can go");
    store
        .remove("conformance.nowhere")
        .await
        .expect("a space that is not there can go");
    assert_eq!(seen(store, "conformance.one", &[vec![7]]).await, [None]);
    assert_eq!(seen(store, "conformance.two", &[vec![7]]).await, [Some(vec![1])]);
    let there = store.spaces().await.expect("the store answers");
    assert!(there.iter().any(|it| it == "conformance.two") && !there.iter().any(|it| it == "conformance.one"));
    store
        .update("conformance.one", vec![vec![8]], Arc::new(write))
        .await
        .expect("a space can come back");
    assert_eq!(
        seen(store, "conformance.one", &[vec![7], vec![8]]).await,
        [None, Some(vec![1])]
    );
}

async fn seen(store: &dyn OnlineStore, space: &str, keys: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let mut all = Vec::new();
    let see = &mut |at: usize, bytes: Option<&[u8]>| {
        assert_eq!(at, all.len(), "keys are shown in their order");
        all.push(bytes.map(<[u8]>::to_vec));
        Ok(())
    };
    store.read(space, keys, see).await.expect("the store answers");
    all
}

async fn keys_keep_their_order(features: &OnlineFeatures) {
    let view = defined(features, "conformance_order").await;
    put(features, &view, [("ann", 2), ("bob", 1)]).await;
    let got = values(features, &view, &keys(["bob", "eve", "ann", "bob"])).await;
    let expected = [Some(1), None, Some(2), Some(1)];
    assert_eq!(got, expected, "keys keep their order, repeats are answered");
    assert_eq!(values(features, &view, &[]).await, [], "no keys, no rows");
}

async fn the_newest_row_wins(features: &OnlineFeatures) {
    let view = defined(features, "conformance_newest").await;
    let report = put(features, &view, [("ann", 2), ("ann", 3), ("ann", 1)]).await;
    assert_eq!(
        report,
        PutReport { written: 1, kept: 2 },
        "one row per key is written, the newest"
    );
    let report = put(features, &view, [("ann", 2), ("bob", 9)]).await;
    assert_eq!(
        report,
        PutReport { written: 1, kept: 1 },
        "a late older row is not written"
    );
    let got = values(features, &view, &keys(["ann", "bob"])).await;
    assert_eq!(got, [Some(3), Some(9)], "a late older row never replaces a newer one");
}

async fn a_retry_changes_nothing(features: &OnlineFeatures) {
    let view = defined(features, "conformance_retry").await;
    put(features, &view, [("ann", 1)]).await;
    put(features, &view, [("ann", 1)]).await;
    assert_eq!(
        values(features, &view, &keys(["ann"])).await,
        [Some(1)],
        "a retry changes nothing"
    );
    let other = FeatureRow {
        values: vec![Value::Int(77)],
        ..row(1)
    };
    features
        .put(&view, vec![(key("ann"), other)])
        .await
        .expect("the row fits");
    let got = values(features, &view, &keys(["ann"])).await;
    assert_eq!(got, [Some(77)], "of equal times the last stays: a correction counts");
}

async fn known_time_breaks_ties(features: &OnlineFeatures) {
    let view = defined(features, "conformance_known").await;
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
        features
            .put(&view, vec![(key("ann"), written)])
            .await
            .expect("the row fits");
        let got = values(features, &view, &keys(["ann"])).await;
        assert_eq!(got, [Some(left)], "of equal event times the one learned last wins");
    }
}

async fn all_types_and_nulls_read_back(features: &OnlineFeatures) {
    let types = [
        DataType::Boolean,
        DataType::Int64,
        DataType::Double,
        DataType::String,
        DataType::Timestamp,
    ];
    let inputs: Vec<_> = types.map(|it| (it.to_string(), it)).into();
    let view = define(features, "conformance_types", &inputs).await;
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
    for (name, values) in [("full", full), ("empty", empty), ("nulls", [const { Value::Null }; 5])] {
        let written = FeatureRow {
            values: values.clone().into(),
            ..row(i64::MAX)
        };
        features
            .put(&view, vec![(key(name), written)])
            .await
            .expect("the row fits");
        let read = read(features, &view, &keys([name]))
            .await
            .remove(0)
            .expect("the row was written");
        assert_eq!(read, values, "{name}");
    }
    let nan = FeatureRow {
        values: vec![
            Value::Null,
            Value::Null,
            Value::Float(f64::NAN),
            Value::Null,
            Value::Null,
        ],
        ..row(1)
    };
    features
        .put(&view, vec![(key("nan"), nan)])
        .await
        .expect("the row fits");
    let got = read(features, &view, &keys(["nan"]))
        .await
        .remove(0)
        .expect("the row was written");
    assert_eq!(got[2], Value::Null, "NaN is stored as null");
}

async fn keys_of_all_kinds_are_distinct(features: &OnlineFeatures) {
    let view = defined(features, "conformance_keys").await;
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
    features.put(&view, rows).await.expect("the rows fit");
    let expected: Vec<_> = (1..).take(distinct.len()).map(Some).collect();
    assert_eq!(
        values(features, &view, &distinct).await,
        expected,
        "different keys never meet"
    );
}

async fn versions_live_side_by_side(features: &OnlineFeatures) {
    let name = "conformance_versions";
    let first = defined(features, name).await;
    put(features, &first, [("ann", 1)]).await;
    let again = defined(features, name).await;
    assert_eq!(again.id, first.id, "the same definition is the same version");
    let wider: Vec<_> = [("n", DataType::Int64), ("m", DataType::Int64)]
        .map(|(it, of)| (it.to_owned(), of))
        .into();
    let second = define(features, name, &wider).await;
    assert_ne!(second.id, first.id, "another definition is another version");
    assert_eq!(features.current(name).map(|it| it.id.clone()), Some(second.id.clone()));
    assert_eq!(
        read(features, &second, &keys(["ann"])).await,
        [None],
        "a new version begins empty"
    );
    assert_eq!(
        values(features, &first, &keys(["ann"])).await,
        [Some(1)],
        "the old one stays readable"
    );
    let back = defined(features, name).await;
    assert_eq!(
        features.current(name).map(|it| it.id.clone()),
        Some(back.id.clone()),
        "a version can come back"
    );
    features.forget(&second.id).await.expect("a version can go");
    let gone = features.view(name, Some(&second.id.version)).await;
    assert!(matches!(gone, Err(OnlineError::UnknownVersion { .. })), "{gone:?}");
    assert_eq!(
        values(features, &first, &keys(["ann"])).await,
        [Some(1)],
        "the other versions stay"
    );
    features
        .set_journal(&first.id, "noted")
        .await
        .expect("a note can be kept");
    assert_eq!(
        features.journal(&first.id).await.expect("the store answers").as_deref(),
        Some("noted")
    );
}

async fn what_does_not_fit_is_refused_whole(features: &OnlineFeatures) {
    let view = defined(features, "conformance_fit").await;
    let long = EntityKey(vec![KeyPart::Str("x".repeat(100_000).into())]);
    let of = |values| FeatureRow { values, ..row(1) };
    for wrong in [
        (key("eve"), of(vec![Value::text("1")])),
        (key("eve"), of(vec![])),
        (long, row(1)),
    ] {
        let result = features.put(&view, vec![(key("ann"), row(1)), wrong]).await;
        assert!(matches!(result, Err(OnlineError::Schema { .. })), "{result:?}");
    }
    assert_eq!(
        values(features, &view, &keys(["ann"])).await,
        [None],
        "a refused write writes nothing"
    );
}

async fn unknown_views_are_named(features: &OnlineFeatures) {
    let unknown = features.view("conformance_nowhere", None).await;
    assert!(
        matches!(&unknown, Err(OnlineError::UnknownView { view }) if view == "conformance_nowhere"),
        "{unknown:?}"
    );
    let pushed = features
        .push("conformance_nowhere", &SourceRows::default(), Timestamp(0))
        .await;
    assert!(matches!(&pushed, Err(OnlineError::UnknownSource { .. })), "{pushed:?}");
}

async fn old_values_are_told_with_their_age(features: &OnlineFeatures) {
    let view = defined(features, "conformance_age").await;
    put(features, &view, [("ann", 10)]).await;
    let wanted = view.project(&[0], Some(foretell_features::Span(5)));
    for (at, status) in [
        (10, Status::Present),
        (15, Status::Present),
        (16, Status::OutsideMaxAge),
    ] {
        let reads = features
            .read(&view, &keys(["ann"]), &wanted, Timestamp(at))
            .await
            .expect("the view is there");
        let read = &reads.row(0)[0];
        assert_eq!((read.status, &read.value), (status, &Value::Int(10)), "at {at}");
        assert_eq!(read.event_time, Some(Timestamp(10)));
    }
}

async fn concurrent_writers_leave_the_newest(features: &OnlineFeatures) {
    let names: Vec<String> = (0..20).map(|it| format!("c{it}")).collect();
    let view = defined(features, "conformance_race").await;
    let writer = |writer: i64| {
        let (features, view, names) = (features.clone(), Arc::clone(&view), names.clone());
        tokio::spawn(async move {
            for turn in 0..20 {
                // Every writer writes every instant it owns, in an order of its own.
                let at = ((turn * 7 + writer * 3) % 20) * 8 + writer;
                let rows = names.iter().map(|it| (key(it), row(at))).collect();
                features.put(&view, rows).await.expect("the rows fit");
            }
        })
    };
    for task in (0..8).map(writer).collect::<Vec<_>>() {
        task.await.expect("no writer panics");
    }
    for name in &names {
        let got = values(features, &view, &[key(name)]).await;
        assert_eq!(got, [Some(19 * 8 + 7)], "the newest of all writers wins");
    }
}

async fn the_erased_stay_erased(features: &OnlineFeatures) {
    let view = defined(features, "conformance_erase").await;
    put(features, &view, [("ann", 1), ("bob", 1)]).await;
    let erasure = Erasure {
        key: [("id".to_owned(), KeyPart::Str("ann".into()))].into(),
        until: Timestamp(5),
    };
    let removed = features.erase(&erasure).await.expect("the store answers");
    let of_view = |it: &&crate::online_features::EraseReport| it.view == view.id.to_string();
    assert_eq!(removed.iter().find(of_view).map(|it| it.records), Some(1));
    assert_eq!(values(features, &view, &keys(["ann", "bob"])).await, [None, Some(1)]);
    put(features, &view, [("ann", 4)]).await;
    assert_eq!(
        values(features, &view, &keys(["ann"])).await,
        [None],
        "a late row of the erased is refused"
    );
    let late = MaterializedEntity {
        key: key("ann"),
        latest: Some(row(5)),
        events: Vec::new(),
    };
    features
        .replace(&view, vec![late], Timestamp(9))
        .await
        .expect("the row fits");
    assert_eq!(
        values(features, &view, &keys(["ann"])).await,
        [None],
        "from files as well"
    );
    put(features, &view, [("ann", 6)]).await;
    assert_eq!(
        values(features, &view, &keys(["ann"])).await,
        [Some(6)],
        "a new life begins after it"
    );
    let again = features.erase(&erasure).await.expect("the store answers");
    assert_eq!(again.len(), removed.len(), "again is harmless");
}

async fn definitions_and_erasures_outlive_the_process(features: &OnlineFeatures) {
    let again = OnlineFeatures::open(Arc::clone(&features.inner.store))
        .await
        .expect("the store opens again");
    let ids = |it: &OnlineFeatures| it.views().iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(features));
    let view = again.current("conformance_erase").expect("the view was defined");
    put(&again, &view, [("ann", 3)]).await;
    let left = values(&again, &view, &keys(["ann"])).await;
    assert_eq!(left, [None], "an erasure is remembered");
}

async fn defined(features: &OnlineFeatures, view: &str) -> Arc<OnlineView> {
    define(features, view, &[("n".to_owned(), DataType::Int64)]).await
}

/// A view of latest values, its columns as given.
async fn define(features: &OnlineFeatures, view: &str, columns: &[(String, DataType)]) -> Arc<OnlineView> {
    let latest: Vec<String> = columns.iter().map(|it| format!("\"{}\"", it.0)).collect();
    let text = format!(
        r#"
        [entity.id]
        key = {{ id = "string" }}
        [source.{view}]
        path = "rows.parquet"
        event_time = "at"
        [view.{view}]
        entity = "id"
        source = "{view}"
        latest = [{}]
        "#,
        latest.join(", ")
    );
    let of_source = [
        ("id".to_owned(), DataType::String),
        ("at".to_owned(), DataType::Timestamp),
    ];
    let inputs = of_source.into_iter().chain(columns.iter().cloned()).collect();
    define_text(features, view, &text, inputs).await
}

async fn define_text(
    features: &OnlineFeatures,
    view: &str,
    text: &str,
    inputs: Vec<(String, DataType)>,
) -> Arc<OnlineView> {
    let definitions = Definitions::parse(&[(PathBuf::from("conformance.toml"), text.to_owned())]);
    let definitions = definitions.expect("the suite's definitions are right");
    let definition = ViewDefinition::of(&definitions, view, inputs).expect("the view is defined");
    features.define(&definition).await.expect("a view can be defined")
}

async fn put<const N: usize>(features: &OnlineFeatures, view: &OnlineView, rows: [(&str, i64); N]) -> PutReport {
    let rows = rows.map(|(name, at)| (key(name), row(at))).into();
    features.put(view, rows).await.expect("the rows fit the view")
}

/// All values of each key; `None` where the view has no row of it.
async fn read(features: &OnlineFeatures, view: &OnlineView, keys: &[EntityKey]) -> Vec<Option<Vec<Value>>> {
    let reads = features
        .read(view, keys, &view.project_all(), Timestamp(0))
        .await
        .expect("the view is there");
    let row = |at: usize| {
        let values = reads.row(at).iter().map(|it| it.value.clone()).collect();
        reads.found[at].then_some(values)
    };
    (0..keys.len()).map(row).collect()
}

/// The one integer of each key.
async fn values(features: &OnlineFeatures, view: &OnlineView, keys: &[EntityKey]) -> Vec<Option<i64>> {
    let int = |row: Option<Vec<Value>>| match row?.remove(0) {
        Value::Int(it) => Some(it),
        other => panic!("not an integer: {other}"),
    };
    read(features, view, keys).await.into_iter().map(int).collect()
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
