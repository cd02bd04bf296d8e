//! Exponential smoothing in its innovations form (Hyndman et al. 2008, "Forecasting with Exponential Smoothing", ch. 2): level,
//! damped trend and one season, additive or multiplicative, with additive errors. The whole model of a series is in its state.

use foretell_features::Span;
use serde::{Deserialize, Serialize};

use super::naive::form_file;
use super::{ForecastState, ForecasterForm, Future, check_horizon, clip};
use crate::error::InferenceError;
use crate::predictor::Forecaster;

/// How the season joins the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeasonForm {
    /// No season.
    None,
    /// Added.
    Additive,
    /// Multiplied.
    Multiplicative,
}

/// Smoothing parameters of one series. `beta <= alpha` and `gamma <= 1 - alpha` keep the filter stable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothingParameters {
    /// How the season joins.
    pub form: SeasonForm,
    /// Share of an error that moves the level.
    pub alpha: f64,
    /// Share that moves the trend; 0 with `phi` 0 means no trend.
    pub beta: f64,
    /// Share that moves the season.
    pub gamma: f64,
    /// What remains of the trend after each step.
    pub phi: f64,
}

/// One series' filter between two observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothing {
    /// Fitted once.
    pub parameters: SmoothingParameters,
    /// Size without season.
    pub level: f64,
    /// Growth per step.
    pub trend: f64,
    /// The season, the next step's phase first; empty without season.
    pub seasonal: Vec<f64>,
    /// Share of recent zeros by phase, the next step's first: a phase that is idle most of the time is forecast as zero.
    pub idle: Vec<f64>,
}

/// Exponential smoothing for all series of a model: the parameters are each state's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExponentialSmoothing {
    /// Distance of two values.
    pub step: Span,
    /// Season length in steps.
    pub season: usize,
    /// Greatest horizon.
    pub horizon: usize,
    /// Values are never below zero.
    pub nonnegative: bool,
    /// A zero is an idle step (closed), not a small value: the filter passes over it.
    pub skip_zeros: bool,
}

/// The parts of one step ahead; they sum to the value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ahead {
    level: f64,
    trend: f64,
    seasonal: f64,
}

const PARAMETERS: usize = 7;
const IDLE_MEMORY: f64 = 0.2;

impl Smoothing {
    /// What the next observation should be.
    pub fn expected(&self) -> f64 {
        self.ahead(0, self.parameters.phi).sum()
    }

    /// Moves on by one observation; a missing one moves only the clock. Returns the error of the one-step forecast.
    pub fn observe(&mut self, observation: f64, skip_zeros: bool) -> Option<f64> {
        let is_idle = observation == 0.0;
        if !observation.is_nan() {
            self.idle[0] += IDLE_MEMORY * (f64::from(u8::from(is_idle)) - self.idle[0]);
        }
        let error = observation - self.expected();
        let counts = !(observation.is_nan() || skip_zeros && is_idle);
        self.update(if counts { error } else { 0.0 });
        counts.then_some(error)
    }

    fn update(&mut self, error: f64) {
        let SmoothingParameters {
            form,
            alpha,
            beta,
            gamma,
            phi,
        } = self.parameters;
        let base = self.level + phi * self.trend;
        let season = self.seasonal.first().copied().unwrap_or(0.0);
        let (base_error, season_error) = match form {
            SeasonForm::Multiplicative => (error / season.max(1e-3), error / base.abs().max(1e-9)),
            _ => (error, error),
        };
        self.level = base + alpha * base_error;
        self.trend = phi * self.trend + beta * base_error;
        if let Some(first) = self.seasonal.first_mut() {
            *first += gamma * season_error;
            if form == SeasonForm::Multiplicative {
                *first = first.max(1e-3);
            }
            self.seasonal.rotate_left(1);
        }
        self.idle.rotate_left(1);
    }

    fn ahead(&self, phase: usize, damping: f64) -> Ahead {
        let trend = damping * self.trend;
        let season = self.seasonal.get(phase % self.seasonal.len().max(1)).copied();
        let seasonal = match (self.parameters.form, season) {
            (SeasonForm::Additive, Some(it)) => it,
            (SeasonForm::Multiplicative, Some(it)) => (self.level + trend) * (it - 1.0),
            _ => 0.0,
        };
        Ahead {
            level: self.level,
            trend,
            seasonal,
        }
    }

