//! What is made small: derivatives, the best constant, the value of a leaf, and the loss itself on validation rows.

use foretell_inference::Link;
use rayon::prelude::*;

use crate::data::{BoostData, check_numbers};
use crate::error::BoostError;

/// Rows summed as one part; parts are added in order, so that threads cannot show in a sum.
const CHUNK: usize = 1 << 14;

/// The most that one leaf may move a score on the log scale, before the learning rate.
const MAX_LOG_STEP: f64 = 3.0;

/// A loss and its link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Cross entropy; labels in `[0, 1]`, log-odds scores.
    Logistic,
    /// Half the squared error: the mean.
    Squared,
    /// The absolute error: the median.
    Absolute,
    /// The pinball loss: the quantile.
    Quantile {
        /// In (0, 1).
        level: f64,
    },
    /// Squared near the label, absolute farther away.
    Huber {
        /// Where it changes.
        delta: f64,
    },
    /// Poisson deviance of counts; log scores.
    Poisson,
    /// Tweedie deviance of amounts with many zeros; log scores.
    Tweedie {
        /// Variance power in (1, 2).
        power: f64,
    },
}

impl Loss {
    pub(crate) const NAMES: [&'static str; 7] = [
        "logistic", "squared", "absolute", "quantile", "huber", "poisson", "tweedie",
    ];

