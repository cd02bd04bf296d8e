//! Which path of the tracking API is whose.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, patch, post};

use crate::{Stores, experiments, history, inputs, logged_models, metrics, runs};

/// Experiments, runs, metrics, data sets and logged models, without a prefix.
pub(crate) fn routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/experiments/create", post(experiments::create))
        .route("/experiments/get", get(experiments::get))
        .route("/experiments/get-by-name", get(experiments::get_by_name))
        .route(
            "/experiments/search",
            get(experiments::search).post(experiments::search),
        )
        .route("/experiments/update", post(experiments::update))
        .route("/experiments/delete", post(experiments::delete))
        .route("/experiments/restore", post(experiments::restore))
        .route("/experiments/set-experiment-tag", post(experiments::set_tag))
        .route("/experiments/delete-experiment-tag", post(experiments::delete_tag))
        .route("/experiments/search-datasets", post(inputs::search_datasets))
        .route("/runs/create", post(runs::create))
        .route("/runs/get", get(runs::get))
        .route("/runs/update", post(runs::update))
        .route("/runs/delete", post(runs::delete))
        .route("/runs/restore", post(runs::restore))
        .route("/runs/search", post(runs::search))
        .route("/runs/log-metric", post(metrics::log_metric))
        .route("/runs/log-parameter", post(metrics::log_parameter))
        .route("/runs/set-tag", post(metrics::set_tag))
        .route("/runs/delete-tag", post(metrics::delete_tag))
        .route("/runs/log-batch", post(metrics::log_batch))
        .route("/runs/log-inputs", post(inputs::log_inputs))
        .route("/runs/outputs", post(inputs::log_outputs))
        .route("/runs/log-model", post(logged_models::log_legacy))
        .route("/metrics/get-history", get(history::history))
        .route("/metrics/get-history-bulk", get(history::bulk))
        .route("/metrics/get-history-bulk-interval", get(history::bulk_interval))
        .merge(logged_model_routes())
}

/// A key of a tag may hold slashes.
fn logged_model_routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/logged-models", post(logged_models::create))
        .route("/logged-models/search", post(logged_models::search))
        .route(
            "/logged-models/{model_id}",
            get(logged_models::get)
                .patch(logged_models::finalize)
                .delete(logged_models::delete),
        )
        .route("/logged-models/{model_id}/tags", patch(logged_models::set_tags))
        .route(
            "/logged-models/{model_id}/tags/{*key}",
            delete(logged_models::delete_tag),
        )
        .route("/logged-models/{model_id}/params", post(logged_models::log_params))
}
