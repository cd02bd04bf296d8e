//! What runs read and made: data sets, logged models.

use axum::Json;
use axum::extract::State;
use foretell_tracking::{Dataset, DatasetInput, ModelId, ModelOutput};
use serde_json::json;

use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::{Shared, page, runs, tracked_wire as wire};

const MAX_EXPERIMENTS: usize = 20;

/// POST runs/log-inputs
pub(crate) async fn log_inputs(State(stores): Shared, args: Args) -> ApiResult {
    let datasets = args.messages("datasets")?;
    let datasets = datasets.iter().map(dataset_input).collect::<Result<Vec<_>, _>>()?;
    let models = args.messages("models")?;
    let models = models.iter().map(model_id).collect::<Result<Vec<_>, _>>()?;
    stores
        .tracking
        .log_inputs(&runs::id(&args)?, &datasets, &models)
        .await?;
    Ok(Json(json!({})))
}

/// POST runs/outputs
pub(crate) async fn log_outputs(State(stores): Shared, args: Args) -> ApiResult {
    let run = runs::id(&args)?;
    let models = args.messages("models")?;
    if models.is_empty() {
        return Err(ApiError::missing("models"));
    }
    let output = |args: &Args| {
        Ok(ModelOutput {
            model_id: model_id(args)?,
            step: args.integer("step")?.unwrap_or(0),
        })
    };
    let models = models.iter().map(output).collect::<Result<Vec<_>, ApiError>>()?;
    stores.tracking.log_outputs(&run, &models).await?;
    Ok(Json(json!({})))
}

/// POST experiments/search-datasets
pub(crate) async fn search_datasets(State(stores): Shared, args: Args) -> ApiResult {
    let experiments = runs::experiments(&args)?;
    if experiments.is_empty() {
        return Err(ApiError::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if experiments.len() > MAX_EXPERIMENTS {
        let count = experiments.len();
        return Err(ApiError::invalid(format!(
            "SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. Received {count} \
             experiment_ids."
        )));
    }
    let found = stores.tracking.search_datasets(&experiments).await?;
    let summaries = found.iter().map(wire::dataset_summary).collect();
    Ok(Json(page::answer("dataset_summaries", summaries, None)))
}

fn model_id(args: &Args) -> Result<ModelId, ApiError> {
    Ok(args.required("model_id")?.parse()?)
}

fn dataset_input(args: &Args) -> Result<DatasetInput, ApiError> {
    let it = args.message("dataset")?.ok_or_else(|| ApiError::missing("dataset"))?;
    let optional = |key: &str| Ok::<_, ApiError>(it.text(key)?.filter(|it| !it.is_empty()).map(str::to_owned));
    let dataset = Dataset {
        name: it.required("name")?.to_owned(),
        digest: it.required("digest")?.to_owned(),
        source_type: it.required("source_type")?.to_owned(),
        source: it.required("source")?.to_owned(),
        schema: optional("schema")?,
        profile: optional("profile")?,
    };
    let tags = args.key_values("tags")?.into_iter().collect();
    Ok(DatasetInput { dataset, tags })
}
