//! The baseline: nothing is fitted but the season's length.

use foretell_inference::Forecaster;
use foretell_inference::forecast::{ForecastState, SeasonalNaive};

use super::panel::Panel;
use super::{Fit, FittedForecaster, ForecastError, ForecastEstimator, bare_state};

/// The last season again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeasonalNaiveEstimator;

impl ForecastEstimator for SeasonalNaiveEstimator {
    fn fit(&self, fit: &Fit<'_>) -> Result<Box<dyn FittedForecaster>, ForecastError> {
        let panel = fit.panel;
        Ok(Box::new(Fitted(SeasonalNaive {
            step: panel.step(),
            season: panel.seasons.short,
            horizon: panel.horizon(),
            nonnegative: panel.nonnegative,
        })))
    }
}

#[derive(Debug)]
struct Fitted(SeasonalNaive);

impl FittedForecaster for Fitted {
    fn forecaster(&self) -> &dyn Forecaster {
        &self.0
    }

    fn state(&self, panel: &Panel, series: usize, end: usize) -> ForecastState {
        bare_state(panel, series, end, self.0.memory(), 0)
    }

    fn into_forecaster(self: Box<Self>) -> Box<dyn Forecaster> {
        Box::new(self.0)
    }
}
