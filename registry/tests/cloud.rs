//! The suite of all stores against real servers on loopback, which `tests/conformance/registry_stores.sh` starts, with the
//! environment variables that users of those stores have. Without those variables there is nothing to ask.

use std::env::var;

use foretell_registry::conformance::check_registry;
use foretell_registry::{PackageFile, PublishRequest, Registry, RegistryError, Stamp, open_store};

const HONOURS: &str = "FORETELL_TEST_REGISTRY";
const MISSING: &str = "FORETELL_TEST_MISSING_BUCKET";
const IGNORES: &str = "FORETELL_TEST_CARELESS_REGISTRY";

fn request(content: &'static str) -> PublishRequest {
    let file = PackageFile::new("model.bin", content);
    PublishRequest::new("churn", vec![file], Stamp::new("ann", 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_real_server_keeps_every_promise() {
    let Ok(url) = var(HONOURS) else { return };
    check_registry(open_store(&format!("{url}/suite")).unwrap()).await;
}

#[tokio::test]
async fn prefixes_of_one_bucket_are_registries_of_their_own() {
    let Ok(url) = var(HONOURS) else { return };
    let [one, other] = ["one", "two/deep"].map(|it| format!("{url}/{it}"));
    let published = Registry::open(&one).unwrap().publish(request("a")).await.unwrap();
    let nothing = Registry::open(&other).unwrap().list_models().await.unwrap();
    assert!(nothing.is_empty());
    let reader = Registry::open_or_create(&one).unwrap();
    assert_eq!(reader.fetch_file(&published, "model.bin").await.unwrap().bytes, "a");
    Registry::open(&other).unwrap().publish(request("b")).await.unwrap();
    reader.clear().await.unwrap();
    assert!(reader.list_models().await.unwrap().is_empty());
    let kept = Registry::open(&other).unwrap().verify().await.unwrap();
    assert_eq!((kept.versions, kept.is_ok()), (1, true));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_that_says_so() {
    let Ok(url) = var(MISSING) else { return };
    let registry = Registry::open(&url).unwrap();
    let error = registry.publish(request("a")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Storage { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot "), "{error}");
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_refused_with_a_sentence() {
    let Ok(url) = var(IGNORES) else { return };
    let registry = Registry::open(&url).unwrap();
    let error = registry.publish(request("a")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unsupported { .. }), "{error:?}");
    assert!(error.to_string().contains("ignores `If-None-Match: *`"), "{error}");
    assert!(
        registry.list_models().await.unwrap().is_empty(),
        "nothing was published"
    );
}
