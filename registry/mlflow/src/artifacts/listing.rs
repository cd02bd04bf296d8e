//! Listings by run or logged model.

use axum::Json;
use axum::extract::State;

use super::path::ArtifactPath;
use super::proxy;
use crate::args::Args;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::{Shared, Stores, page, runs};

/// GET artifacts/list
pub(crate) async fn of_run(State(stores): Shared, args: Args) -> ApiResult {
    let run = stores.tracking.run(&runs::id(&args)?).await?;
    under(&stores, &run.info.artifact_uri, args.text("path")?).await
}

/// What lies in a folder under a root; paths are told from the root on.
async fn under(stores: &Stores, root_uri: &str, folder: Option<&str>) -> ApiResult {
    let folder = ArtifactPath::parse(folder.unwrap_or(""))?;
    let root = ArtifactPath::of_uri(root_uri).ok_or_else(|| elsewhere(root_uri))?;
    let entries = proxy::entries(stores, &root.join(&folder)).await?;
    let mut answer = page::answer("files", proxy::files(&entries, folder.as_str()), None);
    answer["root_uri"] = root_uri.into();
    Ok(Json(answer))
}

/// Files that are not in our store are the client's to read: the server opens no address that a client named.
fn elsewhere(uri: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NotImplemented,
        format!("artifacts at '{uri}' are not in this server's artifact store; list them there"),
    )
}
