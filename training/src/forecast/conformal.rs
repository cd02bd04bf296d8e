//! From forecasts at rolling origins to intervals: how errors grow, how wide each series is, which quantiles.

use foretell_inference::forecast::{Bucket, ForecastIntervals};

use super::metrics::mean;
use super::panel::Panel;
use super::windows::Trial;

/// Intervals and how wide each series is beside the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// For all series.
    pub intervals: ForecastIntervals,
    /// By series, for its state.
    pub spreads: Vec<f64>,
}

const FLOOR: f64 = 0.1;
/// A bucket of steps holds at least so many errors, or joins the next one.
const BUCKET_SCORES: usize = 200;
/// Quantiles kept of a bucket.
const GRID: usize = 401;
/// A series' own spread counts as much as that of all when it has so many errors.
const SHRINKAGE: f64 = 60.0;

/// One error: series, step, forecast, what came, and the level at the origin.
#[derive(Debug, Clone, Copy)]
struct Residual {
    series: usize,
    step: usize,
    value: f64,
    error: f64,
    level: f64,
}

/// Learns from trials that the forecaster was not fitted on.
pub fn calibrate(panel: &Panel, trials: &[Trial]) -> Calibrated {
    let mut intervals = ForecastIntervals {
        exponent: 0.0,
        floor: FLOOR,
        level_window: 4 * panel.seasons.base(),
        buckets: Vec::new(),
        lower_bound: panel.nonnegative.then_some(0.0),
    };
    let residuals = residuals(&intervals, trials);
    intervals.exponent = exponent(&residuals);
    let spreads = spreads(panel, &intervals, &residuals);
    let scale = |it: &Residual| intervals.scale(it.value, it.level, spreads[it.series]);
    let steps: Vec<(usize, f64)> = residuals.iter().map(|it| (it.step, it.error / scale(it))).collect();
    let totals: Vec<(usize, f64)> = trials
        .iter()
        .flat_map(|it| total_scores(&intervals, it, spreads[it.window.series]))
        .collect();
    intervals.buckets = buckets(panel, &steps, &totals);
    Calibrated { intervals, spreads }
}

impl Calibrated {
    /// Gives the trials' states the spread of their series.
    pub fn widen(&self, trials: &mut [Trial]) {
        trials
            .iter_mut()
            .for_each(|it| it.state.spread = self.spreads[it.window.series]);
    }
}

fn residuals(intervals: &ForecastIntervals, trials: &[Trial]) -> Vec<Residual> {
    let of = |trial: &Trial| {
        let level = trial.state.level(intervals.level_window);
        let steps = (1..).zip(&trial.observed).zip(&trial.values).zip(&trial.judged);
        let judged = steps
            .filter(|(_, judged)| **judged)
            .map(|(((step, observed), value), _)| Residual {
                series: trial.window.series,
                step,
                value: *value,
                error: observed - value,
                level,
            });
        judged.collect::<Vec<_>>()
    };
    trials.iter().flat_map(of).collect()
}

