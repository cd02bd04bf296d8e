//! The stores pass the suite; what only a store on disk can show is here.

use std::process::Command;
use std::sync::Arc;

use foretell_features::Timestamp;
use foretell_features_online::conformance::check_online_store;
use foretell_features_online::store::Edit;
use foretell_features_online::{Durability, FjallStore, MemoryStore, OnlineError, OnlineStore, record};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_conforms() {
    check_online_store(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    check_online_store(Arc::new(FjallStore::open(folder.path()).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_waits_for_the_disk_conforms_and_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let write = |_: usize, _: Option<&[u8]>| Ok(Edit::Write(vec![7]));
    {
        let store = FjallStore::open_with(folder.path(), Durability::Sync).unwrap();
        check_online_store(Arc::new(store.clone())).await;
        let many = (0..10_000u32).map(|it| it.to_be_bytes().to_vec()).collect();
        store.update("many", many, Arc::new(write)).await.unwrap();
        store
            .update("few", vec![b"one".to_vec()], Arc::new(write))
            .await
            .unwrap();
    }
    let store = FjallStore::open(folder.path()).unwrap();
    for (space, key) in [("many", 9_999u32.to_be_bytes().to_vec()), ("few", b"one".to_vec())] {
        let mut seen = None;
        let see = &mut |_: usize, bytes: Option<&[u8]>| {
            seen = bytes.map(<[u8]>::to_vec);
            Ok(())
        };
        store.read(space, &[key], see).await.unwrap();
        assert_eq!(seen, Some(vec![7]), "{space}");
    }
}

#[tokio::test]
async fn records_without_news_for_longer_than_the_retention_go() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FjallStore::open(folder.path()).unwrap();
    let memory = MemoryStore::new();
    for store in [&disk as &dyn OnlineStore, &memory] {
        let write = |at: usize, _: Option<&[u8]>| Ok(Edit::Write(record::encode(Timestamp(at as i64), None, None)));
        let keys: Vec<Vec<u8>> = (0..20_000u32).map(|it| it.to_be_bytes().to_vec()).collect();
        store.expire("rows", Timestamp(15_000)).await.unwrap();
        store.update("rows", keys.clone(), Arc::new(write)).await.unwrap();
        store
            .update("rows", keys[..10].to_vec(), Arc::new(|_, _| Ok(Edit::Delete)))
            .await
            .unwrap();
        store.expire("rows", Timestamp(15_000)).await.unwrap();
    }
    disk.compact("rows").unwrap();
    for store in [&disk as &dyn OnlineStore, &memory] {
        let mut left = 0;
        let see = &mut |_: &[u8], bytes: &[u8]| {
            assert!(record::newest(bytes).is_some_and(|it| it >= Timestamp(15_000)));
            left += 1;
            Ok(true)
        };
        store.walk("rows", see).await.unwrap();
        assert_eq!(left, 5_000, "{store:?}");
    }
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
