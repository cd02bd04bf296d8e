//! A model's answer inside a graph: what was summed, and what was made of the sums.

use super::Refusal;
use super::affine::Affine;
use super::ensemble::Ensemble;
use crate::import::{Imported, ImportedInput};
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::preprocessing::InputEncoding;
use crate::tree::{Combine, Form, LeafValue, Link, Node, Tree, TreeEnsemble};

/// Sums of trees or of linear terms, on their way to the answer.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    sums: Sums,
    link: Link,
    /// Names of the classes; empty where numbers are predicted.
    classes: Vec<String>,
    /// One sum stands for two classes: the tensor is `[n, 2]`, the opposite first.
    is_pair: bool,
    /// The tensor is `1 - answer`.
    is_opposite: bool,
}

#[derive(Debug, Clone)]
enum Sums {
    Trees { trees: Vec<Tree>, base: Vec<f64> },
    Linear(Vec<Affine>),
}

impl Scores {
    pub(super) fn linear(outputs: Vec<Affine>, classes: Vec<String>) -> Self {
        let is_pair = classes.len() == 2 && outputs.len() == 1;
        Self {
            sums: Sums::Linear(outputs),
            link: Link::Identity,
            classes,
            is_pair,
            is_opposite: false,
        }
    }

    pub(super) fn trees(ensemble: Ensemble, is_regressor: bool) -> Result<Self, Refusal> {
        let Ensemble {
            trees,
            base,
            n_outputs,
            one_score,
            transform,
            classes,
        } = ensemble;
        let base = match (one_score, base.len()) {
            (_, 0) => vec![0.0; if one_score { 1 } else { n_outputs }],
            // The last one is the positive class's.
            (true, _) => base[base.len() - 1..].to_vec(),
            (false, n) if n == n_outputs => base,
            _ => return Err(Refusal::other("one base value is for several classes")),
        };
        let scores = Self {
            sums: Sums::Trees { trees, base },
            link: Link::Identity,
            classes,
            is_pair: one_score,
            is_opposite: false,
        };
        if is_regressor && transform != "NONE" {
            return Err(Refusal::other(format!(
                "its trees' answer is transformed by {transform}"
            )));
        }
        scores.transformed(&transform)
    }

    /// After `post_transform`.
    pub(super) fn transformed(self, transform: &str) -> Result<Self, Refusal> {
        match transform {
            "NONE" => Ok(self),
            "LOGISTIC" => self.linked("Sigmoid"),
            "SOFTMAX" if !self.is_pair => self.linked("Softmax"),
            other => Err(Refusal::other(format!("its answer is transformed by {other}"))),
        }
    }

    /// Columns of the tensor.
    pub(super) fn width(&self) -> usize {
        if self.is_pair { 2 } else { self.sums.n_outputs() }
    }

    pub(super) fn linked(&self, operator: &str) -> Result<Self, Refusal> {
        let link = match operator {
            "Sigmoid" => Link::Logit,
            "Exp" => Link::Log,
            _ => Link::Softmax,
        };
        let plain = self.link == Link::Identity && !self.is_opposite && (!self.is_pair || link == Link::Logit);
        if plain {
            Ok(Self { link, ..self.clone() })
        } else {
            Err(Refusal::other(format!(
                "`{operator}` comes after another transformation"
            )))
        }
    }

    /// After `operator` with one number, or one per output.
    pub(super) fn changed(&self, operator: &str, by: &[f64]) -> Result<Self, Refusal> {
        let nothing = if matches!(operator, "Add" | "Sub") { 0.0 } else { 1.0 };
        if by.iter().all(|it| *it == nothing) {
            return Ok(self.clone());
        }
        let n = self.sums.n_outputs();
        let usable = self.link == Link::Identity && !self.is_pair && !self.is_opposite && [1, n].contains(&by.len());
        if !usable || !by.iter().all(|it| it.is_finite()) {
            return Err(Refusal::other(format!(
                "`{operator}` changes an answer that is already transformed"
            )));
        }
        let change = |output: usize| {
            let by = by[output.min(by.len() - 1)];
            match operator {
                "Add" => (1.0, by),
                "Sub" => (1.0, -by),
                "Mul" => (by, 0.0),
                _ => (1.0 / by, 0.0),
            }
        };
        let sums = self.sums.clone().scaled(change);
        Ok(Self { sums, ..self.clone() })
    }

