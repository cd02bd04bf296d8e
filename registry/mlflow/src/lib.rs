//! MLflow's REST API over our registry and tracking, so that `mlflow` clients work unchanged.
//!
//! Under `/api/2.0/mlflow` and `/ajax-api/2.0/mlflow`: registered models, aliases, model versions, experiments, runs,
//! metrics, data sets, logged models; under `.../mlflow-artifacts`: files up and down, packages of the registry among them (read-only). What is
//! not listed in the routes is absent: it answers 404 `ENDPOINT_NOT_FOUND`. Access control is not here: it is a layer
//! around the router, which may add an [`Actor`].

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use foretell_registry::Registry;
use foretell_tracking::Tracking;
use object_store::ObjectStore;

mod aliases;
mod args;
mod artifacts;
mod caller;
mod error;
mod experiments;
mod facts;
mod filter;
mod history;
mod inputs;
mod lineage;
mod logged;
mod logged_models;
mod metrics;
mod model_wire;
mod models;
mod page;
mod query_token;
mod registering;
mod registry_routes;
mod runs;
mod server_info;
mod source;
mod stage;
mod tracked_wire;
mod tracking_errors;
mod tracking_routes;
mod uri;
mod versions;
mod wire;

use artifacts::{ArtifactPath, ArtifactStore};
use caller::Caller;
pub use error::{ApiError, ErrorCode};
pub use filter::VersionFilter;
pub use foretell_registry::Actor;

/// Bytes of a JSON body: above what MLflow's clients send (1e6 of a batch, a dataset's profile of 16 MiB).
const MAX_JSON: usize = 32 * 1024 * 1024;

/// What MLflow's clients see.
#[derive(Clone)]
pub struct MlflowServer {
    /// Models and versions.
    pub registry: Arc<Registry>,
    /// Experiments, runs, metrics.
    pub tracking: Arc<Tracking>,
    /// Files of runs and logged models: `<experiment>/<run>/artifacts/..`, `<experiment>/models/<model>/artifacts/..`.
    pub artifacts: Arc<dyn ObjectStore>,
    /// Opens `POST /__reset`, which empties all three.
    pub test_reset: bool,
}

/// What the handlers work on.
#[derive(Debug)]
struct Stores {
    registry: Arc<Registry>,
    tracking: Arc<Tracking>,
    artifacts: ArtifactStore,
}

type Shared = axum::extract::State<Arc<Stores>>;

impl MlflowServer {
    /// MLflow's routes under both of their prefixes.
    pub fn router(self) -> Router {
        let api = registry_routes::routes()
            .merge(tracking_routes::routes())
            .merge(artifacts::api_routes())
            .fallback(error::no_endpoint)
            .layer(DefaultBodyLimit::max(MAX_JSON));
        let files = artifacts::proxy_routes().fallback(error::no_endpoint);
        let mut all = Router::new();
        for prefix in ["/api", "/ajax-api"] {
            let info = format!("{prefix}/3.0/mlflow/server-info");
            all = all
                .nest(&format!("{prefix}/2.0/mlflow"), api.clone())
                .nest(&format!("{prefix}/2.0/mlflow-artifacts"), files.clone())
                .route(&info, get(server_info::server_info));
        }
        if self.test_reset {
            all = all.route("/__reset", post(reset));
        }
        all.with_state(Arc::new(Stores {
            registry: self.registry,
            tracking: self.tracking,
            artifacts: ArtifactStore::new(self.artifacts),
        }))
    }
}

/// POST /__reset: no model, no run, no artifact.
async fn reset(axum::extract::State(stores): Shared) -> error::ApiResult {
    stores.registry.clear().await?;
    stores.tracking.clear().await?;
    stores.artifacts.delete(&ArtifactPath::default()).await?;
    Ok(axum::Json(serde_json::json!({})))
}

impl fmt::Debug for MlflowServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MlflowServer")
            .field("artifacts", &self.artifacts.to_string())
            .finish_non_exhaustive()
    }
}

/// Microseconds since 1970: a server reads the clock here and nowhere deeper.
fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn now_millis() -> i64 {
    now_micros() / 1000
}
