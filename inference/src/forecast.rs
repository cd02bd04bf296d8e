//! Forecasters and their states: what is known of a series, and the arithmetic from there to the steps ahead.
//!
//! A [`ForecastState`] is all that a forecaster remembers of one series; it lies in the package (`states.bin`) or as a row of
//! the online store, and [`crate::Forecaster::advance`] moves it one observation on. Fitting is training's.

pub mod codec;
#[doc(hidden)]
pub mod fixture;
pub mod intervals;
pub mod lag_features;
pub mod lags;
pub mod loaded;
pub mod naive;
pub mod season;
pub mod smoothing;

use foretell_features::{DataType, EntityKey, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::InferenceError;
use crate::manifest::Input;
use crate::preprocessing::Encoder;

pub use intervals::{Bucket, ForecastIntervals};
pub use lag_features::{KnownColumn, LagLayout, Origin};
pub use lags::BoostedLags;
pub use loaded::LoadedForecast;
pub use naive::SeasonalNaive;
pub use season::Seasons;
pub use smoothing::{ExponentialSmoothing, SeasonForm, Smoothing};

/// What a caller of a forecast must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSignature {
    /// Key columns and types; empty for a single series.
    pub key: Vec<(String, DataType)>,
    /// Step between values.
    pub step: Span,
    /// Greatest horizon.
    pub horizon: usize,
    /// Known-in-the-future covariates, in order.
    pub known: Vec<Input>,
    /// Static attributes, in order.
    pub statics: Vec<Input>,
}

/// How raw values of a series become numbers: one encoder per kind of column, in the signature's order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeriesEncoders {
    /// Key columns, as categories.
    pub key: Encoder,
    /// Known covariates.
    pub known: Encoder,
    /// Static attributes.
    pub statics: Encoder,
}

/// The file that says which forecaster a package holds.
pub const FORECASTER_FILE: &str = "forecaster.json";

/// `forecaster.json`: a forecaster without its large parts (trees, states).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "snake_case")]
pub enum ForecasterForm {
    /// The last season again.
    SeasonalNaive(SeasonalNaive),
    /// Parameters lie in the states.
    ExponentialSmoothing(ExponentialSmoothing),
    /// With `trees.bin`.
    BoostedLags(LagLayout),
}

/// One series as the forecaster left it: the last values and times, and what the method keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastState {
    /// The series.
    pub key: EntityKey,
    /// Time of the last observation.
    pub last_time: Timestamp,
    /// The last observations, oldest first, missing = NaN.
    pub recent: Vec<f64>,
    /// Encoded known covariates of the newest steps, row per step, oldest first; at most one row per value of `recent`.
    pub recent_known: Vec<f64>,
    /// Encoded key parts and static attributes.
    pub statics: Vec<f64>,
    /// The method's own numbers (parameters, level, trend, seasonals).
    pub numbers: Vec<f64>,
    /// How large this series' errors are beside those of its siblings; 1 where nothing is known.
    pub spread: f64,
}

/// Known covariates ahead, encoded: `n_columns` numbers per step in signature order, missing = NaN.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Future {
    /// Numbers per step; 0 where the model knows none.
    pub n_columns: usize,
    /// Row-major, first step first. Steps past the end are missing.
    pub values: Vec<f64>,
}

impl Future {
    /// Nothing known ahead.
    pub fn unknown(n_columns: usize) -> Self {
        Self {
            n_columns,
            values: Vec::new(),
        }
    }

    /// Column `column` at step `step`, counted from 1; NaN past the end.
    pub fn get(&self, step: usize, column: usize) -> f64 {
        self.values
            .get((step - 1) * self.n_columns + column)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

impl ForecastState {
    /// The typical size of the series: the mean of the last `window` values that are there, 1 where none is. Errors scale with it.
    pub fn level(&self, window: usize) -> f64 {
        let from = self.recent.len().saturating_sub(window);
        let (mut sum, mut n) = (0.0, 0.0);
        for value in self.recent[from..].iter().filter(|it| !it.is_nan()) {
            sum += value.abs();
            n += 1.0;
        }
        if sum > 0.0 { sum / n } else { 1.0 }
    }

    /// Notes one observation: it becomes the newest value, at most `memory` values and `known_memory` rows are kept.
    pub fn push(&mut self, step: Span, observation: f64, known: &[f64], memory: usize, known_memory: usize) {
        self.last_time = self.last_time.plus(step);
        self.recent.push(observation);
        keep_last(&mut self.recent, memory);
        self.recent_known.extend_from_slice(known);
        keep_last(&mut self.recent_known, known_memory * known.len());
    }
}

fn keep_last(values: &mut Vec<f64>, most: usize) {
    let extra = values.len().saturating_sub(most);
    values.drain(..extra);
}

/// The horizon asked, where the model can.
pub(crate) fn check_horizon(asked: usize, max: usize) -> Result<(), InferenceError> {
    let fits = (1..=max).contains(&asked);
    if fits {
        Ok(())
    } else {
        Err(InferenceError::Horizon { asked, max })
    }
}

/// `values` with what lies below zero at zero, where the series never is.
pub(crate) fn clip(values: &mut [f64], nonnegative: bool) {
    if nonnegative {
        values.iter_mut().for_each(|it| *it = it.max(0.0));
    }
}
