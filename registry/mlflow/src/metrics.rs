//! What is logged to a run.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{Batch, MeasuredOn, Metric, ModelMetric, TrackingError};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::{Shared, runs};

/// POST runs/log-metric
pub(crate) async fn log_metric(State(stores): Shared, args: Args) -> ApiResult {
    let (run, metric) = (runs::id(&args)?, metric(&args, "")?);
    match of_model(&args, &metric)? {
        Some(metric) => stores.tracking.log_model_metric(&run, metric).await?,
        None => stores.tracking.log_metric(&run, metric).await?,
    }
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

/// POST runs/delete-tag
pub(crate) async fn delete_tag(State(stores): Shared, args: Args) -> ApiResult {
    stores
        .tracking
        .delete_tag(&runs::id(&args)?, args.required("key")?)
        .await?;
    Ok(Json(json!({})))
}

/// POST runs/log-batch: unlike MLflow's, all of it or nothing.
pub(crate) async fn log_batch(State(stores): Shared, args: Args) -> ApiResult {
    let run = runs::id(&args)?;
    let mut batch = Batch {
        params: pairs(&args, "params")?,
        tags: pairs(&args, "tags")?,
        ..Batch::default()
    };
    for (i, args) in args.messages("metrics")?.iter().enumerate() {
        let metric = metric(args, &format!("metrics[{i}]."))?;
        match of_model(args, &metric)? {
            Some(metric) => batch.model_metrics.push(metric),
            None => batch.metrics.push(metric),
        }
    }
    stores.tracking.log_batch(&run, &batch).await.map_err(in_batch)?;
    Ok(Json(json!({})))
}

/// MLflow words this differently for a batch.
fn in_batch(error: TrackingError) -> ApiError {
    match error {
        TrackingError::ParamChanged { run, key, old, new } => ApiError::invalid(format!(
            "Changing param values is not allowed. Params were already logged='[{{'key': '{key}', 'old_value': '{old}', \
             'new_value': '{new}'}}]' for run ID='{run}'."
        )),
        error => error.into(),
    }
}

/// `path` is where the metric stands in the request.
fn metric(args: &Args, path: &str) -> Result<Metric, ApiError> {
    let missing = |name: &str| ApiError::missing(&format!("{path}{name}"));
    let key = args.text("key")?.filter(|it| !it.is_empty());
    Ok(Metric {
        key: key.ok_or_else(|| missing("key"))?.to_owned(),
        value: args.number("value")?.ok_or_else(|| missing("value"))?,
        time: args.integer("timestamp")?.ok_or_else(|| missing("timestamp"))?,
        step: args.integer("step")?.unwrap_or(0),
    })
}

/// The metric as one of a logged model, if it says so.
fn of_model(args: &Args, metric: &Metric) -> Result<Option<ModelMetric>, ApiError> {
    let text = |key: &str| Ok::<_, ApiError>(args.text(key)?.filter(|it| !it.is_empty()));
    let Some(model) = text("model_id")? else {
        return Ok(None);
    };
    let digest = text("dataset_digest")?.map(str::to_owned);
    let dataset = text("dataset_name")?.map(|name| MeasuredOn {
        name: name.to_owned(),
        digest,
    });
    Ok(Some(ModelMetric {
        model_id: model.parse()?,
        dataset,
        metric: metric.clone(),
    }))
}

fn pairs(args: &Args, list: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pair = |(i, args): (usize, &Args)| {
        let key = args.text("key")?.filter(|it| !it.is_empty());
        let key = key.ok_or_else(|| ApiError::missing(&format!("{list}[{i}].key")))?;
        Ok((key.to_owned(), args.text("value")?.unwrap_or("").to_owned()))
    };
    args.messages(list)?.iter().enumerate().map(pair).collect()
}