    fn path(&self, horizon: usize, skip_zeros: bool) -> Vec<Ahead> {
        let phi = self.parameters.phi;
        let mut damping = 0.0;
        let mut power = 1.0;
        let step = |step: usize| {
            power *= phi;
            damping += power;
            let ahead = self.ahead(step, damping);
            let is_idle = skip_zeros && self.idle[step % self.idle.len()] > 0.5;
            if is_idle { ahead.at(0.0) } else { ahead }
        };
        (0..horizon).map(step).collect()
    }

    /// As the numbers of a state.
    pub fn to_numbers(&self) -> Vec<f64> {
        let it = &self.parameters;
        let form = match it.form {
            SeasonForm::None => 0.0,
            SeasonForm::Additive => 1.0,
            SeasonForm::Multiplicative => 2.0,
        };
        let mut numbers = vec![form, it.alpha, it.beta, it.gamma, it.phi, self.level, self.trend];
        numbers.extend(self.seasonal.iter().chain(&self.idle));
        numbers
    }

    /// From the numbers of a state.
    ///
    /// # Errors
    /// Not as many numbers as a state with this season has.
    pub fn from_numbers(numbers: &[f64], season: usize) -> Result<Self, InferenceError> {
        let refuse = || InferenceError::Request("the series' state does not fit the model".to_owned());
        let form = match numbers.first() {
            Some(0.0) => SeasonForm::None,
            Some(1.0) => SeasonForm::Additive,
            Some(2.0) => SeasonForm::Multiplicative,
            _ => return Err(refuse()),
        };
        let n_seasonal = if form == SeasonForm::None { 0 } else { season };
        if season == 0 || numbers.len() != PARAMETERS + n_seasonal + season {
            return Err(refuse());
        }
        let (seasonal, idle) = numbers[PARAMETERS..].split_at(n_seasonal);
        let parameters = SmoothingParameters {
            form,
            alpha: numbers[1],
            beta: numbers[2],
            gamma: numbers[3],
            phi: numbers[4],
        };
        Ok(Self {
            parameters,
            level: numbers[5],
            trend: numbers[6],
            seasonal: seasonal.to_vec(),
            idle: idle.to_vec(),
        })
    }
}

impl Ahead {
    fn sum(&self) -> f64 {
        self.level + self.trend + self.seasonal
    }

    /// The same level and trend, the season making up the difference.
    fn at(self, value: f64) -> Self {
        Self {
            seasonal: value - self.level - self.trend,
            ..self
        }
    }
}

impl ExponentialSmoothing {
    /// Values that a state keeps, to know the level by.
    pub fn memory(&self) -> usize {
        (4 * self.season).max(8)
    }

    fn path(&self, state: &ForecastState, horizon: usize) -> Result<Vec<Ahead>, InferenceError> {
        check_horizon(horizon, self.horizon)?;
        let smoothing = Smoothing::from_numbers(&state.numbers, self.season)?;
        let mut path = smoothing.path(horizon, self.skip_zeros);
        if self.nonnegative {
            path.iter_mut()
                .filter(|it| it.sum() < 0.0)
                .for_each(|it| *it = it.at(0.0));
        }
        Ok(path)
    }
}

impl Forecaster for ExponentialSmoothing {
    fn max_horizon(&self) -> usize {
        self.horizon
    }

    fn forecast(&self, state: &ForecastState, horizon: usize, _: &Future) -> Result<Vec<f64>, InferenceError> {
        let mut values: Vec<f64> = self.path(state, horizon)?.iter().map(Ahead::sum).collect();
        clip(&mut values, self.nonnegative);
        Ok(values)
    }

    fn advance(&self, state: &mut ForecastState, observation: f64, known: &[f64]) -> Result<(), InferenceError> {
        let mut smoothing = Smoothing::from_numbers(&state.numbers, self.season)?;
        smoothing.observe(observation, self.skip_zeros);
        state.numbers = smoothing.to_numbers();
        state.push(self.step, observation, known, self.memory(), 0);
        Ok(())
    }

