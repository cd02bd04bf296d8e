//! Our nouns as MLflow's JSON: snake case, integers as numbers, what is unset or empty left out.

use std::collections::BTreeMap;

use foretell_tracking::{Experiment, Metric, Run, RunInfo};
use serde_json::{Map, Value, json};

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

pub(crate) fn pairs(of: &BTreeMap<String, String>) -> Vec<Value> {
    of.iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect()
}

/// The registry counts microseconds, MLflow milliseconds.
pub(crate) fn millis(micros: i64) -> i64 {
    micros.div_euclid(1000)
}

/// A JSON object that grows.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(crate) fn put_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, value);
        }
    }

    pub(crate) fn put_list(&mut self, key: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.put(key, values);
        }
    }

    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}