    /// `1 - answer`.
    pub(super) fn subtracted_from(&self, operator: &str, from: &[f64]) -> Result<Self, Refusal> {
        let is_one = operator == "Sub" && from == [1.0] && !self.is_pair && self.sums.n_outputs() == 1;
        match (operator, is_one) {
            (_, true) => Ok(Self {
                is_opposite: !self.is_opposite,
                ..self.clone()
            }),
            ("Add" | "Mul", _) => self.changed(operator, from),
            _ => Err(Refusal::other("an answer is subtracted from a constant")),
        }
    }

    /// `1 - answer` beside `answer`.
    pub(super) fn complement(first: &Self, second: &Self) -> Result<Self, Refusal> {
        let same = first.link == second.link && first.sums.is_same(&second.sums);
        if same && first.is_opposite && !second.is_opposite && second.width() == 1 {
            Ok(Self {
                is_pair: true,
                classes: vec!["0".to_owned(), "1".to_owned()],
                ..second.clone()
            })
        } else {
            Err(Refusal::other("it joins answers that are not opposites"))
        }
    }

    /// Some outputs of a pair: the second is the answer.
    pub(super) fn picked(&self, which: &[f64]) -> Result<Self, Refusal> {
        match which {
            [at] if self.is_pair && *at == 1.0 => Ok(Self {
                is_pair: false,
                ..self.clone()
            }),
            _ => Err(Refusal::other("it picks some of its answers")),
        }
    }

    /// Whether the columns of the tensor sum to 1 whatever the row.
    pub(super) fn sums_to_one(&self) -> bool {
        match (self.link, &self.sums) {
            (Link::Softmax, _) => true,
            (Link::Logit, _) => self.is_pair,
            (Link::Identity, Sums::Trees { trees, base }) => !self.is_pair && shares_sum_to_one(trees, base),
            _ => false,
        }
    }

    /// The finished model.
    pub(super) fn imported(self, inputs: Vec<ImportedInput>, origin: String) -> Result<Imported, Refusal> {
        if self.is_opposite {
            return Err(Refusal::other("its answer is the probability of the other class"));
        }
        let it = self.into_binary()?;
        let n_outputs = it.sums.n_outputs();
        let task = match (it.classes.len(), n_outputs) {
            (0, 1) if it.link == Link::Logit => Task::BinaryClassification,
            (0, 1) => Task::Regression,
            (2, 1) => Task::BinaryClassification,
            (n, k) if n == k && n > 2 => Task::MulticlassClassification,
            _ => {
                return Err(Refusal::other(format!(
                    "it gives {n_outputs} numbers for {} classes",
                    it.classes.len()
                )));
            }
        };
        let bounded = matches!(it.link, Link::Logit | Link::Softmax) || shares(&it.sums);
        let algorithm = it.algorithm();
        Ok(Imported {
            predictor: it.predictor(&inputs)?,
            inputs,
            task,
            classes: it.classes,
            outputs_are_probabilities: task != Task::Regression && bounded,
            origin,
            algorithm: algorithm.to_owned(),
            cover_known: false,
        })
    }

    /// Two scores for two classes become one: that of the second class.
    fn into_binary(self) -> Result<Self, Refusal> {
        if self.classes.len() != 2 || self.sums.n_outputs() != 2 {
            return Ok(self);
        }
        let (sums, link) = match self.link {
            // Of two exponentials' shares, the second is the logistic function of the difference.
            Link::Softmax => (self.sums.second(-1.0), Link::Logit),
            link => (self.sums.second(0.0), link),
        };
        Ok(Self {
            sums,
            link,
            is_pair: true,
            ..self
        })
    }

    fn algorithm(&self) -> &'static str {
        match &self.sums {
            Sums::Linear(_) => "linear",
            Sums::Trees { base, .. } if self.link == Link::Identity && base.iter().all(|it| *it == 0.0) => {
                "random_forest"
            }
            Sums::Trees { .. } => "boosted_trees",
        }
    }

    fn predictor(&self, inputs: &[ImportedInput]) -> Result<RowPredictor, Refusal> {
        match &self.sums {
            Sums::Trees { trees, base } => {
                let form = Form {
                    n_features: inputs.len(),
                    base: base.clone(),
                    link: self.link,
                    combine: Combine::Sum,
                    trees: trees.clone(),
                };
                let ensemble = TreeEnsemble::from_form(form).map_err(|it| Refusal::broken(it.to_string()))?;
                Ok(RowPredictor::trees(ensemble))
            }
            Sums::Linear(outputs) => {
                let [only] = &outputs[..] else {
                    return Err(Refusal::other("its linear model has several outputs"));
                };
                let categories = |it: &ImportedInput| match &it.encoding {
                    InputEncoding::Category { categories } => Some(categories.len()),
                    _ => None,
                };
                let categories: Vec<Option<usize>> = inputs.iter().map(categories).collect();
                Ok(RowPredictor::linear(only.clone().linear(&categories, self.link)))
            }
        }
    }
}

