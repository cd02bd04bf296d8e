//! The rows that a row is explained against.

use foretell_features::FeatureMatrix;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Draws;
use crate::error::InferenceError;

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

    /// The rows.
    pub fn rows(&self) -> &FeatureMatrix {
        &self.rows
    }

    /// How many rows, at least 1.
    pub fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }
}

/// Numbers, null for NaN. Grows by a quarter, so that a hostile file costs less than ten times its bytes.
fn cells<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    struct Cells;
    impl<'de> Visitor<'de> for Cells {
        type Value = Vec<f64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of numbers and nulls")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f64>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = list.next_element::<Option<f64>>()? {
                if values.len() == values.capacity() {
                    values.reserve_exact(values.len() / 4 + 64);
                }
                values.push(value.unwrap_or(f64::NAN));
            }
            Ok(values)
        }
    }
    from.deserialize_seq(Cells)
}

fn damaged(reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: BACKGROUND_FILE.to_owned(),
        reason,
    }
}
