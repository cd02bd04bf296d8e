//! Raw values become matrix rows by the package's dictionary; unseen categories become "other", nulls NaN.

use serde::{Deserialize, Serialize};

/// How one input becomes one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum InputEncoding {
    /// A number, bool or time as it is (times in days since 1970).
    Numeric,
    /// Text by dictionary: code = position, not found = `categories.len()`.
    Category {
        /// The dictionary, by falling training frequency, ties by text.
        categories: Vec<String>,
    },
}

/// The encodings of all inputs, in signature order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Encoder {
    /// One per input.
    pub inputs: Vec<InputEncoding>,
}
