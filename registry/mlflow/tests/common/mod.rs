//! A client that speaks to the router without a socket.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use foretell_mlflow::{Actor, MlflowServer};
use foretell_registry::{PackageFile, PublishRequest, Registry, Stamp, open_store};
use foretell_tracking::Tracking;
use http_body_util::BodyExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) struct Client {
    pub(crate) registry: Arc<Registry>,
    pub(crate) tracking: Arc<Tracking>,
    objects: Arc<dyn ObjectStore>,
    router: Router,
    _folder: TempDir,
}

impl Client {
    pub(crate) async fn new() -> Self {
        Self::started(true).await
    }

    async fn started(test_reset: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let artifacts = open_store(folder.path().join("artifacts").to_str().unwrap()).unwrap();
        Self::on(folder, Arc::new(InMemory::new()), artifacts, test_reset).await
    }

    /// A server on these stores.
    pub(crate) async fn over(objects: Arc<dyn ObjectStore>, artifacts: Arc<dyn ObjectStore>) -> Self {
        Self::on(TempDir::new().unwrap(), objects, artifacts, false).await
    }

    async fn on(
        folder: TempDir,
        objects: Arc<dyn ObjectStore>,
        artifacts: Arc<dyn ObjectStore>,
        test_reset: bool,
    ) -> Self {
        let registry = Arc::new(Registry::new(objects.clone()));
        let tracking = Arc::new(Tracking::open("sqlite:t.db", folder.path()).await.unwrap());
        let server = MlflowServer {
            registry: registry.clone(),
            tracking: tracking.clone(),
            artifacts,
            test_reset,
        };
        Self {
            registry,
            tracking,
            objects,
            router: server.router(),
            _folder: folder,
        }
    }

    /// A server that was not started for tests.
    pub(crate) async fn without_reset(&self) -> Self {
        Self::started(false).await
    }

    /// Publishes a version at this second.
    pub(crate) async fn publish(&self, model: &str, second: i64, metadata: Value) {
        let file = PackageFile::new("model.bin", format!("{model} {second}").into_bytes());
        let stamp = Stamp::new("ann", second * 1_000_000);
        let request = PublishRequest {
            metadata,
            ..PublishRequest::new(model, vec![file], stamp)
        };
        self.registry.publish(request).await.unwrap();
    }

    pub(crate) async fn get(&self, path_and_query: &str) -> (StatusCode, Value) {
        let uri = format!("/api/2.0/mlflow/{path_and_query}");
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.with_body("POST", path, body).await
    }

    pub(crate) async fn with_body(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/ajax-api/2.0/mlflow/{path}"));
        let request = request.header("content-type", "application/json; charset=utf-8");
        self.send(
            request
                .extension(Actor("bob".into()))
                .body(body.to_string().into())
                .unwrap(),
        )
        .await
    }

    /// A GET of the path as it is.
    pub(crate) async fn raw(&self, path_and_query: &str) -> (StatusCode, Value) {
        self.send(Request::get(path_and_query).body(Body::empty()).unwrap())
            .await
    }

    /// Writes an artifact, which must succeed.
    pub(crate) async fn upload(&self, path: &str, content: &str) {
        let (status, answer) = self.put(path, Body::from(content.to_owned())).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    }

    pub(crate) async fn put(&self, path: &str, body: Body) -> (StatusCode, Value) {
        self.send(Request::put(artifact(path)).body(body).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::delete(artifact(path)).body(Body::empty()).unwrap())
            .await
    }

    /// Deletes artifacts, which must succeed.
    pub(crate) async fn erase(&self, path: &str) {
        let (status, answer) = self.delete(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    }

    /// An artifact's bytes.
    pub(crate) async fn download(&self, path: &str) -> (StatusCode, Bytes) {
        let response = self
            .response(Request::get(artifact(path)).body(Body::empty()).unwrap())
            .await;
        (
            response.status(),
            response.into_body().collect().await.unwrap().to_bytes(),
        )
    }

    pub(crate) async fn response(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Writes over a file of a package, behind the registry's back.
    pub(crate) async fn damage(&self, sha256: &str, content: &str) {
        let key = format!("blobs/sha256/{}/{sha256}", &sha256[..2]);
        let content = content.to_owned().into_bytes().into();
        self.objects.put(&key.as_str().into(), content).await.unwrap();
    }

    /// Removes a file of a package, behind the registry's back.
    pub(crate) async fn lose(&self, sha256: &str) {
        let key = format!("blobs/sha256/{}/{sha256}", &sha256[..2]);
        self.objects.delete(&key.as_str().into()).await.unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))),
        )
    }

    /// The answer to a POST that must succeed.
    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// The answer to a GET that must succeed.
    pub(crate) async fn found(&self, path_and_query: &str) -> Value {
        let (status, answer) = self.get(path_and_query).await;
        assert_eq!(status, StatusCode::OK, "{path_and_query}: {answer}");
        answer
    }

    /// A new run of the default experiment.
    pub(crate) async fn run(&self) -> String {
        let answer = self
            .done("runs/create", json!({"experiment_id": "0", "start_time": 1}))
            .await;
        answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

/// Checks status, code and message of a refusal.
pub(crate) fn refused((status, answer): (StatusCode, Value), expected: u16, code: &str, message: &str) {
    assert_eq!(
        (status.as_u16(), &answer["error_code"]),
        (expected, &json!(code)),
        "{answer}"
    );
    let got = answer["message"].as_str().unwrap();
    assert!(got.contains(message), "{got}");
}

fn artifact(path: &str) -> String {
    format!("/api/2.0/mlflow-artifacts/artifacts/{path}")
}

/// A query string's value.
pub(crate) fn quoted(text: &str) -> String {
    text.bytes().map(|it| format!("%{it:02X}")).collect()
}
