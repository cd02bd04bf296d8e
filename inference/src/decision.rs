//! From a number to what to do.

use serde::{Deserialize, Serialize};

/// Levels by threshold on the answer, and what to do at each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DecisionPolicy {
    /// Name and least value, highest first; the last one catches all.
    pub levels: Vec<(String, f64)>,
    /// What to do, by level name.
    pub recommendations: Vec<(String, Vec<String>)>,
}

/// What the policy says of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The level's name.
    pub level: String,
    /// What to do.
    pub recommendations: Vec<String>,
}
