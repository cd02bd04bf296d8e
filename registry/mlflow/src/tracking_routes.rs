//! Which path of the tracking API is whose.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::{Stores, experiments, metrics, runs};

/// Experiments, runs and metrics, without a prefix.
pub(crate) fn routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/experiments/create", post(experiments::create))
        .route("/experiments/get", get(experiments::get))
        .route("/experiments/get-by-name", get(experiments::get_by_name))
        .route(
            "/experiments/search",
            get(experiments::search).post(experiments::search),
        )
        .route("/runs/create", post(runs::create))
        .route("/runs/get", get(runs::get))
        .route("/runs/update", post(runs::update))
        .route("/runs/search", post(runs::search))
        .route("/runs/log-metric", post(metrics::log_metric))
        .route("/runs/log-parameter", post(metrics::log_parameter))
        .route("/runs/set-tag", post(metrics::set_tag))
        .route("/runs/log-batch", post(metrics::log_batch))
        .route("/metrics/get-history", get(metrics::history))
}
