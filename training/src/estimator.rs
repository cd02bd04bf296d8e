//! Algorithms that learn rows: fitting returns another type, so that "not fitted yet" cannot happen.

use std::collections::BTreeMap;
use std::fmt::Debug;

use foretell_features::spelling::hint;
use foretell_features::{FeatureMatrix, Value};
use foretell_inference::{RowPredictor, Task};
use foretell_models::CandidateSpec;

use crate::dataset::Dataset;
use crate::error::{FitError, TrainError};

mod boosted_trees;
mod logistic;
mod mean;

/// What fitting found out on rows it did not fit (number of trees, strength of the penalty), by name.
pub type Tuned = BTreeMap<&'static str, f64>;

/// An algorithm with its parameters.
pub trait Estimator: Debug + Send + Sync {
    /// Fits `train`; `valid` decides when to stop and how strong to smooth.
    ///
    /// # Errors
    /// The data cannot be fitted.
    fn fit(&self, train: &Dataset, valid: &Dataset, seed: u64) -> Result<Box<dyn FittedModel>, FitError>;

    /// Fits all rows, with what fits on parts of them found out.
    ///
    /// # Errors
    /// The data cannot be fitted.
    fn refit(&self, all: &Dataset, tuned: &[Tuned], seed: u64) -> Result<Box<dyn FittedModel>, FitError>;
}

/// What an estimator learned.
pub trait FittedModel: Debug + Send + Sync {
    /// Answers (after the link, before any calibration), one per row.
    ///
    /// # Errors
    /// The matrix has another width.
    fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, FitError>;

    /// What fitting found out.
    fn tuned(&self) -> Tuned;

    /// The form that a package stores.
    fn into_predictor(self: Box<Self>) -> RowPredictor;
}

/// Algorithms by task, the baseline first.
fn algorithms(task: Task) -> &'static [&'static str] {
    match task {
        Task::BinaryClassification => &["mean", "logistic", "boosted_trees"],
        Task::MulticlassClassification => &[],
        _ => &["mean", "boosted_trees"],
    }
}

/// The baseline of every row model.
pub const BASELINE: &str = "mean";

/// The estimator of a candidate.
///
/// # Errors
/// An algorithm or a parameter that does not exist, with the nearest that does.
pub fn estimator(model: &str, task: Task, candidate: &CandidateSpec) -> Result<Box<dyn Estimator>, TrainError> {
    let named = &candidate.parameters;
    if algorithms(task).is_empty() {
        return Err(unknown_algorithm(model, task, &candidate.algorithm));
    }
    let made = match (candidate.algorithm.as_str(), task) {
        ("mean", _) => mean::Mean::new(task, named).map(boxed),
        ("logistic", Task::BinaryClassification) => logistic::Logistic::new(named).map(boxed),
        ("boosted_trees", _) => boosted_trees::BoostedTrees::new(task, named).map(boxed),
        (unknown, _) => return Err(unknown_algorithm(model, task, unknown)),
    };
    made.map_err(|error| error.of(model, &candidate.algorithm))
}

fn boxed(estimator: impl Estimator + 'static) -> Box<dyn Estimator> {
    Box::new(estimator)
}

fn unknown_algorithm(model: &str, task: Task, algorithm: &str) -> TrainError {
    let known = algorithms(task);
    let hint = hint(algorithm, known.iter().copied());
    TrainError::UnknownAlgorithm {
        model: model.to_owned(),
        algorithm: algorithm.to_owned(),
        task: task.to_string(),
        hint,
    }
}

/// Refuses parameters that are not among the known ones.
fn check_names(named: &BTreeMap<String, Value>, known: &[&str]) -> Result<(), FitError> {
    let Some(unknown) = named.keys().find(|it| !known.contains(&it.as_str())) else {
        return Ok(());
    };
    let hint = hint(unknown, known.iter().copied());
    Err(FitError::Parameter(format!("unknown parameter `{unknown}`{hint}")))
}

/// A parameter that is a number in a range.
fn number(
    named: &BTreeMap<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>, FitError> {
    let Some(value) = named.get(name) else {
        return Ok(None);
    };
    let refuse = || {
        format!(
            "parameter `{name}` must be a number from {} to {}. got=`{value}`",
            range.start(),
            range.end()
        )
    };
    match value {
        Value::Int(_) | Value::Float(_) => {
            let it = value.as_f64().filter(|it| range.contains(it));
            it.map(Some).ok_or_else(|| FitError::Parameter(refuse()))
        }
        _ => Err(FitError::Parameter(refuse())),
    }
}

/// Median of what the fits found under one name.
fn median(tuned: &[Tuned], name: &str) -> Option<f64> {
    let mut found: Vec<f64> = tuned.iter().filter_map(|it| it.get(name).copied()).collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(task: Task, algorithm: &str, parameter: Option<(&str, Value)>) -> String {
        let parameters = parameter
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let candidate = CandidateSpec {
            algorithm: algorithm.to_owned(),
            parameters,
        };
        estimator("churn", task, &candidate).unwrap_err().to_string()
    }

    #[test]
    fn unknown_algorithms_and_parameters_are_refused_with_the_nearest_name() {
        let cases = [
            (
                Task::BinaryClassification,
                "boosted_tree",
                None,
                "did you mean `boosted_trees`?",
            ),
            (
                Task::LifetimeValue,
                "logistic",
                None,
                "unknown algorithm `logistic` for lifetime_value; there is `boosted_trees`, `mean`",
            ),
            (
                Task::BinaryClassification,
                "logistic",
                Some(("l3", Value::Int(1))),
                "unknown parameter `l3`; did you mean `l2`?",
            ),
            (
                Task::BinaryClassification,
                "logistic",
                Some(("l2", Value::text("a"))),
                "`l2` must be a number from",
            ),
            (
                Task::BinaryClassification,
                "boosted_trees",
                Some(("learning_rte", Value::Int(1))),
                "`learning_rate`",
            ),
            (
                Task::LifetimeValue,
                "mean",
                Some(("x", Value::Int(1))),
                "unknown parameter `x`",
            ),
        ];
        for (task, algorithm, parameter, expected) in cases {
            let got = refused(task, algorithm, parameter);
            assert!(got.contains(expected) && got.contains("`churn`"), "{got}");
        }
    }
}
