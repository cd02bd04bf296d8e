//! CatBoost's models as JSON (`save_model("model.json", format="json", pool=train_pool)`): oblivious, depth-wise and
//! loss-guided trees, missing values, one-hot splits and statistics of single columns of categories.
//!
//! Left out: statistics of several columns together (`max_ctr_complexity=1` avoids them), text and embedding columns, and
//! the loss `RMSEWithUncertainty`. The dictionaries of categories are in the file only where it was saved with `pool=`.
//!
//! Source: `catboost/libs/model/model_export/json_model_helpers.cpp` of CatBoost.

mod columns;
mod ctr;
mod loss;
mod schema;
mod trees;

use std::collections::BTreeMap;

use crate::error::InferenceError;
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::tree::{Combine, Form, Node, Tree, TreeEnsemble};

use super::layout::{Forest, settle_covers};
use super::{Budget, Imported, refused};
use columns::Columns;
use ctr::Ctrs;
use loss::Loss;
use schema::{File, Grown, Numbers};
use trees::Builder;

/// Reads a JSON model.
///
/// # Errors
/// `Import` where the file is damaged, cut short, or asks for what cannot be done.
pub(super) fn import(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let model = serde_json::from_slice(bytes).map_err(|error| refused(file, format!("as JSON: {error}")))?;
    read(&model, bytes.len()).map_err(|reason| refused(file, reason))
}

fn read(file: &File, n_bytes: usize) -> Result<Imported, String> {
    let mut budget = Budget::of(n_bytes);
    let ctrs = Ctrs::read(&file.features_info, &file.ctr_data)?;
    let columns = Columns::read(&file.features_info, &ctrs, &mut budget)?;
    let base = base(file, &budget)?;
    let loss = loss(file)?;
    let builder = Builder {
        columns: &columns,
        ctrs: &ctrs,
        n_outputs: base.len(),
        scale: file.scale_and_bias.0,
        budget,
        statistics: BTreeMap::new(),
    };
    let n_outputs = base.len();
    let mut forest = Forest::new(base, Combine::Sum);
    let cover_known = add_trees(file, builder, &mut forest)?;
    let classes = classes(file, &loss, n_outputs)?;
    let (base, trees) = forest.finish();
    let form = Form {
        n_features: columns.inputs.len(),
        base,
        link: loss.link,
        combine: Combine::Sum,
        trees,
    };
    let ensemble = TreeEnsemble::from_form(form).map_err(|error| super::reason(&error))?;
    Ok(Imported {
        predictor: RowPredictor::trees(ensemble),
        inputs: columns.inputs,
        task: loss.task,
        classes,
        outputs_are_probabilities: loss.is_probability,
        origin: "catboost".to_owned(),
        algorithm: "boosted_trees".to_owned(),
        cover_known,
    })
}

/// Adds all trees; whether their covers are known.
fn add_trees(file: &File, mut builder: Builder<'_>, forest: &mut Forest) -> Result<bool, String> {
    let mut cover_known = true;
    let mut add = |at: usize, nodes: Result<Vec<Node>, String>| {
        let mut nodes = nodes.map_err(|reason| format!("tree {at}: {reason}"))?;
        fill_empty_leaves(&mut nodes);
        cover_known &= settle_covers(&mut nodes);
        forest.add(Tree::new(nodes));
        Ok::<(), String>(())
    };
    match (&file.oblivious_trees, &file.trees) {
        (Some(oblivious), None) => {
            for (at, tree) in oblivious.iter().enumerate() {
                add(at, builder.oblivious(tree))?;
            }
        }
        (None, Some(grown)) => {
            for (at, tree) in grown.iter().enumerate() {
                add(at, builder.grown(tree))?;
            }
        }
        _ => return Err("it has neither `oblivious_trees` nor `trees`, or both".to_owned()),
    }
    Ok(cover_known)
}

/// A leaf that no training row reached has weight 0, which an explanation cannot divide by: it counts as next to nothing.
fn fill_empty_leaves(nodes: &mut [Node]) {
    let total = nodes.first().map_or(0.0, Node::cover);
    if !(total > 0.0 && total.is_finite()) {
        return;
    }
    for node in nodes {
        let (Node::Numeric { cover, .. } | Node::Category { cover, .. } | Node::Leaf { cover, .. }) = node;
        if *cover == 0.0 {
            *cover = total * 1e-9;
        }
    }
}

/// Where each output's sum starts. Old files have one number for all outputs.
fn base(file: &File, budget: &Budget) -> Result<Vec<f64>, String> {
    let one = match &file.scale_and_bias.1 {
        Numbers::Many(many) if many.is_empty() => return Err("`scale_and_bias` has no output".to_owned()),
        Numbers::Many(many) if many.len() > 1 => return Ok(many.clone()),
        Numbers::Many(many) => many[0],
        Numbers::One(one) => *one,
    };
    let oblivious = file.oblivious_trees.as_ref().and_then(|it| it.first());
    let from_oblivious = oblivious.map(|tree| {
        let depth = tree.splits.as_ref().map_or(0, Vec::len);
        tree.leaf_values.len() >> depth.min(63)
    });
    let from_grown = || file.trees.as_ref()?.first().map(leaf_length);
    let n_outputs = from_oblivious.or_else(from_grown).unwrap_or(1).max(1);
    budget.check("outputs", n_outputs)?;
    Ok(vec![one; n_outputs])
}

fn leaf_length(tree: &Grown) -> usize {
    match tree {
        Grown::Split { left, .. } => leaf_length(left),
        Grown::Leaf {
            value: Numbers::One(_), ..
        } => 1,
        Grown::Leaf {
            value: Numbers::Many(many),
            ..
        } => many.len(),
    }
}

fn loss(file: &File) -> Result<Loss, String> {
    match &file.model_info.params {
        Some(parameters) => Loss::named(&parameters.0.loss_function.name),
        None => Err(
            "it does not say what loss it was trained on (`model_info.params`), so its answers cannot be told"
                .to_owned(),
        ),
    }
}

/// Names of classes: of two, where the file has them; of more, always.
fn classes(file: &File, loss: &Loss, n_outputs: usize) -> Result<Vec<String>, String> {
    let named = file.model_info.class_params.as_ref();
    let names: Vec<String> = named
        .map(|it| it.0.class_names.iter().map(|it| it.0.clone()).collect())
        .unwrap_or_default();
    match loss.task {
        Task::MulticlassClassification if names.is_empty() => Ok(super::numbered(n_outputs)),
        Task::MulticlassClassification if names.len() == n_outputs => Ok(names),
        Task::MulticlassClassification => Err(format!(
            "{} names of classes do not fit {n_outputs} outputs",
            names.len()
        )),
        Task::BinaryClassification if names.len() == 2 => Ok(names),
        _ => Ok(Vec::new()),
    }
}
