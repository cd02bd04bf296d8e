//! Candidates on rows: fitted by fold, chosen by what they say of rows they did not fit, refitted, calibrated, judged once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use foretell_features::TrainingSet;
use foretell_inference::{Calibration, Conformal, RowPredictor, Task};
use foretell_models::{CandidateSpec, ModelSpec, TabularSpec};
use rayon::prelude::*;

use crate::conformal::SegmentOf;
use crate::dataset::{Dataset, Prepared, check_classes, prepare};
use crate::error::{FitError, TrainError};
use crate::estimator::{BASELINE, Estimator, FittedModel, Tuned, estimator};
use crate::metrics::{self, Metrics};
use crate::progress::Progress;
use crate::split::{Fold, Split, folds, split};
use crate::{calibrate, conformal};

/// Fewer training rows than this teach nothing.
const MIN_TRAIN_ROWS: usize = 30;
/// Fewer training rows of either class than this teach nothing.
const MIN_CLASS_ROWS: usize = 10;

/// What a row model is trained from.
#[derive(Clone, Copy)]
pub struct TabularInput<'a> {
    /// The model.
    pub spec: &'a ModelSpec,
    /// Its subject.
    pub tabular: &'a TabularSpec,
    /// Features and labels.
    pub set: &'a TrainingSet,
    /// Chance.
    pub seed: u64,
    /// Hears what is being done.
    pub progress: &'a dyn Progress,
}

/// What training gives: everything a package, a report and the gates need.
#[derive(Debug)]
pub struct TabularOutcome {
    /// Inputs, dictionaries, rows.
    pub prepared: Prepared,
    /// Which rows were what.
    pub split: Split,
    /// All candidates, the baseline first.
    pub candidates: Vec<Candidate>,
    /// Position of the best.
    pub winner: usize,
    /// What the candidates were chosen by, `log_loss`.
    pub chosen_by: &'static str,
}

/// One candidate, fitted on all training rows, and how it did.
#[derive(Debug)]
pub struct Candidate {
    /// Its algorithm and parameters.
    pub spec: CandidateSpec,
    /// The loss on rows that neither it nor its calibration fitted: what it was chosen by, less is better.
    pub validation: f64,
    /// On the test rows.
    pub metrics: Metrics,
    /// Answers for the test rows, in the split's order.
    pub test_answers: Vec<f64>,
    /// Seconds of all its fits, summed over threads.
    pub fit_seconds: f64,
    /// What fitting found out on rows it did not fit.
    pub tuned: Tuned,
    /// The arithmetic.
    pub predictor: RowPredictor,
    /// Scores to probabilities.
    pub calibration: Calibration,
    /// Intervals, for numbers.
    pub conformal: Option<Conformal>,
}

impl TabularOutcome {
    /// The best candidate.
    pub fn best(&self) -> &Candidate {
        &self.candidates[self.winner]
    }

    /// The baseline's test metrics.
    pub fn baseline(&self) -> Option<&Metrics> {
        self.candidates
            .iter()
            .find(|it| it.spec.algorithm == BASELINE)
            .map(|it| &it.metrics)
    }
}

/// Trains every candidate and the baseline. Nothing but `fit_seconds` depends on the clock or on the number of threads.
///
/// # Errors
/// A set that cannot be split or is too small, labels of one class, an unknown algorithm or parameter, a failing fit.
pub fn train_tabular(input: &TabularInput<'_>) -> Result<TabularOutcome, TrainError> {
    let (model, task) = (&input.spec.name, input.spec.task);
    let candidates = with_baseline(&input.spec.candidates);
    // Before any work, so that a wrong name costs nothing.
    let estimators: Vec<Box<dyn Estimator>> = candidates
        .iter()
        .map(|it| estimator(model, task, it))
        .collect::<Result<_, _>>()?;
    let split = split(model, input.set, input.tabular.split)?;
    let prepared = prepare(model, task, input.set, &split.train)?;
    check_size(model, task, &prepared.data, &split)?;
    let folds = folds(&input.set.keys, &split.train, input.seed);
    let run = Run {
        input,
        data: &prepared.data,
        split: &split,
        folds: &folds,
        segments: conformal::segments(model, input.tabular.segment.as_deref(), &prepared)?,
    };
    let tried = run.all(&candidates, &estimators)?;
    let winner = winner(&tried);
    Ok(TabularOutcome {
        prepared,
        split,
        candidates: tried,
        winner,
        chosen_by: validation_loss(task).0,
    })
}

