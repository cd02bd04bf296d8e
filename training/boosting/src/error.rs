//! What can be wrong with data or parameters.

use foretell_features::Value;

/// Every failure of boosting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BoostError {
    /// A parameter that there is none of.
    #[error("boosted trees have no parameter `{name}`{hint}")]
    UnknownParameter {
        /// As typed.
        name: String,
        /// `; did you mean ..`, or empty.
        hint: String,
    },
    /// A parameter out of its range or of another type.
    #[error("parameter `{name}` of boosted trees must be {expected}. got=`{got}`")]
    Parameter {
        /// Which.
        name: String,
        /// What it must be.
        expected: String,
        /// As typed.
        got: Value,
    },
    /// No row, or none with a weight above 0.
    #[error("boosted trees need at least one row with a weight above 0")]
    NoRows,
    /// More rows than a histogram counts.
    #[error("boosted trees take at most {max} rows; sample them first. got=`{got}`")]
    TooManyRows {
        /// The limit.
        max: usize,
        /// What came.
        got: usize,
    },
    /// Parts of the data do not fit together.
    #[error("{what} must have one value per {per}. expected=`{expected}`, got=`{got}`")]
    Shape {
        /// `label`, `weight`, `offset`, `kinds`, `monotone`.
        what: &'static str,
        /// `row` or `column`.
        per: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// A label, weight or offset that cannot be used.
    #[error("{what} must be {expected}. row=`{row}`, got=`{got}`")]
    Number {
        /// `label`, `weight` or `offset`.
        what: &'static str,
        /// What the loss needs.
        expected: &'static str,
        /// 0-based row.
        row: usize,
        /// What came.
        got: f64,
    },
    /// Labels from which nothing can be learned under the loss.
    #[error("all labels are {value}: {loss} loss has nothing to learn; check the label's definition")]
    OneLabel {
        /// The loss.
        loss: &'static str,
        /// The only label.
        value: f64,
    },
    /// A monotone constraint on a column of categories.
    #[error("column {column} holds categories and cannot be monotone; only quantities can")]
    MonotoneCategory {
        /// 0-based column.
        column: usize,
    },
}
