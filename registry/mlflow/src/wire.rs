//! Our nouns as MLflow's JSON: snake case, integers as numbers, what is unset or empty left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

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
