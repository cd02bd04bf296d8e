//! From a spec and its series to a package: candidates, the choice, the test, the served forecaster.

use std::collections::BTreeMap;
use std::time::Instant;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, SeriesSet, SeriesSpec};
use foretell_inference::forecast::loaded::ForecastParts;
use foretell_inference::forecast::{FORECASTER_FILE, LoadedForecast, SeriesSignature};
use foretell_inference::{AnswerField, Output, PackageFiles};
use foretell_models::{CandidateSpec, ModelSpec};

use super::conformal::{Calibrated, calibrate};
use super::lags::BoostedLagsEstimator;
use super::metrics::{coverage_metrics, point_metrics};
use super::naive::SeasonalNaiveEstimator;
use super::panel::{Panel, PanelSpec};
use super::smoothing::ExponentialSmoothingEstimator;
use super::windows::{Validation, Window, test_windows, try_windows};
use super::{Fit, FittedForecaster, ForecastError, ForecastEstimator};
use crate::metrics::{Metrics, badness};

/// What a forecast is trained from.
#[derive(Clone, Copy)]
pub struct ForecastTrainInput<'a> {
    /// The model; its subject is a series.
    pub spec: &'a ModelSpec,
    /// The series.
    pub set: &'a SeriesSet,
    /// Chance.
    pub seed: u64,
    /// Hears what is being done.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// What training gives: a package but for its manifest, and what the manifest, the report and the gates need.
#[derive(Debug)]
pub struct ForecastOutcome {
    /// The winning candidate.
    pub algorithm: String,
    /// The package's files but the manifest.
    pub files: PackageFiles,
    /// For the manifest.
    pub signature: SeriesSignature,
    /// For the manifest: `value`, `lower`, `upper` per step.
    pub outputs: Vec<Output>,
    /// For the manifest: the file that is loaded first.
    pub predictor: String,
    /// The metric that chose, `mae` unless a gate names another one.
    pub chosen_by: String,
    /// Test metrics of the winner.
    pub metrics: Metrics,
    /// All candidates, the baseline first.
    pub candidates: Vec<ForecastCandidate>,
    /// Values before the test.
    pub n_train: usize,
    /// Judged test steps.
    pub n_test: usize,
    /// Sentences for the model card.
    pub notes: Vec<String>,
}

/// One candidate and how it did.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastCandidate {
    /// `seasonal_naive`, `exponential_smoothing`, `boosted_lags`.
    pub algorithm: String,
    /// Over rolling origins before the test: what it was chosen by.
    pub validation: Metrics,
    /// Over the test, by the fit that ends before it.
    pub metrics: Metrics,
    /// Seconds of both fits and their forecasts.
    pub fit_seconds: f64,
}

/// The baseline of every forecast.
pub const BASELINE: &str = "seasonal_naive";
const ALGORITHMS: [&str; 3] = [BASELINE, "exponential_smoothing", "boosted_lags"];

/// Fits every candidate and the baseline, chooses by rolling origins before the test, measures on the test, and packs the
/// winner refitted on all values. Nothing but `fit_seconds` depends on the clock or on the number of threads.
///
/// # Errors
/// [`ForecastError`]: no series, no values, a horizon longer than the data, an unknown algorithm or parameter.
pub fn train_forecast(input: &ForecastTrainInput<'_>) -> Result<ForecastOutcome, ForecastError> {
    let spec = input.spec.series().ok_or_else(|| ForecastError::NotSeries {
        model: input.spec.name.clone(),
    })?;
    let estimators = estimators(&input.spec.candidates)?;
    let key = key_types(spec, input.set);
    let panel = Panel::new(
        input.set,
        &PanelSpec {
            key,
            horizon: spec.horizon,
            seasons: &spec.seasons,
        },
    )?;
    let run = Run {
        panel: &panel,
        input,
        validation: Validation::before_test(&panel)?,
        test: test_windows(&panel),
    };
    let chosen_by = metric_to_choose_by(input.spec);
    let mut tried = Vec::new();
    for (algorithm, estimator) in &estimators {
        tried.push(run.candidate(algorithm, estimator.as_ref())?);
    }
    let winner = best(&tried, &chosen_by);
    (input.progress)(&format!("refitting {} on all values", estimators[winner].0));
    let loaded = run.serve(estimators[winner].1.as_ref(), &tried[winner])?;
    let candidates: Vec<ForecastCandidate> = tried.into_iter().map(|it| it.report).collect();
    Ok(ForecastOutcome {
        algorithm: estimators[winner].0.clone(),
        files: loaded.to_files()?,
        signature: panel.signature.clone(),
        outputs: outputs(),
        predictor: FORECASTER_FILE.to_owned(),
        metrics: candidates[winner].metrics.clone(),
        notes: notes(&panel, &run, &candidates[winner], &chosen_by),
        candidates,
        chosen_by,
        n_train: panel
            .series
            .iter()
            .map(|it| it.history().iter().filter(|it| !it.is_nan()).count())
            .sum(),
        n_test: run.test.iter().map(|it| run.judged(it)).sum(),
    })
}

