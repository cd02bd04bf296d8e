//! Graphs of trees and linear models answer what the libraries that trained them answer.
//!
//! `tests/fixtures/make_onnx.py` made the graphs, the rows and the libraries' own answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foretell_features::{DataType, FeatureMatrix, Value};
use foretell_inference::import::{Imported, import};
use foretell_inference::manifest::Input;
use foretell_inference::preprocessing::{Encoder, InputEncoding};
use foretell_inference::{InferenceError, Task, onnx};
use serde::Deserialize;

/// `NAME.expected.json` beside each graph.
#[derive(Deserialize)]
struct Expected {
    columns: Vec<String>,
    /// As a caller sends them.
    rows: Vec<Vec<Value>>,
    /// `[rows][outputs]`; of two classes the second one's.
    predictions: Vec<Vec<f64>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sklearn")
}

/// Names of the graphs.
fn graphs() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter_map(|it| it.strip_suffix(".onnx").map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).unwrap()
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read(folder().join(format!("{name}.expected.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn read(name: &str) -> Result<Imported, InferenceError> {
    let file = format!("{name}.onnx");
    import(&BTreeMap::from([(file.clone(), bytes(name))]), &file)
}

fn encode(imported: &Imported, rows: &[Vec<Value>]) -> FeatureMatrix {
    let input = |it: &foretell_inference::ImportedInput| Input {
        name: it.name.clone(),
        data_type: it.data_type,
    };
    let inputs: Vec<Input> = imported.inputs.iter().map(input).collect();
    let encodings = imported.inputs.iter().map(|it| it.encoding.clone()).collect();
    let encoder = Encoder { inputs: encodings }.compile(&inputs).unwrap();
    let mut matrix = vec![0.0; rows.len() * inputs.len()];
    for (row, encoded) in rows.iter().zip(matrix.chunks_exact_mut(inputs.len())) {
        encoder.encode_into(&row[..], encoded).unwrap();
    }
    FeatureMatrix::from_rows(inputs.len(), matrix)
}

/// Equal to 1e-6 of the library's answer; where that is nearer 0 than the answers of all rows are on average, of their average
/// size instead: the file holds float32 numbers.
fn check(name: &str) -> Imported {
    let (imported, expected) = (read(name).unwrap(), expected(name));
    let names: Vec<&String> = imported.inputs.iter().map(|it| &it.name).collect();
    assert_eq!(names, expected.columns.iter().collect::<Vec<_>>(), "{name}");
    let predictor = imported.predictor.predictor();
    let mut got = predictor.predict(&encode(&imported, &expected.rows)).unwrap();
    got.chunks_exact_mut(predictor.n_outputs())
        .for_each(|row| imported.predictor.link().apply_all(row));
    let expected: Vec<f64> = expected.predictions.into_iter().flatten().collect();
    assert_eq!(got.len(), expected.len(), "{name}");
    let size = expected.iter().map(|it| it.abs()).sum::<f64>() / expected.len() as f64;
    for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let close = (got - expected).abs() <= 1e-6 * expected.abs().max(size);
        assert!(close, "{name} number {at}: {got}, expected {expected}");
    }
    imported
}

#[test]
fn graphs_of_trees_and_linear_models_answer_what_their_origin_answers() {
    use Task::{BinaryClassification as Binary, MulticlassClassification as Multiclass, Regression};
    let cases = [
        ("tree_binary", Binary, "random_forest"),
        ("tree_scaled", Regression, "random_forest"),
        ("forest_binary", Binary, "random_forest"),
        ("forest_multiclass", Multiclass, "random_forest"),
        ("forest_imputed", Regression, "random_forest"),
        ("extra_trees_regression", Regression, "random_forest"),
        ("boosting_binary", Binary, "boosted_trees"),
        ("boosting_multiclass", Multiclass, "boosted_trees"),
        ("boosting_regression", Regression, "boosted_trees"),
        ("boosting_double", Regression, "boosted_trees"),
        ("histogram_missing_binary", Binary, "boosted_trees"),
        ("histogram_missing_multiclass", Multiclass, "boosted_trees"),
        ("histogram_missing_regression", Regression, "boosted_trees"),
        ("linear_regression", Regression, "linear"),
        ("linear_double", Regression, "linear"),
        ("logistic_scaled", Binary, "linear"),
        ("categories_boosting", Binary, "boosted_trees"),
        ("categories_logistic", Binary, "linear"),
        ("xgboost_binary", Binary, "boosted_trees"),
        ("xgboost_multiclass", Multiclass, "boosted_trees"),
        ("xgboost_missing_regression", Regression, "boosted_trees"),
        ("lightgbm_binary", Binary, "boosted_trees"),
        ("lightgbm_multiclass", Multiclass, "boosted_trees"),
        ("lightgbm_missing_regression", Regression, "random_forest"),
        ("lightgbm_categories", Regression, "random_forest"),
    ];
    for (name, task, algorithm) in cases {
        let imported = check(name);
        assert_eq!(
            (imported.task, imported.algorithm.as_str()),
            (task, algorithm),
            "{name}"
        );
        assert_eq!(imported.outputs_are_probabilities, task != Regression, "{name}");
        assert!(
            !imported.cover_known && imported.origin.starts_with("onnx ("),
            "{}",
            imported.origin
        );
    }
    assert_eq!(cases.len() + 1, graphs().len(), "every graph is tried");
}

#[test]
fn classes_and_categories_keep_their_names() {
    assert_eq!(read("forest_multiclass").unwrap().classes, ["bronze", "gold", "silver"]);
    assert_eq!(read("boosting_binary").unwrap().classes, ["0", "1"]);
    let plan = &read("categories_boosting").unwrap().inputs[0];
    assert_eq!(plan.data_type, DataType::String);
    let InputEncoding::Category { categories } = &plan.encoding else {
        panic!("{plan:?}");
    };
    assert_eq!(categories, &["basic", "gold", "plus", "pro", "trial"]);
}

#[test]
fn a_graph_of_anything_else_is_left_to_a_session() {
    let error = onnx::import("m.onnx", &bytes("logistic_multiclass")).unwrap_err();
    assert!(matches!(error, InferenceError::NeedsSession { .. }), "{error}");
    assert!(error.to_string().contains("several outputs"), "{error}");
    let shape = onnx::describe("m.onnx", &bytes("logistic_multiclass")).unwrap();
    assert_eq!(shape.inputs[0].name, "X");
    assert_eq!(
        shape.inputs[0].tensor,
        Some((onnx::ElementType::Float, vec![None, Some(5)]))
    );
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_says_the_same() {
    for name in ["tree_binary", "categories_logistic"] {
        let whole = bytes(name);
        let file = |bytes: &[u8]| onnx::import("m.onnx", bytes).map(|it| it.predictor.to_file());
        let expected = file(&whole).unwrap();
        for end in 0..whole.len() {
            if let Ok(got) = file(&whole[..end]) {
                assert_eq!(got, expected, "{name} {end}");
            }
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_gives_an_answer_or_an_error() {
    for name in ["tree_binary", "xgboost_binary", "categories_logistic"] {
        let mut bytes = bytes(name);
        for at in 0..bytes.len().min(1500) {
            for change in [0x01, 0x80] {
                bytes[at] ^= change;
                let _ = onnx::import("m.onnx", &bytes);
                bytes[at] ^= change;
            }
        }
    }
}
