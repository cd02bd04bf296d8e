//! The files of runs, logged models and packages: MLflow's artifacts proxy, and what its web pages ask for.

mod listing;
mod multipart;
mod packages;
mod path;
mod proxy;
mod range;
mod store;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

pub(crate) use path::ArtifactPath;
pub(crate) use store::{ArtifactStore, StoredFile};

use crate::Stores;

/// What lies under `/mlflow-artifacts`. Uploads have no limit: they go to the store in parts.
pub(crate) fn proxy_routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/artifacts", get(proxy::list))
        .route(
            "/artifacts/{*path}",
            get(proxy::get).put(proxy::put).delete(proxy::delete),
        )
        .route("/mpu/create/{*path}", post(multipart::create))
        .route("/mpu/part/{upload}/{number}", put(multipart::put_part))
        .route("/mpu/complete/{*path}", post(multipart::complete))
        .route("/mpu/abort/{*path}", post(multipart::abort))
        .route("/presigned/{*path}", get(proxy::presigned))
        .layer(DefaultBodyLimit::disable())
}

/// Routes of the API proper that are about files.
pub(crate) fn api_routes() -> Router<Arc<Stores>> {
    Router::new()
        .route("/artifacts/list", get(listing::of_run))
        .route(
            "/logged-models/{model_id}/artifacts/directories",
            get(listing::of_logged_model),
        )
        .route(
            "/logged-models/{model_id}/artifacts/files",
            get(listing::file_of_logged_model),
        )
        .route("/get-artifact", get(listing::file_of_run))
        .route("/model-versions/get-artifact", get(listing::file_of_version))
        .route("/upload-artifact", post(listing::upload_to_run))
        .route(
            "/artifacts/presigned-upload-url",
            post(proxy::no_presigned_url_for_proxied),
        )
        .route(
            "/artifacts/presigned-download-url",
            post(proxy::no_presigned_url_for_proxied),
        )
}
