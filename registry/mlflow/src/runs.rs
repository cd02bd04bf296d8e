//! Runs.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{DEFAULT_EXPERIMENT, ExperimentId, NewRun, RunId, RunQuery, RunStatus, RunUpdate};
use serde_json::json;

use crate::args::{self, Args};
use crate::error::{ApiError, ApiResult};
use crate::experiments::view;
use crate::filter::{run_conditions, run_order};
use crate::{Shared, now_millis, page, tracked_wire as wire};

const DEFAULT_RESULTS: u32 = 1000;
const MAX_RESULTS: u32 = 50_000;

/// POST runs/create
pub(crate) async fn create(State(stores): Shared, args: Args) -> ApiResult {
    let experiment_id = match args.text("experiment_id")?.filter(|it| !it.is_empty()) {
        Some(id) => id.parse()?,
        None => DEFAULT_EXPERIMENT,
    };
    let new = NewRun {
        experiment_id,
        name: args.text("run_name")?.map(str::to_owned),
        user_id: args.text("user_id")?.unwrap_or("").to_owned(),
        start_time: args.integer("start_time")?.unwrap_or_else(now_millis),
        tags: args.key_values("tags")?.into_iter().collect(),
    };
    let run = stores.tracking.create_run(&new).await?;
    Ok(Json(json!({ "run": wire::run(&run) })))
}

/// GET runs/get
pub(crate) async fn get(State(stores): Shared, args: Args) -> ApiResult {
    let run = stores.tracking.run(&id(&args)?).await?;
    Ok(Json(json!({ "run": wire::run(&run) })))
}

/// POST runs/update
pub(crate) async fn update(State(stores): Shared, args: Args) -> ApiResult {
    let update = RunUpdate {
        status: args.text("status")?.map(status).transpose()?,
        end_time: args.integer("end_time")?,
        name: args.text("run_name")?.map(str::to_owned),
    };
    let info = stores.tracking.update_run(&id(&args)?, &update).await?;
    Ok(Json(json!({ "run_info": wire::run_info(&info) })))
}

/// POST runs/delete
pub(crate) async fn delete(State(stores): Shared, args: Args) -> ApiResult {
    stores.tracking.delete_run(&id(&args)?).await?;
    Ok(Json(json!({})))
}

/// POST runs/restore
pub(crate) async fn restore(State(stores): Shared, args: Args) -> ApiResult {
    stores.tracking.restore_run(&id(&args)?).await?;
    Ok(Json(json!({})))
}

/// POST runs/search
pub(crate) async fn search(State(stores): Shared, args: Args) -> ApiResult {
    let query = RunQuery {
        experiments: experiments(&args)?,
        conditions: run_conditions(args.text("filter")?.unwrap_or(""))?,
        order: run_order(&args.texts("order_by")?)?,
        view: view(&args, "run_view_type")?,
        limit: args.max_results(DEFAULT_RESULTS, MAX_RESULTS)?,
        offset: page::offset(&args)?,
    };
    let found = stores.tracking.search_runs(&query).await?;
    Ok(Json(page::answer(
        "runs",
        found.items.iter().map(wire::run).collect(),
        found.next_offset,
    )))
}

/// The experiments to look in.
pub(crate) fn experiments(args: &Args) -> Result<Vec<ExperimentId>, ApiError> {
    let ids = args.texts("experiment_ids")?;
    Ok(ids.iter().map(|it| it.parse()).collect::<Result<_, _>>()?)
}

/// The run meant: `run_id`, from old clients `run_uuid`.
pub(crate) fn id(args: &Args) -> Result<RunId, ApiError> {
    let id = args.text("run_id")?.filter(|it| !it.is_empty());
    let id = id
        .or(args.text("run_uuid")?.filter(|it| !it.is_empty()))
        .ok_or_else(|| ApiError::missing("run_id"))?;
    parse_id("run_id", id)
}

pub(crate) fn parse_id(parameter: &str, id: &str) -> Result<RunId, ApiError> {
    let wrong = |_| {
        let id = json!(id);
        ApiError::invalid(format!("Invalid value {id} for parameter '{parameter}' supplied."))
    };
    id.parse().map_err(wrong)
}

fn status(word: &str) -> Result<RunStatus, ApiError> {
    RunStatus::from_word(word).ok_or_else(|| args::wrong("status", &word.into()))
}
