//! Model versions once they are there.

use axum::Json;
use axum::extract::State;
use foretell_registry::{ChangeRequest, ModelOp, ModelState, ModelVersion, RegistryError, VersionRow, check_tag};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::filter::{CatalogFilter, version_order};
use crate::stage::Stage;
use crate::{Caller, Shared, Stores, model_wire, models, page};

const MAX_RESULTS: u32 = 200_000;
/// How often a change of several versions is planned anew because one of them was deleted meanwhile.
const PLANS: usize = 3;

/// GET model-versions/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let version = asked(&stores, &args).await?;
    Ok(Json(json!({ "model_version": model_wire::model_version(&version) })))
}

/// PATCH model-versions/update
pub(crate) async fn update(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let version = number(&args)?;
    let describe = ModelOp::SetDescription {
        version: Some(version),
        description: args.text("description")?.unwrap_or("").to_owned(),
    };
    let request = ChangeRequest::new(models::name(&args)?, vec![describe], caller.stamp());
    let version = stores.registry.change(request).await?.version(version)?;
    Ok(Json(json!({ "model_version": model_wire::model_version(&version) })))
}

/// POST model-versions/transition-stage
pub(crate) async fn transition_stage(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, version) = (models::name(&args)?, number(&args)?);
    let stage = Stage::parse(args.required("stage")?)?;
    let archive = args.flag("archive_existing_versions")?.unwrap_or(false);
    if archive && !stage.is_active() {
        return Err(ApiError::invalid(format!(
            "Model version transition cannot archive existing model versions because '{}' is not an Active stage. \
             Valid stages are ['Staging', 'Production']",
            stage.as_str()
        )));
    }
    let mut plans = 0;
    let model = loop {
        let ops = moves(&stores.registry.model(name).await?, version, stage, archive)?;
        plans += 1;
        match stores
            .registry
            .change(ChangeRequest::new(name, ops, caller.stamp()))
            .await
        {
            Err(RegistryError::UnknownVersion { .. }) if plans < PLANS => {}
            done => break done?,
        }
    };
    let moved = model.version(version)?;
    Ok(Json(json!({ "model_version": model_wire::model_version(&moved) })))
}

/// DELETE model-versions/delete
pub(crate) async fn delete(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (name, version) = (models::name(&args)?, number(&args)?);
    stores.registry.delete_version(name, version, &caller.stamp()).await?;
    Ok(Json(json!({})))
}

/// GET model-versions/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let filter = CatalogFilter::of_versions(args.text("filter")?.unwrap_or(""))?;
    let limit = args.max_results(MAX_RESULTS, MAX_RESULTS)?;
    let models = models::candidates(&stores, &filter).await?;
    // Nothing is copied but what is on the page.
    let rows = models.iter().flat_map(ModelState::rows);
    let rows: Vec<VersionRow<'_>> = rows.filter(|it| filter.takes_version(it)).collect();
    let order = version_order(&args.texts("order_by")?)?;
    let (rows, next) = page::cut(rows, order, page::offset(&args)?, limit);
    let versions = rows.iter().map(|it| model_wire::model_version(&it.version())).collect();
    Ok(Json(page::answer("model_versions", versions, next)))
}

/// POST model-versions/set-tag; nothing is recorded when it is set so.
pub(crate) async fn set_tag(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let (key, value) = (args.required("key")?, args.text("value")?.unwrap_or(""));
    let version = asked(&stores, &args).await?;
    check_tag(key, value)?;
    if version.tags.get(key).is_none_or(|it| it != value) {
        let set = ModelOp::SetTag {
            version: Some(version.version),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let request = ChangeRequest::new(version.model, vec![set], caller.stamp());
        stores.registry.change(request).await?;
    }
    Ok(Json(json!({})))
}

/// DELETE model-versions/delete-tag; deleting what is not there is fine.
pub(crate) async fn delete_tag(State(stores): Shared, caller: Caller, args: Args) -> ApiResult {
    let key = args.required("key")?;
    let version = asked(&stores, &args).await?;
    check_tag(key, "")?;
    if version.tags.contains_key(key) {
        let delete = ModelOp::DeleteTag {
            version: Some(version.version),
            key: key.to_owned(),
        };
        let request = ChangeRequest::new(version.model, vec![delete], caller.stamp());
        stores.registry.change(request).await?;
    }
    Ok(Json(json!({})))
}

/// The argument `version`: a text on the wire, a number inside.
pub(crate) fn number(args: &Args) -> Result<u64, ApiError> {
    let text = args.required("version")?;
    let number: i128 = text
        .trim()
        .parse()
        .map_err(|_| ApiError::invalid(format!("Parameter 'version' must be an integer, got '{text}'.")))?;
    // Numbers that no version can have mean a version that is not there.
    u64::try_from(number).map_err(|_| {
        let name = args.text("name").ok().flatten().unwrap_or("");
        ApiError::absent(format!("Model Version (name={name}, version={number}) not found"))
    })
}

pub(crate) async fn asked(stores: &Stores, args: &Args) -> Result<ModelVersion, ApiError> {
    let (name, version) = (models::name(args)?, number(args)?);
    match stores.registry.model(name).await {
        Ok(model) => Ok(model.version(version)?),
        // MLflow looks for the version at once.
        Err(RegistryError::UnknownModel { .. }) => Err(ApiError::absent(format!(
            "Model Version (name={name}, version={version}) not found"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The version to its stage and, if asked, those that are there to the archive: one commit.
fn moves(model: &ModelState, version: u64, stage: Stage, archive: bool) -> Result<Vec<ModelOp>, ApiError> {
    model.version(version)?;
    let to = |version, stage: Stage| ModelOp::SetStage {
        version,
        stage: stage.as_str().to_owned(),
    };
    let mut ops = vec![to(version, stage)];
    if archive {
        let there = model
            .rows()
            .filter(|it| it.number() != version && Stage::of_row(it) == stage);
        ops.extend(there.map(|it| to(it.number(), Stage::Archived)));
    }
    Ok(ops)
}
