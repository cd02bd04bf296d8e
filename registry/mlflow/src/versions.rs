//! Model versions.

use axum::Json;
use axum::extract::State;
use foretell_registry::{ModelVersion, VersionRef};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::filter::{CatalogFilter, sort_versions};
use crate::{Shared, Stores, models, page, wire};

const MAX_RESULTS: u32 = 200_000;

/// GET model-versions/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let version = asked(&stores, &args).await?;
    Ok(Json(json!({ "model_version": wire::model_version(&version) })))
}

/// GET model-versions/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let filter = CatalogFilter::of_versions(args.text("filter")?.unwrap_or(""))?;
    let limit = args.max_results(MAX_RESULTS, MAX_RESULTS)?;
    let models = models::candidates(&stores, &filter).await?;
    let versions = models.iter().flat_map(|it| it.versions());
    let mut versions: Vec<ModelVersion> = versions.filter(|it| filter.takes_version(it)).collect();
    sort_versions(&mut versions, &args.texts("order_by")?)?;
    let (versions, next) = page::cut(versions, page::offset(&args)?, limit);
    let versions = versions.iter().map(wire::model_version).collect();
    Ok(Json(page::answer("model_versions", versions, next)))
}

/// GET model-versions/get-download-uri
pub(crate) async fn download_uri(State(stores): Shared, args: Args) -> ApiResult {
    let version = asked(&stores, &args).await?;
    Ok(Json(json!({ "artifact_uri": wire::source(&version) })))
}

/// The argument `version`: a text on the wire, a number inside.
pub(crate) fn number(args: &Args) -> Result<u64, ApiError> {
    let text = args.required("version")?;
    let wrong = |_| ApiError::invalid(format!("Parameter 'version' must be an integer, got '{text}'."));
    text.parse().map_err(wrong)
}

async fn asked(stores: &Stores, args: &Args) -> Result<ModelVersion, ApiError> {
    let (name, version) = (models::name(args)?, number(args)?);
    Ok(stores.registry.resolve(name, &VersionRef::Version(version)).await?)
}
