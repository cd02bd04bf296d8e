//! Split-conformal intervals: quantiles of residuals on rows that the predictor did not see.

use serde::{Deserialize, Serialize};

/// Sorted conformity scores per bin of the prediction (Mondrian), from which any level's interval follows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conformal {
    /// Upper edges of the prediction bins, rising; the last bin is open. Empty: one bin.
    pub edges: Vec<f64>,
    /// Per bin, sorted signed scores `(y - p) / scale(p)`.
    pub scores: Vec<Vec<f64>>,
    /// `scale(p) = scale_floor + scale_slope * |p|`.
    pub scale_floor: f64,
    /// See `scale_floor`.
    pub scale_slope: f64,
    /// Answers cannot be below this (0 for money and counts).
    pub lower_bound: Option<f64>,
}
