//! Registered models and their aliases.

use axum::extract::State;
use axum::{Extension, Json};
use foretell_registry::{ModelState, RegistryError, Stamp, VersionRef, check_alias, check_model_name};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::filter::{CatalogFilter, sort_models};
use crate::{Actor, Shared, Stores, now_micros, page, versions, wire};

/// GET registered-models/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let model = stores.registry.model(name(&args)?).await?;
    Ok(Json(json!({ "registered_model": wire::registered_model(&model) })))
}

/// GET registered-models/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let filter = CatalogFilter::of_models(args.text("filter")?.unwrap_or(""))?;
    let limit = args.max_results(100, 1000)?;
    let mut models = candidates(&stores, &filter).await?;
    models.retain(|it| filter.takes_model(it));
    sort_models(&mut models, &args.texts("order_by")?)?;
    let (models, next) = page::cut(models, page::offset(&args)?, limit);
    let models = models.iter().map(wire::registered_model).collect();
    Ok(Json(page::answer("registered_models", models, next)))
}

/// GET registered-models/alias
pub(crate) async fn alias(State(stores): Shared, args: Args) -> ApiResult {
    let (name, alias) = (name(&args)?, args.required("alias")?);
    let version = match alias.eq_ignore_ascii_case("latest") {
        true => VersionRef::Latest,
        false => VersionRef::Alias(alias.to_owned()),
    };
    let version = stores.registry.resolve(name, &version).await?;
    Ok(Json(json!({ "model_version": wire::model_version(&version) })))
}

/// POST registered-models/alias
pub(crate) async fn set_alias(State(stores): Shared, actor: Option<Extension<Actor>>, args: Args) -> ApiResult {
    let (name, alias, version) = (name(&args)?, args.required("alias")?, versions::number(&args)?);
    check_alias(alias)?;
    stores.registry.set_alias(name, alias, version, &stamp(actor)).await?;
    Ok(Json(json!({})))
}

/// DELETE registered-models/alias; deleting what is not there is fine.
pub(crate) async fn delete_alias(State(stores): Shared, actor: Option<Extension<Actor>>, args: Args) -> ApiResult {
    let (name, alias) = (name(&args)?, args.required("alias")?);
    stores.registry.delete_alias(name, alias, &stamp(actor)).await?;
    Ok(Json(json!({})))
}

/// The name of a model, in a form that a model can have.
pub(crate) fn name(args: &Args) -> Result<&str, ApiError> {
    let name = args.required("name")?;
    check_model_name(name)?;
    Ok(name)
}

/// The models that a filter can take at all: one, if it names it.
pub(crate) async fn candidates(stores: &Stores, filter: &CatalogFilter) -> Result<Vec<ModelState>, ApiError> {
    let Some(name) = filter.name() else {
        return Ok(stores.registry.list_models().await?);
    };
    match stores.registry.model(name).await {
        Ok(model) => Ok(vec![model]),
        Err(RegistryError::UnknownModel { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn stamp(actor: Option<Extension<Actor>>) -> Stamp {
    let actor = actor.map_or_else(|| "anonymous".to_owned(), |Extension(it)| it.0);
    Stamp::new(actor, now_micros()).because("through the MLflow API")
}
