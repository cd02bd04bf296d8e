//! MLflow's own client, over a socket. Runs when `FORETELL_MLFLOW_PYTHON` names a Python that has
//! `tests/conformance/requirements.txt`, or, for what older clients can do, `requirements-3.10.txt`;
//! `tests/conformance/mlflow.sh` makes both and sets it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use foretell_mlflow::MlflowServer;
use foretell_registry::{PackageFile, PublishRequest, Registry, Stamp, open_store};
use foretell_tracking::Tracking;

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_mlflow_works_unchanged() {
    check("mlflow_client.py", &[("churn", b"1"), ("churn", b"2")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_registry_answers_as_mlflow_does() {
    check("registry_api.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_tracking_answers_as_mlflow_does() {
    check("tracking_api.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_up_and_down() {
    let bytes: Vec<u8> = (0..=255).collect();
    check("artifacts.py", &[("published", &bytes)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_mlflows_flavours_are_logged_registered_and_loaded() {
    check("flavours.py", &[]).await;
}

/// Runs a program against a new server on which these versions were published.
async fn check(program: &str, published: &[(&str, &[u8])]) {
    let Some(python) = std::env::var_os("FORETELL_MLFLOW_PYTHON") else {
        println!("skipped: FORETELL_MLFLOW_PYTHON names no Python with mlflow-skinny");
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let registry = Arc::new(Registry::open_or_create(&at("registry")).unwrap());
    for (second, (model, content)) in (1..).zip(published) {
        let file = PackageFile::new("model.bin", content.to_vec());
        let stamp = Stamp::new("ann", second * 1_000_000);
        registry
            .publish(PublishRequest::new(*model, vec![file], stamp))
            .await
            .unwrap();
    }
    let mlflow = MlflowServer {
        registry,
        tracking: Arc::new(Tracking::open("sqlite:t.db", folder.path()).await.unwrap()),
        artifacts: open_store(&at("artifacts")).unwrap(),
        test_reset: false,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, mlflow.router()).into_future());
    let own = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"));
    let mut client = Command::new(python);
    client
        .arg("-W")
        .arg("ignore")
        .arg(own.join("tests/conformance").join(program))
        .arg(address)
        .current_dir(folder.path())
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        .env("MLFLOW_LOGGING_LEVEL", "ERROR")
        .env("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        .env("MLFLOW_DISABLE_TELEMETRY", "true");
    let status = tokio::task::spawn_blocking(move || client.status())
        .await
        .unwrap()
        .unwrap();
    server.abort();
    assert!(status.success(), "{program}");
}
