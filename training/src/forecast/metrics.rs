//! How wrong forecasts are, over judged steps. Names and definitions are those of the forecasting competitions.

use std::collections::BTreeMap;

use foretell_inference::forecast::ForecastIntervals;

use super::panel::Panel;
use super::windows::Trial;
use crate::metrics::{self, Metrics};

/// Coverages that are measured, with the names of their metrics.
const COVERAGES: [(&str, f64); 3] = [("coverage_80", 0.8), ("coverage_90", 0.9), ("coverage_95", 0.95)];

/// Point metrics of judged steps:
/// `mae`, `rmse` in the value's unit; `wape` = sum of absolute errors per sum of values; `bias` = sum of forecasts per sum of
/// values, minus 1; `rmspe` over values that are not 0, a fraction; `smape` in percent, 0 where both are 0 (M4); `mase` and
/// `rmsse`, means over series of the error per that of the in-sample seasonal naive (M4) and naive (M5) forecast.
pub fn point_metrics(panel: &Panel, trials: &[Trial]) -> Metrics {
    let (observed, value): (Vec<f64>, Vec<f64>) = trials.iter().flat_map(Trial::judged_pairs).unzip();
    let pairs = || observed.iter().copied().zip(value.iter().copied());
    let percent = pairs().filter(|(observed, _)| *observed != 0.0);
    let rmspe = mean(percent.map(|(observed, value)| ((value - observed) / observed).powi(2))).sqrt();
    let metrics = [
        ("mae", metrics::mae(&observed, &value)),
        ("rmse", metrics::rmse(&observed, &value)),
        ("wape", metrics::wape(&observed, &value)),
        ("bias", metrics::bias(&observed, &value)),
        ("rmspe", rmspe),
        (
            "smape",
            mean(pairs().map(|(observed, value)| symmetric_percent(observed, value))),
        ),
        ("mase", scaled(panel, trials, panel.seasons.short, f64::abs, |it| it)),
        ("rmsse", scaled(panel, trials, 1, |it| it * it, f64::sqrt)),
    ];
    let defined = metrics.into_iter().filter(|(_, value)| value.is_finite());
    defined.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Share of judged steps whose interval holds the value, by nominal coverage.
pub fn coverage_metrics(intervals: &ForecastIntervals, trials: &[Trial]) -> Metrics {
    let share = |coverage: f64| {
        let held = trials.iter().flat_map(|trial| {
            let bounds = intervals.steps(&trial.state, &trial.values, coverage);
            let judged = trial
                .observed
                .iter()
                .zip(&trial.judged)
                .zip(bounds)
                .filter(|((_, judged), _)| **judged);
            judged
                .map(|((observed, _), (lower, upper))| f64::from(u8::from((lower..=upper).contains(observed))))
                .collect::<Vec<_>>()
        });
        mean(held)
    };
    COVERAGES
        .iter()
        .map(|(name, coverage)| ((*name).to_owned(), share(*coverage)))
        .collect()
}

impl Trial {
    /// Observed and forecast value of the steps that count.
    pub fn judged_pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        let pairs = self.observed.iter().zip(&self.values).zip(&self.judged);
        pairs
            .filter(|(_, judged)| **judged)
            .map(|((observed, value), _)| (*observed, *value))
    }
}

fn symmetric_percent(observed: f64, value: f64) -> f64 {
    let size = observed.abs() + value.abs();
    if size == 0.0 {
        0.0
    } else {
        200.0 * (value - observed).abs() / size
    }
}

/// Mean over series of `outer(mean error / mean in-sample error of the value `season` steps before)`; series without an
/// in-sample error (constant, or too short) are left out.
fn scaled(panel: &Panel, trials: &[Trial], season: usize, error: fn(f64) -> f64, outer: fn(f64) -> f64) -> f64 {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for trial in trials {
        let sum = sums.entry(trial.window.series).or_default();
        for (observed, value) in trial.judged_pairs() {
            *sum = (sum.0 + error(value - observed), sum.1 + 1.0);
        }
    }
    let ratios = sums.into_iter().filter_map(|(series, (sum, n))| {
        let history = panel.series[series].history();
        let steps = history
            .iter()
            .zip(history.iter().skip(season))
            .map(|(before, now)| now - before);
        let naive = mean(steps.filter(|it| !it.is_nan()).map(error));
        let usable = naive > 0.0 && n > 0.0;
        usable.then(|| outer(sum / n / naive))
    });
    mean(ratios)
}

/// NaN of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), it| (sum + it, n + 1.0));
    sum / n
}
