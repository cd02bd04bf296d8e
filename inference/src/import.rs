//! Models that other libraries trained: their files become our own predictors.
//!
//! Each importer reads one format by a bounded parser of its own: nothing in a file is executed, no count is believed that
//! bytes do not pay for, and what a file asks for that cannot be done is refused with a sentence that says what to do. A
//! predictor answers what the library itself would answer for the same row, to 1e-6 of its size.

mod budget;
mod catboost;
pub mod float32;
mod layout;
mod lightgbm;
mod ubjson;
mod xgboost;

use std::collections::BTreeMap;

use foretell_features::DataType;
use foretell_features::spelling::hint;

use crate::error::InferenceError;
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::preprocessing::InputEncoding;
use budget::Budget;

/// A model of another library, ready to predict.
#[derive(Debug)]
pub struct Imported {
    /// Rows in, the library's answers out.
    pub predictor: RowPredictor,
    /// The columns, in the order of the model.
    pub inputs: Vec<ImportedInput>,
    /// What it predicts.
    pub task: Task,
    /// Multiclass: a name per output. Binary: negative, positive, where the file names them. Else empty.
    pub classes: Vec<String>,
    /// Whether the answers (after the link) are probabilities.
    pub outputs_are_probabilities: bool,
    /// The library, with its version where the file says it, `xgboost 3.2.0`.
    pub origin: String,
    /// `boosted_trees`, `random_forest`, `linear`, `network` or `onnx`.
    pub algorithm: String,
    /// Whether the training weight of each node is known: contributions are the library's own only then.
    pub cover_known: bool,
}

/// One column of an imported model.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedInput {
    /// Its name in the file, else `f0`, `f1`, ..
    pub name: String,
    /// Its type as a caller sends it.
    pub data_type: DataType,
    /// How it becomes a number.
    pub encoding: InputEncoding,
}

impl ImportedInput {
    /// A number, as it is.
    pub fn number(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            data_type: DataType::Double,
            encoding: InputEncoding::Numeric,
        }
    }
}

/// A format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Booster.save_model("model.json")`
    XgboostJson,
    /// `Booster.save_model("model.ubj")`
    XgboostUbjson,
    /// `Booster.save_model("model.txt")`
    LightgbmText,
    /// `CatBoost.save_model("model.json", format="json")`
    CatboostJson,
    /// An ONNX graph.
    Onnx,
    /// Tensors of a network, with its architecture beside them.
    Safetensors,
}

/// What a file is, by its name and its first bytes (a few kilobytes are enough); `None` where it is nothing known.
pub fn sniff(name: &str, head: &[u8]) -> Option<Source> {
    let extension = name.rsplit_once('.').map_or("", |(_, it)| it).to_ascii_lowercase();
    let first = head.iter().find(|it| !it.is_ascii_whitespace()).copied();
    match (extension.as_str(), first) {
        ("safetensors", _) => Some(Source::Safetensors),
        ("onnx", _) => Some(Source::Onnx),
        _ if starts_as_text(head, b"tree\n") || starts_as_text(head, b"tree\r\n") => Some(Source::LightgbmText),
        (_, Some(b'{')) => sniff_object(head),
        _ => None,
    }
}

fn starts_as_text(head: &[u8], start: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(start)
}

/// JSON and UBJSON both begin with a brace; in UBJSON a length marker follows, which JSON cannot have.
fn sniff_object(head: &[u8]) -> Option<Source> {
    match head.trim_ascii_start()[1..].trim_ascii_start().first()? {
        b'"' => {
            // The first of these keys tells: later ones may be names of columns or of categories.
            let keys = [
                ("\"learner\"", Source::XgboostJson),
                ("\"ctr_data\"", Source::CatboostJson),
                ("\"features_info\"", Source::CatboostJson),
                ("\"oblivious_trees\"", Source::CatboostJson),
            ];
            let found = keys
                .into_iter()
                .filter_map(|(key, source)| Some((position(head, key)?, source)));
            found.min_by_key(|(at, _)| *at).map(|(_, source)| source)
        }
        b'i' | b'U' | b'I' | b'l' | b'L' => position(head, "learner").map(|_| Source::XgboostUbjson),
        _ => None,
    }
}

fn position(bytes: &[u8], wanted: &str) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted.as_bytes())
}

/// Reads the model in the file `main`; other files are what it may refer to.
///
/// # Errors
/// `Import` with a sentence when the file is not there, is no format that is known, is damaged, or asks for what cannot be done.
pub fn import(files: &BTreeMap<String, Vec<u8>>, main: &str) -> Result<Imported, InferenceError> {
    let bytes = files.get(main).ok_or_else(|| {
        let hint = hint(main, files.keys().map(String::as_str));
        refused(main, format!("there is no such file{hint}"))
    })?;
    let source = sniff(main, bytes).ok_or_else(|| refused(main, unknown(main, bytes)))?;
    match source {
        Source::LightgbmText => lightgbm::import(main, bytes),
        Source::XgboostJson => xgboost::import_json(main, bytes),
        Source::XgboostUbjson => xgboost::import_ubjson(main, bytes),
        Source::CatboostJson => catboost::import(main, bytes),
        Source::Onnx => import_graph(main, bytes),
        Source::Safetensors => crate::network::import(files, main),
    }
}

/// A graph becomes a form of ours where it can, and a session else.
fn import_graph(main: &str, bytes: &[u8]) -> Result<Imported, InferenceError> {
    match crate::onnx::import(main, bytes) {
        #[cfg(feature = "onnx")]
        Err(InferenceError::NeedsSession { .. }) => crate::session::import(main, bytes),
        other => other,
    }
}

/// What to do about a file that is no known format.
fn unknown(name: &str, bytes: &[u8]) -> String {
    let known = "known are XGBoost (JSON, UBJSON), LightGBM (text), CatBoost (JSON), ONNX and safetensors";
    let is_pickle = bytes.first() == Some(&0x80) || name.ends_with(".pkl") || name.ends_with(".joblib");
    if bytes.is_empty() {
        "it is empty".to_owned()
    } else if is_pickle {
        format!("it is a Python pickle, which would have to be executed; convert it to ONNX (skl2onnx); {known}")
    } else if bytes.starts_with(b"CBM1") {
        "it is CatBoost's binary form; write it again with `save_model(\"model.json\", format=\"json\")`".to_owned()
    } else if bytes.starts_with(b"binf") || bytes.starts_with(b"bs64") {
        "it is XGBoost's old binary form; write it again with `save_model(\"model.json\")`".to_owned()
    } else {
        format!("it is no model file that is known; {known}")
    }
}

/// The error of an importer.
pub(crate) fn refused(file: &str, reason: impl Into<String>) -> InferenceError {
    InferenceError::Import {
        file: file.to_owned(),
        reason: reason.into(),
    }
}

/// Why an ensemble was refused, without the name of a file that is not there yet.
fn reason(error: &InferenceError) -> String {
    match error {
        InferenceError::Damaged { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// Names of classes where the file has none: `0`, `1`, ..
fn numbered(n_classes: usize) -> Vec<String> {
    (0..n_classes).map(|it| it.to_string()).collect()
}
