//! An MLflow server and nothing else, in one process: `mlflow_only FOLDER [ADDR]`; registry, runs and artifacts lie in the folder.
//!
//! `cargo run --release -p foretell-mlflow --example mlflow_only -- /tmp/mlflow 127.0.0.1:5000`, then
//! `MLFLOW_TRACKING_URI=http://127.0.0.1:5000`. No access control: `foretell serve` has that.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use axum::routing::get;
use axum::serve::ListenerExt;
use foretell_mlflow::MlflowServer;
use foretell_registry::{Registry, open_store};
use foretell_tracking::Tracking;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: mlflow_only FOLDER [ADDR]")?);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    let place = |name: &str| folder.join(name).display().to_string();
    let server = MlflowServer {
        registry: Arc::new(Registry::open_or_create(&place("registry"))?),
        tracking: Arc::new(Tracking::open("sqlite:tracking.db", &folder).await?),
        artifacts: open_store(&place("artifacts"))?,
        test_reset: false,
    };
    let router = server.router().route("/health", get(|| async { "OK" }));
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    // A small answer that waits for more to say waits 40 ms. An error here costs only that.
    let listener = listener.tap_io(|it| drop(it.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}
