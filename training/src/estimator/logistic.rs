//! Logistic regression with an L2 penalty (linfa), over standardised quantities and one column per category; folded back into
//! one term per input.

use std::collections::BTreeMap;

use foretell_features::{FeatureMatrix, Value};
use foretell_inference::{Linear, Link, Predictor, RowPredictor};
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray016::{Array1, Array2, Axis};

use super::{Estimator, FittedModel, Tuned, check_names, median, number};
use crate::dataset::Dataset;
use crate::design::Design;
use crate::error::FitError;
use crate::explain::spread;
use crate::metrics::log_loss;

/// Penalties tried where none is given, strongest first: half of it times the squared weights is added to the sum of losses.
const PENALTIES: [f64; 3] = [100.0, 10.0, 1.0];
/// Rows that choose the penalty and give the first guess of the weights: more would say the same, later.
const SKETCH_ROWS: usize = 4000;
const MAX_ITERATIONS: u64 = 100;
/// The gradient per row at which fitting ends.
const TOLERANCE: f64 = 1e-4;

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
        let l2 = number(named, "l2", 1e-6..=1e9)?;
        Ok(Self { l2 })
    }
}

impl Estimator for Logistic {
    fn fit(&self, train: &Dataset, valid: &Dataset, _seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        let problem = Problem::new(train);
        let sketch = problem.sketch();
        let penalties = self.l2.map_or(PENALTIES.to_vec(), |it| vec![it]);
        let mut best: Option<(f64, f64, Solution)> = None;
        let mut guess = None;
        for l2 in penalties {
            let solution = sketch.solve(l2, guess.as_ref())?;
            let loss = log_loss(&valid.y, &answers(&problem.linear(&solution), &valid.x)?);
            guess = Some(solution.clone());
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, l2, solution));
            }
        }
        let (_, l2, guess) = best.ok_or_else(|| FitError::Data("no penalty gave a finite loss".to_owned()))?;
        problem.fitted(l2, &guess)
    }

    fn refit(&self, all: &Dataset, tuned: &[Tuned], _seed: u64) -> Result<Box<dyn FittedModel>, FitError> {
        let l2 = self.l2.or(median(tuned, "l2")).unwrap_or(PENALTIES[1]);
        let problem = Problem::new(all);
        let guess = problem.sketch().solve(l2, None)?;
        problem.fitted(l2, &guess)
    }
}

impl FittedModel for FittedLogistic {
    fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, FitError> {
        answers(&self.linear, x)
    }

    fn tuned(&self) -> Tuned {
        Tuned::from([("l2", self.l2)])
    }

    fn into_predictor(self: Box<Self>) -> RowPredictor {
        RowPredictor::linear(self.linear)
    }
}

/// The design of the training rows and their labels.
struct Problem {
    design: Design,
    rows: DesignRows,
}

/// Rows of a design with their labels.
struct DesignRows {
    x: Array2<f64>,
    y: Array1<bool>,
}

/// Weights by design column, the intercept last; for the log-odds of label 1.
type Solution = Array1<f64>;

impl Problem {
    fn new(data: &Dataset) -> Self {
        let design = Design::fit(data);
        let mut values = Vec::with_capacity(data.n_rows() * design.width());
        data.x.rows().for_each(|row| design.push_row(row, &mut values));
        let shape = (data.n_rows(), design.width());
        let x = Array2::from_shape_vec(shape, values).expect("each row has the design's width");
        let y = data.y.iter().map(|&it| it == 1.0).collect();
        Self {
            design,
            rows: DesignRows { x, y },
        }
    }

    /// Evenly spread rows, all of them where they are few or where spreading would lose a class.
    fn sketch(&self) -> DesignRows {
        let all: Vec<usize> = (0..self.rows.y.len()).collect();
        let rows = spread(&all, SKETCH_ROWS);
        let positives = rows.iter().filter(|&&row| self.rows.y[row]).count();
        let rows = if positives == 0 || positives == rows.len() {
            all
        } else {
            rows
        };
        DesignRows {
            x: self.rows.x.select(Axis(0), &rows),
            y: self.rows.y.select(Axis(0), &rows),
        }
    }

