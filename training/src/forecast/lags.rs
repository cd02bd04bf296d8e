//! Boosted trees over lags: rows are sampled from (series, origin, step), features come from the function that serving uses.

use std::collections::BTreeMap;

use foretell_boosting::{BoostData, Booster, Loss, Parameters};
use foretell_features::{ColumnKind, FeatureMatrix, Value};
use foretell_inference::Forecaster;
use foretell_inference::forecast::{BoostedLags, ForecastState, Future, LagLayout};
use rayon::prelude::*;

use super::chance::Chance;
use super::panel::{Panel, PanelSeries};
use super::windows::Window;
use super::{Fit, FittedForecaster, ForecastError, ForecastEstimator, bare_state};

/// One ensemble for all series.
#[derive(Debug, Clone, PartialEq)]
pub struct BoostedLagsEstimator {
    /// The booster's.
    pub parameters: Parameters,
    /// The most rows to fit on.
    pub rows: usize,
    /// Values that make the scale of a series; 0 lets the season choose.
    pub scale_window: usize,
    /// Weight of a row: the scale of its series to this power. 0 counts all series alike, 1 by their size.
    pub size_weight: f64,
}

/// Losses this close, relatively, are the same.
const AS_GOOD: f64 = 0.005;
/// Rows that are drawn of one value, at most, on average.
const ROWS_PER_VALUE: usize = 3;
/// Rows that decide when to stop, at most.
const WATCH_ROWS: usize = 60_000;
/// Steps that are drawn of one origin.
const STEPS_PER_ORIGIN: usize = 8;
/// One origin in so many is fitted without its future covariates, so that a forecast without them is possible.
const BLIND: u64 = 16;
/// A step is at most this many times the recent level: what is beyond says only that the level is tiny.
const MOST_RATIO: f64 = 30.0;

impl Default for BoostedLagsEstimator {
    fn default() -> Self {
        let parameters = Parameters {
            rounds: 800,
            patience: 40,
            learning_rate: 0.08,
            num_leaves: 31,
            min_data_in_leaf: 40,
            column_fraction: 0.5,
            ..Parameters::for_loss(Loss::Squared)
        };
        Self {
            parameters,
            rows: 400_000,
            scale_window: 0,
            size_weight: 0.5,
        }
    }
}

impl BoostedLagsEstimator {
    /// From a candidate's parameters: `rows`, `scale_window`, `size_weight`, and the booster's own.
    ///
    /// # Errors
    /// An unknown name, or a value out of range.
    pub fn from_named(named: &BTreeMap<String, Value>) -> Result<Self, ForecastError> {
        let mut estimator = Self::default();
        let mut rest = named.clone();
        let mut own = |name: &str| -> Result<Option<f64>, ForecastError> {
            let Some(value) = rest.remove(name) else {
                return Ok(None);
            };
            let number = value.as_f64().filter(|it| *it >= 0.0 && *it <= 1e8);
            number.map(Some).ok_or_else(|| ForecastError::Parameter {
                name: name.to_owned(),
                got: value,
            })
        };
        if let Some(rows) = own("rows")? {
            estimator.rows = (rows as usize).max(1_000);
        }
        if let Some(window) = own("scale_window")? {
            estimator.scale_window = window as usize;
        }
        if let Some(power) = own("size_weight")? {
            estimator.size_weight = power;
        }
        estimator.parameters = estimator.parameters.with_named(&rest)?;
        Ok(estimator)
    }

    fn layout(&self, panel: &Panel) -> LagLayout {
        let base = panel.seasons.base();
        let longest = panel.series.iter().map(|it| it.test_start).max().unwrap_or(0);
        let long = panel
            .seasons
            .long
            .map_or(usize::MAX, |it| it * panel.horizon().div_ceil(it));
        // Half a long season of origins must have seen a whole one, or nothing can be learnt from it.
        let enough = |years: usize| longest >= long.saturating_mul(years).saturating_add(long / 2);
        LagLayout {
            step: panel.step(),
            horizon: panel.horizon(),
            seasons: panel.seasons,
            years: (1..=2).filter(|it| enough(*it)).max().unwrap_or(0),
            scale_window: if self.scale_window > 0 {
                self.scale_window
            } else {
                52 * base
            },
            nonnegative: panel.nonnegative,
            skip_zeros: panel.skip_zeros,
            known: panel.known.clone(),
            statics: panel.statics.clone(),
        }
    }
}

