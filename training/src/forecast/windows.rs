//! Rolling origins: where forecasts are made before the test, to choose and to learn how wrong they are.

use rayon::prelude::*;

use foretell_inference::Forecaster;
use foretell_inference::forecast::ForecastState;

use super::panel::Panel;
use super::{FittedForecaster, ForecastError};

/// One forecast to be made and compared: from `origin` (the position of its first step), `len` steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Position of the series in the panel.
    pub series: usize,
    /// Position of the first step in the series; the values before it are known.
    pub origin: usize,
    /// Number of steps.
    pub len: usize,
}

/// A forecast beside what came.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Where.
    pub window: Window,
    /// The state that it was made from.
    pub state: ForecastState,
    /// Forecast, by step.
    pub values: Vec<f64>,
    /// What came, by step; NaN where nothing did.
    pub observed: Vec<f64>,
    /// Whether the step counts.
    pub judged: Vec<bool>,
}

/// Windows before the test, and where the data for the fit that is tried on them ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// By series, the end of the data to fit on: no window begins before it.
    pub ends: Vec<usize>,
    /// The windows, by series and origin.
    pub windows: Vec<Window>,
}

/// The last three horizons, or this share of the history if that is longer, validate; never more than [`MOST`].
const SHARE: f64 = 0.15;
const MOST: f64 = 0.25;
/// At least this many origins, overlapping where the history is short, and at most [`MOST_ORIGINS`].
const LEAST_ORIGINS: usize = 4;
const MOST_ORIGINS: usize = 26;
/// Few series get more origins, so that quantiles rest on this many windows.
const ENOUGH_WINDOWS: usize = 600;

impl Validation {
    /// Windows that all end before the test. Series too short to be validated are left out of the windows.
    ///
    /// # Errors
    /// No series has room for one window.
    pub fn before_test(panel: &Panel) -> Result<Self, ForecastError> {
        let mut ends = Vec::new();
        let mut windows = Vec::new();
        for (series, it) in panel.series.iter().enumerate() {
            let first = it.values.iter().position(|it| !it.is_nan()).unwrap_or(it.test_start);
            let origins = origins(panel, first, it.test_start);
            ends.push(origins.first().copied().unwrap_or(it.test_start));
            let len = |origin: usize| panel.horizon().min(it.test_start - origin);
            windows.extend(origins.into_iter().map(|origin| Window {
                series,
                origin,
                len: len(origin),
            }));
        }
        if windows.is_empty() {
            let steps = panel.series.iter().map(|it| it.test_start).max().unwrap_or(0);
            return Err(ForecastError::Horizon {
                horizon: panel.horizon(),
                steps,
            });
        }
        Ok(Self { ends, windows })
    }
}

/// Rising origins of one series with values in `first..end`.
fn origins(panel: &Panel, first: usize, end: usize) -> Vec<usize> {
    let horizon = panel.horizon();
    let history = end.saturating_sub(first);
    let share = |share: f64| (history as f64 * share) as usize;
    let span = share(SHARE)
        .max(3 * horizon)
        .min(share(MOST))
        .max(horizon.min(history / 2));
    if span == 0 {
        return Vec::new();
    }
    let latest = end - horizon.min(span);
    let earliest = end - span;
    let wanted = ENOUGH_WINDOWS
        .div_ceil(panel.series.len())
        .clamp(LEAST_ORIGINS, MOST_ORIGINS);
    let mut spacing = ((latest - earliest) / (wanted - 1)).max(1);
    if spacing > 1 && spacing.is_multiple_of(panel.seasons.short) {
        // Every origin on the same weekday would tell only of forecasts made on that weekday.
        spacing -= 1;
    }
    let mut origins: Vec<usize> = (0..wanted).map(|it| latest.saturating_sub(it * spacing)).collect();
    origins.retain(|it| *it >= earliest);
    origins.dedup();
    origins.reverse();
    origins
}

/// The test: from each series' test start, one window after the other where the test is longer than the horizon.
pub fn test_windows(panel: &Panel) -> Vec<Window> {
    let of = |(series, it): (usize, &super::panel::PanelSeries)| {
        let n = it.values.len();
        let starts = (it.test_start..n).step_by(panel.horizon());
        starts
            .map(move |origin| Window {
                series,
                origin,
                len: panel.horizon().min(n - origin),
            })
            .collect::<Vec<_>>()
    };
    panel.series.iter().enumerate().flat_map(of).collect()
}

/// Makes the forecasts of all windows, in order.
///
/// # Errors
/// The forecaster refuses a state.
pub fn try_windows(
    panel: &Panel,
    fitted: &dyn FittedForecaster,
    windows: &[Window],
) -> Result<Vec<Trial>, ForecastError> {
    windows.par_iter().map(|window| trial(panel, fitted, *window)).collect()
}

fn trial(panel: &Panel, fitted: &dyn FittedForecaster, window: Window) -> Result<Trial, ForecastError> {
    let series = &panel.series[window.series];
    let state = fitted.state(panel, window.series, window.origin);
    let future = panel.future(series, window.origin);
    let forecaster: &dyn Forecaster = fitted.forecaster();
    let values = forecaster.forecast(&state, window.len, &future)?;
    let steps = window.origin..window.origin + window.len;
    Ok(Trial {
        window,
        state,
        values,
        observed: series.values[steps.clone()].to_vec(),
        judged: series.judged[steps].to_vec(),
    })
}
