//! Logged models: files that a run made, with what was measured of them.

use axum::Json;
use axum::extract::{Path, State};
use foretell_tracking::{LoggedModel, MeasuredOn, ModelId, ModelOrder, ModelQuery, ModelStatus, NewLoggedModel};
use serde_json::{Value, json};

use crate::args::{self, Args};
use crate::error::{ApiError, ApiResult};
use crate::filter::{model_conditions, model_order};
use crate::query_token::QueryToken;
use crate::tracking_errors::python_list;
use crate::{Shared, now_millis, page, runs, tracked_wire as wire};

const DEFAULT_RESULTS: u32 = 50;
const MAX_RESULTS: u32 = 50_000;
/// The tag in which old clients find the models of a run.
const LEGACY_TAG: &str = "mlflow.log-model.history";

/// POST logged-models
pub(crate) async fn create(State(stores): Shared, args: Args) -> ApiResult {
    let given = |key: &str| Ok::<_, ApiError>(args.text(key)?.filter(|it| !it.is_empty()).map(str::to_owned));
    let new = NewLoggedModel {
        experiment_id: args.required("experiment_id")?.parse()?,
        name: given("name")?,
        model_type: given("model_type")?,
        source_run_id: given("source_run_id")?,
        params: args.key_values("params")?,
        tags: args.key_values("tags")?,
        time: now_millis(),
    };
    check_name(new.name.as_deref())?;
    answer(&stores.tracking.create_logged_model(&new).await?)
}

/// GET logged-models/{model_id}
pub(crate) async fn get(State(stores): Shared, Path(id): Path<String>, args: Args) -> ApiResult {
    let deleted_too = args.flag("allow_deleted")?.unwrap_or(false);
    answer(&stores.tracking.logged_model(&model_id(&id)?, deleted_too).await?)
}

/// PATCH logged-models/{model_id}
pub(crate) async fn finalize(State(stores): Shared, Path(id): Path<String>, args: Args) -> ApiResult {
    let status = status(&args)?;
    let id = model_id(&id)?;
    answer(&stores.tracking.finalize_logged_model(&id, status, now_millis()).await?)
}

/// DELETE logged-models/{model_id}
pub(crate) async fn delete(State(stores): Shared, Path(id): Path<String>) -> ApiResult {
    stores
        .tracking
        .delete_logged_model(&model_id(&id)?, now_millis())
        .await?;
    Ok(Json(json!({})))
}

/// PATCH logged-models/{model_id}/tags
pub(crate) async fn set_tags(State(stores): Shared, Path(id): Path<String>, args: Args) -> ApiResult {
    let tags = args.key_values("tags")?;
    stores.tracking.set_logged_model_tags(&model_id(&id)?, &tags).await?;
    Ok(Json(json!({})))
}

/// DELETE logged-models/{model_id}/tags/{key}
pub(crate) async fn delete_tag(State(stores): Shared, Path((id, key)): Path<(String, String)>) -> ApiResult {
    stores.tracking.delete_logged_model_tag(&model_id(&id)?, &key).await?;
    Ok(Json(json!({})))
}

/// POST logged-models/{model_id}/params
pub(crate) async fn log_params(State(stores): Shared, Path(id): Path<String>, args: Args) -> ApiResult {
    let params = args.key_values("params")?;
    stores
        .tracking
        .log_logged_model_params(&model_id(&id)?, &params)
        .await?;
    Ok(Json(json!({})))
}

