//! What clients are told while a store is away, and what is there when it is back.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use common::{Client, refused};
use foretell_registry::conformance::{Between, Fate, Verb};
use object_store::memory::InMemory;
use serde_json::json;

#[tokio::test]
async fn a_store_that_goes_away_is_told_so_and_nothing_is_lost() {
    let away = Arc::new(AtomicBool::new(false));
    let store = || {
        let away = away.clone();
        Between::new(Arc::new(InMemory::new()), move |_| match away.load(Ordering::SeqCst) {
            true => Fate::Refused,
            false => Fate::Done,
        })
    };
    let client = Client::over(store(), store()).await;
    client.done("registered-models/create", json!({"name": "m"})).await;
    let version = json!({"name": "m", "source": "s3://bucket/m"});
    client.done("model-versions/create", version.clone()).await;
    client.upload("0/r/a", "kept").await;

    away.store(true, Ordering::SeqCst);
    let unavailable = |answer, message: &str| refused(answer, 503, "TEMPORARILY_UNAVAILABLE", message);
    unavailable(
        client.get("registered-models/get?name=m").await,
        "check that the store is reachable",
    );
    unavailable(
        client.post("model-versions/create", version.clone()).await,
        "check that the store is reachable",
    );
    let alias = json!({"name": "m", "alias": "a", "version": "1"});
    unavailable(
        client.post("registered-models/alias", alias.clone()).await,
        "check that the store is reachable",
    );
    unavailable(client.put("0/r/a", Body::from("new")).await, "the artifact store");
    unavailable(
        client.raw("/api/2.0/mlflow-artifacts/artifacts/0/r/a").await,
        "the artifact store",
    );

    away.store(false, Ordering::SeqCst);
    assert_eq!(client.download("0/r/a").await.1, "kept");
    let answer = client.done("model-versions/create", version).await;
    assert_eq!(answer["model_version"]["version"], "2", "no number was lost");
    client.done("registered-models/alias", alias).await;
    let answer = client.found("registered-models/alias?name=m&alias=a").await;
    assert_eq!(answer["model_version"]["version"], "1");
}

#[tokio::test]
async fn a_lost_reply_of_the_store_does_not_make_a_version_twice() {
    let lose = Arc::new(AtomicBool::new(false));
    let losing = lose.clone();
    let store = Between::new(Arc::new(InMemory::new()), move |call| {
        let record = call.verb == Verb::Create && call.key.contains("/log/");
        match record && losing.swap(false, Ordering::SeqCst) {
            true => Fate::ReplyLost,
            false => Fate::Done,
        }
    });
    let client = Client::over(store, Arc::new(InMemory::new())).await;
    client.done("registered-models/create", json!({"name": "m"})).await;
    for expected in ["1", "2", "3"] {
        lose.store(true, Ordering::SeqCst);
        let body = json!({"name": "m", "source": "s3://bucket/m"});
        let answer = client.done("model-versions/create", body).await;
        assert_eq!(answer["model_version"]["version"], expected, "{answer}");
        assert!(!lose.load(Ordering::SeqCst), "a reply was lost");
    }
}
