//! A forecast package, loaded: from a series' key to its steps, total and components.

use std::collections::{BTreeMap, HashMap};

use foretell_features::spelling::hint;
use foretell_features::{EntityKey, Span, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::codec::{FUTURE_FILE, STATES_FILE, read_futures, read_states};
use super::intervals::{ForecastIntervals, INTERVALS_FILE};
use super::{
    BoostedLags, FORECASTER_FILE, ForecastState, ForecasterForm, Future, SeriesEncoders, SeriesSignature, check_horizon,
};
use crate::error::InferenceError;
use crate::manifest::{Manifest, PackageFiles};
use crate::model::{PredictOptions, SeriesPrediction, Step};
use crate::predictor::Forecaster;
use crate::preprocessing::RowEncoder;
use crate::tree::{TREES_FILE, TreeEnsemble};

/// File of the encoders of keys, covariates and static attributes.
pub const SERIES_FILE: &str = "series.json";
/// File of forecasts that a loaded package must reproduce.
pub const GOLDEN_SERIES_FILE: &str = "golden_series.json";

/// Known covariates ahead as a caller sends them: one map of names to values per step.
pub type FutureRows<'a> = Option<&'a [BTreeMap<String, Value>]>;

/// A forecaster with the states of its series, what is known of their future, and intervals.
#[derive(Debug)]
pub struct LoadedForecast {
    signature: SeriesSignature,
    encoders: SeriesEncoders,
    known: RowEncoder,
    forecaster: Box<dyn Forecaster>,
    intervals: ForecastIntervals,
    states: Vec<ForecastState>,
    futures: Vec<Future>,
    by_key: HashMap<EntityKey, usize>,
}

/// The parts of a [`LoadedForecast`], as training has them before there is a package.
#[derive(Debug)]
pub struct ForecastParts {
    /// What a caller must know.
    pub signature: SeriesSignature,
    /// Raw values to numbers.
    pub encoders: SeriesEncoders,
    /// The arithmetic.
    pub forecaster: Box<dyn Forecaster>,
    /// How wrong it is.
    pub intervals: ForecastIntervals,
    /// One per series.
    pub states: Vec<ForecastState>,
    /// One per series, in the order of `states`: covariates after each state's last time.
    pub futures: Vec<Future>,
}

/// `golden_series.json`: what the trainer's forecaster said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoldenSeries {
    /// The series.
    pub series: EntityKey,
    /// Its forecast up to the greatest horizon, with what the package knows of the future.
    pub values: Vec<f64>,
    /// The lower bounds of its default intervals.
    pub lower: Vec<f64>,
    /// The upper bounds.
    pub upper: Vec<f64>,
}

const DEFAULT_COVERAGE: f64 = 0.9;
const TOLERANCE: f64 = 1e-9;

impl LoadedForecast {
    /// Reads a package and replays its golden series.
    ///
    /// # Errors
    /// A file is missing or damaged, or a golden series does not reproduce.
    pub fn load(manifest: &Manifest, files: &PackageFiles) -> Result<Self, InferenceError> {
        let missing = || damaged("manifest.json", "it names no series".to_owned());
        let signature = manifest.series.clone().ok_or_else(missing)?;
        let parts = ForecastParts {
            signature,
            encoders: read_json(files, SERIES_FILE)?,
            forecaster: read_forecaster(files)?,
            intervals: ForecastIntervals::from_bytes(file(files, INTERVALS_FILE)?)?,
            states: read_states(file(files, STATES_FILE)?)?,
            futures: read_futures(file(files, FUTURE_FILE)?)?,
        };
        let loaded = Self::assemble(parts)?;
        let golden: Vec<GoldenSeries> = read_json(files, GOLDEN_SERIES_FILE)?;
        loaded.replay(&golden)?;
        Ok(loaded)
    }