struct Run<'a> {
    panel: &'a Panel,
    input: &'a ForecastTrainInput<'a>,
    validation: Validation,
    test: Vec<Window>,
}

struct Tried {
    report: ForecastCandidate,
    calibrated: Calibrated,
    rounds: Option<usize>,
}

impl Run<'_> {
    fn candidate(&self, algorithm: &str, estimator: &dyn ForecastEstimator) -> Result<Tried, ForecastError> {
        let started = Instant::now();
        let say = |what: &str| (self.input.progress)(&format!("{algorithm}: {what}"));
        say("fitting before the validation windows");
        let fitted = estimator.fit(&self.fit(&self.validation.ends, Some(&self.validation.windows), None))?;
        let trials = try_windows(self.panel, fitted.as_ref(), &self.validation.windows)?;
        let validation = point_metrics(self.panel, &trials);
        let calibrated = calibrate(self.panel, &trials);
        let rounds = fitted.rounds();
        say("fitting before the test");
        let ends = self.panel.test_starts();
        let fitted = estimator.fit(&self.fit(&ends, None, rounds))?;
        let mut trials = try_windows(self.panel, fitted.as_ref(), &self.test)?;
        calibrated.widen(&mut trials);
        let mut metrics = point_metrics(self.panel, &trials);
        metrics.extend(coverage_metrics(&calibrated.intervals, &trials));
        let fit_seconds = started.elapsed().as_secs_f64();
        let report = ForecastCandidate {
            algorithm: algorithm.to_owned(),
            validation,
            metrics,
            fit_seconds,
        };
        Ok(Tried {
            report,
            calibrated,
            rounds,
        })
    }

    fn fit<'a>(&'a self, ends: &'a [usize], watch: Option<&'a [Window]>, rounds: Option<usize>) -> Fit<'a> {
        Fit {
            panel: self.panel,
            ends,
            watch,
            rounds,
            seed: self.input.seed,
            progress: self.input.progress,
        }
    }

    /// The winner as it is served: fitted on all values, states at their ends, with what is known ahead.
    fn serve(&self, estimator: &dyn ForecastEstimator, tried: &Tried) -> Result<LoadedForecast, ForecastError> {
        let panel = self.panel;
        let ends = panel.lengths();
        let fitted: Box<dyn FittedForecaster> = estimator.fit(&self.fit(&ends, None, tried.rounds))?;
        let state = |(series, &end): (usize, &usize)| {
            let mut state = fitted.state(panel, series, end);
            state.spread = tried.calibrated.spreads[series];
            state
        };
        let states = ends.iter().enumerate().map(state).collect();
        let futures = panel
            .series
            .iter()
            .zip(&ends)
            .map(|(series, &end)| panel.future(series, end))
            .collect();
        let parts = ForecastParts {
            signature: panel.signature.clone(),
            encoders: panel.encoders.clone(),
            forecaster: fitted.into_forecaster(),
            intervals: tried.calibrated.intervals.clone(),
            states,
            futures,
        };
        Ok(LoadedForecast::assemble(parts)?)
    }

    fn judged(&self, window: &Window) -> usize {
        let steps = window.origin..window.origin + window.len;
        self.panel.series[window.series].judged[steps]
            .iter()
            .filter(|it| **it)
            .count()
    }
}

/// An algorithm's name, and the algorithm.
type Named = (String, Box<dyn ForecastEstimator>);

