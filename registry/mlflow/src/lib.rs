//! MLflow's REST API over our registry and tracking, so that `mlflow` clients work unchanged.
//!
//! Served under `/api/2.0/mlflow` and `/ajax-api/2.0/mlflow`: registered models (get, search, aliases), model versions
//! (get, search, download address), experiments, runs and metrics. What is not listed in [`router`] is absent: it answers
//! 404 `ENDPOINT_NOT_FOUND`. Access control is not here: it is a layer around the router, which may add an [`Actor`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use foretell_registry::Registry;
use foretell_tracking::Tracking;

mod args;
mod error;
mod experiments;
mod filter;
mod metrics;
mod models;
mod page;
mod runs;
mod tracking_routes;
mod versions;
mod wire;

pub use error::{ApiError, ErrorCode};
pub use foretell_registry::Actor;

/// What the handlers work on.
#[derive(Debug)]
struct Stores {
    registry: Arc<Registry>,
    tracking: Arc<Tracking>,
}

type Shared = axum::extract::State<Arc<Stores>>;

/// MLflow's routes under both of their prefixes.
pub fn router(registry: Arc<Registry>, tracking: Arc<Tracking>) -> Router {
    let stores = Arc::new(Stores { registry, tracking });
    let api = Router::new()
        .route("/registered-models/get", get(models::get))
        .route("/registered-models/search", get(models::search))
        .route(
            "/registered-models/alias",
            get(models::alias).post(models::set_alias).delete(models::delete_alias),
        )
        .route("/model-versions/get", get(versions::get))
        .route("/model-versions/search", get(versions::search))
        .route("/model-versions/get-download-uri", get(versions::download_uri))
        .merge(tracking_routes::routes())
        .fallback(error::no_endpoint)
        .with_state(stores);
    Router::new()
        .nest("/api/2.0/mlflow", api.clone())
        .nest("/ajax-api/2.0/mlflow", api)
}

/// Microseconds since 1970: a server reads the clock here and nowhere deeper.
fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn now_millis() -> i64 {
    now_micros() / 1000
}
