//! The rows that a row is explained against.

use foretell_features::FeatureMatrix;
use serde::{Deserialize, Deserializer, Serialize};

use super::Draws;
use crate::error::InferenceError;
use crate::listing::list;

/// File name of the background in a package.
pub const BACKGROUND_FILE: &str = "background.json";

/// More rows than these only cost time: the error of an explanation does not come from the background.
pub const MAX_BACKGROUND: usize = 256;

/// Encoded training rows, as the predictor sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    rows: FeatureMatrix,
}

/// `background.json`: row-major, null where missing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackgroundFile {
    columns: usize,
    #[serde(deserialize_with = "cells")]
    values: Vec<f64>,
}

impl Background {
    /// All of `rows`.
    ///
    /// # Errors
    /// No rows, more than [`MAX_BACKGROUND`], or an infinite number.
    pub fn new(rows: FeatureMatrix) -> Result<Self, InferenceError> {
        let problem = match rows.n_rows() {
            0 => Some("it has no rows".to_owned()),
            n if n > MAX_BACKGROUND => Some(format!("{n} rows, more than {MAX_BACKGROUND}")),
            _ if rows.values().iter().any(|it| it.is_infinite()) => Some("an infinite number".to_owned()),
            _ => None,
        };
        match problem {
            None => Ok(Self { rows }),
            Some(reason) => Err(damaged(reason)),
        }
    }

    /// At most `n` of the rows, drawn without replacement.
    ///
    /// # Errors
    /// As `new`.
    pub fn draw(rows: &FeatureMatrix, n: usize, seed: u64) -> Result<Self, InferenceError> {
        let mut order: Vec<usize> = (0..rows.n_rows()).collect();
        Draws(seed).shuffle(&mut order);
        order.truncate(n.min(MAX_BACKGROUND));
        order.sort_unstable();
        Self::new(rows.select(&order))
    }

    /// Reads `background.json`.
    ///
    /// # Errors
    /// Not of this form, or as `new`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let file: BackgroundFile = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let whole = file.columns > 0 && file.values.len().is_multiple_of(file.columns);
        if !whole {
            return Err(damaged(format!(
                "{} values do not fill rows of {} columns",
                file.values.len(),
                file.columns
            )));
        }
        Self::new(FeatureMatrix::from_rows(file.columns, file.values))
    }

    /// The bytes of `background.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let file = BackgroundFile {
            columns: self.rows.n_columns(),
            values: self.rows.values().to_vec(),
        };
        serde_json::to_vec(&file).expect("numbers are always JSON, NaN as null")
    }

    /// Its file in a package: name and bytes.
    pub fn to_file(&self) -> (String, Vec<u8>) {
        (BACKGROUND_FILE.to_owned(), self.to_bytes())
    }

    /// The rows.
    pub fn rows(&self) -> &FeatureMatrix {
        &self.rows
    }

    /// How many rows, at least 1.
    pub fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }
}

/// A number, null for NaN.
struct Cell(f64);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(|it| Self(it.unwrap_or(f64::NAN)))
    }
}

fn cells<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let cells: Vec<Cell> = list(from)?;
    // In place: both have the same layout.
    Ok(cells.into_iter().map(|it| it.0).collect())
}

fn damaged(reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: BACKGROUND_FILE.to_owned(),
        reason,
    }
}
