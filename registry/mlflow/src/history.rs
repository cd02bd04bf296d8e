//! The history of metrics.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{RunId, StepRange};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::{Shared, page, runs, tracked_wire as wire};

const MAX_RUNS: usize = 100;
const MAX_BULK: u32 = 25_000;
const MAX_SAMPLE: i64 = 2500;

/// GET metrics/get-history: all of it, unless a page is asked for.
pub(crate) async fn history(State(stores): Shared, args: Args) -> ApiResult {
    let (run, key) = (runs::id(&args)?, args.required("metric_key")?);
    let limit = match args.integer("max_results")? {
        None => u32::MAX,
        Some(asked) if asked > 0 => u32::try_from(asked).unwrap_or(u32::MAX),
        Some(asked) => {
            return Err(ApiError::invalid(format!(
                "Invalid value {asked} for parameter 'max_results' supplied. It must be a positive integer."
            )));
        }
    };
    let found = stores
        .tracking
        .metric_history(&run, key, limit, page::offset(&args)?)
        .await?;
    Ok(Json(page::answer(
        "metrics",
        found.items.iter().map(wire::metric).collect(),
        found.next_offset,
    )))
}

/// GET metrics/get-history-bulk: what a plot of several runs shows. The list is there even when it is empty.
pub(crate) async fn bulk(State(stores): Shared, args: Args) -> ApiResult {
    let ids = args.texts("run_id")?;
    if ids.is_empty() {
        return Err(ApiError::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    let runs = runs_of(&ids, |count| {
        format!("GetMetricHistoryBulk request cannot specify more than {MAX_RUNS} run_ids. Received {count} run_ids.")
    })?;
    let key = args.text("metric_key")?;
    let key = key.ok_or_else(|| ApiError::invalid("GetMetricHistoryBulk request must specify a metric_key."))?;
    let asked = args.integer("max_results")?.unwrap_or(i64::from(MAX_BULK));
    let limit = u32::try_from(asked.max(0)).unwrap_or(MAX_BULK).min(MAX_BULK);
    let found = stores.tracking.metric_history_of(&runs, key, limit).await?;
    let metrics: Vec<_> = found.iter().map(wire::bulk_metric).collect();
    Ok(Json(json!({ "metrics": metrics })))
}

/// GET metrics/get-history-bulk-interval: the same, thinned out.
pub(crate) async fn bulk_interval(State(stores): Shared, args: Args) -> ApiResult {
    let ids = args.texts("run_ids")?;
    if ids.is_empty() {
        return Err(ApiError::missing("run_ids"));
    }
    let runs = runs_of(&ids, |count| {
        format!(
            "GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. Received {count} run_ids."
        )
    })?;
    let key = args.required("metric_key")?;
    let limit = args.integer("max_results")?.unwrap_or(MAX_SAMPLE);
    let limit = u32::try_from(limit)
        .ok()
        .filter(|it| (1..=MAX_SAMPLE).contains(&i64::from(*it)));
    let limit = limit.ok_or_else(|| ApiError::invalid(format!("max_results must be between 1 and {MAX_SAMPLE}.")))?;
    let found = stores
        .tracking
        .sampled_history(&runs, key, steps(&args)?, limit)
        .await?;
    let metrics = found.iter().map(wire::bulk_metric).collect();
    Ok(Json(page::answer("metrics", metrics, None)))
}

fn runs_of(ids: &[String], too_many: impl Fn(usize) -> String) -> Result<Vec<RunId>, ApiError> {
    if ids.len() > MAX_RUNS {
        return Err(ApiError::invalid(too_many(ids.len())));
    }
    ids.iter().map(|it| runs::parse_id("run_ids", it)).collect()
}

fn steps(args: &Args) -> Result<Option<StepRange>, ApiError> {
    match (args.integer("start_step")?, args.integer("end_step")?) {
        (None, None) => Ok(None),
        (Some(start), Some(end)) if start <= end => Ok(Some(StepRange { start, end })),
        (Some(start), Some(end)) => Err(ApiError::invalid(format!(
            "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
        ))),
        _ => Err(ApiError::invalid(
            "If either start step or end step are specified, both must be specified.",
        )),
    }
}