impl ForecastEstimator for BoostedLagsEstimator {
    fn fit(&self, fit: &Fit<'_>) -> Result<Box<dyn FittedForecaster>, ForecastError> {
        let layout = self.layout(fit.panel);
        let kinds: Vec<ColumnKind> = layout.columns().iter().map(|it| it.kind).collect();
        // A value says little more the fourth time it is a target.
        let rows = self.rows.min(ROWS_PER_VALUE * fit.ends.iter().sum::<usize>());
        let train = self.rows(fit.panel, &layout, &sample(fit.panel, fit.ends, rows, fit.seed));
        let watched = fit
            .watch
            .map(|windows| self.rows(fit.panel, &layout, &watched(windows)));
        let mut parameters = self.parameters.clone();
        parameters.rounds = fit.rounds.unwrap_or(parameters.rounds).max(1);
        let rounds = parameters.rounds;
        let mut tell = |round: usize, loss: f64| {
            if round.is_multiple_of(50) {
                // Fits that watch nothing have no loss to tell.
                let loss = if loss.is_nan() {
                    String::new()
                } else {
                    format!(", validation loss {loss:.5}")
                };
                (fit.progress)(&format!("boosted_lags: tree {round} of at most {rounds}{loss}"));
            }
        };
        let data = train.data(&kinds);
        let valid = watched.as_ref().map(|it| it.data(&kinds));
        let fitted = Booster::new(parameters).fit(&data, valid.as_ref(), fit.seed, &mut tell)?;
        let rounds = rounds_for_later(&fitted.history).unwrap_or(fitted.best_iteration);
        Ok(Box::new(Fitted {
            model: BoostedLags::new(layout, fitted.ensemble)?,
            rounds,
        }))
    }
}

/// How many trees a fit on more data should have: the last round that is as good as the best one. The bottom of the curve is
/// flat, and where in it the least loss lies is chance of a few weeks.
fn rounds_for_later(history: &[f64]) -> Option<usize> {
    let best = history.iter().copied().fold(f64::INFINITY, f64::min);
    let as_good = history.iter().rposition(|it| *it <= best * (1.0 + AS_GOOD));
    as_good.map(|it| it + 1)
}

#[derive(Debug)]
struct Fitted {
    model: BoostedLags,
    rounds: usize,
}

impl FittedForecaster for Fitted {
    fn forecaster(&self) -> &dyn Forecaster {
        &self.model
    }

    fn state(&self, panel: &Panel, series: usize, end: usize) -> ForecastState {
        let layout = self.model.layout();
        bare_state(panel, series, end, layout.memory(), layout.known_memory())
    }

    fn rounds(&self) -> Option<usize> {
        Some(self.rounds)
    }

    fn into_forecaster(self: Box<Self>) -> Box<dyn Forecaster> {
        Box::new(self.model)
    }
}

/// Some steps of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draw {
    series: usize,
    origin: usize,
    steps: Vec<usize>,
    /// Without future covariates.
    blind: bool,
}

#[derive(Debug)]
struct Rows {
    x: FeatureMatrix,
    label: Vec<f64>,
    weight: Vec<f64>,
}

impl Rows {
    fn data<'a>(&'a self, kinds: &'a [ColumnKind]) -> BoostData<'a> {
        BoostData {
            weight: Some(&self.weight),
            ..BoostData::new(&self.x, kinds, &self.label)
        }
    }
}

