//! The suite of all stores, on those that need no server.

use foretell_registry::Registry;
use foretell_registry::conformance::check_registry;
use foretell_registry::open_store;

use crate::stores::{assert_sound, both_kinds, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_a_folder_keep_every_promise() {
    for (store, _folder) in both_kinds() {
        check_registry(store).await;
    }
}

#[tokio::test]
async fn what_is_written_through_a_url_is_read_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("deep/registry").display());
    let store = open_store(&url).unwrap();
    publish(&Registry::new(store.clone()), "churn", "a").await.unwrap();
    assert_eq!(Registry::open(&url).unwrap().list_models().await.unwrap().len(), 1);
    assert_sound(&store).await;
}