/// The candidates of the spec, after the baseline.
fn estimators(candidates: &[CandidateSpec]) -> Result<Vec<Named>, ForecastError> {
    let mut estimators: Vec<Named> = vec![(BASELINE.to_owned(), Box::new(SeasonalNaiveEstimator))];
    for candidate in candidates {
        let estimator = estimator(candidate)?;
        if candidate.algorithm != BASELINE {
            estimators.push((candidate.algorithm.clone(), estimator));
        }
    }
    Ok(estimators)
}

/// The estimator that a candidate names, with its parameters.
///
/// # Errors
/// An unknown algorithm or parameter, with the nearest one.
pub fn estimator(candidate: &CandidateSpec) -> Result<Box<dyn ForecastEstimator>, ForecastError> {
    let none = |estimator: Box<dyn ForecastEstimator>| match candidate.parameters.keys().next() {
        None => Ok(estimator),
        Some(name) => Err(ForecastError::NoParameter {
            algorithm: candidate.algorithm.clone(),
            name: name.clone(),
        }),
    };
    match candidate.algorithm.as_str() {
        BASELINE => none(Box::new(SeasonalNaiveEstimator)),
        "exponential_smoothing" => none(Box::new(ExponentialSmoothingEstimator)),
        "boosted_lags" => Ok(Box::new(BoostedLagsEstimator::from_named(&candidate.parameters)?)),
        other => {
            let hint = foretell_features::spelling::hint(other, ALGORITHMS);
            Err(ForecastError::Algorithm {
                name: other.to_owned(),
                hint,
            })
        }
    }
}

/// The first gate's metric that rolling origins can measure, else `mae`.
fn metric_to_choose_by(spec: &ModelSpec) -> String {
    const POINT: [&str; 7] = ["mae", "rmse", "rmspe", "wape", "smape", "mase", "rmsse"];
    let named = spec
        .gates
        .iter()
        .map(|it| it.metric.as_str())
        .find(|it| POINT.contains(it));
    named.unwrap_or("mae").to_owned()
}

/// The least validation error; the earlier candidate on a tie, and before one without a number.
fn best(tried: &[Tried], metric: &str) -> usize {
    let error = |it: &Tried| {
        it.report
            .validation
            .get(metric)
            .map_or(f64::INFINITY, |value| badness(metric, *value))
    };
    let mut best = 0;
    for (at, it) in tried.iter().enumerate() {
        if error(it) < error(&tried[best]) {
            best = at;
        }
    }
    best
}

/// Key parts say their own types; a column without any is text.
fn key_types(spec: &SeriesSpec, set: &SeriesSet) -> Vec<(String, DataType)> {
    let column = |(at, name): (usize, &String)| {
        let is_int = set
            .series
            .first()
            .is_some_and(|it| matches!(it.key.0.get(at), Some(KeyPart::Int(_))));
        (name.clone(), if is_int { DataType::Int64 } else { DataType::String })
    };
    spec.key.iter().enumerate().map(column).collect()
}

fn outputs() -> Vec<Output> {
    let output = |(name, field): (&str, AnswerField)| Output {
        name: name.to_owned(),
        field,
    };
    [
        ("value", AnswerField::Value),
        ("lower", AnswerField::Lower),
        ("upper", AnswerField::Upper),
    ]
    .map(output)
    .to_vec()
}

fn notes(panel: &Panel, run: &Run<'_>, winner: &ForecastCandidate, chosen_by: &str) -> Vec<String> {
    let value = |metrics: &BTreeMap<String, f64>| metrics.get(chosen_by).copied().unwrap_or(f64::NAN);
    let mut notes = vec![
        format!(
            "{} was chosen by {chosen_by} = {:.4} over {} forecasts of up to {} steps from rolling origins before the test.",
            winner.algorithm,
            value(&winner.validation),
            run.validation.windows.len(),
            panel.horizon()
        ),
        "Test metrics are those of a fit that never saw the test; the packaged forecaster was refitted on all values."
            .to_owned(),
        "Intervals are conformal: quantiles of the errors at the rolling origins, by steps ahead; a total has its own."
            .to_owned(),
    ];
    if panel.skip_zeros {
        notes.push("Steps that are not judged are zeros; they are taken as rest, not as a low level.".to_owned());
    }
    notes
}
