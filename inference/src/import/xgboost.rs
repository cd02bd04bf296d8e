//! XGBoost's models as JSON and UBJSON (`Booster.save_model`), as written by 1.6 to 3.x: gbtree, dart and gblinear.
//!
//! All trees of the file are summed, as `Booster.predict` does; trees after the best round of an early stop are left out by
//! slicing the booster before it is saved.
//!
//! Source: `doc/model.schema`, `src/tree/tree_model.cc`, `src/learner.cc` and `src/objective` of XGBoost.

mod columns;
mod json;
mod objective;
mod schema;
mod trees;

use crate::error::InferenceError;
use crate::linear::{Linear, LinearTerm};
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::tree::{Combine, Form, LeafValue, Node, Tree, TreeEnsemble};

use super::layout::Forest;
use super::{Budget, Imported, refused, ubjson};
use objective::Objective;
use schema::{Booster, File, Float, Model, ModelParameters};

/// Reads a JSON model.
///
/// # Errors
/// `Import` where the file is damaged, cut short, or asks for what cannot be done.
pub(super) fn import_json(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let model =
        serde_json::from_slice(&json::standard(bytes)).map_err(|error| refused(file, format!("as JSON: {error}")))?;
    read(model, bytes.len()).map_err(|reason| refused(file, reason))
}

/// Reads a UBJSON model.
///
/// # Errors
/// As `import_json`.
pub(super) fn import_ubjson(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let model = ubjson::from_slice(bytes).map_err(|error| refused(file, format!("as UBJSON: {error}")))?;
    read(model, bytes.len()).map_err(|reason| refused(file, reason))
}

/// The model's size.
struct Shape {
    n_features: usize,
    n_outputs: usize,
}

fn read(mut file: File, n_bytes: usize) -> Result<Imported, String> {
    let budget = Budget::of(n_bytes);
    let booster = std::mem::replace(&mut file.learner.gradient_booster, Booster::empty());
    let (model, drops) = booster.parts()?;
    let shape = shape(&file.learner.learner_model_param, &budget)?;
    let objective = Objective::named(&file.learner.objective.name, shape.n_outputs)?;
    let base = objective.base(&file.learner.learner_model_param.base_score, shape.n_outputs)?;
    let inputs = columns::inputs(&file.learner, &model.cats.enc, shape.n_features)?;
    let fitted = if model.weights.is_empty() {
        fit_trees(&model, &drops, base, &objective, &shape, budget)?
    } else {
        fit_linear(&model.weights, &base, &objective, &shape)?
    };
    let is_multiclass = objective.task == Task::MulticlassClassification;
    Ok(Imported {
        predictor: fitted.predictor,
        inputs,
        task: objective.task,
        classes: if is_multiclass {
            super::numbered(shape.n_outputs)
        } else {
            Vec::new()
        },
        outputs_are_probabilities: objective.is_probability,
        origin: origin(&file.version),
        algorithm: fitted.algorithm.to_owned(),
        cover_known: fitted.cover_known,
    })
}

fn origin(version: &[u32]) -> String {
    let numbers: Vec<String> = version.iter().take(3).map(u32::to_string).collect();
    format!("xgboost {}", numbers.join(".")).trim_end().to_owned()
}

fn shape(parameters: &ModelParameters, budget: &Budget) -> Result<Shape, String> {
    let number = |name: &str, text: &str| {
        let number: Result<usize, _> = text.trim().parse();
        number.map_err(|_| format!("`{name}` is `{text:.40}`, which is no number"))
    };
    let n_classes = number("num_class", &parameters.num_class)?;
    let n_targets = number("num_target", &parameters.num_target)?;
    let n_features = number("num_feature", &parameters.num_feature)?;
    budget.check("columns", n_features)?;
    let n_outputs = n_classes.max(n_targets).max(1);
    budget.check("outputs", n_outputs)?;
    Ok(Shape { n_features, n_outputs })
}

impl Booster {
    fn empty() -> Self {
        Self {
            name: String::new(),
            model: None,
            gbtree: None,
            weight_drop: Vec::new(),
        }
    }

