//! Logistic regression with an L2 penalty (linfa), over standardised quantities and one column per category; folded back into
//! one term per input.

use std::collections::BTreeMap;

use foretell_features::{FeatureMatrix, Value};
use foretell_inference::{Linear, Link, Predictor, RowPredictor};
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray016::{Array1, Array2};

use super::{Estimator, FittedModel, Tuned, check_names, median, number};
use crate::dataset::Dataset;
use crate::design::Design;
use crate::error::FitError;
use crate::metrics::log_loss;

/// Penalties tried where none is given: half of it times the squared weights is added to the sum of losses.
const PENALTIES: [f64; 4] = [0.3, 3.0, 30.0, 300.0];
const MAX_ITERATIONS: u64 = 200;
/// The gradient per row at which fitting ends.
const TOLERANCE: f64 = 1e-6;

/// Logistic regression; `l2` fixes the penalty, else validation rows choose it.
#[derive(Debug)]
pub(super) struct Logistic {
    l2: Option<f64>,
}

#[derive(Debug)]
struct FittedLogistic {
    linear: Linear,
    l2: f64,
}

impl Logistic {
    pub(super) fn new(named: &BTreeMap<String, Value>) -> Result<Self, FitError> {
        check_names(named, &["l2"])?;
        Ok(Self {
            l2: number(named, "l2", 0.0..=1e9)?,
        })
    }
}

impl Estimator for Logistic {
    fn fit(&self, train: &Dataset, valid: &Dataset, _seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        let design = Design::fit(train);
        let x = rows(&design, train);
        let penalties = self.l2.map_or(PENALTIES.to_vec(), |it| vec![it]);
        let mut best: Option<(f64, FittedLogistic)> = None;
        for l2 in penalties {
            let fitted = FittedLogistic {
                linear: solve(&design, &x, train, l2)?,
                l2,
            };
            let loss = log_loss(&valid.y, &fitted.predict(&valid.x)?);
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, fitted));
            }
        }
        let (_, fitted) = best.ok_or_else(|| FitError::Data("no penalty gave a finite loss".to_owned()))?;
        Ok(Box::new(fitted))
    }

    fn refit(&self, all: &Dataset, tuned: &[Tuned], _seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        let l2 = self.l2.or(median(tuned, "l2")).unwrap_or(PENALTIES[1]);
        let design = Design::fit(all);
        let linear = solve(&design, &rows(&design, all), all, l2)?;
        Ok(Box::new(FittedLogistic { linear, l2 }))
    }
}

impl FittedModel for FittedLogistic {
    fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, FitError> {
        let scores = self.linear.predict(x)?;
        Ok(scores.into_iter().map(|it| self.linear.link.apply(it)).collect())
    }

    fn tuned(&self) -> Tuned {
        Tuned::from([("l2", self.l2)])
    }

    fn into_predictor(self: Box<Self>) -> RowPredictor {
        RowPredictor::linear(self.linear)
    }
}

fn rows(design: &Design, data: &Dataset) -> Array2<f64> {
    let mut values = Vec::with_capacity(data.n_rows() * design.width());
    data.x.rows().for_each(|row| design.push_row(row, &mut values));
    Array2::from_shape_vec((data.n_rows(), design.width()), values).expect("each row has the design's width")
}

fn solve(design: &Design, x: &Array2<f64>, train: &Dataset, l2: f64) -> Result<Linear, FitError> {
    let targets: Array1<bool> = train.y.iter().map(|&it| it == 1.0).collect();
    let settings = LogisticRegression::default()
        .alpha(l2)
        .max_iterations(MAX_ITERATIONS)
        .gradient_tolerance(TOLERANCE * train.n_rows() as f64);
    let fitted = settings
        .fit(&linfa::DatasetBase::new(x.view(), targets))
        .map_err(|error| FitError::Data(error.to_string()))?;
    // linfa calls the larger class positive.
    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    let weights: Vec<f64> = fitted.params().iter().map(|it| sign * it).collect();
    Ok(design.linear(sign * fitted.intercept(), &weights, Link::Logit))
}
