//! Linear predictors over encoded rows: a weight per numeric column, a weight per category code.

use serde::{Deserialize, Serialize};

use crate::tree::Link;

/// One column's part of the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LinearTerm {
    /// `weight * (x - mean) / scale`, clipped at `clip` standard scales; missing adds `missing`.
    Numeric {
        /// Subtracted.
        mean: f64,
        /// Divided by; never 0.
        scale: f64,
        /// Per scaled unit.
        weight: f64,
        /// Added where the value is missing.
        missing: f64,
    },
    /// A weight per code; the last one is for codes not in the dictionary; missing adds `missing`.
    Category {
        /// By code.
        weights: Vec<f64>,
        /// Added where the value is missing.
        missing: f64,
    },
}

/// Sum of terms onto an intercept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Where the sum starts.
    pub intercept: f64,
    /// What turns the sum into the answer.
    pub link: Link,
    /// One per column.
    pub terms: Vec<LinearTerm>,
    /// The mean of each term over the training rows: contributions are relative to it.
    pub expected: Vec<f64>,
}
