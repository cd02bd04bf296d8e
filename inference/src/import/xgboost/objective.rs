//! From the objective's name to what the sums of leaves become, and back for the score that they start from.

use foretell_features::spelling::hint;

use crate::manifest::Task;
use crate::tree::Link;

/// What an objective means.
pub(super) struct Objective {
    /// Sums to answers.
    pub(super) link: Link,
    /// What is predicted.
    pub(super) task: Task,
    /// Whether answers are probabilities.
    pub(super) is_probability: bool,
    /// How `base_score`, which is given as an answer, becomes a sum.
    start: Start,
}

#[derive(Clone, Copy)]
enum Start {
    AsIs,
    LogOdds,
    Logarithm,
}

const KNOWN: [&str; 22] = [
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:expectileerror",
    "reg:logistic",
    "reg:gamma",
    "reg:tweedie",
    "count:poisson",
    "survival:cox",
    "survival:aft",
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:poisson",
];

impl Objective {
    /// By name, for so many outputs.
    pub(super) fn named(name: &str, n_outputs: usize) -> Result<Self, String> {
        let (link, task, is_probability, start) = match name {
            "binary:logistic" | "reg:logistic" if n_outputs == 1 => {
                (Link::Logit, Task::BinaryClassification, true, Start::LogOdds)
            }
            // Several targets, each a yes or no of its own.
            "binary:logistic" | "reg:logistic" => (Link::Logit, Task::Regression, true, Start::LogOdds),
            "binary:hinge" => (Link::Step, Task::BinaryClassification, false, Start::AsIs),
            "multi:softmax" | "multi:softprob" => (Link::Softmax, Task::MulticlassClassification, true, Start::AsIs),
            "reg:gamma" | "reg:tweedie" | "count:poisson" | "survival:cox" | "survival:aft" => {
                (Link::Log, Task::Regression, false, Start::Logarithm)
            }
            name if KNOWN.contains(&name) => (Link::Identity, Task::Regression, false, Start::AsIs),
            other => return Err(format!("unknown objective `{other}`{}", hint(other, KNOWN))),
        };
        if link == Link::Softmax && n_outputs < 2 {
            return Err(format!("objective `{name}` has {n_outputs} classes"));
        }
        Ok(Self {
            link,
            task,
            is_probability,
            start,
        })
    }

    /// Where each output's sum starts: `0.5`, or `[0.1,0.2]` with a number per output.
    pub(super) fn base(&self, text: &str, n_outputs: usize) -> Result<Vec<f64>, String> {
        let listed = text.trim().trim_start_matches('[').trim_end_matches(']');
        let numbers: Result<Vec<f32>, _> = listed.split(',').map(|it| it.trim().parse()).collect();
        let scores =
            numbers.map_err(|_| format!("`base_score` is `{text:.40}`, which is not a number or a list of them"))?;
        let starts = scores.iter().map(|it| self.sum(f64::from(*it)));
        let starts: Vec<f64> = starts.collect();
        match starts[..] {
            [one] => Ok(vec![one; n_outputs]),
            _ if starts.len() == n_outputs => Ok(starts),
            _ => Err(format!(
                "`base_score` has {} numbers for {n_outputs} outputs",
                starts.len()
            )),
        }
    }

    fn sum(&self, score: f64) -> f64 {
        match self.start {
            Start::AsIs => score,
            Start::LogOdds => -(1.0 / score - 1.0).ln(),
            Start::Logarithm => score.ln(),
        }
    }
}
