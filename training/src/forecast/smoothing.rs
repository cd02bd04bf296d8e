//! Exponential smoothing, one model per series: every form is fitted by least squares of one-step errors, the one with the
//! least corrected AIC is kept.

mod simplex;

use foretell_inference::Forecaster;
use foretell_inference::forecast::smoothing::SmoothingParameters;
use foretell_inference::forecast::{ExponentialSmoothing, ForecastState, SeasonForm, Smoothing};
use rayon::prelude::*;

use super::panel::{Panel, PanelSeries};
use super::{Fit, FittedForecaster, ForecastError, ForecastEstimator, bare_state};
use simplex::minimise;

/// Level, damped trend, one season.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExponentialSmoothingEstimator;

/// The filter looks at most this many values back: older ones are forgotten anyway.
const MOST_HISTORY: usize = 1_000;
/// Seasons that the first states are estimated from.
const FIRST_SEASONS: usize = 4;

#[derive(Debug)]
struct Fitted {
    model: ExponentialSmoothing,
    /// By series: where the filter starts and what it starts from.
    starts: Vec<(usize, Smoothing)>,
}

impl ForecastEstimator for ExponentialSmoothingEstimator {
    fn fit(&self, fit: &Fit<'_>) -> Result<Box<dyn FittedForecaster>, ForecastError> {
        let panel = fit.panel;
        let model = ExponentialSmoothing {
            step: panel.step(),
            season: panel.seasons.short,
            horizon: panel.horizon(),
            nonnegative: panel.nonnegative,
            skip_zeros: panel.skip_zeros,
        };
        let series: Vec<(&PanelSeries, usize)> = panel.series.iter().zip(fit.ends.iter().copied()).collect();
        let starts = series
            .into_par_iter()
            .map(|(series, end)| fit_one(&model, &series.values[..end]))
            .collect();
        Ok(Box::new(Fitted { model, starts }))
    }
}

impl FittedForecaster for Fitted {
    fn forecaster(&self) -> &dyn Forecaster {
        &self.model
    }

    fn state(&self, panel: &Panel, series: usize, end: usize) -> ForecastState {
        let (from, start) = &self.starts[series];
        let mut smoothing = start.clone();
        for &value in panel.series[series].values[..end].iter().skip(*from) {
            smoothing.observe(value, self.model.skip_zeros);
        }
        let mut state = bare_state(panel, series, end, self.model.memory(), 0);
        state.numbers = smoothing.to_numbers();
        state
    }

    fn into_forecaster(self: Box<Self>) -> Box<dyn Forecaster> {
        Box::new(self.model)
    }
}

/// Where the filter starts, and from what.
fn fit_one(model: &ExponentialSmoothing, values: &[f64]) -> (usize, Smoothing) {
    let first = values.iter().position(|it| !it.is_nan()).unwrap_or(values.len());
    let from = first.max(values.len().saturating_sub(MOST_HISTORY));
    let window = &values[from..];
    let counted: Vec<f64> = window
        .iter()
        .copied()
        .filter(|it| counts(*it, model.skip_zeros))
        .collect();
    let forms = forms(model, &counted);
    let candidates = forms
        .into_iter()
        .map(|(form, trend)| fit_form(model, window, counted.len(), form, trend));
    let best = candidates
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("the plain level is always tried");
    (from, best.1)
}

fn counts(value: f64, skip_zeros: bool) -> bool {
    !(value.is_nan() || skip_zeros && value == 0.0)
}

/// The forms that the data can tell apart: a season needs three rounds, its product values above zero, a trend ten values.
fn forms(model: &ExponentialSmoothing, counted: &[f64]) -> Vec<(SeasonForm, bool)> {
    let mut seasons = vec![SeasonForm::None];
    if model.season > 1 && counted.len() >= 3 * model.season {
        seasons.push(SeasonForm::Additive);
        if counted.iter().all(|it| *it > 0.0) {
            seasons.push(SeasonForm::Multiplicative);
        }
    }
    let trends: &[bool] = if counted.len() >= 10 { &[false, true] } else { &[false] };
    seasons
        .iter()
        .flat_map(|season| trends.iter().map(|trend| (*season, *trend)))
        .collect()
}

