//! The package's first file: everything about a model that is small enough to read.

use std::collections::BTreeMap;

use foretell_features::{DataType, RequestColumn, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::conformal::Conformal;
use crate::decision::DecisionPolicy;
use crate::endpoint::Endpoint;
use crate::error::InferenceError;
use crate::preprocessing::Encoder;

/// A package as named bytes, in order of name. `manifest.json` is always there; the rest the manifest names.
pub type PackageFiles = BTreeMap<String, Vec<u8>>;

/// The greatest package format this build reads and the one it writes.
pub const FORMAT: u32 = 1;

/// File name of the manifest in a package.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A probability.
    BinaryClassification,
    /// One probability per class; they sum to 1.
    MulticlassClassification,
    /// A number.
    Regression,
    /// Money in the horizon ahead; never negative.
    LifetimeValue,
    /// The steps ahead of a series.
    Forecast,
}

/// `manifest.json`. Serialised with fields in this order, so equal models have equal bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Package format, see [`FORMAT`].
    pub format: u32,
    /// The model's name.
    pub model: String,
    /// What it predicts.
    pub task: Task,
    /// The classes in order of the predictor's outputs. Of a binary model, where they are named: the negative one, then the
    /// positive one, whose probability is the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The winning candidate's algorithm, `boosted_trees`.
    pub algorithm: String,
    /// Inputs in order. Empty for forecasts.
    pub inputs: Vec<Input>,
    /// Outputs in order, as OIP shows them.
    pub outputs: Vec<Output>,
    /// Where inputs come from when only a key is given.
    pub plan: FeaturePlan,
    /// Raw values to matrix columns.
    pub encoder: Encoder,
    /// Scores to probabilities.
    pub calibration: Calibration,
    /// Intervals, where the answer is a number.
    pub conformal: Option<Conformal>,
    /// From the number to the action.
    pub decision: Option<DecisionPolicy>,
    /// Domain endpoints.
    pub endpoints: Vec<Endpoint>,
    /// What a forecast needs to know; `None` for row models.
    pub series: Option<crate::forecast::SeriesSignature>,
    /// File name of the predictor or forecaster.
    pub predictor: String,
    /// Test metrics of the winner.
    pub metrics: BTreeMap<String, f64>,
    /// Named parameters, where the model has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, f64>,
    /// Where it came from.
    pub lineage: Lineage,
}

/// One named, typed input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Column name, `spend_90d`.
    pub name: String,
    /// Its type as the feature store gives it.
    pub data_type: DataType,
}

/// One named output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// `churn_probability`, `level`, ..: the first endpoint's field, else `value`.
    pub name: String,
    /// What it shows.
    pub field: crate::endpoint::AnswerField,
}

/// How inputs are found by entity key: stored features, then request values, then derived features over both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeaturePlan {
    /// The entity's name; empty for forecasts.
    pub entity: String,
    /// Its key columns and types.
    pub key: Vec<(String, DataType)>,
    /// Stored features to read: inputs, and what derived features need.
    pub reads: Vec<FeatureRead>,
    /// Values the caller may send.
    pub request: Vec<RequestColumn>,
    /// Computed from `reads` and `request`, in order.
    pub derived: Vec<PlannedDerived>,
}

/// One stored feature to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureRead {
    /// Name of the value, unique in the plan.
    pub name: String,
    /// The view.
    pub view: String,
    /// The view's version that the model was trained on; another one may compute something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The view's feature.
    pub feature: String,
    /// Its type.
    pub data_type: DataType,
    /// Older values are OUTSIDE_MAX_AGE and count as null.
    pub max_age: Option<Span>,
}

/// One derived feature, as text of the expression language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDerived {
    /// Its name.
    pub name: String,
    /// SQL text.
    pub expression: String,
    /// Its type.
    pub data_type: DataType,
}

/// Where a model came from: enough to make it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// SHA-256 of the training table, `sha256:..`.
    pub data: String,
    /// SHA-256 of the model's and the features' TOML.
    pub definitions: String,
    /// `foretell 0.1.0`.
    pub code: String,
    /// The seed.
    pub seed: u64,
    /// The clock of the training run.
    pub as_of: Timestamp,
    /// Training and test rows.
    pub n_train: usize,
    /// See `n_train`.
    pub n_test: usize,
    /// Whether the same inputs give the same bytes.
    pub reproducible: bool,
    /// Where a model that was not trained here came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedFrom>,
}

/// The origin of an imported model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFrom {
    /// The library, with its version where the file said it, `xgboost 3.0.2`.
    pub origin: String,
    /// The file's name.
    pub file: String,
    /// Its SHA-256, `sha256:..`.
    pub sha256: String,
    /// Where the golden rows are from.
    pub golden: String,
    /// Whether the file says how many training rows reached each node, so that reasons are relative to the training rows.
    pub reasons_by_cover: bool,
}

impl Manifest {
    /// The bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("names, numbers and lists are always JSON")
    }

    /// Whether the parts of a row model hold together: what a damaged or edited file would break.
    pub(crate) fn check(&self) -> Result<(), InferenceError> {
        let conformal = self
            .conformal
            .as_ref()
            .map_or(Ok(()), crate::conformal::Conformal::check);
        let decision = self.decision.as_ref().map_or(Ok(()), DecisionPolicy::check);
        let parts = [
            self.check_inputs(),
            self.check_classes(),
            self.calibration.check(),
            conformal,
            decision,
        ];
        let sound: Result<(), String> = parts.into_iter().collect();
        sound.map_err(|reason| InferenceError::Damaged {
            file: MANIFEST_FILE.to_owned(),
            reason,
        })
    }

    fn check_inputs(&self) -> Result<(), String> {
        let names: std::collections::BTreeSet<&str> = self.inputs.iter().map(|it| it.name.as_str()).collect();
        match (self.task, self.inputs.len()) {
            (Task::Forecast, _) => Err("a forecast has no row predictor".to_owned()),
            (_, 0) => Err("it has no inputs".to_owned()),
            (_, n) if n != names.len() => Err("an input is there twice".to_owned()),
            _ => Ok(()),
        }
    }

    fn check_classes(&self) -> Result<(), String> {
        let names: std::collections::BTreeSet<&String> = self.classes.iter().collect();
        let fits = match (self.task, self.classes.len()) {
            (Task::MulticlassClassification, n) => n >= 2,
            (Task::BinaryClassification, n) => n == 0 || n == 2,
            (_, n) => n == 0,
        };
        match fits && names.len() == self.classes.len() {
            true => Ok(()),
            false => Err(format!(
                "a model of task {} cannot have the classes {:?}",
                self.task, self.classes
            )),
        }
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Task::BinaryClassification => "binary_classification",
            Task::MulticlassClassification => "multiclass_classification",
            Task::Regression => "regression",
            Task::LifetimeValue => "lifetime_value",
            Task::Forecast => "forecast",
        })
    }
}
