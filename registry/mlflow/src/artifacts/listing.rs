//! Files by run, logged model or version.

use std::collections::HashMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures::stream;
use serde_json::json;

use super::path::ArtifactPath;
use super::proxy;
use crate::args::Args;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::logged::logged_model;
use crate::registering::download_place;
use crate::{Shared, Stores, page, runs, versions};

/// What a web page may upload in one piece; clients go through the proxy.
const MAX_UPLOAD: usize = 10 * 1024 * 1024;

/// GET artifacts/list
pub(crate) async fn of_run(State(stores): Shared, args: Args) -> ApiResult {
    let run = stores.tracking.run(&runs::id(&args)?).await?;
    under(&stores, &run.info.artifact_uri, args.text("path")?).await
}

/// GET logged-models/{model_id}/artifacts/directories
pub(crate) async fn of_logged_model(State(stores): Shared, Path(id): Path<String>, args: Args) -> ApiResult {
    let model = logged_model(&stores, &id).await?;
    under(&stores, &model.artifact_uri, args.text("artifact_directory_path")?).await
}

/// GET logged-models/{model_id}/artifacts/files
pub(crate) async fn file_of_logged_model(
    State(stores): Shared,
    Path(id): Path<String>,
    args: Args,
) -> Result<Response, ApiError> {
    let model = logged_model(&stores, &id).await?;
    file(&stores, &model.artifact_uri, args.required("artifact_file_path")?).await
}

/// GET get-artifact
pub(crate) async fn file_of_run(State(stores): Shared, args: Args) -> Result<Response, ApiError> {
    let run = stores.tracking.run(&runs::id(&args)?).await?;
    file(&stores, &run.info.artifact_uri, args.required("path")?).await
}

/// GET model-versions/get-artifact
pub(crate) async fn file_of_version(State(stores): Shared, args: Args) -> Result<Response, ApiError> {
    let version = versions::asked(&stores, &args).await?;
    let place = download_place(&stores, &version).await?;
    file(&stores, &place, args.required("path")?).await
}

/// POST upload-artifact?run_uuid=&path=: the body is the file.
pub(crate) async fn upload_to_run(
    State(stores): Shared,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> ApiResult {
    if body.len() > MAX_UPLOAD {
        return Err(ApiError::invalid("Artifact size is too large. Max size is 10MB."));
    }
    if body.is_empty() {
        return Err(ApiError::invalid("Request must specify data."));
    }
    let text = |key: &str| query.get(key).map_or("", String::as_str);
    if text("run_uuid").is_empty() {
        return Err(ApiError::invalid("Request must specify run_uuid."));
    }
    let path = ArtifactPath::parse(text("path"))?;
    if path.is_root() {
        return Err(ApiError::invalid("Request must specify path."));
    }
    let run = stores.tracking.run(&text("run_uuid").parse()?).await?;
    let place = root(&run.info.artifact_uri)?.join(&path);
    let whole = stream::iter([Ok(body)]);
    stores.artifacts.put(&place, whole).await?;
    Ok(Json(json!({})))
}

async fn file(stores: &Stores, root_uri: &str, path: &str) -> Result<Response, ApiError> {
    let place = root(root_uri)?.join(&ArtifactPath::parse(path)?);
    proxy::download(stores, &place).await
}

/// What lies in a folder under a root; paths are told from the root on.
async fn under(stores: &Stores, root_uri: &str, folder: Option<&str>) -> ApiResult {
    let folder = ArtifactPath::parse(folder.unwrap_or(""))?;
    let entries = proxy::entries(stores, &root(root_uri)?.join(&folder)).await?;
    let mut answer = page::answer("files", proxy::files(&entries, folder.as_str()), None);
    answer["root_uri"] = root_uri.into();
    Ok(Json(answer))
}

/// Files that are not in our store are the client's to read: the server opens no address that a client named.
fn root(uri: &str) -> Result<ArtifactPath, ApiError> {
    ArtifactPath::of_uri(uri).ok_or_else(|| {
        ApiError::new(
            ErrorCode::NotImplemented,
            format!("artifacts at '{uri}' are not in this server's artifact store; look for them there"),
        )
    })
}
