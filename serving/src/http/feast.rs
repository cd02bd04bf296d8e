//! The shapes of Feast's feature server, so that its clients read and write our online store.
//!
//! Left out: `/search` and the vector store routes.

mod answer;
mod erase;
mod materialize;
mod read;
mod refusal;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use foretell_features::Offline;

use super::App;
use crate::error::ServeError;
pub(crate) use materialize::Materializing;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/get-online-features", post(read::get_online_features))
        .route("/push", post(write::push))
        .route("/write-to-online-store", post(write::write_to_online_store))
        .route("/materialize", post(materialize::materialize))
        .route("/materialize-incremental", post(materialize::materialize_incremental))
        .route("/v1/erase", post(erase::erase))
        .route("/v1/ingest", post(write::ingest))
        .route("/v1/materialize", post(materialize::materialize_with_report))
}

fn offline_engine(app: &App) -> Result<Arc<dyn Offline>, ServeError> {
    let without = || {
        let advice = "this server has no offline engine; run `foretell features materialize` or use `foretell serve`";
        ServeError::Unsupported(advice.to_owned())
    };
    let engine = app.service.dependencies().offline.clone();
    engine.ok_or_else(without)
}