impl BoostedLagsEstimator {
    /// Features and targets of the draws; a target that is a gap is left out.
    fn rows(&self, panel: &Panel, layout: &LagLayout, draws: &[Draw]) -> Rows {
        let parts: Vec<(Vec<f64>, Vec<f64>, Vec<f64>)> =
            draws.par_iter().map(|draw| self.rows_of(panel, layout, draw)).collect();
        let width = layout.columns().len();
        let n: usize = parts.iter().map(|it| it.1.len()).sum();
        let (mut x, mut label, mut weight) = (
            Vec::with_capacity(n * width),
            Vec::with_capacity(n),
            Vec::with_capacity(n),
        );
        for part in parts {
            x.extend(part.0);
            label.extend(part.1);
            weight.extend(part.2);
        }
        let mean = super::metrics::mean(weight.iter().copied());
        weight.iter_mut().for_each(|it| *it /= mean);
        Rows {
            x: FeatureMatrix::from_rows(width, x),
            label,
            weight,
        }
    }

    fn rows_of(&self, panel: &Panel, layout: &LagLayout, draw: &Draw) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let series = &panel.series[draw.series];
        let n_known = layout.known.len();
        let known = &series.known[..(draw.origin * n_known).min(series.known.len())];
        let last_time = panel.last_time(series, draw.origin);
        let origin = layout.origin_of(&series.values[..draw.origin], known, &series.statics, last_time);
        let future = if draw.blind {
            Future::unknown(n_known)
        } else {
            panel.future(series, draw.origin)
        };
        let (mut x, mut label, mut weight) = (Vec::new(), Vec::new(), Vec::new());
        for &step in &draw.steps {
            let value = series.values[draw.origin + step - 1];
            if value.is_nan() {
                continue;
            }
            origin.row_into(step, &future, &mut x);
            label.push((value / origin.scale()).clamp(-MOST_RATIO, MOST_RATIO));
            weight.push(origin.scale().powf(self.size_weight));
        }
        (x, label, weight)
    }
}

/// About `most` rows, spread evenly over series and time. Every target lies before its series' end.
fn sample(panel: &Panel, ends: &[usize], most: usize, seed: u64) -> Vec<Draw> {
    let per_origin = STEPS_PER_ORIGIN.min(panel.horizon());
    let firsts: Vec<usize> = panel.series.iter().map(|it| first_origin(panel, it)).collect();
    let available: usize = firsts
        .iter()
        .zip(ends)
        .map(|(first, end)| end.saturating_sub(*first))
        .sum();
    let stride = (available as f64 / (most as f64 / per_origin as f64)).max(1.0);
    let draws = firsts.par_iter().zip(ends).enumerate().map(|(series, (&first, &end))| {
        let mut chance = Chance::new(seed, series as u64);
        let n = (end.saturating_sub(first) as f64 / stride).ceil() as usize;
        let origins = (0..n)
            .map(|at| first + ((at as f64 + chance.unit()) * stride) as usize)
            .collect::<Vec<_>>();
        let draws = origins.into_iter().filter(|it| *it < end).map(|origin| {
            let reach = panel.horizon().min(end - origin);
            Draw {
                series,
                origin,
                steps: chance.spread(reach, per_origin),
                blind: chance.below(BLIND) == 0,
            }
        });
        draws.collect::<Vec<Draw>>()
    });
    draws.collect::<Vec<_>>().concat()
}

/// The first origin with something to look back at: two short seasons of values.
fn first_origin(panel: &Panel, series: &PanelSeries) -> usize {
    let first = series
        .values
        .iter()
        .position(|it| !it.is_nan())
        .unwrap_or(series.values.len());
    first
        + (2 * panel.seasons.short)
            .max(panel.seasons.base())
            .min(series.test_start / 3)
}

/// Steps of validation windows, evenly thinned.
fn watched(windows: &[Window]) -> Vec<Draw> {
    let total: usize = windows.iter().map(|it| it.len).sum();
    let every = total.div_ceil(WATCH_ROWS).max(1);
    let draw = |(at, window): (usize, &Window)| Draw {
        series: window.series,
        origin: window.origin,
        // Windows begin at different steps, so that all steps are watched.
        steps: (1 + at % every..=window.len).step_by(every).collect(),
        blind: false,
    };
    windows.iter().enumerate().map(draw).collect()
}
