//! Experiments.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{ExperimentQuery, NewExperiment, View};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::filter::{experiment_conditions, experiment_order};
use crate::{Shared, now_millis, page, wire};

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
    let found = stores
        .tracking
        .experiment(args.required("experiment_id")?.parse()?)
        .await?;
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

/// Active ones unless said otherwise.
pub(crate) fn view(args: &Args, key: &str) -> Result<View, ApiError> {
    let Some(word) = args.text(key)? else {
        return Ok(View::ActiveOnly);
    };
    View::from_word(word).ok_or_else(|| crate::args::wrong(key, &word.into()))
}
