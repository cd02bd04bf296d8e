//! Shapley values of any predictor by sampling, with the standard error of each: for what is neither trees nor linear.
//!
//! A row `x` is explained against background rows `z`: starting from `z`, columns take the row's values one by one in a random
//! order, and each column is credited with the change of the score (Strumbelj & Kononenko 2014, "Explaining prediction models
//! and individual predictions with feature contributions"). Each order is walked backwards too, which cancels most of the noise
//! (antithetic pairs; Mitchell, Cooper, Frank & Holmes 2022, "Sampling permutations for Shapley value estimation"). Every
//! background row is used equally often, so the values sum to the score less the expected score, whatever was drawn, and the
//! background itself adds nothing to the error.

mod background;
#[cfg(test)]
mod tests;

use foretell_features::FeatureMatrix;

use crate::error::InferenceError;
use crate::predictor::Predictor;
pub use background::{BACKGROUND_FILE, Background, MAX_BACKGROUND};

/// How much to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Antithetic pairs of orders per background row; at least 2, else no error can be stated.
    pub rounds: usize,
    /// Same seed, same values.
    pub seed: u64,
}

/// One row's score, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledContributions {
    /// One per column. With `expected` they sum to the row's score.
    pub values: Vec<f64>,
    /// The standard error of each value.
    pub errors: Vec<f64>,
    /// The exact Shapley value lies within this distance of the value in 95 of 100 draws: the error times Student's quantile.
    pub margins: Vec<f64>,
    /// The mean score of the background.
    pub expected: f64,
}

/// Pairs that are drawn for an explanation where nobody says how many.
const DEFAULT_PAIRS: usize = 128;

impl Sampling {
    /// About 128 pairs over the whole background.
    pub fn of(background: &Background, seed: u64) -> Self {
        Self {
            rounds: DEFAULT_PAIRS.div_ceil(background.n_rows()).max(2),
            seed,
        }
    }
}

impl SampledContributions {
    /// The values and the expected score last, as [`Predictor::contributions`] gives them.
    pub fn into_contributions(mut self) -> Vec<f64> {
        self.values.push(self.expected);
        self.values
    }
}

/// What a predictor says that explains by sampling and has nothing to explain against.
pub(crate) fn unexplained() -> InferenceError {
    InferenceError::Request(format!(
        "the package has no `{BACKGROUND_FILE}`, against which the reasons of networks and ONNX graphs are found"
    ))
}

impl Background {
    /// As [`sample`], as much as is usual, the same each time.
    ///
    /// # Errors
    /// As `sample`.
    pub fn explain(
        &self,
        predictor: &dyn Predictor,
        row: &[f64],
        output: usize,
    ) -> Result<SampledContributions, InferenceError> {
        sample(predictor, self, row, output, Sampling::of(self, 0))
    }
}

/// Explains output `output` of one row before the link. Costs `rounds * background rows * 2 * (columns that differ - 1)` rows of
/// the predictor, called in batches of one pair.
///
/// # Errors
/// Fewer than two rounds, a row or a background of another width, an output that is not there, or a score that is not finite.
pub fn sample(
    predictor: &dyn Predictor,
    background: &Background,
    row: &[f64],
    output: usize,
    sampling: Sampling,
) -> Result<SampledContributions, InferenceError> {
    check(predictor, background, row, output, sampling)?;
    let scores = Scores { predictor, output };
    let ends = scores.of(background.rows())?;
    let own = scores.of(&FeatureMatrix::from_rows(row.len(), row.to_vec()))?[0];
    let mut draws = Draws(sampling.seed);
    let mut total = Total::new(row.len());
    for (from, &start) in background.rows().rows().zip(&ends) {
        let mut walks = Walks::new(row.len());
        for _ in 0..sampling.rounds {
            walks.add(&pair(&scores, &mut draws, (from, start), (row, own))?);
        }
        total.add(&walks);
    }
    Ok(total.finish(&ends))
}

fn check(
    predictor: &dyn Predictor,
    background: &Background,
    row: &[f64],
    output: usize,
    sampling: Sampling,
) -> Result<(), InferenceError> {
    let refuse = |reason: String| Err(InferenceError::Request(reason));
    if sampling.rounds < 2 {
        return refuse(format!("sampling takes at least 2 rounds. got=`{}`", sampling.rounds));
    }
    if background.rows().n_columns() != row.len() {
        return refuse(format!(
            "a row has {} columns, the background {}",
            row.len(),
            background.rows().n_columns()
        ));
    }
    if output >= predictor.n_outputs() {
        return refuse(format!(
            "the model has {} outputs, there is none to explain at {output}",
            predictor.n_outputs()
        ));
    }
    Ok(())
}

/// One output of the predictor, checked.
struct Scores<'a> {
    predictor: &'a dyn Predictor,
    output: usize,
}