    /// The loss of a name, with the usual setting where it has one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "logistic" => Loss::Logistic,
            "squared" => Loss::Squared,
            "absolute" => Loss::Absolute,
            "quantile" => Loss::Quantile { level: 0.5 },
            "huber" => Loss::Huber { delta: 1.0 },
            "poisson" => Loss::Poisson,
            "tweedie" => Loss::Tweedie { power: 1.5 },
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Logistic => "logistic",
            Loss::Squared => "squared",
            Loss::Absolute => "absolute",
            Loss::Quantile { .. } => "quantile",
            Loss::Huber { .. } => "huber",
            Loss::Poisson => "poisson",
            Loss::Tweedie { .. } => "tweedie",
        }
    }

    /// What turns scores into answers.
    pub fn link(self) -> Link {
        match self {
            Loss::Logistic => Link::Logit,
            Loss::Poisson | Loss::Tweedie { .. } => Link::Log,
            _ => Link::Identity,
        }
    }

    /// First and second derivative of one row's loss by its score.
    #[inline]
    fn derivatives(self, score: f64, label: f64) -> (f64, f64) {
        match self {
            Loss::Logistic => {
                let p = 1.0 / (1.0 + (-score).exp());
                (p - label, (p * (1.0 - p)).max(1e-16))
            }
            Loss::Squared => (score - label, 1.0),
            Loss::Absolute => (if label > score { -0.5 } else { 0.5 }, 1.0),
            Loss::Quantile { level } => (if label > score { -level } else { 1.0 - level }, 1.0),
            Loss::Huber { delta } => ((score - label).clamp(-delta, delta), 1.0),
            Loss::Poisson => (score.exp() - label, score.exp()),
            Loss::Tweedie { power } => {
                let (a, b) = (label * ((1.0 - power) * score).exp(), ((2.0 - power) * score).exp());
                (b - a, (2.0 - power) * b + (power - 1.0) * a)
            }
        }
    }

    /// One row's loss, up to what depends on the label alone.
    fn value(self, score: f64, label: f64) -> f64 {
        match self {
            // log(1 + exp(-|s|)) + max(s, 0) - s y, which overflows nowhere
            Loss::Logistic => (-score.abs()).exp().ln_1p() + score.max(0.0) - score * label,
            Loss::Squared => (score - label).powi(2),
            Loss::Absolute => (score - label).abs(),
            Loss::Quantile { level } => (label - score) * (level - f64::from(u8::from(label < score))),
            Loss::Huber { delta } => match (score - label).abs() {
                small if small <= delta => small * small / 2.0,
                large => delta * (large - delta / 2.0),
            },
            Loss::Poisson => score.exp() - label * score,
            Loss::Tweedie { power } => {
                let (a, b) = (label * ((1.0 - power) * score).exp(), ((2.0 - power) * score).exp());
                a / (power - 1.0) + b / (2.0 - power)
            }
        }
    }

    /// Whether leaves take a quantile of their residuals in place of a Newton step.
    fn leaf_quantile(self) -> Option<f64> {
        match self {
            Loss::Absolute => Some(0.5),
            Loss::Quantile { level } => Some(level),
            _ => None,
        }
    }

    pub(crate) fn check(self, data: &BoostData) -> Result<(), BoostError> {
        self.check_labels(data)?;
        self.check_variety(data)
    }

    pub(crate) fn check_labels(self, data: &BoostData) -> Result<(), BoostError> {
        let label = |expected, good: fn(f64) -> bool| check_numbers("label", expected, data.label, good);
        match self {
            Loss::Logistic => label("a number from 0 to 1", |it| (0.0..=1.0).contains(&it)),
            Loss::Poisson | Loss::Tweedie { .. } => {
                label("a finite number of at least 0", |it| it >= 0.0 && it.is_finite())
            }
            _ => label("a finite number", f64::is_finite),
        }
    }

    /// The best constant must be finite: log-odds need both classes, logs a label above 0.
    fn check_variety(self, data: &BoostData) -> Result<(), BoostError> {
        let all = |value: f64| (0..data.n_rows()).all(|row| data.weight(row) == 0.0 || data.label[row] == value);
        let hopeless: &[f64] = match self {
            Loss::Logistic => &[0.0, 1.0],
            Loss::Poisson | Loss::Tweedie { .. } => &[0.0],
            _ => &[],
        };
        match hopeless.iter().find(|value| all(**value)) {
            None => Ok(()),
            Some(&value) => Err(BoostError::OneLabel {
                loss: self.name(),
                value,
            }),
        }
    }

    /// The constant that, added to every offset, makes the loss least.
    pub(crate) fn base(self, data: &BoostData) -> f64 {
        let mean = |value: &dyn Fn(usize) -> f64| {
            let weighted = |row: usize| data.weight(row) * value(row);
            (0..data.n_rows()).map(weighted).sum::<f64>()
        };
        let total = mean(&|_| 1.0);
        match self {
            Loss::Logistic => self.base_by_newton(data),
            Loss::Squared => mean(&|row| data.label[row] - data.offset(row)) / total,
            // Huber from the median: from the mean, far outliers would make every residual look alike.
            Loss::Absolute | Loss::Quantile { .. } | Loss::Huber { .. } => {
                let residual = |row: usize| (data.label[row] - data.offset(row), data.weight(row));
                let rows = data.weighted_rows();
                weighted_quantile(
                    rows.iter().map(|&row| residual(row as usize)),
                    self.leaf_quantile().unwrap_or(0.5),
                )
            }
            Loss::Poisson => self.log_base(data, 1.0),
            Loss::Tweedie { power } => self.log_base(data, power),
        }
    }

    /// In closed form: where `sum(w y exp((1-p) o)) exp(-c) = sum(w exp((2-p) o))`.
    fn log_base(self, data: &BoostData, power: f64) -> f64 {
        let rows = 0..data.n_rows();
        let labels = rows
            .clone()
            .map(|row| data.weight(row) * data.label[row] * ((1.0 - power) * data.offset(row)).exp());
        let ones = rows.map(|row| data.weight(row) * ((2.0 - power) * data.offset(row)).exp());
        (labels.sum::<f64>() / ones.sum::<f64>()).ln()
    }

    fn base_by_newton(self, data: &BoostData) -> f64 {
        let mut base = 0.0;
        for _ in 0..30 {
            let (mut first, mut second) = (0.0, 0.0);
            for row in 0..data.n_rows() {
                let (a, b) = self.derivatives(base + data.offset(row), data.label[row]);
                first += data.weight(row) * a;
                second += data.weight(row) * b;
            }
            let step = (first / second).clamp(-4.0, 4.0);
            base -= step;
            if step.abs() < 1e-12 {
                break;
            }
        }
        base
    }

    /// Weighted derivatives of all rows.
    pub(crate) fn fill_derivatives(self, data: &BoostData, scores: &[f64], first: &mut [f32], second: &mut [f32]) {
        let chunks = first
            .par_chunks_mut(CHUNK)
            .zip(second.par_chunks_mut(CHUNK))
            .enumerate();
        chunks.for_each(|(chunk, (first, second))| {
            let start = chunk * CHUNK;
            for (at, (first, second)) in first.iter_mut().zip(second).enumerate() {
                let row = start + at;
                let (a, b) = self.derivatives(scores[row], data.label[row]);
                let weight = data.weight(row);
                (*first, *second) = ((a * weight) as f32, (b * weight) as f32);
            }
        });
    }

    /// The weighted mean loss.
    pub(crate) fn mean(self, data: &BoostData, scores: &[f64]) -> f64 {
        let part = |(chunk, scores): (usize, &[f64])| {
            let start = chunk * CHUNK;
            let weighted = |(at, score): (usize, &f64)| {
                let weight = data.weight(start + at);
                (weight * self.value(*score, data.label[start + at]), weight)
            };
            scores
                .iter()
                .enumerate()
                .map(weighted)
                .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
        };
        let parts: Vec<(f64, f64)> = scores.par_chunks(CHUNK).enumerate().map(part).collect();
        let (loss, weight) = parts
            .into_iter()
            .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        loss / weight
    }

    /// A leaf's value from its rows, before learning rate and bounds: a Newton step, or a quantile of the residuals.
    pub(crate) fn leaf_value(self, leaf: &LeafRows, newton: impl Fn(f64, f64) -> f64) -> f64 {
        if let Some(level) = self.leaf_quantile() {
            let residual = |row: usize| leaf.data.label[row] - leaf.scores[row];
            let rows = leaf.rows.iter().map(|&row| row as usize);
            return weighted_quantile(rows.map(|row| (residual(row), leaf.data.weight(row))), level);
        }
        let (mut first, mut second) = (0.0, 0.0);
        for &row in leaf.rows {
            first += f64::from(leaf.first[row as usize]);
            second += f64::from(leaf.second[row as usize]);
        }
        let value = newton(first, second);
        if self.link() == Link::Log {
            value.clamp(-MAX_LOG_STEP, MAX_LOG_STEP)
        } else {
            value
        }
    }
}

