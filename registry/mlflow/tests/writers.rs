//! Servers of one registry folder, each with a registry of its own, and a program that uses the registry directly.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use foretell_mlflow::MlflowServer;
use foretell_registry::{ModelOp, PackageFile, PublishRequest, Registry, Stamp, open_store};
use foretell_tracking::Tracking;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

const SERVERS: usize = 4;
const EACH: usize = 8;

fn place(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

async fn server(folder: &Path) -> Router {
    let server = MlflowServer {
        registry: Arc::new(Registry::open_or_create(&place(folder, "registry")).unwrap()),
        tracking: Arc::new(Tracking::open("sqlite:t.db", folder).await.unwrap()),
        artifacts: open_store(&place(folder, "artifacts")).unwrap(),
        test_reset: false,
    };
    server.router()
}

async fn post(router: &Router, path: &str, body: Value) -> Value {
    let request = Request::post(format!("/api/2.0/mlflow/{path}")).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// What an MLflow client does: registers versions and points the alias to each.
async fn register(router: Router) -> Vec<u64> {
    let mut versions = Vec::new();
    for _ in 0..EACH {
        let body = json!({"name": "churn", "source": "s3://bucket/model"});
        let version = post(&router, "model-versions/create", body).await["model_version"]["version"].clone();
        let body = json!({"name": "churn", "alias": "champion", "version": version});
        post(&router, "registered-models/alias", body).await;
        versions.push(version.as_str().unwrap().parse().unwrap());
    }
    versions
}

/// What training does.
async fn publish(registry: Registry) -> Vec<u64> {
    let mut versions = Vec::new();
    for n in 0..EACH {
        let files = vec![PackageFile::new("model.bin", n.to_string())];
        let request = PublishRequest::new("churn", files, Stamp::new("ann", 1));
        let version = registry.publish(request).await.unwrap().version;
        registry
            .set_alias("churn", "champion", version, &Stamp::new("ann", 2))
            .await
            .unwrap();
        versions.push(version);
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_several_servers_and_programs_share_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path()).await;
    post(&first, "registered-models/create", json!({"name": "churn"})).await;
    let mut writers = Vec::new();
    for _ in 0..SERVERS {
        writers.push(tokio::spawn(register(server(folder.path()).await)));
    }
    let registry = || Registry::open(&place(folder.path(), "registry")).unwrap();
    writers.push(tokio::spawn(publish(registry())));
    let mut made = BTreeSet::new();
    for writer in writers {
        for version in writer.await.unwrap() {
            assert!(made.insert(version), "version {version} was given twice");
        }
    }
    let all = (SERVERS + 1) * EACH;
    assert!(made.into_iter().eq(1..=all as u64), "numbers are dense");
    let history = registry().history("churn").await.unwrap();
    let moves = history.iter().flat_map(|it| &it.ops).filter_map(|it| match it {
        ModelOp::SetAlias { version, .. } => Some(*version),
        _ => None,
    });
    let moves: Vec<_> = moves.collect();
    assert_eq!(
        moves.iter().collect::<BTreeSet<_>>().len(),
        all,
        "every move is in the history"
    );
    assert_eq!(moves.len(), all, "and only once");
    assert_eq!(
        Some(&registry().model("churn").await.unwrap().aliases()["champion"]),
        moves.last()
    );
    assert!(registry().verify().await.unwrap().is_ok());
}