/// Corrected AIC and the start of the filter with the best parameters of one form.
fn fit_form(
    model: &ExponentialSmoothing,
    window: &[f64],
    n_counted: usize,
    form: SeasonForm,
    trend: bool,
) -> (f64, Smoothing) {
    let start = Start::of(window, model, form);
    let squares = |x: &[f64]| start.squares(window, model.skip_zeros, parameters(form, trend, x));
    let n_free = 1 + 2 * usize::from(trend) + usize::from(form != SeasonForm::None);
    let x = minimise(&vec![-1.0; n_free], squares);
    let sum = squares(&x);
    let n_states = 1 + usize::from(trend) + if form == SeasonForm::None { 0 } else { model.season };
    let (n, k) = (n_counted as f64, (n_free + n_states + 1) as f64);
    let correction = if n > k + 1.0 {
        2.0 * k * (k + 1.0) / (n - k - 1.0)
    } else {
        f64::MAX / 2.0
    };
    // A series that is fitted exactly has no logarithm; any tiny number orders it first.
    let criterion = n * (sum / n.max(1.0)).max(1e-300).ln() + 2.0 * k + correction;
    let criterion = if criterion.is_finite() { criterion } else { f64::MAX };
    (criterion, start.smoothing(parameters(form, trend, &x)))
}

/// Unbounded numbers become parameters within their bounds.
fn parameters(form: SeasonForm, trend: bool, x: &[f64]) -> SmoothingParameters {
    let sigmoid = |it: f64| 1.0 / (1.0 + (-it).exp());
    let mut x = x.iter().copied();
    let mut next = || x.next().map_or(0.0, sigmoid);
    let alpha = next().clamp(1e-4, 0.9999);
    let (beta, phi) = if trend {
        (alpha * next(), 0.8 + 0.18 * next())
    } else {
        (0.0, 0.0)
    };
    let gamma = if form == SeasonForm::None {
        0.0
    } else {
        (1.0 - alpha) * next()
    };
    SmoothingParameters {
        form,
        alpha,
        beta,
        gamma,
        phi,
    }
}

/// First level and season, from the first seasons.
#[derive(Debug, Clone)]
struct Start {
    level: f64,
    seasonal: Vec<f64>,
    season: usize,
}

impl Start {
    fn of(window: &[f64], model: &ExponentialSmoothing, form: SeasonForm) -> Self {
        let season = model.season;
        let first = &window[..window.len().min((FIRST_SEASONS * season).max(8))];
        let mean_of = |values: &mut dyn Iterator<Item = &f64>| {
            super::metrics::mean(values.copied().filter(|it| counts(*it, model.skip_zeros)))
        };
        let level = mean_of(&mut first.iter());
        let level = if level.is_nan() { 0.0 } else { level };
        let phase = |at: usize| mean_of(&mut first.iter().skip(at).step_by(season));
        let seasonal = match form {
            SeasonForm::None => Vec::new(),
            SeasonForm::Additive => (0..season).map(|at| or(phase(at) - level, 0.0)).collect(),
            SeasonForm::Multiplicative => (0..season).map(|at| or(phase(at) / level, 1.0).max(1e-3)).collect(),
        };
        Self {
            level,
            seasonal,
            season,
        }
    }

    fn smoothing(&self, parameters: SmoothingParameters) -> Smoothing {
        let idle = vec![0.0; self.season];
        Smoothing {
            parameters,
            level: self.level,
            trend: 0.0,
            seasonal: self.seasonal.clone(),
            idle,
        }
    }

    /// Sum of squared one-step errors after the first season, which only warms the filter up.
    fn squares(&self, window: &[f64], skip_zeros: bool, parameters: SmoothingParameters) -> f64 {
        let mut smoothing = self.smoothing(parameters);
        let mut sum = 0.0;
        for (at, &value) in window.iter().enumerate() {
            let error = smoothing.observe(value, skip_zeros).unwrap_or(0.0);
            if at >= self.season || window.len() < 2 * self.season {
                sum += error * error;
            }
        }
        if sum.is_finite() { sum } else { f64::MAX }
    }
}

fn or(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}
