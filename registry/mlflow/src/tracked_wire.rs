//! Experiments, runs, metrics, data sets and logged models as MLflow's JSON.

use foretell_tracking::{
    BulkMetric, DatasetInput, DatasetSummary, Experiment, LoggedMetric, LoggedModel, Metric, ModelId, ModelOutput, Run,
    RunInfo,
};
use serde_json::{Value, json};

use crate::wire::{Object, pairs};

pub(crate) fn experiment(experiment: &Experiment) -> Value {
    let mut out = Object::default();
    out.put("experiment_id", experiment.id.to_string());
    out.put("name", experiment.name.as_str());
    out.put("artifact_location", experiment.artifact_location.as_str());
    out.put("lifecycle_stage", experiment.lifecycle.as_str());
    out.put("creation_time", experiment.creation_time);
    out.put("last_update_time", experiment.last_update_time);
    out.put_list("tags", pairs(&experiment.tags));
    out.done()
}

pub(crate) fn run(run: &Run) -> Value {
    let mut data = Object::default();
    data.put_list("metrics", run.metrics.iter().map(metric).collect());
    data.put_list("params", pairs(&run.params));
    data.put_list("tags", pairs(&run.tags));
    let mut inputs = Object::default();
    inputs.put_list("dataset_inputs", run.datasets.iter().map(dataset_input).collect());
    inputs.put_list("model_inputs", run.model_inputs.iter().map(model_input).collect());
    let mut outputs = Object::default();
    outputs.put_list("model_outputs", run.model_outputs.iter().map(model_output).collect());
    json!({
        "info": run_info(&run.info), "data": data.done(), "inputs": inputs.done(), "outputs": outputs.done(),
    })
}

pub(crate) fn run_info(info: &RunInfo) -> Value {
    let mut out = Object::default();
    out.put("run_id", info.run_id.as_str());
    out.put("run_uuid", info.run_id.as_str());
    out.put("run_name", info.name.as_str());
    out.put("experiment_id", info.experiment_id.to_string());
    out.put("user_id", info.user_id.as_str());
    out.put("status", info.status.as_str());
    out.put("start_time", info.start_time);
    if let Some(end) = info.end_time {
        out.put("end_time", end);
    }
    out.put("artifact_uri", info.artifact_uri.as_str());
    out.put("lifecycle_stage", info.lifecycle.as_str());
    out.done()
}

pub(crate) fn metric(metric: &Metric) -> Value {
    json!({
        "key": metric.key, "value": number(metric.value), "timestamp": metric.time, "step": metric.step,
    })
}

/// JSON has no word for NaN; infinities are stored as the largest numbers.
fn number(value: f64) -> Value {
    if value.is_nan() { json!("NaN") } else { json!(value) }
}

pub(crate) fn bulk_metric(it: &BulkMetric) -> Value {
    let mut out = metric(&it.metric);
    out["run_id"] = it.run_id.as_str().into();
    out
}

fn dataset_input(input: &DatasetInput) -> Value {
    let it = &input.dataset;
    let mut dataset = Object::default();
    dataset.put("name", it.name.as_str());
    dataset.put("digest", it.digest.as_str());
    dataset.put("source_type", it.source_type.as_str());
    dataset.put("source", it.source.as_str());
    dataset.put_text("schema", it.schema.as_deref().unwrap_or(""));
    dataset.put_text("profile", it.profile.as_deref().unwrap_or(""));
    let mut out = Object::default();
    out.put_list("tags", pairs(&input.tags));
    out.put("dataset", dataset.done());
    out.done()
}

fn model_input(id: &ModelId) -> Value {
    json!({ "model_id": id.as_str() })
}

fn model_output(output: &ModelOutput) -> Value {
    json!({ "model_id": output.model_id.as_str(), "step": output.step })
}

pub(crate) fn dataset_summary(it: &DatasetSummary) -> Value {
    let mut out = Object::default();
    out.put("experiment_id", it.experiment_id.to_string());
    out.put("name", it.name.as_str());
    out.put("digest", it.digest.as_str());
    out.put_text("context", it.context.as_deref().unwrap_or(""));
    out.done()
}

pub(crate) fn logged_model(model: &LoggedModel) -> Value {
    let mut info = Object::default();
    info.put("model_id", model.id.as_str());
    info.put("experiment_id", model.experiment_id.to_string());
    info.put("name", model.name.as_str());
    info.put("creation_timestamp_ms", model.creation_time);
    info.put("last_updated_timestamp_ms", model.last_update_time);
    info.put("artifact_uri", model.artifact_uri.as_str());
    info.put("status", model.status.as_str());
    info.put_text("model_type", model.model_type.as_deref().unwrap_or(""));
    info.put_text("source_run_id", model.source_run_id.as_deref().unwrap_or(""));
    info.put_list("tags", pairs(&model.tags));
    let mut data = Object::default();
    data.put_list("params", pairs(&model.params));
    data.put_list("metrics", model.metrics.iter().map(logged_metric).collect());
    json!({ "info": info.done(), "data": data.done() })
}

fn logged_metric(it: &LoggedMetric) -> Value {
    let mut out = Object::default();
    out.put("key", it.of.metric.key.as_str());
    out.put("value", number(it.of.metric.value));
    out.put("timestamp", it.of.metric.time);
    out.put("step", it.of.metric.step);
    out.put("model_id", it.of.model_id.as_str());
    out.put("run_id", it.run_id.as_str());
    if let Some(dataset) = &it.of.dataset {
        out.put("dataset_name", dataset.name.as_str());
        out.put_text("dataset_digest", dataset.digest.as_deref().unwrap_or(""));
    }
    out.done()
}
