//! Split-conformal intervals: quantiles of residuals on rows that the predictor did not see.

use serde::{Deserialize, Serialize};

/// Sorted conformity scores per bin of the prediction (Mondrian), from which any level's interval follows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conformal {
    /// Upper edges of the prediction bins, rising, inclusive; the last bin is open. Empty: one bin.
    pub edges: Vec<f64>,
    /// Per bin, sorted signed scores `(y - p) / scale(p)`.
    pub scores: Vec<Vec<f64>>,
    /// `scale(p) = scale_floor + scale_slope * |p|`.
    pub scale_floor: f64,
    /// See `scale_floor`.
    pub scale_slope: f64,
    /// Answers cannot be below this (0 for money and counts).
    pub lower_bound: Option<f64>,
}

impl Conformal {
    /// The interval around a prediction that holds the outcome with probability `level` (in 0..1): half of the rest is left
    /// out on each side, by the finite-sample quantiles of the prediction's bin. It always contains the prediction.
    pub fn interval(&self, value: f64, level: f64) -> (f64, f64) {
        let Some(scores) = self.scores.get(self.bin(value)).filter(|it| !it.is_empty()) else {
            return (value, value);
        };
        let (low, high) = ranks(scores.len(), level);
        let scale = self.scale(value);
        let lower = (value + scores[low] * scale).max(self.lower_bound.unwrap_or(f64::NEG_INFINITY));
        let upper = value + scores[high] * scale;
        (lower.min(value), upper.max(value))
    }

    /// The conformity score of an outcome.
    pub fn score(&self, value: f64, outcome: f64) -> f64 {
        (outcome - value) / self.scale(value)
    }

    /// The bin of a prediction.
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|&edge| edge < value)
    }

    fn scale(&self, value: f64) -> f64 {
        self.scale_floor + self.scale_slope * value.abs()
    }

    /// What is wrong with it, where it cannot be applied.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rising = |it: &[f64]| it.windows(2).all(|it| it[0] <= it[1]) && it.iter().all(|it| it.is_finite());
        let bins = rising(&self.edges) && self.scores.len() == self.edges.len() + 1;
        let scores = self.scores.iter().all(|it| !it.is_empty() && rising(it));
        let scale = self.scale_floor >= 0.0 && self.scale_slope >= 0.0 && self.scale_floor + self.scale_slope > 0.0;
        let finite = self.scale_floor.is_finite() && self.scale_slope.is_finite();
        if bins && scores && scale && finite {
            Ok(())
        } else {
            Err("conformal bins, scores or scale are not sound".to_owned())
        }
    }
}

/// Positions of the lower and the upper score among `n` sorted ones: with `n + 1` in place of `n`, so that the next outcome
/// counts as one more of them. Too few scores for the level give the extremes.
fn ranks(n: usize, level: f64) -> (usize, usize) {
    let tail = (1.0 - level) / 2.0;
    // The nudge keeps products that are whole numbers on paper (20 * 0.05) from falling to the other side.
    let low = ((n + 1) as f64 * tail + 1e-9).floor() as usize;
    let high = ((n + 1) as f64 * (1.0 - tail) - 1e-9).ceil() as usize;
    (low.clamp(1, n) - 1, high.clamp(1, n) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_bin(scores: Vec<f64>) -> Conformal {
        Conformal {
            edges: vec![],
            scores: vec![scores],
            scale_floor: 1.0,
            scale_slope: 0.0,
            lower_bound: None,
        }
    }

    #[test]
    fn the_interval_leaves_out_half_of_the_rest_on_each_side() {
        let conformal = one_bin((0..19).map(|it| f64::from(it) - 9.0).collect());
        assert_eq!(conformal.interval(100.0, 0.9), (91.0, 109.0));
        assert_eq!(conformal.interval(100.0, 0.8), (92.0, 108.0));
        assert_eq!(
            conformal.interval(100.0, 0.999),
            (91.0, 109.0),
            "too few scores give the extremes"
        );
    }

    #[test]
    fn bins_scales_and_bounds_shape_the_interval() {
        let conformal = Conformal {
            edges: vec![10.0],
            scores: vec![vec![-1.0, 1.0], vec![-3.0, 5.0]],
            scale_floor: 1.0,
            scale_slope: 0.5,
            lower_bound: Some(0.0),
        };
        assert_eq!(conformal.interval(2.0, 0.9), (0.0, 4.0), "clipped at the bound");
        assert_eq!(
            conformal.interval(10.0, 0.9),
            (4.0, 16.0),
            "an edge belongs to the bin below it"
        );
        assert_eq!(conformal.interval(20.0, 0.9), (0.0, 75.0));
        assert_eq!(conformal.score(20.0, 75.0), 5.0);
    }

    #[test]
    fn the_interval_contains_the_prediction() {
        assert_eq!(one_bin(vec![-3.0, -2.0, -1.0]).interval(5.0, 0.5), (2.0, 5.0));
    }

    #[test]
    fn unsound_scores_are_refused() {
        let sound = one_bin(vec![0.0, 1.0]);
        assert!(sound.check().is_ok());
        let wrong = [
            Conformal {
                scores: vec![],
                ..sound.clone()
            },
            Conformal {
                scores: vec![vec![]],
                ..sound.clone()
            },
            Conformal {
                scores: vec![vec![1.0, 0.0]],
                ..sound.clone()
            },
            Conformal {
                scores: vec![vec![f64::NAN]],
                ..sound.clone()
            },
            Conformal {
                edges: vec![1.0],
                ..sound.clone()
            },
            Conformal {
                scale_floor: 0.0,
                ..sound.clone()
            },
            Conformal {
                scale_slope: f64::NAN,
                ..sound
            },
        ];
        for conformal in wrong {
            assert!(conformal.check().is_err(), "{conformal:?}");
        }
    }
}
