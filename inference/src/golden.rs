//! Golden rows: raw inputs with the trainer's outputs, replayed before a package serves.

use foretell_features::Value;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::InferenceError;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::model::{Model, PredictOptions, RowPrediction};

/// File name of the golden rows in a package.
pub const GOLDEN_FILE: &str = "golden.json";

/// Relative difference that still counts as equal: the same arithmetic on another machine's `exp` and `ln`.
pub(crate) const TOLERANCE: f64 = 1e-9;

/// Raw rows and what the trainer's model said of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Golden {
    /// SHA-256 of what turns raw scores into answers: classes, dictionaries, calibration, intervals, decision. A threshold that
    /// was moved past no golden row shows here. Absent in packages of before it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// In training order.
    pub rows: Vec<GoldenRow>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenRow {
    /// Raw values in signature order.
    pub inputs: Vec<Value>,
    /// The answer.
    pub value: f64,
    /// Lower end of the default interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Upper end of the default interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// The decision's level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// One per class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
}

impl Golden {
    /// Runs the model over raw rows and keeps what it said.
    ///
    /// # Errors
    /// A row cannot be scored.
    pub fn record(model: &Model, rows: Vec<Vec<Value>>) -> Result<Self, InferenceError> {
        let predictions = model.predict_rows(&rows, PredictOptions::default())?;
        let recorded = rows.into_iter().zip(predictions).map(|(inputs, prediction)| {
            let it = prediction?;
            Ok(GoldenRow {
                inputs,
                value: it.value,
                lower: it.lower,
                upper: it.upper,
                level: it.decision.map(|it| it.level.clone()),
                probabilities: it.probabilities,
            })
        });
        Ok(Self {
            pipeline: Some(pipeline(model.manifest())),
            rows: recorded.collect::<Result<_, InferenceError>>()?,
        })
    }

    /// Reads `golden.json`.
    ///
    /// # Errors
    /// Not of this form, or without rows: a package that proves nothing is not served.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let damaged = |reason: String| InferenceError::Damaged {
            file: GOLDEN_FILE.to_owned(),
            reason,
        };
        let golden: Golden = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if golden.rows.is_empty() {
            Err(damaged("it has no rows".to_owned()))
        } else {
            Ok(golden)
        }
    }

    /// The bytes of `golden.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("values and numbers are always JSON")
    }

    /// Whether the model says now what it said then.
    ///
    /// # Errors
    /// What follows the predictor is not what it was; or the first row that differs, or that cannot be scored.
    pub fn replay(&self, model: &Model) -> Result<(), InferenceError> {
        let whole = self.pipeline.as_ref();
        if whole.is_some_and(|it| *it != pipeline(model.manifest())) {
            return Err(InferenceError::Damaged {
                file: MANIFEST_FILE.to_owned(),
                reason: "its classes, encoder, calibration, conformal or decision are not those that the golden rows were recorded \
                         with; register the model again"
                    .to_owned(),
            });
        }
        let inputs: Vec<&[Value]> = self.rows.iter().map(|it| it.inputs.as_slice()).collect();
        let predictions = model.predict_rows(&inputs, PredictOptions::default())?;
        let tolerance = model.row_predictor().map_or(TOLERANCE, |it| it.predictor().tolerance());
        for (row, (golden, prediction)) in self.rows.iter().zip(predictions).enumerate() {
            golden.compare(row, &prediction?, whole.is_some(), tolerance)?;
        }
        Ok(())
    }
}

impl GoldenRow {
    /// `whole`: the row was recorded with its level and probabilities, so that their absence says something.
    fn compare(&self, row: usize, got: &RowPrediction, whole: bool, tolerance: f64) -> Result<(), InferenceError> {
        let compare = |expected, got| compare(row, expected, got, tolerance);
        compare(Some(self.value), Some(got.value))?;
        compare(self.lower, got.lower)?;
        compare(self.upper, got.upper)?;
        if !whole {
            return Ok(());
        }
        for at in 0..self.probabilities.len().max(got.probabilities.len()) {
            let of = |it: &[f64]| it.get(at).copied();
            compare(of(&self.probabilities), of(&got.probabilities))?;
        }
        let level = got.decision.as_ref().map(|it| it.level.as_str());
        if self.level.as_deref() == level {
            return Ok(());
        }
        let said = |it: Option<&str>| it.unwrap_or("none").to_owned();
        Err(InferenceError::GoldenLevel {
            row,
            expected: said(self.level.as_deref()),
            got: said(level),
        })
    }
}

/// SHA-256 of the parts of a manifest that turn raw values into columns and raw scores into answers.
fn pipeline(manifest: &Manifest) -> String {
    let parts = (
        (&manifest.task, &manifest.classes, &manifest.inputs, &manifest.encoder),
        (&manifest.calibration, &manifest.conformal, &manifest.decision),
    );
    let text = serde_json::to_vec(&parts).expect("names, numbers and lists are always JSON");
    let hex: String = Sha256::digest(&text).iter().map(|it| format!("{it:02x}")).collect();
    format!("sha256:{hex}")
}

/// Whether two outputs are the same number for a replay; NaN never is.
pub fn is_same(expected: f64, got: f64) -> bool {
    is_within(expected, got, TOLERANCE)
}

fn is_within(expected: f64, got: f64, tolerance: f64) -> bool {
    (got - expected).abs() <= tolerance * expected.abs() + tolerance * 1e-3
}

fn compare(row: usize, expected: Option<f64>, got: Option<f64>, tolerance: f64) -> Result<(), InferenceError> {
    match (expected, got) {
        (None, None) => Ok(()),
        (Some(expected), Some(got)) if is_within(expected, got, tolerance) => Ok(()),
        (expected, got) => Err(InferenceError::Golden {
            row,
            expected: expected.unwrap_or(f64::NAN),
            got: got.unwrap_or(f64::NAN),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_number_is_the_same() {
        assert!(is_same(0.3, 0.1 + 0.2) && is_same(0.0, 0.0) && is_same(1e12, 1e12 + 1.0));
        assert!(!is_same(0.3, 0.300_001) && !is_same(f64::NAN, f64::NAN) && !is_same(0.3, f64::NAN));
        assert!(
            !is_same(f64::INFINITY, f64::INFINITY),
            "an infinite answer is no answer"
        );
    }
}