    /// Joins parts that fit each other, without golden series: what training records them with.
    ///
    /// # Errors
    /// `Damaged` where the parts do not fit, or a series is there twice.
    pub fn assemble(parts: ForecastParts) -> Result<Self, InferenceError> {
        let ForecastParts {
            signature,
            encoders,
            forecaster,
            intervals,
            states,
            futures,
        } = parts;
        let known = encoders.known.compile(&signature.known)?;
        let by_key: HashMap<EntityKey, usize> =
            states.iter().enumerate().map(|(at, it)| (it.key.clone(), at)).collect();
        let fits = by_key.len() == states.len()
            && futures.len() == states.len()
            && futures.iter().all(|it| it.n_columns == signature.known.len())
            && forecaster.max_horizon() >= signature.horizon
            && signature.horizon > 0
            && signature.step.0 > 0;
        if !fits {
            return Err(damaged(STATES_FILE, "its series do not fit the manifest".to_owned()));
        }
        Ok(Self {
            signature,
            encoders,
            known,
            forecaster,
            intervals,
            states,
            futures,
            by_key,
        })
    }

    /// What a caller must know.
    pub fn signature(&self) -> &SeriesSignature {
        &self.signature
    }

    /// The series it knows, in package order.
    pub fn series(&self) -> impl ExactSizeIterator<Item = &EntityKey> {
        self.states.iter().map(|it| &it.key)
    }

    /// The state of a series as the package holds it.
    ///
    /// # Errors
    /// Unknown series, with the nearest known one.
    pub fn state(&self, series: &EntityKey) -> Result<&ForecastState, InferenceError> {
        self.position(series).map(|at| &self.states[at])
    }

    /// The forecast of one series. `horizon` is the model's own where absent; see [`crate::Model::predict_series`].
    ///
    /// # Errors
    /// Unknown series, horizon out of range, unknown covariate, or a level of the interval outside 0..1.
    pub fn predict(
        &self,
        series: &EntityKey,
        horizon: Option<usize>,
        future: FutureRows<'_>,
        options: PredictOptions,
    ) -> Result<SeriesPrediction, InferenceError> {
        self.predict_from(self.state(series)?, horizon, future, options)
    }

    /// The same from a state that was advanced since (a row of the online store).
    ///
    /// # Errors
    /// As [`LoadedForecast::predict`].
    pub fn predict_from(
        &self,
        state: &ForecastState,
        horizon: Option<usize>,
        future: FutureRows<'_>,
        options: PredictOptions,
    ) -> Result<SeriesPrediction, InferenceError> {
        let horizon = horizon.unwrap_or(self.signature.horizon);
        check_horizon(horizon, self.signature.horizon)?;
        let coverage = check_coverage(options.interval)?;
        let future = self.future(state, horizon, future)?;
        let values = self.forecaster.forecast(state, horizon, &future)?;
        if !values.iter().all(|it| it.is_finite()) {
            return Err(InferenceError::Request(format!(
                "series `{}` has no finite forecast; check its state",
                state.key
            )));
        }
        let components = self.forecaster.components(state, horizon, &future)?;
        let bounds = self.intervals.steps(state, &values, coverage);
        let (lower, upper) = self.intervals.total(state, &values, coverage);
        let step = |(at, (&value, &(lower, upper)))| Step {
            time: self.time(state, at),
            value,
            lower,
            upper,
        };
        let steps = values.iter().zip(&bounds).enumerate().map(step).collect();
        Ok(SeriesPrediction {
            steps,
            total: (values.iter().sum(), lower, upper),
            components,
        })
    }

    /// The state one observation later, with the covariates of that step by name.
    ///
    /// # Errors
    /// Unknown covariate, or one of the wrong type.
    pub fn advance(
        &self,
        state: &mut ForecastState,
        observation: f64,
        known: &BTreeMap<String, Value>,
    ) -> Result<(), InferenceError> {
        self.check_names(known)?;
        let mut encoded = vec![f64::NAN; self.signature.known.len()];
        self.encode_known(known, &mut encoded)?;
        self.forecaster.advance(state, observation, &encoded)
    }

