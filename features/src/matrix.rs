//! The numbers a predictor sees.

use serde::{Deserialize, Serialize};

/// The code of a missing category in package dictionaries; in a matrix a missing value of any kind is NaN.
pub const MISSING_CATEGORY: u32 = u32::MAX;

/// Whether a column is a quantity or a code of the package's dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// A quantity; order matters.
    Numeric,
    /// A `u32` code held exactly in the f64; order means nothing. Codes are `0..cardinality`, a category not in the
    /// dictionary gets the code `cardinality` itself ("other").
    Category {
        /// Number of known categories.
        cardinality: u32,
    },
}

/// Rows of features, row-major, missing = NaN. The one matrix type that crosses crates.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMatrix {
    n_columns: usize,
    values: Vec<f64>,
}

impl FeatureMatrix {
    /// Wraps row-major values.
    ///
    /// # Panics
    /// If the length is not a multiple of `n_columns`, which is a bug of the caller.
    pub fn from_rows(n_columns: usize, values: Vec<f64>) -> Self {
        assert!(
            n_columns > 0 && values.len().is_multiple_of(n_columns),
            "values must fill whole rows of {n_columns} columns"
        );
        Self { n_columns, values }
    }

    /// No rows yet; `push_row` adds them.
    pub fn with_capacity(n_columns: usize, n_rows: usize) -> Self {
        Self::from_rows(n_columns, Vec::with_capacity(n_columns * n_rows))
    }

    /// Appends one row of exactly `n_columns` values.
    pub fn push_row(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.n_columns, "a row has one value per column");
        self.values.extend_from_slice(row);
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.n_columns
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.n_columns..(row + 1) * self.n_columns]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.n_columns)
    }

    /// One value.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n_columns + column]
    }

    /// The row-major values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// One column, copied.
    pub fn column(&self, column: usize) -> Vec<f64> {
        self.rows().map(|row| row[column]).collect()
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        Self {
            n_columns: self.n_columns,
            values,
        }
    }
}