struct Run<'a> {
    input: &'a TabularInput<'a>,
    data: &'a Dataset,
    split: &'a Split,
    folds: &'a [Fold],
    /// What the rows' intervals are by.
    segments: Option<SegmentOf>,
}

/// What one fold of one candidate said of its held-out rows.
struct Said {
    answers: Vec<f64>,
    tuned: Tuned,
    seconds: f64,
}

impl Run<'_> {
    fn all(&self, specs: &[CandidateSpec], estimators: &[Box<dyn Estimator>]) -> Result<Vec<Candidate>, TrainError> {
        let total = (specs.len() * (self.folds.len() + 1)) as u64;
        let done = AtomicU64::new(0);
        let tick = |algorithm: &str| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.input.progress.stage(&format!("fitting {algorithm}"), done, total);
        };
        let jobs: Vec<(usize, &Fold)> = (0..specs.len())
            .flat_map(|candidate| self.folds.iter().map(move |fold| (candidate, fold)))
            .collect();
        let said = jobs.par_iter().map(|&(candidate, fold)| {
            let said = self.fold(estimators[candidate].as_ref(), fold);
            tick(&specs[candidate].algorithm);
            said.map_err(|error| error.of(&self.input.spec.name, &specs[candidate].algorithm))
        });
        let said: Vec<Said> = said.collect::<Result<_, _>>()?;
        let by_candidate: Vec<&[Said]> = said.chunks(self.folds.len()).collect();
        let finished = by_candidate.par_iter().enumerate().map(|(at, said)| {
            let candidate = self.candidate(&specs[at], estimators[at].as_ref(), said);
            tick(&specs[at].algorithm);
            candidate.map_err(|error| error.of(&self.input.spec.name, &specs[at].algorithm))
        });
        finished.collect()
    }

    fn fold(&self, estimator: &dyn Estimator, fold: &Fold) -> Result<Said, FitError> {
        let started = Instant::now();
        let fit = self.data.select(&fold.fit);
        let stop = self
            .data
            .select(if fold.stop.is_empty() { &fold.fit } else { &fold.stop });
        let fitted = estimator.fit(&fit, &stop, self.input.seed)?;
        let answers = self.answers(fitted.as_ref(), &fold.held_out)?;
        Ok(Said {
            answers,
            tuned: fitted.tuned(),
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn candidate(&self, spec: &CandidateSpec, estimator: &dyn Estimator, said: &[Said]) -> Result<Candidate, FitError> {
        let started = Instant::now();
        let tuned: Vec<Tuned> = said.iter().map(|it| it.tuned.clone()).collect();
        let fitted = estimator.refit(&self.data.select(&self.split.train), &tuned, self.input.seed)?;
        let (p, y) = self.held_out(said);
        let task = self.input.spec.task;
        let is_probability = task == Task::BinaryClassification;
        let calibration = if is_probability {
            calibrate::choose(&p, &y)
        } else {
            Calibration::Identity
        };
        let lower_bound = (task == Task::LifetimeValue).then_some(0.0);
        let segments = self.segments_of(self.folds.iter().flat_map(|it| &it.held_out));
        let conformal = (!is_probability).then(|| {
            let conformal = conformal::fit(&p, &y, lower_bound);
            match &self.segments {
                Some(by) => conformal::by_segment(conformal, by.input(), &p, &y, &segments),
                None => conformal,
            }
        });
        let honest = calibrate::held_out(&p, &y, &calibration);
        let answers = self.answers(fitted.as_ref(), &self.split.test)?;
        let test_answers: Vec<f64> = answers.into_iter().map(|it| calibration.apply(it)).collect();
        let test_segments = self.segments_of(&self.split.test);
        let intervals = conformal.as_ref().map(|it| (it, test_segments.as_slice()));
        let test_labels: Vec<f64> = self.split.test.iter().map(|&row| self.data.y[row]).collect();
        Ok(Candidate {
            spec: spec.clone(),
            validation: validation_loss(task).1(&y, &honest),
            metrics: measure(task, &test_labels, &test_answers, intervals),
            test_answers,
            fit_seconds: said.iter().map(|it| it.seconds).sum::<f64>() + started.elapsed().as_secs_f64(),
            tuned: fitted.tuned(),
            predictor: fitted.into_predictor(),
            calibration,
            conformal,
        })
    }

    /// The segment of each row; none where the intervals are of all.
    fn segments_of<'r>(&self, rows: impl IntoIterator<Item = &'r usize>) -> Vec<Option<&str>> {
        let Some(by) = &self.segments else { return Vec::new() };
        rows.into_iter().map(|&row| by.of(&self.data.x, row)).collect()
    }

    /// Answers and labels of all held-out rows, fold by fold.
    fn held_out(&self, said: &[Said]) -> (Vec<f64>, Vec<f64>) {
        let labels = |fold: &Fold| fold.held_out.iter().map(|&row| self.data.y[row]).collect::<Vec<_>>();
        let p = said.iter().flat_map(|it| it.answers.iter().copied()).collect();
        (p, self.folds.iter().flat_map(labels).collect())
    }

    fn answers(&self, fitted: &dyn FittedModel, rows: &[usize]) -> Result<Vec<f64>, FitError> {
        let mut answers = fitted.predict(&self.data.x.select(rows))?;
        if self.input.spec.task == Task::LifetimeValue {
            answers.iter_mut().for_each(|it| *it = it.max(0.0));
        }
        Ok(answers)
    }
}

/// Metrics of calibrated answers, by task; coverages where there are intervals, with the segment of each row where they are by
/// segment.
pub fn measure(task: Task, y: &[f64], answers: &[f64], intervals: Option<(&Conformal, &[Option<&str>])>) -> Metrics {
    let mut measured = match task {
        Task::BinaryClassification => metrics::classification(y, answers),
        _ => metrics::regression(y, answers),
    };
    for (name, level) in [("coverage_80", 0.8), ("coverage_90", 0.9), ("coverage_95", 0.95)] {
        let Some((conformal, segments)) = intervals else { break };
        let segment = |row: usize| segments.get(row).copied().flatten();
        let interval = |(row, &it): (usize, &f64)| {
            conformal.interval_of(foretell_inference::conformal::Said::value(it), segment(row), level)
        };
        let intervals: Vec<(f64, f64)> = answers.iter().enumerate().map(interval).collect();
        measured.insert(name.to_owned(), metrics::coverage(y, &intervals));
    }
    measured
}

type Loss = fn(&[f64], &[f64]) -> f64;

/// What candidates are chosen by. A proper score of the answer: the log loss of a probability, the Tweedie deviance of money,
/// the root mean squared error of any other number.
fn validation_loss(task: Task) -> (&'static str, Loss) {
    match task {
        Task::BinaryClassification => ("log_loss", metrics::log_loss),
        Task::LifetimeValue => ("tweedie_deviance", metrics::mean_tweedie_deviance),
        // No estimator takes several classes, so that none of them comes here.
        Task::Regression | Task::MulticlassClassification | Task::Forecast => ("rmse", metrics::rmse),
    }
}

/// The least loss; a loss that is no number never wins, and of equals the earlier (simpler) one does.
fn winner(tried: &[Candidate]) -> usize {
    let finite = (0..tried.len()).filter(|&it| tried[it].validation.is_finite());
    finite
        .min_by(|&a, &b| tried[a].validation.total_cmp(&tried[b].validation))
        .unwrap_or(0)
}

fn with_baseline(candidates: &[CandidateSpec]) -> Vec<CandidateSpec> {
    let baseline = CandidateSpec {
        algorithm: BASELINE.to_owned(),
        parameters: Default::default(),
    };
    let others = candidates
        .iter()
        .filter(|it| it.algorithm != BASELINE || !it.parameters.is_empty())
        .cloned();
    std::iter::once(baseline).chain(others).collect()
}

fn check_size(model: &str, task: Task, data: &Dataset, split: &Split) -> Result<(), TrainError> {
    let too_few = |part, rows, least| TrainError::TooFewRows {
        model: model.to_owned(),
        part,
        rows,
        least,
    };
    let train: Vec<f64> = split.train.iter().map(|&row| data.y[row]).collect();
    let is_classification = task == Task::BinaryClassification;
    if is_classification {
        check_classes(model, "training", &train)?;
    }
    if train.len() < MIN_TRAIN_ROWS {
        return Err(too_few("training", train.len(), MIN_TRAIN_ROWS));
    }
    let positives = train.iter().filter(|&&it| it == 1.0).count();
    match (is_classification, positives, train.len() - positives) {
        (true, rows, _) if rows < MIN_CLASS_ROWS => Err(too_few("positive training", rows, MIN_CLASS_ROWS)),
        (true, _, rows) if rows < MIN_CLASS_ROWS => Err(too_few("negative training", rows, MIN_CLASS_ROWS)),
        _ => Ok(()),
    }
}
