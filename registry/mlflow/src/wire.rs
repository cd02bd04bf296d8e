//! Our nouns as MLflow's JSON: snake case, integers as numbers, what is unset or empty left out.

use std::collections::{BTreeMap, BTreeSet};

use foretell_registry::{ModelState, ModelVersion};
use foretell_tracking::{Experiment, Metric, Run, RunInfo};
use serde_json::{Map, Value, json};

const NO_STAGE: &str = "None";

pub(crate) fn registered_model(model: &ModelState) -> Value {
    let mut out = Object::default();
    out.put("name", model.name.as_str());
    out.put("creation_timestamp", millis(model.created_at()));
    out.put("last_updated_timestamp", millis(model.updated_at()));
    out.put_text("description", model.description());
    out.put_list("latest_versions", latest_per_stage(model));
    out.put_list("tags", pairs(model.tags()));
    let alias = |(alias, version): (&String, &u64)| json!({ "alias": alias, "version": version.to_string() });
    out.put_list("aliases", model.aliases().iter().map(alias).collect());
    out.done()
}

/// The newest version of each stage; MLflow leaves out their aliases here.
fn latest_per_stage(model: &ModelState) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let newest_first = model.versions().rev();
    let mut latest: Vec<ModelVersion> = newest_first.filter(|it| seen.insert(stage(it).to_owned())).collect();
    latest.reverse();
    let bare = |it: ModelVersion| {
        model_version(&ModelVersion {
            aliases: Vec::new(),
            ..it
        })
    };
    latest.into_iter().map(bare).collect()
}

pub(crate) fn model_version(version: &ModelVersion) -> Value {
    let mut out = Object::default();
    out.put("name", version.model.as_str());
    out.put("version", version.version.to_string());
    out.put("creation_timestamp", millis(version.created_at));
    out.put("last_updated_timestamp", millis(version.updated_at));
    out.put_text("user_id", &version.actor);
    out.put("current_stage", stage(version));
    out.put_text("description", &version.description);
    out.put("source", source(version));
    out.put_text("run_id", run_id(version).unwrap_or(""));
    out.put("status", "READY");
    out.put_list("tags", pairs(&version.tags));
    out.put_list("aliases", version.aliases.iter().map(|it| json!(it)).collect());
    out.done()
}

fn stage(version: &ModelVersion) -> &str {
    version.stage.as_deref().unwrap_or(NO_STAGE)
}

/// Where the version's files are: what its publisher said, else the package by its digest.
pub(crate) fn source(version: &ModelVersion) -> String {
    let said = version.metadata.get("source").and_then(Value::as_str);
    said.map_or_else(|| format!("foretell:/{}", version.digest), str::to_owned)
}

/// The run that made the version, if its publisher said so.
pub(crate) fn run_id(version: &ModelVersion) -> Option<&str> {
    version.metadata.get("run_id").and_then(Value::as_str)
}

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
    json!({ "info": run_info(&run.info), "data": data.done(), "inputs": {}, "outputs": {} })
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
    let value = match metric.value {
        it if it.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        it => json!(it),
    };
    json!({ "key": metric.key, "value": value, "timestamp": metric.time, "step": metric.step })
}

fn pairs(of: &BTreeMap<String, String>) -> Vec<Value> {
    of.iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}

/// The registry counts microseconds, MLflow milliseconds.
fn millis(micros: i64) -> i64 {
    micros.div_euclid(1000)
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn put_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, value);
        }
    }

    fn put_list(&mut self, key: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.put(key, values);
        }
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}
