//! What a booster learns from.

use foretell_features::{ColumnKind, FeatureMatrix};

use crate::error::BoostError;

/// Rows with their labels; every slice has one value per row.
#[derive(Debug, Clone, Copy)]
pub struct BoostData<'a> {
    /// Missing = NaN.
    pub x: &'a FeatureMatrix,
    /// One per column.
    pub kinds: &'a [ColumnKind],
    /// What is to be predicted.
    pub label: &'a [f64],
    /// How many rows each row stands for; `None`: 1 each. Rows of weight 0 are left out.
    pub weight: Option<&'a [f64]>,
    /// Where each row's raw score starts, beside the ensemble's own base (log-exposure, say). The ensemble does not know it.
    pub offset: Option<&'a [f64]>,
}

impl<'a> BoostData<'a> {
    /// Rows of equal weight without offsets.
    pub fn new(x: &'a FeatureMatrix, kinds: &'a [ColumnKind], label: &'a [f64]) -> Self {
        Self {
            x,
            kinds,
            label,
            weight: None,
            offset: None,
        }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.x.n_rows()
    }

    pub(crate) fn weight(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |it| it[row])
    }

    pub(crate) fn offset(&self, row: usize) -> f64 {
        self.offset.map_or(0.0, |it| it[row])
    }

    /// Rows that count.
    pub(crate) fn weighted_rows(&self) -> Vec<u32> {
        (0..self.n_rows())
            .filter(|&row| self.weight(row) > 0.0)
            .map(|row| u32::try_from(row).expect("the number of rows has been checked"))
            .collect()
    }

    /// Shapes, and that weights and offsets are numbers. Labels are the loss's to judge.
    pub(crate) fn check(&self) -> Result<(), BoostError> {
        let (rows, columns) = (self.n_rows(), self.x.n_columns());
        check_length("kinds", "column", columns, self.kinds.len())?;
        check_length("label", "row", rows, self.label.len())?;
        check_length("weight", "row", rows, self.weight.map_or(rows, <[f64]>::len))?;
        check_length("offset", "row", rows, self.offset.map_or(rows, <[f64]>::len))?;
        let weight = self.weight.unwrap_or_default();
        check_numbers("weight", "a number of at least 0", weight, |it| {
            it >= 0.0 && it.is_finite()
        })?;
        check_numbers(
            "offset",
            "a finite number",
            self.offset.unwrap_or_default(),
            f64::is_finite,
        )?;
        if self.weighted_rows_exist() {
            return Ok(());
        }
        Err(BoostError::NoRows)
    }

    fn weighted_rows_exist(&self) -> bool {
        (0..self.n_rows()).any(|row| self.weight(row) > 0.0)
    }
}

pub(crate) fn check_length(
    what: &'static str,
    per: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), BoostError> {
    if got == expected {
        return Ok(());
    }
    Err(BoostError::Shape {
        what,
        per,
        expected,
        got,
    })
}

pub(crate) fn check_numbers(
    what: &'static str,
    expected: &'static str,
    values: &[f64],
    good: impl Fn(f64) -> bool,
) -> Result<(), BoostError> {
    match values.iter().position(|&it| !good(it)) {
        None => Ok(()),
        Some(row) => Err(BoostError::Number {
            what,
            expected,
            row,
            got: values[row],
        }),
    }
}
