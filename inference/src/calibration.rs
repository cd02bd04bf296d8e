//! Scores become probabilities.

use serde::{Deserialize, Serialize};

/// A monotone map fitted on rows that the predictor did not see.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Calibration {
    /// The answer as it is.
    #[default]
    Identity,
    /// `1 / (1 + exp(-(a * logit(p) + b)))` (Platt on the log-odds).
    Platt {
        /// Slope.
        a: f64,
        /// Offset.
        b: f64,
    },
    /// Linear interpolation between `(x, y)` points, constant outside.
    Isotonic {
        /// Rising scores.
        x: Vec<f64>,
        /// Non-decreasing probabilities.
        y: Vec<f64>,
    },
}
