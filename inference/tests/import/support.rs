//! The fixtures, and what is checked of each importer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foretell_features::{FeatureMatrix, Value};
use foretell_inference::import::{Imported, import};
use foretell_inference::manifest::Input;
use foretell_inference::preprocessing::Encoder;
use foretell_inference::{InferenceError, Task};
use serde::Deserialize;

/// `NAME.expected.json` beside each model.
#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) columns: Vec<String>,
    /// As a caller sends them.
    pub(crate) rows: Vec<Vec<Value>>,
    /// `[rows][outputs]`, after the link.
    pub(crate) predictions: Vec<Vec<f64>>,
    /// `[rows][outputs][columns + 1]`, before the link; for the first rows.
    #[serde(default)]
    pub(crate) contributions: Vec<Vec<Vec<f64>>>,
}

pub(crate) fn fixtures(library: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(library)
}

/// Names of the models in a folder.
pub(crate) fn models(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut models: Vec<String> = names
        .filter(|it| it.contains('.') && !it.ends_with(".expected.json"))
        .collect();
    models.sort();
    models
}

pub(crate) fn read(bytes: Vec<u8>, name: &str) -> Result<Imported, InferenceError> {
    import(&BTreeMap::from([(name.to_owned(), bytes)]), name)
}

pub(crate) fn encode(imported: &Imported, rows: &[Vec<Value>]) -> FeatureMatrix {
    let inputs: Vec<Input> = imported
        .inputs
        .iter()
        .map(|it| Input {
            name: it.name.clone(),
            data_type: it.data_type,
        })
        .collect();
    let encodings = imported.inputs.iter().map(|it| it.encoding.clone()).collect();
    let encoder = Encoder { inputs: encodings }.compile(&inputs).unwrap();
    let mut matrix = vec![0.0; rows.len() * inputs.len()];
    for (row, encoded) in rows.iter().zip(matrix.chunks_exact_mut(inputs.len())) {
        encoder.encode_into(&row[..], encoded).unwrap();
    }
    FeatureMatrix::from_rows(inputs.len(), matrix)
}

/// Equal to 1e-6 of the library's answer; where that is nearer 0 than the answers of all rows are on average, of their average
/// size instead: sums of float32 are no better there.
pub(crate) fn check_predictions(name: &str, imported: &Imported, x: &FeatureMatrix, expected: &Expected) {
    let predictor = imported.predictor.predictor();
    let n_outputs = predictor.n_outputs();
    let mut got = predictor.predict(x).unwrap();
    got.chunks_exact_mut(n_outputs)
        .for_each(|row| imported.predictor.link().apply_all(row));
    let all = || expected.predictions.iter().flatten();
    let size = all().map(|it| it.abs()).sum::<f64>() / all().count() as f64;
    assert_eq!(got.len(), all().count(), "{name}");
    for (row, (got, expected)) in got.chunks_exact(n_outputs).zip(&expected.predictions).enumerate() {
        assert_eq!(n_outputs, expected.len(), "{name}");
        for (got, expected) in got.iter().zip(expected) {
            let close = (got - expected).abs() <= 1e-6 * expected.abs().max(size);
            assert!(close, "{name} row {row}: {got}, expected {expected}");
        }
    }
}

/// Equal to 1e-5 of the row's greatest contribution.
pub(crate) fn check_contributions(name: &str, imported: &Imported, x: &FeatureMatrix, expected: &Expected) {
    for (row, outputs) in expected.contributions.iter().enumerate() {
        for (output, expected) in outputs.iter().enumerate() {
            let got = imported.predictor.contributions(x, row, output).unwrap();
            assert_eq!(got.len(), expected.len(), "{name}");
            let size = expected.iter().fold(0.0, |size: f64, it| size.max(it.abs()));
            for (got, expected) in got.iter().zip(expected) {
                let close = (got - expected).abs() <= 1e-5 * size;
                assert!(close, "{name} row {row} output {output}: {got}, expected {expected}");
            }
        }
    }
}

/// How many models of a library are there, all of them right.
pub(crate) fn check_library(library: &str) -> BTreeMap<String, Imported> {
    let folder = fixtures(library);
    let mut all = BTreeMap::new();
    for file in models(&folder) {
        let (name, _) = file.rsplit_once('.').unwrap();
        let expected = std::fs::read(folder.join(format!("{name}.expected.json"))).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        let imported = read(std::fs::read(folder.join(&file)).unwrap(), &file).unwrap();
        let names: Vec<&String> = imported.inputs.iter().map(|it| &it.name).collect();
        assert_eq!(names, expected.columns.iter().collect::<Vec<_>>(), "{file}");
        let x = encode(&imported, &expected.rows);
        check_predictions(&file, &imported, &x, &expected);
        assert!(imported.cover_known || expected.contributions.is_empty(), "{file}");
        check_contributions(&file, &imported, &x, &expected);
        all.insert(name.to_owned(), imported);
    }
    all
}

pub(crate) fn check_tasks(models: &BTreeMap<String, Imported>, cases: &[(&str, Task, bool, &str)]) {
    for (name, task, is_probability, algorithm) in cases {
        let model = &models[*name];
        let got = (model.task, model.outputs_are_probabilities, model.algorithm.as_str());
        assert_eq!(got, (*task, *is_probability, *algorithm), "{name}");
        let is_multiclass = *task == Task::MulticlassClassification;
        let n_classes = if is_multiclass {
            model.predictor.predictor().n_outputs()
        } else {
            0
        };
        assert!(model.classes.len() == n_classes || !is_multiclass, "{name}");
    }
}

/// A file that must be refused, and a part of the sentence that says so.
pub(crate) fn check_refused(file: &str, bytes: &[u8], reason: &str) {
    let Err(error) = read(bytes.to_vec(), file) else {
        panic!("{file} was taken, which should have been refused: {reason}");
    };
    let error = error.to_string();
    assert!(error.starts_with(&format!("cannot import `{file}`: ")), "{error}");
    assert!(error.contains(reason), "{error}");
}

/// The text with one piece changed, which must be there.
pub(crate) fn changed(text: &str, from: &str, to: &str) -> Vec<u8> {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

/// Cut anywhere, a file is an error or, past its trees, a model; it never panics.
pub(crate) fn check_cuts(file: &str, bytes: &[u8], whole_from: usize) {
    for end in 0..bytes.len() {
        let result = read(bytes[..end].to_vec(), file);
        assert!(result.is_err() || end >= whole_from, "{file} cut at {end}");
    }
}
