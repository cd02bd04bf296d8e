//! MLflow's own client, over a socket. Runs when `FORETELL_MLFLOW_PYTHON` names a Python that has
//! `tests/conformance/requirements.txt`; `tests/conformance/mlflow.sh` makes one and sets it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use foretell_mlflow::MlflowServer;
use foretell_registry::{PackageFile, PublishRequest, Registry, Stamp, open_store};
use foretell_tracking::Tracking;

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_mlflow_works_unchanged() {
    let Some(python) = std::env::var_os("FORETELL_MLFLOW_PYTHON") else {
        println!("skipped: FORETELL_MLFLOW_PYTHON names no Python with mlflow-skinny");
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let registry = Arc::new(Registry::open("memory:").unwrap());
    for second in [1, 2] {
        let file = PackageFile::new("model.bin", vec![second]);
        let stamp = Stamp::new("ann", i64::from(second) * 1_000_000);
        registry
            .publish(PublishRequest::new("churn", vec![file], stamp))
            .await
            .unwrap();
    }
    let tracking = Arc::new(Tracking::open("sqlite:t.db", folder.path()).await.unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let artifacts = open_store(folder.path().join("artifacts").to_str().unwrap()).unwrap();
    let mlflow = MlflowServer {
        registry,
        tracking,
        artifacts,
        test_reset: true,
    };
    let server = tokio::spawn(axum::serve(listener, mlflow.router()).into_future());

    let script = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
        .join("tests/conformance/mlflow_client.py");
    let mut client = Command::new(python);
    client
        .arg(script)
        .arg(address)
        .current_dir(folder.path())
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1");
    let status = tokio::task::spawn_blocking(move || client.status())
        .await
        .unwrap()
        .unwrap();
    server.abort();
    assert!(status.success());
}
