//! A model as one ONNX file: from named inputs as the package has them to the calibrated answer with its interval, all in
//! double precision.
//!
//! ONNX has no null. A missing number is NaN, so that whole numbers, flags and times travel as doubles too (times as microseconds
//! since 1970); a missing text is [`MISSING_TEXT`], or the empty text where that is no category of the model.

mod answer;
mod calendar;
mod forecast;
mod lags;
mod rows;
mod sums;

use super::graph::Graph;
use crate::error::InferenceError;
use crate::manifest::Task;
use crate::model::Model;

/// How a missing text is spelled: the symbol for null.
pub const MISSING_TEXT: &str = "\u{2400}";

/// The level of the intervals in the file.
pub(super) const LEVEL: f64 = crate::model::DEFAULT_INTERVAL;

pub(super) fn export(model: &Model) -> Result<Vec<u8>, InferenceError> {
    let manifest = model.manifest();
    let mut graph = Graph::default();
    let task = manifest.task;
    match model.forecast() {
        Some(it) => forecast::write(it, &mut graph)?,
        None => rows::write(model, &mut graph)?,
    }
    graph.note("foretell.task", &task.to_string());
    graph.note("foretell.algorithm", &manifest.algorithm);
    if task == Task::Forecast || manifest.conformal.is_some() {
        graph.note("foretell.interval", &LEVEL.to_string());
    }
    graph.note("foretell.missing_text", MISSING_TEXT);
    let doc = format!("{} ({}), exported by foretell", manifest.model, manifest.algorithm);
    Ok(graph.finish(&manifest.model, &doc))
}

/// What ONNX has no words for.
fn cannot(reason: impl Into<String>) -> InferenceError {
    InferenceError::Request(format!("the model cannot be written as ONNX: {}", reason.into()))
}
