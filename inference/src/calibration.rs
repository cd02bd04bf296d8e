//! Scores become probabilities.

use serde::{Deserialize, Serialize};

/// A monotone map fitted on rows that the predictor did not see.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Calibration {
    /// The answer as it is.
    #[default]
    Identity,
    /// `1 / (1 + exp(-(a * logit(p) + b)))` (Platt on the log-odds).
    Platt {
        /// Slope.
        a: f64,
        /// Offset.
        b: f64,
    },
    /// `1 / (1 + exp(-(a * ln(p) - b * ln(1 - p) + c)))`: a slope for each end, so that a map of scores that are already right
    /// is among them, and S-shapes either way (Kull, Silva Filho and Flach, "Beta calibration", 2017).
    Beta {
        /// Slope of `ln(p)`, at least 0.
        a: f64,
        /// Slope of `-ln(1 - p)`, at least 0.
        b: f64,
        /// Offset.
        c: f64,
    },
    /// Linear interpolation between `(x, y)` points, constant outside.
    Isotonic {
        /// Rising scores.
        x: Vec<f64>,
        /// Non-decreasing probabilities.
        y: Vec<f64>,
    },
}

/// Probabilities are kept this far from 0 and 1 before their log-odds are taken.
pub const MIN_PROBABILITY: f64 = 1e-15;

impl Calibration {
    /// The calibrated probability of a score; the identity leaves numbers of any kind alone. NaN stays NaN.
    pub fn apply(&self, score: f64) -> f64 {
        match self {
            Calibration::Identity => score,
            Calibration::Platt { a, b } => sigmoid(a * logit(score) + b),
            Calibration::Beta { a, b, c } => {
                let (ends, rest) = log_odds_ends(score);
                sigmoid(a * ends + b * rest + c)
            }
            Calibration::Isotonic { x, y } => interpolate(x, y, score),
        }
    }

    /// What is wrong with it, where it cannot be applied.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (sound, what) = match self {
            Calibration::Identity => (true, ""),
            Calibration::Platt { a, b } => (a.is_finite() && b.is_finite(), "platt coefficients are not finite"),
            Calibration::Beta { a, b, c } => (
                *a >= 0.0 && *b >= 0.0 && (a + b + c).is_finite(),
                "beta coefficients are not finite, or a slope is below 0",
            ),
            Calibration::Isotonic { x, y } => (is_isotonic(x, y), "isotonic points do not rise from 0 to 1"),
        };
        if sound { Ok(()) } else { Err(what.to_owned()) }
    }
}

/// `ln(p / (1 - p))`, with `p` kept away from 0 and 1.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
    (p / (1.0 - p)).ln()
}

/// `(ln(p), -ln(1 - p))`, with `p` kept away from 0 and 1: what a beta map is linear in. They sum to [`logit`].
pub fn log_odds_ends(p: f64) -> (f64, f64) {
    let p = p.clamp(MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
    (p.ln(), -(1.0 - p).ln())
}

/// `1 / (1 + exp(-x))`, without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    if at.is_nan() {
        return at;
    }
    let right = x.partition_point(|&it| it <= at);
    match (right.checked_sub(1), x.get(right)) {
        (None, _) => y[0],
        (Some(left), None) => y[left],
        (Some(left), Some(&end)) => {
            let share = (at - x[left]) / (end - x[left]);
            y[left] + share * (y[right] - y[left])
        }
    }
}

fn is_isotonic(x: &[f64], y: &[f64]) -> bool {
    let rising = x.windows(2).all(|it| it[0] < it[1]) && y.windows(2).all(|it| it[0] <= it[1]);
    let within = y.iter().all(|it| (0.0..=1.0).contains(it)) && x.iter().all(|it| it.is_finite());
    !x.is_empty() && x.len() == y.len() && rising && within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platt_map_with_slope_one_and_no_offset_changes_nothing() {
        let platt = Calibration::Platt { a: 1.0, b: 0.0 };
        for p in [0.001, 0.25, 0.5, 0.999] {
            assert!((platt.apply(p) - p).abs() < 1e-12, "{p}");
        }
        let ends = [platt.apply(0.0), platt.apply(1.0)];
        assert!(
            ends[0] < 1e-12 && ends[1] > 1.0 - 1e-12,
            "certainty stays finite: {ends:?}"
        );
    }

    #[test]
    fn a_beta_map_bends_either_end_and_holds_the_platt_maps() {
        let beta = |a, b, c| Calibration::Beta { a, b, c };
        for p in [0.001, 0.25, 0.5, 0.999] {
            assert!((beta(1.0, 1.0, 0.0).apply(p) - p).abs() < 1e-12, "{p}");
            let platt = Calibration::Platt { a: 0.7, b: -0.2 }.apply(p);
            assert!((beta(0.7, 0.7, -0.2).apply(p) - platt).abs() < 1e-12, "{p}");
            // 1 / (1 + (1 - p)^b / (e^c p^a)), as the paper writes it.
            let paper = 1.0 / (1.0 + (1.0 - p).powf(0.5) / (0.3_f64.exp() * p.powf(2.0)));
            assert!((beta(2.0, 0.5, 0.3).apply(p) - paper).abs() < 1e-12, "{p}");
        }
        let ends = [0.0, 1.0].map(|it| beta(2.0, 0.5, 0.3).apply(it));
        assert!(ends[0] < 1e-12 && ends[1] > 0.999, "certainty stays finite: {ends:?}");
        assert!(beta(1.0, 1.0, 0.0).apply(f64::NAN).is_nan());
    }

    #[test]
    fn an_isotonic_map_is_linear_between_points_and_flat_outside() {
        let map = Calibration::Isotonic {
            x: vec![0.2, 0.4, 0.8],
            y: vec![0.1, 0.1, 0.9],
        };
        for (score, expected) in [(0.0, 0.1), (0.2, 0.1), (0.3, 0.1), (0.6, 0.5), (0.8, 0.9), (1.0, 0.9)] {
            assert!((map.apply(score) - expected).abs() < 1e-12, "{score}");
        }
        assert!(map.apply(f64::NAN).is_nan());
    }

    #[test]
    fn maps_that_cannot_be_applied_are_refused() {
        let isotonic = |x: &[f64], y: &[f64]| Calibration::Isotonic {
            x: x.to_vec(),
            y: y.to_vec(),
        };
        let wrong = [
            isotonic(&[], &[]),
            isotonic(&[0.1, 0.2], &[0.1]),
            isotonic(&[0.2, 0.1], &[0.1, 0.2]),
            isotonic(&[0.1, 0.2], &[0.2, 0.1]),
            isotonic(&[0.1], &[f64::NAN]),
            Calibration::Platt { a: f64::NAN, b: 0.0 },
            Calibration::Beta {
                a: -1.0,
                b: 1.0,
                c: 0.0,
            },
            Calibration::Beta {
                a: 1.0,
                b: f64::NAN,
                c: 0.0,
            },
            Calibration::Beta {
                a: 1.0,
                b: 1.0,
                c: f64::INFINITY,
            },
        ];
        for map in wrong {
            assert!(map.check().is_err(), "{map:?}");
        }
        assert!(Calibration::Identity.check().is_ok());
    }
}
