//! Conformal intervals: quantiles of how wrong the predictor was on rows that it did not see.
//!
//! Split conformal prediction around the value, conformalized quantile regression (Romano, Patterson and Candes 2019) around
//! the predictor's own quantiles, and either of them per bin of the prediction and per segment (Mondrian).

mod resolved;

use serde::{Deserialize, Serialize};

pub(crate) use resolved::Resolved;

/// Sorted conformity scores per bin of the prediction (Mondrian), from which any level's interval follows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conformal {
    /// Upper edges of the prediction bins, rising, inclusive; the last bin is open. Empty: one bin.
    pub edges: Vec<f64>,
    /// Per bin, sorted scores, see [`Around`].
    pub scores: Vec<Vec<f64>>,
    /// `scale(p) = scale_floor + scale_slope * |p|`.
    pub scale_floor: f64,
    /// See `scale_floor`.
    pub scale_slope: f64,
    /// Answers cannot be below this (0 for money and counts).
    pub lower_bound: Option<f64>,
    /// What the interval is made around.
    #[serde(default, skip_serializing_if = "Around::is_value")]
    pub around: Around,
    /// Scores of their own for the rows of a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Segments>,
}

/// What an interval is made around, and with it what a score says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Around {
    /// The value: signed scores `(y - value) / scale(value)`, half of the rest is left out on each side.
    #[default]
    Value,
    /// The predictor's second and third output, a lower and an upper quantile: scores `max(lower - y, y - upper) /
    /// scale(value)`, by which both ends move out, or in where the quantiles are too wide.
    Quantiles,
}

/// Scores by the value of an input: rows of one kind are compared with rows of their kind. A value that is not here had too few
/// rows, or none; it has the bins of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segments {
    /// Name of the input; a category.
    pub input: String,
    /// By value, rising.
    pub of: Vec<Segment>,
}

/// The rows of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The input's value.
    pub value: String,
    /// Sorted scores, see [`Around`].
    pub scores: Vec<f64>,
}

/// What a predictor says of one row that an interval is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// The answer.
    pub value: f64,
    /// The lower and the upper quantile; both the answer where the predictor has none.
    pub quantiles: (f64, f64),
}

impl Said {
    /// An answer without quantiles.
    pub fn value(value: f64) -> Self {
        Self {
            value,
            quantiles: (value, value),
        }
    }
}

impl Around {
    fn is_value(&self) -> bool {
        *self == Around::Value
    }
}

impl Conformal {
    /// The interval around a prediction that holds the outcome with probability `level` (in 0..1), by the finite-sample
    /// quantiles of the prediction's bin. It always contains the prediction.
    pub fn interval(&self, value: f64, level: f64) -> (f64, f64) {
        self.interval_of(Said::value(value), None, level)
    }

    /// The same where the predictor says more than a value, by the scores of the row's segment where it has any.
    pub fn interval_of(&self, said: Said, segment: Option<&str>, level: f64) -> (f64, f64) {
        let scores = match segment.and_then(|it| self.segment(it)) {
            Some(segment) => &segment.scores,
            None => match self.scores.get(self.bin(said.value)) {
                Some(scores) => scores,
                None => return (said.value, said.value),
            },
        };
        self.around(said, self.ends(scores, level))
    }

    /// The conformity score of an outcome.
    pub fn score(&self, said: Said, outcome: f64) -> f64 {
        let distance = match self.around {
            Around::Value => outcome - said.value,
            Around::Quantiles => (said.quantiles.0 - outcome).max(outcome - said.quantiles.1),
        };
        distance / self.scale(said.value)
    }

    fn segment(&self, value: &str) -> Option<&Segment> {
        let of = &self.segments.as_ref()?.of;
        let at = of.binary_search_by(|it| it.value.as_str().cmp(value)).ok()?;
        Some(&of[at])
    }

    /// How far the two ends are from what they are made around, in scales.
    pub(crate) fn ends(&self, scores: &[f64], level: f64) -> (f64, f64) {
        if scores.is_empty() {
            return (0.0, 0.0);
        }
        match self.around {
            Around::Value => {
                let (low, high) = ranks(scores.len(), level);
                (scores[low], scores[high])
            }
            Around::Quantiles => {
                let out = scores[rank(scores.len(), level)];
                (-out, out)
            }
        }
    }

