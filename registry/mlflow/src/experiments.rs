//! Experiments.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{ExperimentId, ExperimentQuery, NewExperiment, TrackingError, View};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::filter::{experiment_conditions, experiment_order};
use crate::tracking_errors::no_experiment;
use crate::{Shared, now_millis, page, tracked_wire as wire};

const MAX_RESULTS: u32 = 50_000;

/// POST experiments/create
pub(crate) async fn create(State(stores): Shared, args: Args) -> ApiResult {
    let new = NewExperiment {
        name: args.required("name")?.to_owned(),
        artifact_location: args.text("artifact_location")?.map(str::to_owned),
        tags: args.key_values("tags")?.into_iter().collect(),
        time: now_millis(),
    };
    let made = stores.tracking.create_experiment(&new).await?;
    Ok(Json(json!({ "experiment_id": made.id.to_string() })))
}

/// GET experiments/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let found = stores.tracking.experiment(id(&args)?).await?;
    Ok(Json(json!({ "experiment": wire::experiment(&found) })))
}

/// GET experiments/get-by-name
pub(crate) async fn get_by_name(State(stores): Shared, args: Args) -> ApiResult {
    let name = args.required("experiment_name")?;
    let found = stores.tracking.experiment_by_name(name).await?;
    let found = found.ok_or_else(|| ApiError::absent(format!("Could not find experiment with name '{name}'")))?;
    Ok(Json(json!({ "experiment": wire::experiment(&found) })))
}

/// POST and GET experiments/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    if args.integer("max_results")?.is_none() {
        return Err(ApiError::missing("max_results"));
    }
    let query = ExperimentQuery {
        conditions: experiment_conditions(args.text("filter")?.unwrap_or(""))?,
        order: experiment_order(&args.texts("order_by")?)?,
        view: view(&args, "view_type")?,
        limit: args.max_results(MAX_RESULTS, MAX_RESULTS)?,
        offset: page::offset(&args)?,
    };
    let found = stores.tracking.search_experiments(&query).await?;
    let experiments = found.items.iter().map(wire::experiment).collect();
    Ok(Json(page::answer("experiments", experiments, found.next_offset)))
}

/// POST experiments/update: a new name, nothing else can change.
pub(crate) async fn update(State(stores): Shared, args: Args) -> ApiResult {
    let (id, name) = (id(&args)?, args.required("new_name")?);
    let renamed = stores.tracking.rename_experiment(id, name, now_millis()).await;
    renamed.map_err(|error| match error {
        TrackingError::ExperimentLifecycle { .. } => {
            ApiError::new(ErrorCode::InvalidState, "Cannot rename a non-active experiment.")
        }
        error => error.into(),
    })?;
    Ok(Json(json!({})))
}

/// POST experiments/delete
pub(crate) async fn delete(State(stores): Shared, args: Args) -> ApiResult {
    let deleted = stores.tracking.delete_experiment(id(&args)?, now_millis()).await;
    deleted.map_err(absent_in_that_state)?;
    Ok(Json(json!({})))
}

/// POST experiments/restore
pub(crate) async fn restore(State(stores): Shared, args: Args) -> ApiResult {
    let restored = stores.tracking.restore_experiment(id(&args)?, now_millis()).await;
    restored.map_err(absent_in_that_state)?;
    Ok(Json(json!({})))
}

/// POST experiments/set-experiment-tag
pub(crate) async fn set_tag(State(stores): Shared, args: Args) -> ApiResult {
    let (key, value) = (args.required("key")?, args.text("value")?.unwrap_or(""));
    stores.tracking.set_experiment_tag(id(&args)?, key, value).await?;
    Ok(Json(json!({})))
}

/// POST experiments/delete-experiment-tag
pub(crate) async fn delete_tag(State(stores): Shared, args: Args) -> ApiResult {
    let (id, key) = (id(&args)?, args.required("key")?);
    stores.tracking.delete_experiment_tag(id, key).await?;
    Ok(Json(json!({})))
}

fn id(args: &Args) -> Result<ExperimentId, ApiError> {
    Ok(args.required("experiment_id")?.parse()?)
}

/// MLflow looks for an active one to delete and a deleted one to restore.
fn absent_in_that_state(error: TrackingError) -> ApiError {
    match error {
        TrackingError::ExperimentLifecycle { id, .. } => no_experiment(&id),
        error => error.into(),
    }
}

/// Active ones unless said otherwise.
pub(crate) fn view(args: &Args, key: &str) -> Result<View, ApiError> {
    let Some(word) = args.text(key)? else {
        return Ok(View::ActiveOnly);
    };
    View::from_word(word).ok_or_else(|| crate::args::wrong(key, &word.into()))
}