    /// The golden series of a package: the first, the middle and the last one.
    ///
    /// # Errors
    /// The forecaster refuses its own states.
    pub fn golden(&self) -> Result<Vec<GoldenSeries>, InferenceError> {
        let n = self.states.len();
        let picks = std::collections::BTreeSet::from([0, n / 2, n.saturating_sub(1)]);
        picks
            .into_iter()
            .filter(|&it| it < n)
            .map(|at| self.golden_of(&self.states[at].key))
            .collect()
    }

    fn golden_of(&self, series: &EntityKey) -> Result<GoldenSeries, InferenceError> {
        let steps = self.predict(series, None, None, PredictOptions::default())?.steps;
        let of = |part: fn(&Step) -> f64| steps.iter().map(part).collect();
        Ok(GoldenSeries {
            series: series.clone(),
            values: of(|it| it.value),
            lower: of(|it| it.lower),
            upper: of(|it| it.upper),
        })
    }

    fn replay(&self, golden: &[GoldenSeries]) -> Result<(), InferenceError> {
        if golden.is_empty() && !self.states.is_empty() {
            return Err(damaged(GOLDEN_SERIES_FILE, "it holds no series".to_owned()));
        }
        for (row, expected) in golden.iter().enumerate() {
            let got = self.golden_of(&expected.series)?;
            compare(row, &expected.values, &got.values)?;
            compare(row, &expected.lower, &got.lower)?;
            compare(row, &expected.upper, &got.upper)?;
        }
        Ok(())
    }

    fn position(&self, series: &EntityKey) -> Result<usize, InferenceError> {
        let unknown = || {
            let name = series.to_string();
            let names: Vec<String> = self.series().map(EntityKey::to_string).collect();
            let hint = hint(&name, names.iter().map(String::as_str));
            InferenceError::UnknownSeries { series: name, hint }
        };
        self.by_key.get(series).copied().ok_or_else(unknown)
    }

    fn time(&self, state: &ForecastState, at: usize) -> Timestamp {
        let steps = i64::try_from(at + 1).expect("a horizon is short");
        state.last_time.plus(Span(self.signature.step.0.saturating_mul(steps)))
    }

    /// What the package knows of the steps after `state`, overwritten by what the caller sends.
    fn future(&self, state: &ForecastState, horizon: usize, rows: FutureRows<'_>) -> Result<Future, InferenceError> {
        let mut future = self.packaged_future(state, horizon);
        let Some(rows) = rows else { return Ok(future) };
        if rows.len() < horizon {
            let reason = format!(
                "`future` has {} rows, the horizon is {horizon}; send one per step",
                rows.len()
            );
            return Err(InferenceError::Request(reason));
        }
        let n = future.n_columns;
        for (step, row) in rows.iter().take(self.signature.horizon).enumerate() {
            self.check_names(row)?;
            future.values.resize(future.values.len().max((step + 1) * n), f64::NAN);
            self.encode_known(row, &mut future.values[step * n..(step + 1) * n])?;
        }
        Ok(future)
    }

    /// A state that was advanced since training starts later in the package's future.
    fn packaged_future(&self, state: &ForecastState, horizon: usize) -> Future {
        let n_columns = self.signature.known.len();
        let Some(&at) = self.by_key.get(&state.key) else {
            return Future::unknown(n_columns);
        };
        let advanced = state.last_time.since(self.states[at].last_time).0 / self.signature.step.0;
        let skipped = usize::try_from(advanced).unwrap_or(0).saturating_mul(n_columns);
        let known = self.futures[at].values.get(skipped..).unwrap_or_default();
        let mut values = known.to_vec();
        values.resize(values.len().max(horizon * n_columns), f64::NAN);
        Future { n_columns, values }
    }

    fn check_names(&self, row: &BTreeMap<String, Value>) -> Result<(), InferenceError> {
        let names = || self.signature.known.iter().map(|it| it.name.as_str());
        match row.keys().find(|name| !names().any(|it| it == name.as_str())) {
            Some(name) => Err(InferenceError::UnknownInput {
                name: name.clone(),
                hint: hint(name, names()),
            }),
            None => Ok(()),
        }
    }

