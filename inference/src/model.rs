//! A loaded package: the one path from raw rows to predictions, for training's tests, `foretell predict` and the server.

use foretell_features::{EntityKey, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::error::InferenceError;
use crate::manifest::{Manifest, PackageFiles};

/// A package, loaded, its golden rows replayed.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
}

/// What to say beside the value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PredictOptions {
    /// The k strongest reasons; 0 for none.
    pub explain: usize,
    /// Level of the interval, `0.9`; `None` for the default 0.9 where the model has intervals.
    pub interval: Option<f64>,
}

/// Why: one input's part in the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Input name.
    pub feature: String,
    /// Its value in this row.
    pub value: Value,
    /// Its part of the raw score (log-odds for probabilities, log for Tweedie), relative to the average row.
    pub contribution: f64,
}

/// The answer for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPrediction {
    /// Calibrated probability, or the expected number.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end of the interval.
    pub upper: Option<f64>,
    /// What to do.
    pub decision: Option<Decision>,
    /// Strongest first.
    pub reasons: Vec<Reason>,
}

/// One step of a forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The step's time.
    pub time: Timestamp,
    /// Expected value.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// The answer for one series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPrediction {
    /// Steps `1..=horizon`.
    pub steps: Vec<Step>,
    /// Sum over the steps, with its interval.
    pub total: (f64, f64, f64),
    /// Named parts per step.
    pub components: Vec<(String, Vec<f64>)>,
}

impl Model {
    /// Reads a package and replays its golden rows.
    ///
    /// # Errors
    /// A file is missing, damaged, of a newer format, or a golden row does not reproduce.
    pub fn load(_files: &PackageFiles) -> Result<Self, InferenceError> {
        Err(InferenceError::MissingFile { file: "manifest.json".into() })
    }

    /// Everything about it that is small enough to read.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Predictions for raw rows, each with one value per input in signature order (cast by the caller or not: text that spells
    /// a number is read). A row that cannot be scored is an `Err` in its place; the others are unharmed.
    ///
    /// # Errors
    /// The model is a forecast.
    pub fn predict_rows(
        &self,
        _rows: &[Vec<Value>],
        _options: PredictOptions,
    ) -> Result<Vec<Result<RowPrediction, InferenceError>>, InferenceError> {
        Ok(Vec::new())
    }

    /// The forecast of one series. `future` rows are maps from known-covariate names to values, one per step; `None` uses what
    /// the package knows of the future (training's known future), NaN past its end.
    ///
    /// # Errors
    /// Unknown series, horizon out of range, unknown covariate, or the model is not a forecast.
    pub fn predict_series(
        &self,
        _series: &EntityKey,
        _horizon: Option<usize>,
        _future: Option<&[std::collections::BTreeMap<String, Value>]>,
        _options: PredictOptions,
    ) -> Result<SeriesPrediction, InferenceError> {
        Err(InferenceError::Request(String::new()))
    }
}
