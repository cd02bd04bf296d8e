//! Forecasts: series in, a package out.
//!
//! ```text
//! SeriesSet → Panel → candidates fitted before the validation windows → the best one, its intervals
//!                   → candidates fitted before the test → test metrics → the best one refitted on all → package
//! ```
//! A test step is seen by nothing that fits, tunes, calibrates or chooses, until its metrics are taken; the served forecaster
//! then learns from all values, and its states end at the last one.

mod chance;
pub mod conformal;
pub mod lags;
pub mod metrics;
pub mod naive;
pub mod panel;
pub mod run;
pub mod smoothing;
#[cfg(test)]
mod tests;
pub mod windows;

use std::fmt::Debug;

use foretell_features::{Span, Value};
use foretell_inference::forecast::ForecastState;
use foretell_inference::{Forecaster, InferenceError};

pub use panel::{Panel, PanelSeries, PanelSpec};
pub use run::{ForecastCandidate, ForecastOutcome, ForecastTrainInput, train_forecast};
pub use windows::{Trial, Validation, Window};

/// Not fitted yet.
pub trait ForecastEstimator: Debug + Send + Sync {
    /// Fits on the values of each series before its end.
    ///
    /// # Errors
    /// The data cannot be fitted.
    fn fit(&self, fit: &Fit<'_>) -> Result<Box<dyn FittedForecaster>, ForecastError>;
}

/// What to fit on.
#[derive(Clone, Copy)]
pub struct Fit<'a> {
    /// All series.
    pub panel: &'a Panel,
    /// By series, the position after the last value that may be seen.
    pub ends: &'a [usize],
    /// Windows after `ends` that may decide when to stop, where the method needs to know.
    pub watch: Option<&'a [Window]>,
    /// How long to fit, where that is known from an earlier fit.
    pub rounds: Option<usize>,
    /// Chance.
    pub seed: u64,
    /// Hears what is being done.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// A forecaster with what it takes to make a state at any instant.
pub trait FittedForecaster: Debug + Send + Sync {
    /// The arithmetic.
    fn forecaster(&self) -> &dyn Forecaster;

    /// What the forecaster remembers of a series after the values before `end`.
    fn state(&self, panel: &Panel, series: usize, end: usize) -> ForecastState;

    /// How long it was fitted, where a later fit should know.
    fn rounds(&self) -> Option<usize> {
        None
    }

    /// The arithmetic, to keep.
    fn into_forecaster(self: Box<Self>) -> Box<dyn Forecaster>;
}

/// What can be wrong with series, or with how they are to be forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// An empty source, or a filter that leaves nothing.
    #[error("there is no series; check the source's path and filter")]
    NoSeries,
    /// Nothing to learn from.
    #[error("no series has a value before its test; check the value column")]
    NoValues,
    /// The step is no length of time.
    #[error("the step of the series must be longer than 0. got=`{step}`")]
    Step {
        /// What was asked.
        step: Span,
    },
    /// A series whose parts have different lengths.
    #[error("series `{series}` is irregular: its values, marks, key or test do not fit each other")]
    Irregular {
        /// Which.
        series: String,
    },
    /// The horizon leaves nothing to learn from.
    #[error("horizon {horizon} is too long: the longest series has {steps} steps before its test; shorten the horizon")]
    Horizon {
        /// What was asked.
        horizon: usize,
        /// What there is.
        steps: usize,
    },
    /// An algorithm that forecasts do not have.
    #[error("unknown forecast algorithm `{name}`{hint}")]
    Algorithm {
        /// What was asked.
        name: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// A parameter out of range, or of another type.
    #[error("parameter `{name}` must be a number of at least 0. got=`{got}`")]
    Parameter {
        /// Which.
        name: String,
        /// What came.
        got: Value,
    },
    /// A parameter that the algorithm does not have.
    #[error("`{algorithm}` has no parameter `{name}`; it has none")]
    NoParameter {
        /// The algorithm.
        algorithm: String,
        /// What came.
        name: String,
    },
    /// The model's spec is not of series.
    #[error("model `{model}` has no [series]; a forecast needs one")]
    NotSeries {
        /// Which.
        model: String,
    },
    /// A fitted forecaster refuses its data.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Trees cannot be fitted.
    #[error(transparent)]
    Boost(#[from] foretell_boosting::BoostError),
}

/// A state with recent values and covariates, and no numbers.
fn bare_state(panel: &Panel, series: usize, end: usize, memory: usize, known_memory: usize) -> ForecastState {
    let it = &panel.series[series];
    let n_known = panel.known.len();
    let known_end = (end * n_known).min(it.known.len());
    let known_from = (end.saturating_sub(known_memory) * n_known).min(known_end);
    ForecastState {
        key: it.key.clone(),
        last_time: panel.last_time(it, end),
        recent: it.values[end.saturating_sub(memory)..end].to_vec(),
        recent_known: it.known[known_from..known_end].to_vec(),
        statics: it.statics.clone(),
        numbers: Vec::new(),
        spread: 1.0,
    }
}
