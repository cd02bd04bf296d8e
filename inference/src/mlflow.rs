//! A model folder as MLflow's clients write it: `MLmodel` says what lies beside it. What is one of the formats that can be
//! imported is; nothing is executed, a pickle least of all.

mod yaml;

use foretell_features::DataType;
use serde::Deserialize;

use crate::error::InferenceError;
use crate::import::{Imported, sniff};
use crate::packaging::rename_inputs;
use yaml::Tree;

/// The file that makes a folder an MLflow model.
pub const MLMODEL: &str = "MLmodel";

/// Flavors whose model file may be one that is imported, the preferred first.
const FLAVORS: [&str; 5] = ["onnx", "xgboost", "lightgbm", "catboost", "sklearn"];

/// What an `MLmodel` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MlflowModel {
    /// Flavors by name, with the file that each keeps the model in.
    pub flavors: Vec<(String, Option<String>)>,
    /// Columns of the signature's inputs by name and type; empty where it has none, or a tensor.
    pub inputs: Vec<(String, DataType)>,
}

/// One column of a signature, as MLflow writes it.
#[derive(Deserialize)]
struct Column {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    r#type: serde_json::Value,
}

impl MlflowModel {
    /// Reads an `MLmodel` file.
    ///
    /// # Errors
    /// It is not of the form that MLflow writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InferenceError> {
        let text = std::str::from_utf8(bytes).map_err(|_| refused(MLMODEL, "it is not UTF-8 text"))?;
        let root = Tree::parse(text).map_err(|reason| refused(MLMODEL, &reason))?;
        let flavors = root.get("flavors").map_or(&[][..], Tree::entries);
        let file = |flavor: &Tree| {
            let named = ["data", "pickled_model", "model_data"]
                .iter()
                .find_map(|key| flavor.get(key));
            named.and_then(Tree::text).map(str::to_owned)
        };
        Ok(Self {
            flavors: flavors.iter().map(|(name, it)| (name.clone(), file(it))).collect(),
            inputs: signature(&root),
        })
    }

    /// The file that holds the model, by the flavor that says so.
    ///
    /// # Errors
    /// No flavor is one of the libraries whose models can be imported, or its file is a pickle: one sentence says what it is and
    /// what to do.
    pub fn file(&self) -> Result<&str, InferenceError> {
        let of = |wanted: &&str| self.flavors.iter().find(|it| it.0 == **wanted);
        let Some((flavor, file)) = FLAVORS.iter().find_map(of) else {
            let named: Vec<&str> = self.flavors.iter().map(|it| it.0.as_str()).collect();
            return Err(refused(
                MLMODEL,
                &format!(
                    "its flavors are {named:?}, none of which can be read without executing it; known are {}",
                    FLAVORS.join(", ")
                ),
            ));
        };
        let file = file
            .as_deref()
            .ok_or_else(|| refused(MLMODEL, &format!("flavor `{flavor}` names no file")))?;
        if is_pickle(file) {
            return Err(refused(file, &pickle(flavor)));
        }
        Ok(file)
    }

    /// Gives the inputs the names of the signature where the model's file has none of its own.
    ///
    /// # Errors
    /// The signature has another number of columns than the model has inputs.
    pub fn name_inputs(&self, imported: &mut Imported) -> Result<(), InferenceError> {
        let unnamed = imported
            .inputs
            .iter()
            .enumerate()
            .all(|(at, it)| is_placeholder(&it.name, at));
        if self.inputs.is_empty() || !unnamed {
            return Ok(());
        }
        let names: Vec<String> = self.inputs.iter().map(|it| it.0.clone()).collect();
        rename_inputs(imported, &names)
    }
}

/// The main file of a folder without an `MLmodel`: the only one that is a format that can be imported.
///
/// # Errors
/// There is none, or there are several.
pub fn only_model<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<&'a str, InferenceError> {
    let known: Vec<&str> = files
        .into_iter()
        .filter(|it| sniff(it.0, it.1).is_some())
        .map(|it| it.0)
        .collect();
    match known.as_slice() {
        [one] => Ok(one),
        [] => Err(InferenceError::Request(
            "the folder has no MLmodel and no file of a format that can be imported; name the model's file".to_owned(),
        )),
        several => Err(InferenceError::Request(format!(
            "the folder has several models: {}; name one of the files",
            several.join(", ")
        ))),
    }
}

/// Names that importers give columns without names: `f0`, `Column_0`, `0`.
fn is_placeholder(name: &str, at: usize) -> bool {
    let digits = name.trim_start_matches(|it: char| !it.is_ascii_digit());
    let stem = &name[..name.len() - digits.len()];
    ["f", "Column_", "feature_", "x", ""].contains(&stem) && digits == at.to_string()
}

