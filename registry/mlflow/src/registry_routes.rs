//! Which path of the model registry API is whose.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, patch, post};

use crate::{Stores, aliases, models, registering, versions};

/// Registered models, aliases and model versions, without a prefix.
pub(crate) fn routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/registered-models/create", post(models::create))
        .route("/registered-models/get", get(models::get))
        .route("/registered-models/rename", post(models::rename))
        .route("/registered-models/update", patch(models::update))
        .route("/registered-models/delete", delete(models::delete))
        .route("/registered-models/search", get(models::search))
        .route(
            "/registered-models/get-latest-versions",
            get(models::latest_versions).post(models::latest_versions),
        )
        .route("/registered-models/set-tag", post(models::set_tag))
        .route("/registered-models/delete-tag", delete(models::delete_tag))
        .route(
            "/registered-models/alias",
            get(aliases::get).post(aliases::set).delete(aliases::delete),
        )
        .route("/model-versions/create", post(registering::create))
        .route("/model-versions/get", get(versions::get))
        .route("/model-versions/update", patch(versions::update))
        .route("/model-versions/transition-stage", post(versions::transition_stage))
        .route("/model-versions/delete", delete(versions::delete))
        .route("/model-versions/search", get(versions::search))
        .route("/model-versions/get-download-uri", get(registering::download_uri))
        .route("/model-versions/set-tag", post(versions::set_tag))
        .route("/model-versions/delete-tag", delete(versions::delete_tag))
}
