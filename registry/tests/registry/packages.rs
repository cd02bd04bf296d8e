//! Publishing and fetching.

use foretell_registry::{Digest, PackageFile, PublishRequest, Registry, RegistryError, TxId, VersionRef};
use serde_json::json;

use crate::stores::{ann, assert_sound, both_kinds, keys, memory, package, publish, request};

#[tokio::test]
async fn what_is_published_is_fetched_by_number_alias_and_latest() {
    for (store, _folder) in both_kinds() {
        let registry = Registry::new(store.clone());
        let published = registry
            .publish(PublishRequest {
                metadata: json!({"task": "binary_classification", "metrics": {"roc_auc": 0.8451}}),
                tags: [("team".to_owned(), "growth".to_owned())].into(),
                aliases: vec!["challenger".to_owned()],
                description: "first".to_owned(),
                ..PublishRequest::new("churn", package("weights"), ann(7).because("nightly"))
            })
            .await
            .unwrap();
        publish(&registry, "churn", "other weights").await.unwrap();

        let reader = Registry::new(store.clone());
        let found = reader.resolve("churn", &"challenger".parse().unwrap()).await.unwrap();
        assert_eq!(found, published);
        assert_eq!((found.version, found.created_at, &*found.actor), (1, 7, "ann"));
        assert_eq!(found.metadata["metrics"]["roc_auc"], 0.8451);
        let mut files = reader.fetch(&found).await.unwrap();
        files.reverse();
        assert_eq!(files, package("weights"));
        let latest = reader.resolve("churn", &VersionRef::Latest).await.unwrap();
        assert_eq!(latest.version, 2);
        assert_eq!(
            reader.fetch_file(&latest, "model.bin").await.unwrap().bytes,
            "other weights"
        );
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn equal_files_are_stored_once_and_equal_packages_have_one_digest() {
    let store = memory();
    let registry = Registry::new(store.clone());
    let first = publish(&registry, "churn", "a").await.unwrap();
    let second = publish(&registry, "churn", "b").await.unwrap();
    let again = publish(&registry, "ltv", "a").await.unwrap();
    assert_eq!(first.digest, again.digest);
    assert_ne!(first.digest, second.digest);
    assert_eq!(keys(&store, "blobs/").await.len(), 3, "a, b and the card they share");
    let hex = Digest::of(b"a").hex();
    assert!(
        keys(&store, "blobs/")
            .await
            .contains(&format!("blobs/sha256/{}/{hex}", &hex[..2]))
    );
}

#[tokio::test]
async fn a_repeated_request_publishes_once() {
    let registry = Registry::new(memory());
    for model in ["churn", "ltv"] {
        let request = PublishRequest {
            txid: Some(TxId::new("retry-1")),
            ..request(model, "a")
        };
        let first = registry.publish(request.clone()).await.unwrap();
        publish(&registry, model, "b").await.unwrap();
        assert_eq!(registry.publish(request).await.unwrap(), first);
        assert_eq!(registry.model(model).await.unwrap().versions().count(), 2);
    }
}

#[tokio::test]
async fn a_bad_request_is_refused_and_leaves_nothing() {
    let store = memory();
    let registry = Registry::new(store.clone());
    let good = request("churn", "a");
    for bad in [
        PublishRequest {
            model: "a/b".to_owned(),
            ..good.clone()
        },
        PublishRequest {
            aliases: vec!["latest".to_owned()],
            ..good.clone()
        },
        PublishRequest {
            tags: [("a=b".to_owned(), String::new())].into(),
            ..good.clone()
        },
        PublishRequest {
            files: vec![PackageFile::new("../x", "x")],
            ..good.clone()
        },
    ] {
        let error = registry.publish(bad).await.unwrap_err();
        assert!(matches!(error, RegistryError::InvalidName { .. }), "{error}");
    }
    assert!(keys(&store, "").await.is_empty());
}

#[tokio::test]
async fn a_version_may_have_no_files() {
    let registry = Registry::new(memory());
    let version = registry
        .publish(PublishRequest::new("churn", Vec::new(), ann(1)))
        .await
        .unwrap();
    assert!(registry.fetch(&version).await.unwrap().is_empty());
    assert!(registry.verify().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_missing_registry_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("deep/registry").display().to_string();
    let error = Registry::open(&url).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!("no registry at `{url}`; run `foretell train MODEL` first or set [registry] url")
    );
    publish(&Registry::open_or_create(&url).unwrap(), "churn", "a")
        .await
        .unwrap();
    for url in [url.clone(), format!("file://{url}")] {
        assert_eq!(Registry::open(&url).unwrap().list_models().await.unwrap().len(), 1);
    }
    assert!(
        Registry::open("memory:")
            .unwrap()
            .list_models()
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        Registry::open("ftp://x/y"),
        Err(RegistryError::Unsupported { .. })
    ));
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_bucket_needs_a_build_with_cloud_stores() {
    let error = Registry::open("s3://bucket/models").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open `s3://bucket/models`: built without cloud stores, enable feature `aws`"
    );
}

/// Handlers of servers run on many threads; this compiles or it does not.
#[test]
fn every_call_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let registry = Registry::new(memory());
    let version = |it: &foretell_registry::ModelVersion| {
        check(Registry::new(memory()).fetch(it));
        check(Registry::new(memory()).fetch_file(it, ""));
    };
    let _: &dyn Fn(&foretell_registry::ModelVersion) = &version;
    check(registry.list_models());
    check(registry.resolve("", &VersionRef::Latest));
    check(registry.history(""));
    check(registry.catalog_history());
    check(registry.verify());
    check(registry.delete_alias("", "", &ann(1)));
    check(registry.delete_model("", &ann(1)));
    check(registry.publish(request("", "")));
    check(registry.watcher().poll());
}
