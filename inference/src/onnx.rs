//! ONNX files as data: read, understood where they are trees or linear models, and written for every model of ours.
//!
//! [`describe`] says what a graph takes and gives; [`import`] turns a graph of trees or of a linear model, with the steps that
//! converters put around it, into our own forms, which are faster than a session and can be explained.

mod affine;
mod columns;
mod ensemble;
mod export;
mod graph;
mod importer;
pub(crate) mod proto;
mod scores;
mod wire;

use crate::error::InferenceError;
use crate::import::Imported;
use crate::model::Model;
use proto::{ModelView, any_tensor};

pub use export::MISSING_TEXT;
pub use proto::ElementType;

/// What a graph takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphShape {
    /// What must be sent: name, element type, dimensions (`None` where any size goes, as for rows). Constants are left out.
    pub inputs: Vec<GraphValue>,
    /// What comes back.
    pub outputs: Vec<GraphValue>,
    /// Operator domains with their versions; `""` is the standard one.
    pub domains: Vec<(String, i64)>,
    /// Whether numbers lie in files beside it.
    pub external_data: bool,
    /// `skl2onnx 1.19.1`
    pub producer: String,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphValue {
    /// Its name.
    pub name: String,
    /// Element type and dimensions of a tensor; `None` for a sequence or a map.
    pub tensor: Option<(ElementType, Vec<Option<usize>>)>,
}

/// Reads what a graph takes and gives. `file` is what errors call it.
///
/// # Errors
/// `Import` when the bytes are no ONNX model.
pub fn describe(file: &str, bytes: &[u8]) -> Result<GraphShape, InferenceError> {
    let refuse = |reason: String| InferenceError::Import {
        file: file.to_owned(),
        reason,
    };
    let model = ModelView::read(bytes).map_err(refuse)?;
    let graph = model.graph();
    let constants: std::collections::HashSet<&str> = graph.initializers().map(|it| it.name()).collect();
    let value = |it: proto::ValueView<'_>| GraphValue {
        name: it.name().to_owned(),
        tensor: it.tensor(),
    };
    let (name, version) = model.producer();
    Ok(GraphShape {
        inputs: graph
            .inputs()
            .filter(|it| !constants.contains(it.name()))
            .map(value)
            .collect(),
        outputs: graph.outputs().map(value).collect(),
        domains: model
            .opsets()
            .map(|(domain, version)| (domain.to_owned(), version))
            .collect(),
        external_data: any_tensor(graph, &mut |it| it.is_external()),
        producer: format!("{name} {version}").trim().to_owned(),
    })
}

/// Turns a graph of trees or of a linear model into one of our predictors. `file` is what errors call it.
///
/// A float input is compared as float32 and a double one as it is, as onnxruntime does; leaves and coefficients are summed in
/// double precision. Covers are unknown: every leaf counts the same.
///
/// # Errors
/// `Import` when the bytes are no sound ONNX model, `NeedsSession` when it is one that only a session can run.
pub fn import(file: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    let shape = describe(file, bytes)?;
    let named = |refusal: Refusal| match refusal {
        Refusal::Broken(reason) => InferenceError::Import {
            file: file.to_owned(),
            reason,
        },
        Refusal::Other(reason) => InferenceError::NeedsSession {
            file: file.to_owned(),
            reason,
        },
    };
    let model = ModelView::read(bytes).map_err(Refusal::Broken).map_err(named)?;
    importer::import(model, &shape.inputs, bytes.len()).map_err(named)
}

/// A model as one ONNX file that onnxruntime 1.24 or later runs (1.22 misreads some trees): inputs by the package's names,
/// `value`, and `lower` and `upper` of the 0.9 interval where the model has intervals; `class` where classes have names, of
/// several also `probabilities`; of a forecast also `total` with `total_lower` and `total_upper`; `level` where there
/// is a decision. See [`MISSING_TEXT`] for what is missing.
///
/// # Errors
/// `Request` with a sentence on the part that ONNX has no words for.
pub fn export(model: &Model) -> Result<Vec<u8>, InferenceError> {
    export::export(model)
}

/// Why a graph did not become a predictor of ours.
#[derive(Debug)]
enum Refusal {
    /// It is not sound.
    Broken(String),
    /// It is something else than trees or a linear model.
    Other(String),
}

impl Refusal {
    fn broken(reason: impl Into<String>) -> Self {
        Refusal::Broken(reason.into())
    }

    fn other(reason: impl Into<String>) -> Self {
        Refusal::Other(reason.into())
    }
}

#[cfg(test)]
mod tests;
