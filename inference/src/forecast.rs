//! Forecasters and their states.

use foretell_features::{DataType, EntityKey, Span, Timestamp};
use serde::{Deserialize, Serialize};

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
    pub known: Vec<crate::manifest::Input>,
    /// Static attributes, in order.
    pub statics: Vec<crate::manifest::Input>,
}

/// One series as the forecaster left it: the last values and times, and what the method keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastState {
    /// The series.
    pub key: EntityKey,
    /// Time of the last observation.
    pub last_time: Timestamp,
    /// The last observations, oldest first, missing = NaN.
    pub recent: Vec<f64>,
    /// The method's own numbers (level, trend, seasonals; static codes).
    pub numbers: Vec<f64>,
}

/// Known covariates ahead: one row per step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Future {
    /// Encoded covariates, row per step, in signature order; missing = NaN.
    pub rows: Vec<Vec<f64>>,
}
