//! From a row's raw scores to its answer: link, calibration, interval, decision, with all that no row changes found out at load.

use std::sync::Arc;

use super::RowPrediction;
use crate::conformal::{Around, Resolved, Said};
use crate::decision::Levels;
use crate::error::InferenceError;
use crate::manifest::{MANIFEST_FILE, Manifest, Task};
use crate::tree::Link;

/// What follows the predictor of a row model.
#[derive(Debug)]
pub(super) struct Finish {
    link: Link,
    kind: Kind,
    intervals: Option<Resolved>,
    levels: Levels,
    classes: Vec<Arc<str>>,
}

/// What the outputs of the predictor mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of them is the value.
    Value {
        /// Which: the positive class where there is one output per class.
        output: usize,
        /// A lifetime value is never negative, whatever the arithmetic behind it.
        is_money: bool,
    },
    /// A value, its lower and its upper quantile.
    Quantiles { is_money: bool },
    /// A probability per class.
    Classes,
}

impl Finish {
    /// Checks that the predictor's outputs are those that the manifest speaks of.
    pub(super) fn of(manifest: &Manifest, n_outputs: usize, link: Link) -> Result<Self, InferenceError> {
        let damaged = |reason: String| super::damaged(MANIFEST_FILE, reason);
        let resolve = |it| Resolved::of(it, &manifest.inputs, &manifest.encoder);
        let intervals = manifest.conformal.as_ref().map(resolve).transpose();
        Ok(Self {
            link,
            kind: kind(manifest, n_outputs).map_err(damaged)?,
            intervals: intervals.map_err(damaged)?,
            levels: manifest.decision.as_ref().map(Levels::of).unwrap_or_default(),
            classes: manifest.classes.iter().map(|it| it.as_str().into()).collect(),
        })
    }

    /// The answer for a row's raw scores; `row` is what they are of.
    #[inline]
    pub(super) fn answer(
        &self,
        manifest: &Manifest,
        raw: &mut [f64],
        row: &[f64],
        level: f64,
    ) -> Result<RowPrediction, InferenceError> {
        self.link.apply_all(raw);
        let (said, class, probabilities) = match self.kind {
            Kind::Value { output, is_money } => {
                let value = bounded(manifest.calibration.apply(raw[output]), is_money);
                let class = self.classes.get(usize::from(value >= 0.5));
                (Said::value(value), class, Vec::new())
            }
            Kind::Quantiles { is_money } => {
                let said = Said {
                    value: bounded(raw[0], is_money),
                    quantiles: (raw[1], raw[2]),
                };
                (said, None, Vec::new())
            }
            Kind::Classes => {
                let winner = greatest(raw);
                (Said::value(raw[winner]), self.classes.get(winner), raw.to_vec())
            }
        };
        if !raw.iter().all(|it| it.is_finite()) || !said.value.is_finite() {
            return Err(not_finite());
        }
        let interval = match (&self.intervals, &manifest.conformal) {
            (Some(resolved), Some(conformal)) => Some(resolved.interval(conformal, said, row, level)),
            _ => None,
        };
        Ok(RowPrediction {
            value: said.value,
            class: class.cloned(),
            probabilities,
            lower: interval.map(|it| it.0),
            upper: interval.map(|it| it.1),
            decision: self.levels.decide(said.value).cloned(),
            reasons: Vec::new(),
        })
    }

    /// The output that reasons are given for: what the value was made of.
    pub(super) fn explained(&self, answer: &RowPrediction) -> usize {
        match self.kind {
            Kind::Value { output, .. } => output,
            Kind::Quantiles { .. } => 0,
            Kind::Classes => greatest(&answer.probabilities),
        }
    }
}

fn kind(manifest: &Manifest, n_outputs: usize) -> Result<Kind, String> {
    let is_money = manifest.task == Task::LifetimeValue;
    let quantiles = manifest
        .conformal
        .as_ref()
        .is_some_and(|it| it.around == Around::Quantiles);
    match (manifest.task, n_outputs) {
        (Task::MulticlassClassification, n) if n == manifest.classes.len() && !quantiles => Ok(Kind::Classes),
        (Task::BinaryClassification, 1 | 2) if !quantiles => Ok(Kind::Value {
            output: n_outputs - 1,
            is_money,
        }),
        (Task::Regression | Task::LifetimeValue, 3) if quantiles => Ok(Kind::Quantiles { is_money }),
        (Task::Regression | Task::LifetimeValue, 1) if !quantiles => Ok(Kind::Value { output: 0, is_money }),
        (task, _) => Err(format!(
            "the predictor has {n_outputs} outputs, which do not fit task {task} with {} classes",
            manifest.classes.len()
        )),
    }
}

fn bounded(value: f64, is_money: bool) -> f64 {
    if is_money && value < 0.0 { 0.0 } else { value }
}

/// The first of the greatest.
fn greatest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, it| if values[it] > values[best] { it } else { best })
}

#[cold]
fn not_finite() -> InferenceError {
    InferenceError::Request("the row's score is not a finite number; check its values".to_owned())
}
