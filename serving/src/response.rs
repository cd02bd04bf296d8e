//! What the native API answers (DESIGN §7), as serde types.

use std::collections::BTreeMap;
use std::sync::Arc;

use foretell_features::{Status, Timestamp, Value};
use foretell_inference::Decision;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::request::Row;

/// The answer to a [`PredictRequest`](crate::PredictRequest): one prediction per entity, row or series, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictResponse {
    /// The model.
    pub model: String,
    /// The version that answered.
    pub version: String,
    /// Digest of its package.
    pub digest: String,
    /// In the order of the request.
    pub predictions: Vec<Prediction>,
}

/// How a row fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// Scored.
    #[default]
    Ok,
    /// Nothing is stored for the entity, or the series is unknown.
    NotFound,
    /// A value or a key has the wrong type.
    Invalid,
}

/// One row's answer. What a model does not have is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Prediction {
    /// The key as sent, where the request was by entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Row>,
    /// The key as sent, where the request was by series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Row>,
    /// How it fared.
    pub status: RowStatus,
    /// Why it was not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Calibrated probability, or the expected number. Forecasts have steps instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The most probable class, where classes have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Arc<str>>,
    /// The probability of each class, in the order of the model's outputs.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub probabilities: Vec<(Arc<str>, f64)>,
    /// Lower end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Upper end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Arc<Decision>>,
    /// Strongest first; as many as `explain` asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonAnswer>,
    /// Stored features that were not simply there, with how they were found.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, Status>,
    /// The steps ahead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepAnswer>,
    /// Sum over the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Interval>,
    /// Named parts per step.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub components: Vec<(String, Vec<f64>)>,
}

/// Why: one input's part in the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReasonAnswer {
    /// Input name.
    pub feature: String,
    /// Its value in this row.
    pub value: Value,
    /// Its part of the raw score, relative to the average row.
    pub contribution: f64,
    /// Age of the stored value in seconds; null for values that were sent or derived.
    pub age: Option<f64>,
}

/// One step of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepAnswer {
    /// The step's time.
    pub time: Timestamp,
    /// Expected value.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Expected value.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Why a row was not scored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: RowStatus,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: RowStatus::Invalid,
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: RowStatus::NotFound,
            message: message.into(),
        }
    }
}

impl From<Refusal> for Prediction {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status,
            message: Some(refusal.message),
            ..Self::default()
        }
    }
}

fn as_map<K: Serialize, V: Serialize, S: Serializer>(parts: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(parts.len()))?;
    for (name, values) in parts {
        map.serialize_entry(name, values)?;
    }
    map.end()
}