    fn encode_known(&self, row: &BTreeMap<String, Value>, out: &mut [f64]) -> Result<(), InferenceError> {
        let sent: Vec<Option<&Value>> = self.signature.known.iter().map(|it| row.get(&it.name)).collect();
        let values: Vec<Value> = sent.iter().map(|it| it.cloned().unwrap_or_default()).collect();
        let mut encoded = vec![f64::NAN; out.len()];
        self.known.encode_into(&values, &mut encoded)?;
        let named = sent
            .iter()
            .zip(encoded)
            .zip(out)
            .filter(|((sent, _), _)| sent.is_some());
        named.for_each(|((_, value), slot)| *slot = value);
        Ok(())
    }

    /// All files of the package but the manifest, the golden series included.
    ///
    /// # Errors
    /// The forecaster refuses its own states.
    pub fn to_files(&self) -> Result<PackageFiles, InferenceError> {
        let json = |it: Result<Vec<u8>, serde_json::Error>| it.expect("names and numbers serialise");
        let mut files: PackageFiles = self.forecaster.to_files().into_iter().collect();
        files.insert(SERIES_FILE.to_owned(), json(serde_json::to_vec_pretty(&self.encoders)));
        files.insert(INTERVALS_FILE.to_owned(), self.intervals.to_bytes());
        files.insert(STATES_FILE.to_owned(), super::codec::write_states(&self.states));
        files.insert(FUTURE_FILE.to_owned(), super::codec::write_futures(&self.futures));
        files.insert(GOLDEN_SERIES_FILE.to_owned(), json(serde_json::to_vec(&self.golden()?)));
        Ok(files)
    }
}

fn read_forecaster(files: &PackageFiles) -> Result<Box<dyn Forecaster>, InferenceError> {
    Ok(match read_json(files, FORECASTER_FILE)? {
        ForecasterForm::SeasonalNaive(it) => {
            if it.season == 0 {
                return Err(damaged(FORECASTER_FILE, "its season is 0".to_owned()));
            }
            Box::new(it)
        }
        ForecasterForm::ExponentialSmoothing(it) => Box::new(it),
        ForecasterForm::BoostedLags(layout) => {
            if layout.seasons.short == 0 || layout.seasons.long == Some(0) || layout.step.0 <= 0 {
                return Err(damaged(FORECASTER_FILE, "its season or step is 0".to_owned()));
            }
            Box::new(BoostedLags::new(
                layout,
                TreeEnsemble::from_bytes(file(files, TREES_FILE)?)?,
            )?)
        }
    })
}

fn compare(row: usize, expected: &[f64], got: &[f64]) -> Result<(), InferenceError> {
    let differs = |(expected, got): &(&f64, &f64)| {
        let close = (*expected - *got).abs() <= TOLERANCE * expected.abs().max(1.0);
        !close
    };
    if expected.len() != got.len() {
        return Err(InferenceError::Golden {
            row,
            expected: expected.len() as f64,
            got: got.len() as f64,
        });
    }
    match expected.iter().zip(got).find(differs) {
        Some((&expected, &got)) => Err(InferenceError::Golden { row, expected, got }),
        None => Ok(()),
    }
}

fn check_coverage(level: Option<f64>) -> Result<f64, InferenceError> {
    let level = level.unwrap_or(DEFAULT_COVERAGE);
    if level > 0.0 && level < 1.0 {
        Ok(level)
    } else {
        Err(InferenceError::Request(format!(
            "interval must lie between 0 and 1, such as 0.9. got=`{level}`"
        )))
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(files: &PackageFiles, name: &str) -> Result<T, InferenceError> {
    serde_json::from_slice(file(files, name)?).map_err(|error| damaged(name, error.to_string()))
}

fn file<'a>(files: &'a PackageFiles, name: &str) -> Result<&'a [u8], InferenceError> {
    let missing = || InferenceError::MissingFile { file: name.to_owned() };
    files.get(name).map(Vec::as_slice).ok_or_else(missing)
}

fn damaged(file: &str, reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: file.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests;
