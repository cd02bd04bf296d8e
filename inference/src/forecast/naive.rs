//! The last season again: the baseline every forecast is measured against.

use foretell_features::Span;
use serde::{Deserialize, Serialize};

use super::{FORECASTER_FILE, ForecastState, ForecasterForm, Future, check_horizon, clip};
use crate::error::InferenceError;
use crate::predictor::Forecaster;

/// Each step takes the newest value of its phase; where that is missing, the one a season before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeasonalNaive {
    /// Distance of two values.
    pub step: Span,
    /// Season length in steps.
    pub season: usize,
    /// Greatest horizon.
    pub horizon: usize,
    /// Values are never below zero.
    pub nonnegative: bool,
}

impl SeasonalNaive {
    /// Values that a state keeps: eight seasons, to look past gaps and to know the level.
    pub fn memory(&self) -> usize {
        (8 * self.season).max(8)
    }

    fn value(&self, recent: &[f64], step: usize) -> f64 {
        let back = self.season - (step - 1) % self.season;
        let same_phase = (0..)
            .map(|seasons| back + seasons * self.season)
            .take_while(|&it| it <= recent.len());
        let found = same_phase.map(|it| recent[recent.len() - it]).find(|it| !it.is_nan());
        found
            .or_else(|| recent.iter().rev().copied().find(|it| !it.is_nan()))
            .unwrap_or(0.0)
    }
}

impl Forecaster for SeasonalNaive {
    fn max_horizon(&self) -> usize {
        self.horizon
    }

    fn forecast(&self, state: &ForecastState, horizon: usize, _: &Future) -> Result<Vec<f64>, InferenceError> {
        check_horizon(horizon, self.horizon)?;
        let mut values: Vec<f64> = (1..=horizon).map(|step| self.value(&state.recent, step)).collect();
        clip(&mut values, self.nonnegative);
        Ok(values)
    }

    fn advance(&self, state: &mut ForecastState, observation: f64, known: &[f64]) -> Result<(), InferenceError> {
        state.push(self.step, observation, known, self.memory(), 0);
        Ok(())
    }

    fn components(
        &self,
        state: &ForecastState,
        horizon: usize,
        future: &Future,
    ) -> Result<Vec<(String, Vec<f64>)>, InferenceError> {
        let values = self.forecast(state, horizon, future)?;
        let level = state.level(self.season);
        let seasonal = values.iter().map(|it| it - level).collect();
        Ok(vec![
            ("level".to_owned(), vec![level; horizon]),
            ("seasonal".to_owned(), seasonal),
        ])
    }

    fn to_files(&self) -> Vec<(String, Vec<u8>)> {
        vec![form_file(&ForecasterForm::SeasonalNaive(*self))]
    }
}

/// `forecaster.json`: the form of a forecaster without its large parts.
pub(super) fn form_file(form: &ForecasterForm) -> (String, Vec<u8>) {
    let json = serde_json::to_vec_pretty(form).expect("plain numbers and names serialise");
    (FORECASTER_FILE.to_owned(), json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::fixture::state;

    #[test]
    fn the_last_season_is_repeated_and_gaps_look_further_back() {
        let model = SeasonalNaive {
            step: Span::DAY,
            season: 3,
            horizon: 5,
            nonnegative: true,
        };
        let state = state("a", &[1.0, 2.0, 3.0, 4.0, f64::NAN, -6.0]);
        let values = model.forecast(&state, 5, &Future::default()).unwrap();
        assert_eq!(values, [4.0, 2.0, 0.0, 4.0, 2.0]);
        assert!(matches!(
            model.forecast(&state, 6, &Future::default()),
            Err(InferenceError::Horizon { asked: 6, max: 5 })
        ));
    }
}