/// The rows of one leaf, and all rows' numbers.
pub(crate) struct LeafRows<'a> {
    pub(crate) data: &'a BoostData<'a>,
    pub(crate) rows: &'a [u32],
    pub(crate) scores: &'a [f64],
    pub(crate) first: &'a [f32],
    pub(crate) second: &'a [f32],
}

/// The least value at which the weights of all values up to it reach the level.
fn weighted_quantile(values: impl Iterator<Item = (f64, f64)>, level: f64) -> f64 {
    let mut values: Vec<(f64, f64)> = values.collect();
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let target = level * values.iter().map(|it| it.1).sum::<f64>();
    let mut reached = 0.0;
    let hit = values.iter().find(|(_, weight)| {
        reached += weight;
        reached >= target
    });
    hit.or(values.last()).map_or(0.0, |it| it.0)
}

#[cfg(test)]
mod tests {
    use foretell_features::{ColumnKind, FeatureMatrix};

    use super::*;

    const LOSSES: [Loss; 7] = [
        Loss::Logistic,
        Loss::Squared,
        Loss::Absolute,
        Loss::Quantile { level: 0.8 },
        Loss::Huber { delta: 0.6 },
        Loss::Poisson,
        Loss::Tweedie { power: 1.3 },
    ];

    #[test]
    fn derivatives_are_those_of_the_value() {
        for loss in LOSSES {
            for (score, label) in [(0.3, 1.0), (-1.2, 0.0), (2.0, 0.4)] {
                let scale = if matches!(loss, Loss::Squared | Loss::Absolute) {
                    0.5
                } else {
                    1.0
                };
                let value = |score: f64| loss.value(score, label) * scale;
                let step = 1e-5;
                let first = (value(score + step) - value(score - step)) / (2.0 * step);
                let got = loss.derivatives(score, label);
                assert!(
                    (got.0 - first).abs() < 1e-6,
                    "{loss:?} at {score}: {} against {first}",
                    got.0
                );
                if matches!(
                    loss,
                    Loss::Logistic | Loss::Squared | Loss::Poisson | Loss::Tweedie { .. }
                ) {
                    let second = (value(score + step) - 2.0 * value(score) + value(score - step)) / (step * step);
                    assert!(
                        (got.1 - second).abs() < 1e-4,
                        "{loss:?} at {score}: {} against {second}",
                        got.1
                    );
                }
            }
        }
    }

    #[test]
    fn no_constant_is_better_than_the_base() {
        let label = [0.0, 1.0, 0.0, 0.3, 0.9, 0.0];
        let (weight, offset) = ([1.0, 2.0, 1.0, 0.5, 1.0, 3.0], [0.1, -0.4, 0.0, 1.0, 0.3, -0.2]);
        let x = FeatureMatrix::from_rows(1, vec![0.0; 6]);
        let data = BoostData {
            weight: Some(&weight),
            offset: Some(&offset),
            ..BoostData::new(&x, &[ColumnKind::Numeric], &label)
        };
        for loss in LOSSES.into_iter().filter(|it| !matches!(it, Loss::Huber { .. })) {
            let base = loss.base(&data);
            let at = |shift: f64| loss.mean(&data, &offset.map(|it| it + base + shift));
            assert!(at(0.0) <= at(0.01) && at(0.0) <= at(-0.01), "{loss:?}: base {base}");
        }
    }

    #[test]
    fn a_weighted_quantile_is_that_of_repeated_values() {
        let weighted = [(3.0, 2.0), (1.0, 1.0), (2.0, 4.0)];
        for (level, expected) in [(0.1, 1.0), (0.5, 2.0), (0.7, 2.0), (0.75, 3.0), (1.0, 3.0)] {
            assert_eq!(weighted_quantile(weighted.into_iter(), level), expected, "at {level}");
        }
    }
}
