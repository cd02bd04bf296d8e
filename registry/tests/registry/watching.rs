//! Watchers: what the prediction server hot-swaps on.

use std::num::NonZeroU32;

use foretell_registry::Registry;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::stores::{ann, both_kinds, memory, publish};

#[tokio::test]
async fn a_watcher_notices_every_commit_of_another_process_once() {
    for (store, _folder) in both_kinds() {
        let writer = Registry::new(store.clone());
        let mut watcher = Registry::new(store.clone()).watcher();
        assert!(watcher.poll().await.unwrap(), "the first look is always news");
        assert!(!watcher.poll().await.unwrap());
        publish(&writer, "churn", "a").await.unwrap();
        assert!(watcher.poll().await.unwrap());
        for _ in 0..40 {
            assert!(!watcher.poll().await.unwrap());
        }
        writer.set_alias("churn", "champion", 1, &ann(2)).await.unwrap();
        assert!(watcher.poll().await.unwrap());
        writer.rename_model("churn", "attrition", &ann(3)).await.unwrap();
        assert!(watcher.poll().await.unwrap());
        writer.delete_model("attrition", &ann(4)).await.unwrap();
        assert!(watcher.poll().await.unwrap());
        assert!(!watcher.poll().await.unwrap());
    }
}

#[tokio::test]
async fn a_lost_hint_only_delays() {
    let store = memory();
    let writer = Registry::new(store.clone());
    publish(&writer, "churn", "a").await.unwrap();
    store.delete(&Path::from("catalog/head")).await.unwrap();
    let mut watcher = Registry::new(store.clone())
        .watcher()
        .probing_every(NonZeroU32::new(4).unwrap());
    assert!(watcher.poll().await.unwrap());
    writer.set_alias("churn", "champion", 1, &ann(2)).await.unwrap();
    store.delete(&Path::from("catalog/head")).await.unwrap();
    let mut news = 0;
    for _ in 0..4 {
        news += u32::from(watcher.poll().await.unwrap());
    }
    assert_eq!(news, 1);
}