    fn linear(&self, solution: &Solution) -> Linear {
        let (weights, intercept) = solution
            .as_slice()
            .expect("it is contiguous")
            .split_at(self.design.width());
        self.design.linear(intercept[0], weights, Link::Logit)
    }

    fn fitted(&self, l2: f64, guess: &Solution) -> Result<Box<dyn FittedModel>, FitError> {
        let solution = self.rows.solve(l2, Some(guess))?;
        Ok(Box::new(FittedLogistic {
            linear: self.linear(&solution),
            l2,
        }))
    }
}

impl DesignRows {
    fn solve(&self, l2: f64, guess: Option<&Solution>) -> Result<Solution, FitError> {
        // linfa calls the larger class positive, and counts ties by what it met last: so does the guess's sign.
        let sign = if self.is_mostly_positive() { 1.0 } else { -1.0 };
        let mut settings = LogisticRegression::default()
            .alpha(l2)
            .max_iterations(MAX_ITERATIONS)
            .gradient_tolerance(TOLERANCE * self.y.len() as f64);
        if let Some(guess) = guess {
            settings = settings.initial_params(guess * sign);
        }
        let fitted = settings
            .fit(&linfa::DatasetBase::new(self.x.view(), self.y.view()))
            .map_err(|error| FitError::Data(error.to_string()))?;
        let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
        let weights = fitted
            .params()
            .iter()
            .chain([&fitted.intercept()])
            .map(|it| sign * it)
            .collect();
        Ok(weights)
    }

    fn is_mostly_positive(&self) -> bool {
        self.y.iter().filter(|it| **it).count() * 2 > self.y.len()
    }
}

fn answers(linear: &Linear, x: &FeatureMatrix) -> Result<Vec<f64>, FitError> {
    let scores = linear.predict(x)?;
    Ok(scores.into_iter().map(|it| linear.link.apply(it)).collect())
}

#[cfg(test)]
mod tests {
    use foretell_features::ColumnKind;

    use super::*;

    /// Labels by threshold of a noisy sum, mostly of one class or of the other.
    fn data(threshold: f64) -> Dataset {
        let chance = |at: usize| crate::split::row_hash(at as u64 * 7 + 3);
        let rows: Vec<[f64; 2]> = (0..2000).map(|it| [chance(2 * it), chance(2 * it + 1)]).collect();
        let y = rows
            .iter()
            .enumerate()
            .map(|(at, it)| f64::from(u8::from(it[0] + 0.5 * chance(9 * at) > threshold)));
        let y = y.collect();
        let x = FeatureMatrix::from_rows(2, rows.concat());
        Dataset {
            x,
            kinds: [ColumnKind::Numeric, ColumnKind::Numeric].into(),
            y,
        }
    }

    #[test]
    fn either_class_may_be_the_larger_one() {
        for threshold in [0.5, 1.0] {
            let data = data(threshold);
            let fitted = Logistic { l2: None }.fit(&data, &data, 1).unwrap();
            let answers = fitted.predict(&data.x).unwrap();
            let auc = crate::metrics::roc_auc(&data.y, &answers);
            assert!(auc > 0.9, "{threshold}: {auc}");
            let (predicted, observed) = (answers.iter().sum::<f64>(), data.y.iter().sum::<f64>());
            assert!(
                (predicted - observed).abs() < 5.0,
                "{threshold}: {predicted} of {observed}"
            );
            let again = Logistic { l2: None }
                .refit(&data, &[fitted.tuned()], 1)
                .unwrap()
                .predict(&data.x)
                .unwrap();
            assert!(answers.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-2));
        }
    }
}
