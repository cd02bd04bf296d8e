//! Aliases of registered models.

use axum::Json;
use axum::extract::State;
use foretell_registry::{VersionRef, check_alias};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::models::name;
use crate::{Caller, Shared, model_wire, versions};

/// GET registered-models/alias
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let (name, alias) = (name(&args)?, args.required("alias")?);
    let model = stores.registry.model(name).await?;
    let version = match alias.eq_ignore_ascii_case("latest") {
        true => model
            .latest()
            .ok_or_else(|| ApiError::absent(format!("Latest version not found for model {name}.")))?,
        false => model.resolve(&VersionRef::Alias(alias.to_owned()))?,
    };
    Ok(Json(json!({ "model_version": model_wire::model_version(&version) })))
}

/// POST registered-models/alias; nothing is recorded when it points there.
pub(crate) async fn set(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, alias, version) = (name(&args)?, args.required("alias")?, versions::number(&args)?);
    check_alias(alias)?;
    stores.registry.set_alias(name, alias, version, &caller.stamp()).await?;
    Ok(Json(json!({})))
}

/// DELETE registered-models/alias; deleting what is not there is fine.
pub(crate) async fn delete(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, alias) = (name(&args)?, args.required("alias")?);
    stores.registry.delete_alias(name, alias, &caller.stamp()).await?;
    Ok(Json(json!({})))
}
