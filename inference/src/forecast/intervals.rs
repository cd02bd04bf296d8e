//! Conformal intervals of forecasts: quantiles of errors at rolling origins that the forecaster had not seen.
//!
//! An error is measured in units of `spread * max(value, floor * level)^exponent`, so that one set of quantiles serves large and
//! small series; near and far steps have quantiles of their own. A total over steps has its own errors: those of its parts
//! partly cancel, so the sum of the bounds would be too wide.

use serde::{Deserialize, Serialize};

use super::ForecastState;
use crate::error::InferenceError;

/// Quantiles of scaled errors per bucket of steps, and of totals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastIntervals {
    /// How the size of errors grows with the value: 0 not at all, 0.5 as counts do, 1 in proportion.
    pub exponent: f64,
    /// Values below this share of the level are taken as this share of it.
    pub floor: f64,
    /// Recent values that make the level.
    pub level_window: usize,
    /// By steps ahead, rising; the last one serves all later steps.
    pub buckets: Vec<Bucket>,
    /// Values are never below this.
    pub lower_bound: Option<f64>,
}

/// Steps that share their quantiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The last step of the bucket.
    pub last_step: usize,
    /// Sorted scaled errors `(observed - forecast) / scale` of single steps.
    pub steps: Vec<f64>,
    /// Sorted scaled errors of totals that end in this bucket, in units of the summed scales.
    pub totals: Vec<f64>,
}

impl ForecastIntervals {
    /// The unit of a step's error.
    pub fn scale(&self, value: f64, level: f64, spread: f64) -> f64 {
        spread * value.abs().max(self.floor * level).powf(self.exponent)
    }

    /// Lower and upper bound of each step of `values`, the forecast of `state` from its first step on.
    pub fn steps(&self, state: &ForecastState, values: &[f64], coverage: f64) -> Vec<(f64, f64)> {
        let level = state.level(self.level_window);
        let bounds = values.iter().zip(1..).map(|(&value, step)| {
            let (low, high) = band(&self.bucket(step).steps, coverage);
            let scale = self.scale(value, level, state.spread);
            self.bounded(value, low * scale, high * scale)
        });
        bounds.collect()
    }

    /// Lower and upper bound of the sum of `values`.
    pub fn total(&self, state: &ForecastState, values: &[f64], coverage: f64) -> (f64, f64) {
        let level = state.level(self.level_window);
        let scale: f64 = values.iter().map(|&it| self.scale(it, level, state.spread)).sum();
        let (low, high) = band(&self.bucket(values.len()).totals, coverage);
        self.bounded(values.iter().sum(), low * scale, high * scale)
    }

    /// Reads `intervals.json`.
    ///
    /// # Errors
    /// Not of this form, or nothing in it to make an interval of.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let damaged = |reason: String| InferenceError::Damaged {
            file: INTERVALS_FILE.to_owned(),
            reason,
        };
        let it: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let sorted = |scores: &[f64]| scores.is_sorted() && scores.iter().all(|it| it.is_finite());
        let sound = it.buckets.iter().all(|it| sorted(&it.steps) && sorted(&it.totals));
        if sound && !it.buckets.is_empty() && it.exponent.is_finite() && it.floor >= 0.0 {
            Ok(it)
        } else {
            Err(damaged("its quantiles are not sorted numbers".to_owned()))
        }
    }

    /// The bytes of `intervals.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers serialise")
    }

    fn bucket(&self, step: usize) -> &Bucket {
        let found = self.buckets.iter().find(|it| step <= it.last_step);
        found
            .or(self.buckets.last())
            .expect("there is at least one bucket, checked when read")
    }

    fn bounded(&self, value: f64, low: f64, high: f64) -> (f64, f64) {
        let floor = self.lower_bound.unwrap_or(f64::NEG_INFINITY);
        ((value + low.min(0.0)).max(floor), (value + high.max(0.0)).max(floor))
    }
}

/// File of the intervals in a package.
pub const INTERVALS_FILE: &str = "intervals.json";

/// The two quantiles that hold `coverage` of the scores between them; none without scores.
fn band(sorted: &[f64], coverage: f64) -> (f64, f64) {
    let tail = (1.0 - coverage) / 2.0;
    (quantile(sorted, tail), quantile(sorted, 1.0 - tail))
}

/// The `q`-quantile of sorted scores, linear between them; 0 without scores. Pushed outwards by the one score that is to come.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let n = sorted.len() as f64;
    let position = (q * (n + 1.0) - 1.0).clamp(0.0, last as f64);
    let below = position.floor();
    let (at, part) = (below as usize, position - below);
    let above = sorted[(at + 1).min(last)];
    sorted[at] + part * (above - sorted[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::fixture::state;

    fn intervals(lower_bound: Option<f64>) -> ForecastIntervals {
        let grid: Vec<f64> = (-99..=99).map(|it| f64::from(it) / 100.0).collect();
        let narrow: Vec<f64> = grid.iter().map(|it| it / 10.0).collect();
        let bucket = |last_step, steps: &[f64]| Bucket {
            last_step,
            steps: steps.to_vec(),
            totals: narrow.clone(),
        };
        let buckets = vec![bucket(1, &narrow), bucket(3, &grid)];
        ForecastIntervals {
            exponent: 1.0,
            floor: 0.1,
            level_window: 4,
            buckets,
            lower_bound,
        }
    }

    #[test]
    fn far_steps_are_wider_and_a_total_is_narrower_than_its_parts() {
        let state = state("a", &[10.0; 4]);
        let bounds = intervals(Some(0.0)).steps(&state, &[10.0, 10.0, 10.0, 10.0], 0.9);
        assert!(bounds[0].0 > bounds[1].0 && bounds[0].1 < bounds[1].1);
        assert_eq!(bounds[1], bounds[3], "the last bucket serves later steps");
        let close = (bounds[1].0 - 1.0).abs() < 1e-9 && (bounds[1].1 - 19.0).abs() < 1e-9;
        assert!(close, "{bounds:?}");
        let total = intervals(Some(0.0)).total(&state, &[10.0, 10.0, 10.0], 0.9);
        let close = (total.0 - 27.3).abs() < 1e-9 && (total.1 - 32.7).abs() < 1e-9;
        assert!(close, "{total:?}");
    }

    #[test]
    fn bounds_stay_above_the_lower_bound_and_hold_the_value() {
        let state = state("a", &[10.0; 4]);
        for (lower_bound, expected) in [(Some(0.0), 0.0), (None, -0.9)] {
            let (low, high) = intervals(lower_bound).steps(&state, &[1.0, 0.0], 0.9)[1];
            let close = (low - expected).abs() < 1e-9 && high >= 0.0;
            assert!(close, "{low} {high}");
        }
    }

    #[test]
    fn intervals_read_back_and_unsorted_ones_are_refused() {
        let good = intervals(None);
        assert_eq!(ForecastIntervals::from_bytes(&good.to_bytes()).unwrap(), good);
        let mut bad = good;
        bad.buckets[0].steps.reverse();
        assert!(ForecastIntervals::from_bytes(&bad.to_bytes()).is_err());
    }
}