    fn components(
        &self,
        state: &ForecastState,
        horizon: usize,
        _: &Future,
    ) -> Result<Vec<(String, Vec<f64>)>, InferenceError> {
        let path = self.path(state, horizon)?;
        let part = |name: &str, of: fn(&Ahead) -> f64| (name.to_owned(), path.iter().map(of).collect());
        Ok(vec![
            part("level", |it| it.level),
            part("trend", |it| it.trend),
            part("seasonal", |it| it.seasonal),
        ])
    }

    fn to_files(&self) -> Vec<(String, Vec<u8>)> {
        vec![form_file(&ForecasterForm::ExponentialSmoothing(*self))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::fixture::state;

    fn seasonal(form: SeasonForm, season: &[f64]) -> Smoothing {
        let parameters = SmoothingParameters {
            form,
            alpha: 0.2,
            beta: 0.05,
            gamma: 0.1,
            phi: 0.9,
        };
        Smoothing {
            parameters,
            level: 10.0,
            trend: 1.0,
            seasonal: season.to_vec(),
            idle: vec![0.0; season.len()],
        }
    }

    fn model(season: usize) -> ExponentialSmoothing {
        ExponentialSmoothing {
            step: Span::DAY,
            season,
            horizon: 9,
            nonnegative: true,
            skip_zeros: true,
        }
    }

    #[test]
    fn the_trend_is_damped_and_the_season_comes_round() {
        let mut state = state("a", &[1.0]);
        state.numbers = seasonal(SeasonForm::Additive, &[1.0, -1.0]).to_numbers();
        let got = model(2).forecast(&state, 3, &Future::default()).unwrap();
        let expected = [
            10.0 + 0.9 + 1.0,
            10.0 + 0.9 + 0.81 - 1.0,
            10.0 + 0.9 + 0.81 + 0.729 + 1.0,
        ];
        for (got, expected) in got.iter().zip(expected) {
            let close = (got - expected).abs() < 1e-12;
            assert!(close, "{got} {expected}");
        }
    }

    #[test]
    fn components_sum_to_the_value_in_every_form() {
        for form in [SeasonForm::Additive, SeasonForm::Multiplicative] {
            let mut state = state("a", &[1.0]);
            state.numbers = seasonal(form, &[0.5, 1.5, -40.0]).to_numbers();
            let values = model(3).forecast(&state, 7, &Future::default()).unwrap();
            let parts = model(3).components(&state, 7, &Future::default()).unwrap();
            for (step, value) in values.iter().enumerate() {
                let sum: f64 = parts.iter().map(|(_, part)| part[step]).sum();
                let close = (sum - value).abs() < 1e-9;
                assert!(close && *value >= 0.0, "{form:?} {step} {sum} {value}");
            }
        }
    }

    #[test]
    fn a_missing_observation_moves_only_the_clock_and_an_idle_phase_is_forecast_as_zero() {
        let mut smoothing = seasonal(SeasonForm::Additive, &[1.0, -1.0]);
        assert_eq!(smoothing.observe(f64::NAN, true), None);
        assert_eq!(smoothing.seasonal, [-1.0, 1.0]);
        for _ in 0..4 {
            assert!(smoothing.observe(0.0, true).is_none());
            assert!(smoothing.observe(11.0, true).is_some());
        }
        let mut state = state("a", &[1.0]);
        state.numbers = smoothing.to_numbers();
        let got = model(2).forecast(&state, 2, &Future::default()).unwrap();
        let idle = got[0] == 0.0 && got[1] > 5.0;
        assert!(idle, "{got:?}");
    }

    #[test]
    fn numbers_of_another_season_are_refused() {
        let numbers = seasonal(SeasonForm::Additive, &[1.0, -1.0]).to_numbers();
        assert!(Smoothing::from_numbers(&numbers, 2).is_ok());
        for (numbers, season) in [
            (&numbers[..], 3),
            (&numbers[..8], 2),
            (&[][..], 2),
            (&[f64::NAN][..], 1),
        ] {
            assert!(Smoothing::from_numbers(numbers, season).is_err());
        }
    }
}