/// POST logged-models/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let experiments = runs::experiments(&args)?;
    if experiments.is_empty() {
        return Err(ApiError::missing("experiment_ids"));
    }
    let filter = args.text("filter")?.unwrap_or("");
    let order = args
        .messages("order_by")?
        .iter()
        .map(order)
        .collect::<Result<Vec<_>, _>>()?;
    let token = QueryToken::of(&[
        (
            "Experiment IDs in the page token do not match the requested experiment IDs",
            format!("{experiments:?}"),
        ),
        (
            "Filter string in the page token does not match the requested filter string",
            filter.to_owned(),
        ),
        (
            "Order by in the page token does not match the requested order by",
            format!("{order:?}"),
        ),
    ]);
    let query = ModelQuery {
        experiments,
        conditions: model_conditions(filter)?,
        datasets: args
            .messages("datasets")?
            .iter()
            .map(dataset)
            .collect::<Result<_, _>>()?,
        order,
        limit: args.max_results(DEFAULT_RESULTS, MAX_RESULTS)?,
        offset: token.offset(args.text("page_token")?)?,
    };
    let found = stores.tracking.search_logged_models(&query).await?;
    let mut body = page::answer("models", found.items.iter().map(wire::logged_model).collect(), None);
    if let Some(offset) = found.next_offset {
        body["next_page_token"] = token.at(offset).into();
    }
    Ok(Json(body))
}

/// POST runs/log-model, which clients before logged models send: the model is noted in a tag of its run.
pub(crate) async fn log_legacy(State(stores): Shared, args: Args) -> ApiResult {
    let (run, text) = (runs::id(&args)?, args.required("model_json")?);
    let malformed = |_| ApiError::invalid(format!("Malformed model info. \n {text} \n is not a valid JSON."));
    let model: Value = serde_json::from_str(text).map_err(malformed)?;
    let mandatory = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let missing = mandatory.into_iter().filter(|it| model.get(it).is_none());
    let missing: Vec<String> = missing.map(str::to_owned).collect();
    if !missing.is_empty() {
        let missing = python_list(&missing).replace('[', "{").replace(']', "}");
        return Err(ApiError::invalid(format!(
            "Model json is missing mandatory fields: {missing}"
        )));
    }
    stores
        .tracking
        .append_to_tag(&run, LEGACY_TAG, &model.to_string())
        .await?;
    Ok(Json(json!({})))
}

fn answer(model: &LoggedModel) -> ApiResult {
    Ok(Json(json!({ "model": wire::logged_model(model) })))
}

/// What no id can be is not there.
fn model_id(text: &str) -> Result<ModelId, ApiError> {
    let absent = |_| ApiError::absent(format!("Logged model with ID '{text}' not found."));
    text.parse().map_err(absent)
}

fn check_name(name: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = name else { return Ok(()) };
    foretell_tracking::check_logged_model_name(name).map_err(|_| {
        ApiError::invalid(format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        ))
    })
}

/// By name or by number.
fn status(args: &Args) -> Result<ModelStatus, ApiError> {
    let by_number = args.integer("status").ok().flatten();
    let status = match by_number {
        Some(1) => Some(ModelStatus::Pending),
        Some(2) => Some(ModelStatus::Ready),
        Some(3) => Some(ModelStatus::Failed),
        _ => ModelStatus::from_word(args.required("status")?),
    };
    let wrong = || args::wrong("status", &args.text("status").ok().flatten().into());
    status.ok_or_else(wrong)
}

fn dataset(args: &Args) -> Result<MeasuredOn, ApiError> {
    let name = args.text("dataset_name")?.filter(|it| !it.is_empty());
    let missing = || ApiError::invalid("`dataset_name` in the `datasets` clause must be specified.");
    Ok(MeasuredOn {
        name: name.ok_or_else(missing)?.to_owned(),
        digest: digest(args)?,
    })
}

fn digest(args: &Args) -> Result<Option<String>, ApiError> {
    Ok(args
        .text("dataset_digest")?
        .filter(|it| !it.is_empty())
        .map(str::to_owned))
}

fn order(args: &Args) -> Result<ModelOrder, ApiError> {
    let name = args.text("dataset_name")?.filter(|it| !it.is_empty());
    let digest = digest(args)?;
    if digest.is_some() && name.is_none() {
        return Err(ApiError::invalid(
            "`dataset_digest` can only be specified if `dataset_name` is also specified.",
        ));
    }
    let descending = !args.flag("ascending")?.unwrap_or(true);
    Ok(ModelOrder {
        by: model_order(args.required("field_name")?, descending)?,
        dataset: name.map(|name| MeasuredOn {
            name: name.to_owned(),
            digest,
        }),
    })
}