/// The slope of the log of the mean absolute error over the log of the forecast, over ten bins of equal size.
fn exponent(residuals: &[Residual]) -> f64 {
    let mut points: Vec<(f64, f64)> = residuals
        .iter()
        .map(|it| (it.value.abs().max(FLOOR * it.level).ln(), it.error.abs()))
        .collect();
    points.retain(|(size, error)| size.is_finite() && error.is_finite());
    points.sort_by(|a, b| a.partial_cmp(b).expect("finite numbers compare"));
    let bins = points.chunks(points.len().div_ceil(10).max(1));
    let bins = bins.map(|bin| (mean(bin.iter().map(|it| it.0)), mean(bin.iter().map(|it| it.1)).ln()));
    let bins: Vec<(f64, f64)> = bins.filter(|(_, error)| error.is_finite()).collect();
    let (x, y) = (mean(bins.iter().map(|it| it.0)), mean(bins.iter().map(|it| it.1)));
    let covariance: f64 = bins.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
    let variance: f64 = bins.iter().map(|it| (it.0 - x).powi(2)).sum();
    // Sizes within a few percent of each other tell nothing of the slope.
    if variance > 0.01 {
        (covariance / variance).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

/// Mean absolute scaled error by series, per that of all, drawn towards 1 where a series has few errors.
fn spreads(panel: &Panel, intervals: &ForecastIntervals, residuals: &[Residual]) -> Vec<f64> {
    let score = |it: &Residual| it.error.abs() / intervals.scale(it.value, it.level, 1.0);
    let overall = mean(residuals.iter().map(score));
    let mut sums = vec![(0.0, 0.0); panel.series.len()];
    for residual in residuals {
        let sum = &mut sums[residual.series];
        *sum = (sum.0 + score(residual), sum.1 + 1.0);
    }
    let usable = overall > 0.0;
    let spread = |(sum, n): (f64, f64)| (SHRINKAGE + sum / overall) / (SHRINKAGE + n);
    sums.into_iter()
        .map(|it| if usable { spread(it) } else { 1.0 })
        .collect()
}

/// Errors of the sums of the first steps, scaled: one per step. Steps without an observation are in neither sum.
fn total_scores(intervals: &ForecastIntervals, trial: &Trial, spread: f64) -> Vec<(usize, f64)> {
    let level = trial.state.level(intervals.level_window);
    let (mut error, mut scale) = (0.0, 0.0);
    let mut scores = Vec::new();
    for ((step, observed), value) in (1..).zip(&trial.observed).zip(&trial.values) {
        if observed.is_nan() {
            continue;
        }
        error += observed - value;
        scale += intervals.scale(*value, level, spread);
        scores.push((step, error / scale));
    }
    scores
}

fn buckets(panel: &Panel, steps: &[(usize, f64)], totals: &[(usize, f64)]) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut after = 0;
    for last_step in bucket_ends(panel.seasons.base(), panel.horizon()) {
        let within = |it: &&(usize, f64)| after < it.0 && it.0 <= last_step;
        let is_last = last_step == panel.horizon();
        if steps.iter().filter(within).count() < BUCKET_SCORES && !is_last {
            continue;
        }
        let of = |scores: &[(usize, f64)]| grid(scores.iter().filter(within).map(|it| it.1).collect());
        buckets.push(Bucket {
            last_step,
            steps: of(steps),
            totals: of(totals),
        });
        after = last_step;
    }
    join_a_poor_last_bucket(buckets, steps, totals)
}

/// The last bucket may hold few errors: then the one before it serves its steps as well.
fn join_a_poor_last_bucket(mut buckets: Vec<Bucket>, steps: &[(usize, f64)], totals: &[(usize, f64)]) -> Vec<Bucket> {
    let Some(last) = buckets.last() else { return buckets };
    let is_poor = last.steps.len() < BUCKET_SCORES;
    if is_poor && buckets.len() > 1 {
        let last_step = last.last_step;
        buckets.pop();
        let before = buckets.iter().rev().nth(1).map_or(0, |it| it.last_step);
        let of = |scores: &[(usize, f64)]| grid(scores.iter().filter(|it| it.0 > before).map(|it| it.1).collect());
        let joined = Bucket {
            last_step,
            steps: of(steps),
            totals: of(totals),
        };
        *buckets.last_mut().expect("there was more than one") = joined;
    }
    buckets
}

/// One, two, four, .. base units ahead.
fn bucket_ends(base: usize, horizon: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = std::iter::successors(Some(base), |it| Some(it * 2))
        .take_while(|it| *it < horizon)
        .collect();
    ends.push(horizon);
    ends
}

/// Sorted scores, thinned to evenly spaced quantiles.
fn grid(mut scores: Vec<f64>) -> Vec<f64> {
    scores.retain(|it| it.is_finite());
    scores.sort_by(f64::total_cmp);
    if scores.len() <= GRID {
        return scores;
    }
    let quantile = |at: usize| {
        let position = (at as f64 + 0.5) / GRID as f64 * scores.len() as f64;
        scores[(position as usize).min(scores.len() - 1)]
    };
    (0..GRID).map(quantile).collect()
}