    fn around(&self, said: Said, (below, above): (f64, f64)) -> (f64, f64) {
        let scale = self.scale(said.value);
        let (from, to) = match self.around {
            Around::Value => (said.value, said.value),
            Around::Quantiles => said.quantiles,
        };
        let lower = (from + below * scale).max(self.lower_bound.unwrap_or(f64::NEG_INFINITY));
        let upper = to + above * scale;
        (lower.min(said.value), upper.max(said.value))
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
        let of = self.segments.as_ref().map_or(&[][..], |it| &it.of);
        let segments = of.windows(2).all(|it| it[0].value < it[1].value)
            && of.iter().all(|it| !it.scores.is_empty() && rising(&it.scores));
        if bins && scores && scale && finite && segments {
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

/// Position of the score that a share `level` of the next outcomes does not pass.
fn rank(n: usize, level: f64) -> usize {
    let rank = ((n + 1) as f64 * level - 1e-9).ceil() as usize;
    rank.clamp(1, n) - 1
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
            ..Conformal::default()
        }
    }

    /// 19 scores from 1 to 19.
    fn quantiles() -> Conformal {
        Conformal {
            around: Around::Quantiles,
            ..one_bin((1..20).map(f64::from).collect())
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
            ..Conformal::default()
        };
        assert_eq!(conformal.interval(2.0, 0.9), (0.0, 4.0), "clipped at the bound");
        assert_eq!(
            conformal.interval(10.0, 0.9),
            (4.0, 16.0),
            "an edge belongs to the bin below it"
        );
        assert_eq!(conformal.interval(20.0, 0.9), (0.0, 75.0));
        assert_eq!(conformal.score(Said::value(20.0), 75.0), 5.0);
    }

    #[test]
    fn quantiles_move_out_by_the_score_that_the_level_asks_for() {
        let said = Said {
            value: 100.0,
            quantiles: (90.0, 130.0),
        };
        // 20 * 0.9 = 18: the 18th of 19 scores.
        assert_eq!(quantiles().interval_of(said, None, 0.9), (72.0, 148.0));
        assert_eq!(quantiles().interval_of(said, None, 0.5), (80.0, 140.0));
        for (outcome, score) in [(85.0, 5.0), (100.0, -10.0), (125.0, -5.0), (131.0, 1.0)] {
            assert_eq!(quantiles().score(said, outcome), score, "{outcome}");
        }
        let wide = one_bin(vec![-3.0; 19]);
        let wide = Conformal {
            around: Around::Quantiles,
            ..wide
        };
        assert_eq!(
            wide.interval_of(said, None, 0.9),
            (93.0, 127.0),
            "quantiles too wide move in"
        );
    }

    #[test]
    fn a_segment_has_its_own_scores_and_others_have_those_of_all() {
        let segment = |value: &str, scores: Vec<f64>| Segment {
            value: value.to_owned(),
            scores,
        };
        let conformal = Conformal {
            segments: Some(Segments {
                input: "plan".to_owned(),
                of: vec![segment("basic", vec![-1.0, 1.0]), segment("pro", vec![-7.0, 9.0])],
            }),
            ..one_bin(vec![-3.0, 3.0])
        };
        assert!(conformal.check().is_ok());
        let cases = [("basic", (9.0, 11.0)), ("pro", (3.0, 19.0)), ("gold", (7.0, 13.0))];
        for (plan, expected) in cases {
            let got = conformal.interval_of(Said::value(10.0), Some(plan), 0.9);
            assert_eq!(got, expected, "{plan}");
        }
        assert_eq!(conformal.interval(10.0, 0.9), (7.0, 13.0));
    }

    #[test]
    fn every_form_reads_back_and_the_plain_one_is_written_as_ever() {
        let plain = serde_json::to_string(&one_bin(vec![1.0])).unwrap();
        assert!(!plain.contains("around") && !plain.contains("segments"), "{plain}");
        for conformal in [one_bin(vec![1.0]), quantiles()] {
            let text = serde_json::to_string(&conformal).unwrap();
            assert_eq!(serde_json::from_str::<Conformal>(&text).unwrap(), conformal);
        }
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
                ..sound.clone()
            },
            Conformal {
                segments: Some(Segments {
                    input: "plan".to_owned(),
                    of: vec![Segment {
                        value: "pro".to_owned(),
                        scores: vec![],
                    }],
                }),
                ..sound
            },
        ];
        for conformal in wrong {
            assert!(conformal.check().is_err(), "{conformal:?}");
        }
    }
}