    /// The model inside, and the weight of each tree where trees are weighted.
    fn parts(self) -> Result<(Model, Vec<Float>), String> {
        match (self.name.as_str(), self.model, self.gbtree) {
            ("gbtree" | "gblinear", Some(model), _) => Ok((model, Vec::new())),
            ("dart", _, Some(gbtree)) if self.weight_drop.len() == gbtree.model.trees.len() => {
                Ok((gbtree.model, self.weight_drop))
            }
            ("dart", _, Some(_)) => Err("`weight_drop` has not one number per tree".to_owned()),
            ("gbtree" | "gblinear" | "dart", ..) => Err("the booster's `model` is not there".to_owned()),
            (other, ..) => Err(format!(
                "unknown booster `{other}`; known are `gbtree`, `dart` and `gblinear`"
            )),
        }
    }
}

struct Fitted {
    predictor: RowPredictor,
    algorithm: &'static str,
    cover_known: bool,
}

fn fit_trees(
    model: &Model,
    drops: &[Float],
    base: Vec<f64>,
    objective: &Objective,
    shape: &Shape,
    mut budget: Budget,
) -> Result<Fitted, String> {
    if model.tree_info.len() != model.trees.len() {
        return Err(format!(
            "`tree_info` has {} numbers for {} trees",
            model.tree_info.len(),
            model.trees.len()
        ));
    }
    let mut forest = Forest::new(base, Combine::Sum);
    let mut cover_known = true;
    for (at, tree) in model.trees.iter().enumerate() {
        let weight = drops.get(at).map_or(1.0, |it| f64::from(it.0));
        let nodes = trees::nodes(tree, weight, shape.n_features, &mut budget);
        let (nodes, known) = nodes.map_err(|reason| format!("tree {at}: {reason}"))?;
        cover_known &= known;
        let is_vector = nodes.iter().any(|it| {
            matches!(
                it,
                Node::Leaf {
                    value: LeafValue::Many(_),
                    ..
                }
            )
        });
        forest.add(Tree::for_output(nodes, if is_vector { 0 } else { model.tree_info[at] }));
    }
    let (base, trees) = forest.finish();
    let form = Form {
        n_features: shape.n_features,
        base,
        link: objective.link,
        combine: Combine::Sum,
        trees,
    };
    let ensemble = TreeEnsemble::from_form(form).map_err(|error| super::reason(&error))?;
    Ok(Fitted {
        predictor: RowPredictor::trees(ensemble),
        algorithm: if is_forest(model, shape) {
            "random_forest"
        } else {
            "boosted_trees"
        },
        cover_known,
    })
}

/// One round of many parallel trees.
fn is_forest(model: &Model, shape: &Shape) -> bool {
    let parallel = model
        .gbtree_model_param
        .as_ref()
        .map(|it| it.num_parallel_tree.trim().parse());
    let parallel: usize = parallel.and_then(Result::ok).unwrap_or(1);
    parallel > 1 && model.trees.len() <= parallel.saturating_mul(shape.n_outputs)
}

/// A missing value adds nothing; contributions are relative to the intercept, as XGBoost gives them.
fn fit_linear(weights: &[Float], base: &[f64], objective: &Objective, shape: &Shape) -> Result<Fitted, String> {
    if shape.n_outputs > 1 {
        return Err(format!(
            "a gblinear of {} outputs cannot be imported; train one booster per output, or gbtree",
            shape.n_outputs
        ));
    }
    if weights.len() != shape.n_features + 1 {
        return Err(format!(
            "`weights` has {} numbers for {} columns",
            weights.len(),
            shape.n_features
        ));
    }
    if !weights.iter().all(|it| it.0.is_finite()) {
        return Err("`weights` has a number that cannot be used".to_owned());
    }
    let (intercept, weights) = weights.split_last().ok_or("`weights` is empty")?;
    let term = |weight: &Float| LinearTerm::Numeric {
        mean: 0.0,
        scale: 1.0,
        clip: f64::MAX,
        weight: f64::from(weight.0),
        missing: 0.0,
    };
    let linear = Linear {
        intercept: f64::from(intercept.0) + base[0],
        link: objective.link,
        terms: weights.iter().map(term).collect(),
        expected: vec![0.0; weights.len()],
    };
    if !linear.intercept.is_finite() {
        return Err("the intercept is not a finite number".to_owned());
    }
    Ok(Fitted {
        predictor: RowPredictor::linear(linear),
        algorithm: "linear",
        cover_known: true,
    })
}
