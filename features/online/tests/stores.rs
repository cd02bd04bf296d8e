//! Both stores pass the suite; what only a store on disk can show is here.

use std::process::Command;
use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, FeatureRow, Timestamp, Value};
use foretell_features_online::conformance::check_online_store;
use foretell_features_online::{FjallStore, MemoryStore, OnlineError, OnlineStore, ViewSchema};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_conforms() {
    check_online_store(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    check_online_store(Arc::new(FjallStore::open(folder.path()).unwrap())).await;
}

#[tokio::test]
async fn rows_and_columns_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = FjallStore::open(folder.path()).unwrap();
        store.define("a view", &columns(1)).await.unwrap();
        store.define("changed", &columns(2)).await.unwrap();
        store.define("changed", &columns(1)).await.unwrap();
        store.put("a view", vec![(key(1), row(1))]).await.unwrap();
    }
    let store = FjallStore::open(folder.path()).unwrap();
    assert_eq!(store.schema("a view").await.unwrap(), Some(columns(1)));
    assert_eq!(store.get("a view", &[key(1)]).await.unwrap(), [Some(row(1))]);
    assert_eq!(store.get("changed", &[key(1)]).await.unwrap(), [None]);
    store.define("changed", &columns(2)).await.unwrap();
    assert_eq!(
        store.get("a view", &[key(1)]).await.unwrap(),
        [Some(row(1))],
        "numbers of views are not used twice"
    );
}

/// The test runs itself as the second process: file locks of one process do not count against it.
#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_open() {
    if let Ok(path) = std::env::var("FORETELL_TEST_OPEN") {
        let error = FjallStore::open(&path).unwrap_err();
        assert!(matches!(error, OnlineError::Locked { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("is open in another process; stop the server"),
            "{error}"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _open = FjallStore::open(folder.path()).unwrap();
    let mut second = Command::new(std::env::current_exe().unwrap());
    second
        .args(["--exact", "a_second_process_is_told_that_the_store_is_open"])
        .env("FORETELL_TEST_OPEN", folder.path());
    assert!(second.output().unwrap().status.success());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = FjallStore::open(file.path()).unwrap_err();
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
}

fn columns(n: usize) -> ViewSchema {
    (0..n).map(|it| (format!("n{it}"), DataType::Int64)).collect()
}

fn row(at: i64) -> FeatureRow {
    FeatureRow {
        event_time: Timestamp(at),
        known_time: None,
        values: vec![Value::Int(at)],
    }
}

fn key(id: i64) -> EntityKey {
    EntityKey(vec![KeyPart::Int(id)])
}