impl Sums {
    fn n_outputs(&self) -> usize {
        match self {
            Sums::Trees { base, .. } => base.len(),
            Sums::Linear(outputs) => outputs.len(),
        }
    }

    /// `scale * sum + shift`, for each output its own.
    fn scaled(self, by: impl Fn(usize) -> (f64, f64)) -> Self {
        match self {
            Sums::Linear(outputs) => {
                let scaled = outputs
                    .into_iter()
                    .enumerate()
                    .map(|(at, it)| it.scaled(by(at).0, by(at).1));
                Sums::Linear(scaled.collect())
            }
            Sums::Trees { mut trees, mut base } => {
                for (at, it) in base.iter_mut().enumerate() {
                    *it = *it * by(at).0 + by(at).1;
                }
                for tree in &mut trees {
                    let output = tree.output as usize;
                    change_leaves(tree, |value| match value {
                        LeafValue::One(it) => LeafValue::One(it * by(output).0),
                        LeafValue::Many(values) => {
                            LeafValue::Many(values.iter().enumerate().map(|(at, it)| it * by(at).0).collect())
                        }
                    });
                }
                Sums::Trees { trees, base }
            }
        }
    }

    /// The second of two outputs, and `share` of the first.
    fn second(self, share: f64) -> Self {
        match self {
            Sums::Linear(outputs) => {
                let [first, second] = <[Affine; 2]>::try_from(outputs).expect("the caller counted two outputs");
                Sums::Linear(vec![if share == 0.0 { second } else { second.minus(first) }])
            }
            Sums::Trees { trees, base } => {
                let kept = trees
                    .into_iter()
                    .filter(|it| share != 0.0 || it.output == 1 || has_vectors(it));
                let trees = kept.map(|mut tree| {
                    let output = tree.output;
                    change_leaves(&mut tree, |value| {
                        LeafValue::One(value.at(1, output) + share * value.at(0, output))
                    });
                    Tree::new(tree.nodes)
                });
                Sums::Trees {
                    trees: trees.collect(),
                    base: vec![base[1] + share * base[0]],
                }
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Sums::Trees { trees, base }, Sums::Trees { trees: t, base: b }) => trees == t && base == b,
            _ => false,
        }
    }
}

fn change_leaves(tree: &mut Tree, change: impl Fn(&LeafValue) -> LeafValue) {
    for node in &mut tree.nodes {
        if let Node::Leaf { value, .. } = node {
            *value = change(value);
        }
    }
}

fn leaves(tree: &Tree) -> impl Iterator<Item = &LeafValue> {
    tree.nodes.iter().filter_map(Node::leaf_value)
}

fn has_vectors(tree: &Tree) -> bool {
    leaves(tree).any(|it| matches!(it, LeafValue::Many(_)))
}

/// Whether every leaf of a tree gives away the same share, none negative, and all shares and the bases sum to 1: then so do
/// the answers.
fn shares_sum_to_one(trees: &[Tree], base: &[f64]) -> bool {
    const CLOSE: f64 = 1e-5;
    let mut total: f64 = base.iter().sum();
    for tree in trees {
        let mut shares = leaves(tree).map(|it| match it {
            LeafValue::One(_) => f64::NAN,
            LeafValue::Many(values) if values.iter().all(|it| *it >= 0.0) => values.iter().sum(),
            LeafValue::Many(_) => f64::NAN,
        });
        let first: f64 = shares.next().unwrap_or(f64::NAN);
        let same = shares.all(|it| (it - first).abs() <= CLOSE);
        if !same {
            return false;
        }
        total += first;
    }
    (total - 1.0).abs() <= CLOSE
}

/// Whether the sums of one output's leaves lie between 0 and 1.
fn shares(sums: &Sums) -> bool {
    let Sums::Trees { trees, base } = sums else {
        return false;
    };
    let greatest = |tree: &Tree| {
        let values = leaves(tree).flat_map(|it| match it {
            LeafValue::One(it) => std::slice::from_ref(it).iter(),
            LeafValue::Many(values) => values.iter(),
        });
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), it| {
            (low.min(*it), high.max(*it))
        })
    };
    let (low, high) = trees
        .iter()
        .map(greatest)
        .fold((0.0_f64, 0.0), |(low, high), it| (low.min(it.0), high + it.1));
    base.iter().all(|it| *it == 0.0) && low >= 0.0 && high <= 1.0 + 1e-5
}
