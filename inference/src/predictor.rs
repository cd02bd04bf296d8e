//! The two shapes of fitted arithmetic: rows to numbers, and a state to the steps ahead.

use std::fmt::Debug;

use foretell_features::FeatureMatrix;

use crate::error::InferenceError;
use crate::sampling::{Background, SampledContributions};

/// Rows in, numbers out. Raw scores: link, calibration and intervals are the model's.
pub trait Predictor: Debug + Send + Sync {
    /// Numbers per row.
    fn n_outputs(&self) -> usize;

    /// Writes `n_rows * n_outputs` numbers, row-major.
    ///
    /// # Errors
    /// The matrix has another width than the predictor was fitted on.
    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError>;

    /// Writes the `n_outputs` numbers of one row. Predictors that are cheap for one row do so without an allocation.
    ///
    /// # Errors
    /// As `predict_into`.
    fn predict_row_into(&self, row: &[f64], out: &mut [f64]) -> Result<(), InferenceError> {
        self.predict_into(&FeatureMatrix::from_rows(row.len(), row.to_vec()), out)
    }

    /// Contribution of each column to one of row `row`'s outputs (before the link), for explanations; the missing part of the
    /// sum is the expected value, returned last. Exact for trees (TreeSHAP, path-dependent) and linear predictors, sampled for
    /// networks and ONNX graphs.
    ///
    /// # Errors
    /// As `predict_into`; there is no such output.
    fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError>;

    /// The file form of the predictor: name and bytes, `trees.bin` or `linear.json`.
    fn to_file(&self) -> (String, Vec<u8>);

    /// What lies beside that file: names and bytes.
    fn more_files(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// Gives it the rows that a row is explained against. Only predictors that explain by sampling need them.
    ///
    /// # Errors
    /// The rows have another width.
    fn explain_against(&mut self, _background: Background) -> Result<(), InferenceError> {
        Ok(())
    }

    /// Contributions with their errors, where they are sampled; `None` where they are exact.
    ///
    /// # Errors
    /// As `contributions`.
    fn sampled(
        &self,
        _x: &FeatureMatrix,
        _row: usize,
        _output: usize,
    ) -> Result<Option<SampledContributions>, InferenceError> {
        Ok(None)
    }

    /// Relative difference that is still the same number: the same arithmetic on another machine's `exp` and `ln`. More only
    /// where a library computes that is not ours.
    fn tolerance(&self) -> f64 {
        crate::golden::TOLERANCE
    }

    /// Measures on rows like those to come which way to compute is fastest here. Answers stay the same to the last bit.
    fn tune(&mut self, _rows: &FeatureMatrix) {}

    /// Allocates and predicts.
    ///
    /// # Errors
    /// As `predict_into`.
    fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, InferenceError> {
        let mut out = vec![0.0; x.n_rows() * self.n_outputs()];
        self.predict_into(x, &mut out)?;
        Ok(out)
    }
}

/// A state and the known future in, the steps ahead out.
pub trait Forecaster: Debug + Send + Sync {
    /// The greatest horizon it was fitted for.
    fn max_horizon(&self) -> usize;

    /// Point forecasts for steps `1..=horizon` after the state's last time. `future` holds the encoded covariates of those
    /// steps in the model's order; what it does not hold is missing.
    ///
    /// # Errors
    /// The state or the future does not fit the model.
    fn forecast(
        &self,
        state: &crate::forecast::ForecastState,
        horizon: usize,
        future: &crate::forecast::Future,
    ) -> Result<Vec<f64>, InferenceError>;

    /// The state one observation later.
    ///
    /// # Errors
    /// The observation does not fit the model.
    fn advance(
        &self,
        state: &mut crate::forecast::ForecastState,
        observation: f64,
        known: &[f64],
    ) -> Result<(), InferenceError>;

    /// Named parts of the forecast (`level`, `trend`, `seasonal`, ..) per step; they sum to the forecast.
    ///
    /// # Errors
    /// As `forecast`.
    fn components(
        &self,
        state: &crate::forecast::ForecastState,
        horizon: usize,
        future: &crate::forecast::Future,
    ) -> Result<Vec<(String, Vec<f64>)>, InferenceError>;

    /// The file form of the forecaster: names and bytes, `forecaster.json` first.
    fn to_files(&self) -> Vec<(String, Vec<u8>)>;
}
