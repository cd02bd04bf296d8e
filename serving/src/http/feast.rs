//! The shapes of Feast's feature server, so that its clients read and write our online store.
//!
//! Left out: `/search` and the vector store routes, and offline writes of `/push` (`to = "offline"`).

mod frame;
mod read;
mod write;

use axum::Router;
use axum::routing::post;

use super::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/get-online-features", post(read::get_online_features))
        .route("/push", post(write::push))
        .route("/write-to-online-store", post(write::write_to_online_store))
        .route("/materialize", post(write::materialize))
        .route("/materialize-incremental", post(write::materialize_incremental))
        .route("/v1/materialize", post(write::materialize_with_report))
}
