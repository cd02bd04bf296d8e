//! Which inputs matter: the mean size of their contributions.

use foretell_features::FeatureMatrix;
use foretell_inference::{Input, RowPredictor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Rows looked at, spread evenly.
const ROWS: usize = 500;

/// One input's part in the answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The input.
    pub feature: String,
    /// Mean absolute contribution to the raw score (log-odds for probabilities, log for money).
    pub mean_contribution: f64,
}

/// Importances over the given rows, strongest first.
///
/// # Errors
/// The matrix has another width than the predictor.
pub fn importance(
    predictor: &RowPredictor,
    inputs: &[Input],
    x: &FeatureMatrix,
    rows: &[usize],
) -> Result<Vec<Importance>, TrainError> {
    let rows = spread(rows, ROWS);
    let contributions: Vec<Vec<f64>> = rows
        .par_iter()
        .map(|&row| predictor.contributions(x, row, 0))
        .collect::<Result<_, _>>()?;
    let mean = |column: usize| contributions.iter().map(|it| it[column].abs()).sum::<f64>() / rows.len() as f64;
    let named = inputs.iter().enumerate();
    let named = named.map(|(column, it)| Importance {
        feature: it.name.clone(),
        mean_contribution: mean(column),
    });
    let mut all: Vec<Importance> = named.collect();
    all.sort_by(|a, b| {
        b.mean_contribution
            .total_cmp(&a.mean_contribution)
            .then_with(|| a.feature.cmp(&b.feature))
    });
    Ok(all)
}

/// At most `most` of the rows, evenly spread.
pub fn spread(rows: &[usize], most: usize) -> Vec<usize> {
    let taken = rows.len().min(most);
    (0..taken).map(|it| rows[it * rows.len() / taken]).collect()
}
