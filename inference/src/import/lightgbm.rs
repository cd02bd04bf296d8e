//! LightGBM's text model (`Booster.save_model`), formats v2 to v4: every built-in objective, all boosting types.
//!
//! Left out: linear trees (`linear_tree=true`), whose leaves hold a regression each.
//!
//! Source: `src/io/tree.cpp`, `src/boosting/gbdt_model_text.cpp` and `include/LightGBM/tree.h` of LightGBM.

mod columns;
mod objective;
mod text;
mod trees;

use crate::error::InferenceError;
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::tree::{Combine, Form, TreeEnsemble};

use super::{Imported, refused};
use objective::Objective;
use text::Text;
use trees::Missing;

/// Reads a text model.
///
/// # Errors
/// `Import` where the file is damaged or cut short, or asks for linear trees.
pub(super) fn import(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let text = std::str::from_utf8(bytes).map_err(|_| refused(file, "it is not UTF-8 text"))?;
    read(text).map_err(|reason| refused(file, reason))
}

fn read(text: &str) -> Result<Imported, String> {
    let text = Text::split(text)?;
    let n_outputs = text.header_number("num_tree_per_iteration").unwrap_or(Ok(1))?;
    let objective = Objective::parse(text.header("objective"), n_outputs)?;
    let names: Vec<&str> = text.header("feature_names").unwrap_or("").split_whitespace().collect();
    let mut missing = vec![Missing::default(); names.len()];
    let averages = text.header("average_output").is_some();
    let combine = if averages { Combine::Average } else { Combine::Sum };
    let read = trees::read(&text, n_outputs, objective.leaf_scale, combine, &mut missing)?;
    let inputs = columns::inputs(&text, &names, &missing)?;
    let (base, trees) = read.forest.finish();
    let form = Form {
        n_features: names.len(),
        base,
        link: objective.link,
        combine,
        trees,
    };
    let ensemble = TreeEnsemble::from_form(form).map_err(|error| super::reason(&error))?;
    let is_multiclass = objective.task == Task::MulticlassClassification;
    Ok(Imported {
        predictor: RowPredictor::trees(ensemble),
        inputs,
        task: objective.task,
        classes: if is_multiclass {
            super::numbered(n_outputs)
        } else {
            Vec::new()
        },
        outputs_are_probabilities: objective.is_probability,
        origin: "lightgbm".to_owned(),
        algorithm: if averages { "random_forest" } else { "boosted_trees" }.to_owned(),
        cover_known: read.cover_known,
    })
}
