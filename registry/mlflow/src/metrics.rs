//! What is logged to a run, and the history of a metric.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{Batch, Metric};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::{Shared, page, runs, wire};

/// POST runs/log-metric
pub(crate) async fn log_metric(State(stores): Shared, args: Args) -> ApiResult {
    stores.tracking.log_metric(&runs::id(&args)?, metric(&args)?).await?;
    Ok(Json(json!({})))
}

/// POST runs/log-parameter
pub(crate) async fn log_parameter(State(stores): Shared, args: Args) -> ApiResult {
    let (key, value) = (args.required("key")?, args.text("value")?.unwrap_or(""));
    stores.tracking.log_param(&runs::id(&args)?, key, value).await?;
    Ok(Json(json!({})))
}

/// POST runs/set-tag
pub(crate) async fn set_tag(State(stores): Shared, args: Args) -> ApiResult {
    let (key, value) = (args.required("key")?, args.text("value")?.unwrap_or(""));
    stores.tracking.set_tag(&runs::id(&args)?, key, value).await?;
    Ok(Json(json!({})))
}

/// POST runs/log-batch: unlike MLflow's, all of it or nothing.
pub(crate) async fn log_batch(State(stores): Shared, args: Args) -> ApiResult {
    let batch = Batch {
        metrics: args.messages("metrics")?.iter().map(metric).collect::<Result<_, _>>()?,
        params: args.key_values("params")?,
        tags: args.key_values("tags")?,
    };
    stores.tracking.log_batch(&runs::id(&args)?, &batch).await?;
    Ok(Json(json!({})))
}

/// GET metrics/get-history
pub(crate) async fn history(State(stores): Shared, args: Args) -> ApiResult {
    let (run, key) = (runs::id(&args)?, args.required("metric_key")?);
    let (limit, offset) = (args.max_results(u32::MAX, u32::MAX)?, page::offset(&args)?);
    let found = stores.tracking.metric_history(&run, key, limit, offset).await?;
    Ok(Json(page::answer(
        "metrics",
        found.items.iter().map(wire::metric).collect(),
        found.next_offset,
    )))
}

fn metric(args: &Args) -> Result<Metric, ApiError> {
    Ok(Metric {
        key: args.required("key")?.to_owned(),
        value: args.number("value")?.ok_or_else(|| ApiError::missing("value"))?,
        time: args
            .integer("timestamp")?
            .ok_or_else(|| ApiError::missing("timestamp"))?,
        step: args.integer("step")?.unwrap_or(0),
    })
}