fn is_pickle(file: &str) -> bool {
    [".pkl", ".pickle", ".joblib", ".cloudpickle", ".skops"]
        .iter()
        .any(|it| file.ends_with(it))
}

fn pickle(flavor: &str) -> String {
    let instead = match flavor {
        "xgboost" => "log the booster with mlflow.xgboost.log_model(model.get_booster(), ..., model_format=\"json\")",
        "lightgbm" => "log the booster with mlflow.lightgbm.log_model(model.booster_, ...)",
        _ => "convert it with skl2onnx and log it with mlflow.onnx.log_model(...)",
    };
    format!("it is a Python pickle, which would have to be executed; {instead}")
}

fn signature(root: &Tree) -> Vec<(String, DataType)> {
    let inputs = root
        .get("signature")
        .and_then(|it| it.get("inputs"))
        .and_then(Tree::text);
    let columns: Vec<Column> = inputs.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let named = columns.into_iter().map(|it| Some((it.name?, data_type(&it.r#type)?)));
    named.collect::<Option<_>>().unwrap_or_default()
}

fn data_type(named: &serde_json::Value) -> Option<DataType> {
    match named.as_str()? {
        "boolean" => Some(DataType::Boolean),
        "integer" | "long" => Some(DataType::Int64),
        "float" | "double" => Some(DataType::Double),
        "string" => Some(DataType::String),
        "datetime" => Some(DataType::Timestamp),
        _ => None,
    }
}

fn refused(file: &str, reason: &str) -> InferenceError {
    InferenceError::Import {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XGBOOST: &str = "\
artifact_path: model
env_vars: null
flavors:
  python_function:
    data: model.ubj
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.xgboost
    python_version: 3.11.9
  xgboost:
    code: null
    data: model.ubj
    model_class: xgboost.core.Booster
    model_format: ubj
    xgb_version: 3.0.2
mlflow_version: 3.1.0
prompts: null
signature:
  inputs: '[{\"type\": \"double\", \"name\": \"sepal length (cm)\", \"required\": true}, {\"type\":
    \"long\", \"name\": \"owner''s age\", \"required\": true}]'
  outputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1]}}]'
  params: null
utc_time_created: '2026-11-20 19:00:00.000000'
";

    #[test]
    fn the_file_and_the_names_of_the_columns_are_found() {
        let model = MlflowModel::parse(XGBOOST.as_bytes()).unwrap();
        assert_eq!(model.file().unwrap(), "model.ubj");
        let expected = [
            ("sepal length (cm)", DataType::Double),
            ("owner's age", DataType::Int64),
        ];
        assert_eq!(model.inputs, expected.map(|(name, it)| (name.to_owned(), it)));
        assert_eq!(model.flavors.len(), 2);
    }

    #[test]
    fn what_would_have_to_be_executed_is_named_with_what_to_do() {
        let of = |flavors: &str| {
            let model = MlflowModel::parse(format!("flavors:\n{flavors}").as_bytes()).unwrap();
            model.file().map(str::to_owned).map_err(|error| error.to_string())
        };
        let cases = [
            (
                "  sklearn:\n    pickled_model: model.pkl\n",
                "`model.pkl`: it is a Python pickle",
                "skl2onnx",
            ),
            (
                "  lightgbm:\n    data: model.pkl\n",
                "it is a Python pickle",
                "model.booster_",
            ),
            (
                "  pytorch:\n    model_data: data\n",
                "its flavors are [\"pytorch\"]",
                "known are onnx",
            ),
            ("  xgboost:\n    code: null\n", "flavor `xgboost` names no file", ""),
            ("  {}\n", "its flavors are []", ""),
        ];
        for (flavors, what, fix) in cases {
            let error = of(flavors).unwrap_err();
            assert!(error.contains(what) && error.contains(fix), "{error}");
        }
        assert_eq!(
            of("  sklearn:\n    pickled_model: a.pkl\n  onnx:\n    data: model.onnx\n").unwrap(),
            "model.onnx"
        );
    }

    #[test]
    fn names_that_a_library_made_up_are_told_from_names() {
        for (name, at, expected) in [
            ("f0", 0, true),
            ("Column_3", 3, true),
            ("f1", 0, false),
            ("age", 0, false),
            ("f", 0, false),
        ] {
            assert_eq!(is_placeholder(name, at), expected, "{name}");
        }
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_makes_reading_panic() {
        for len in 0..XGBOOST.len() {
            let _ = MlflowModel::parse(&XGBOOST.as_bytes()[..len]);
            let mut wrong = XGBOOST.as_bytes().to_vec();
            wrong[len] ^= 0b0001_0001;
            let _ = MlflowModel::parse(&wrong);
        }
    }
}
