//! The baseline: the mean of the training labels, whatever the row.

use std::collections::BTreeMap;

use foretell_features::{ColumnKind, FeatureMatrix, Value};
use foretell_inference::calibration::logit;
use foretell_inference::{Linear, LinearTerm, Link, RowPredictor, Task};

use super::{Estimator, FittedModel, Tuned, check_names};
use crate::dataset::Dataset;
use crate::error::FitError;

/// Predicts the mean label.
#[derive(Debug)]
pub(super) struct Mean {
    link: Link,
}

#[derive(Debug)]
struct FittedMean {
    mean: f64,
    linear: Linear,
}

impl Mean {
    pub(super) fn new(task: Task, named: &BTreeMap<String, Value>) -> Result<Self, FitError> {
        check_names(named, &[])?;
        let link = if task == Task::BinaryClassification {
            Link::Logit
        } else {
            Link::Identity
        };
        Ok(Self { link })
    }
}

impl Estimator for Mean {
    fn fit(&self, train: &Dataset, _valid: &Dataset, _seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        let mean = train.y.iter().sum::<f64>() / train.y.len() as f64;
        let intercept = if self.link == Link::Logit { logit(mean) } else { mean };
        let linear = Linear {
            intercept,
            link: self.link,
            terms: train.kinds.iter().map(no_effect).collect(),
            expected: vec![0.0; train.kinds.len()],
        };
        Ok(Box::new(FittedMean { mean, linear }))
    }

    fn refit(&self, all: &Dataset, _tuned: &[Tuned], seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        self.fit(all, all, seed)
    }
}

impl FittedModel for FittedMean {
    fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, FitError> {
        Ok(vec![self.mean; x.n_rows()])
    }

    fn tuned(&self) -> Tuned {
        Tuned::new()
    }

    fn into_predictor(self: Box<Self>) -> RowPredictor {
        RowPredictor::linear(self.linear)
    }
}

fn no_effect(kind: &ColumnKind) -> LinearTerm {
    match kind {
        ColumnKind::Numeric => LinearTerm::Numeric {
            mean: 0.0,
            scale: 1.0,
            clip: 1.0,
            weight: 0.0,
            missing: 0.0,
        },
        ColumnKind::Category { .. } => LinearTerm::Category {
            weights: vec![0.0],
            missing: 0.0,
        },
    }
}