impl Scores<'_> {
    fn of(&self, x: &FeatureMatrix) -> Result<Vec<f64>, InferenceError> {
        if x.n_rows() == 0 {
            return Ok(Vec::new());
        }
        let all = self.predictor.predict(x)?;
        let scores: Vec<f64> = all
            .chunks_exact(self.predictor.n_outputs())
            .map(|it| it[self.output])
            .collect();
        if scores.iter().all(|it| it.is_finite()) {
            Ok(scores)
        } else {
            Err(InferenceError::Request(
                "a score is not a finite number, so it cannot be explained".to_owned(),
            ))
        }
    }
}

/// The mean credit of each column over one random order and its reverse.
fn pair(
    scores: &Scores<'_>,
    draws: &mut Draws,
    (from, start): (&[f64], f64),
    (to, end): (&[f64], f64),
) -> Result<Vec<f64>, InferenceError> {
    let mut order: Vec<usize> = (0..to.len()).filter(|&it| !is_same(from[it], to[it])).collect();
    draws.shuffle(&mut order);
    let reverse: Vec<usize> = order.iter().rev().copied().collect();
    let mut between = FeatureMatrix::with_capacity(to.len(), 2 * order.len());
    walk(&order, from, to, &mut between);
    walk(&reverse, from, to, &mut between);
    let seen = scores.of(&between)?;
    let (forth, back) = seen.split_at(seen.len() / 2);
    let mut credit = vec![0.0; to.len()];
    for (order, seen) in [(&order, forth), (&reverse, back)] {
        let after = seen.iter().copied().chain([end]);
        let before = [start].into_iter().chain(seen.iter().copied());
        for ((&column, after), before) in order.iter().zip(after).zip(before) {
            credit[column] += 0.5 * (after - before);
        }
    }
    Ok(credit)
}

/// The rows strictly between both ends.
fn walk(order: &[usize], from: &[f64], to: &[f64], rows: &mut FeatureMatrix) {
    let mut row = from.to_vec();
    for &column in &order[..order.len().saturating_sub(1)] {
        row[column] = to[column];
        rows.push_row(&row);
    }
}

/// A column that has the same value at both ends has no part in the difference. Missing is a value.
fn is_same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Mean and spread of the pairs from one background row (Welford).
struct Walks {
    n: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Walks {
    fn new(n_columns: usize) -> Self {
        Self {
            n: 0.0,
            mean: vec![0.0; n_columns],
            squares: vec![0.0; n_columns],
        }
    }

    fn add(&mut self, credit: &[f64]) {
        self.n += 1.0;
        for ((mean, squares), it) in self.mean.iter_mut().zip(&mut self.squares).zip(credit) {
            let off = it - *mean;
            *mean += off / self.n;
            *squares += off * (it - *mean);
        }
    }
}

/// Sums over the background. Since each of its rows is there, only the spread within a row is an error.
struct Total {
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Squares of the variances' parts over their degrees of freedom.
    spread: Vec<f64>,
}

impl Total {
    fn new(n_columns: usize) -> Self {
        Self {
            mean: vec![0.0; n_columns],
            variance: vec![0.0; n_columns],
            spread: vec![0.0; n_columns],
        }
    }

    fn add(&mut self, walks: &Walks) {
        for (sum, it) in self.mean.iter_mut().zip(&walks.mean) {
            *sum += it;
        }
        let free = walks.n - 1.0;
        for ((sum, spread), squares) in self.variance.iter_mut().zip(&mut self.spread).zip(&walks.squares) {
            let part = squares / (free * walks.n);
            *sum += part;
            *spread += part * part / free;
        }
    }

    fn finish(self, ends: &[f64]) -> SampledContributions {
        let n = ends.len() as f64;
        let errors: Vec<f64> = self.variance.iter().map(|it| it.sqrt() / n).collect();
        let margin = |column: usize| match self.variance[column] {
            // Welch and Satterthwaite's degrees of freedom: a few background rows may make most of the error.
            variance if variance > 0.0 => errors[column] * quantile(variance * variance / self.spread[column]),
            _ => 0.0,
        };
        SampledContributions {
            values: self.mean.iter().map(|it| it / n).collect(),
            margins: (0..errors.len()).map(margin).collect(),
            errors,
            expected: ends.iter().sum::<f64>() / n,
        }
    }
}

/// Student's 0.975 quantile by Cornish and Fisher's expansion; within 2 % from three degrees of freedom.
fn quantile(degrees: f64) -> f64 {
    const Z: f64 = 1.959_963_984_540_054;
    let (z3, z5, z7) = (Z.powi(3), Z.powi(5), Z.powi(7));
    let first = (z3 + Z) / 4.0;
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / 96.0;
    let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / 384.0;
    Z + first / degrees + second / degrees.powi(2) + third / degrees.powi(3)
}

/// A small generator (SplitMix64, Steele, Lea & Flood 2014).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`; its bias, n in 2^64, is beyond measuring.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Fisher-Yates.
    fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
