//! A model of another library as a package: what it answers row by row is what the library itself answers, and its golden rows
//! replay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foretell_features::{Timestamp, Value};
use foretell_inference::import::{Imported, import, sniff};
use foretell_inference::packaging::{Arrival, package, rename_classes, rename_inputs, sha256};
use foretell_inference::{InferenceError, Model, PackageFiles, PredictOptions, RowPrediction, Task};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    rows: Vec<Vec<Value>>,
    /// `[rows][outputs]`, after the link.
    predictions: Vec<Vec<f64>>,
}

fn fixtures(library: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(library)
}

/// `None` for graphs that only a session can run: it is no part of every build.
fn read(path: &Path) -> Option<Imported> {
    let (name, bytes) = (name_of(path), std::fs::read(path).unwrap());
    match import(&BTreeMap::from([(name.clone(), bytes)]), &name) {
        Ok(imported) => Some(imported),
        Err(error) if name.ends_with(".onnx") && needs_a_session(&error.to_string()) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// A build without sessions, or a machine without the library.
fn needs_a_session(error: &str) -> bool {
    ["`onnx`", "ONNX session", "ONNX Runtime"]
        .iter()
        .any(|it| error.contains(it))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn arrival(file: &str) -> Arrival {
    Arrival {
        model: "brought".to_owned(),
        file: file.to_owned(),
        sha256: sha256(b"bytes"),
        at: Timestamp(0),
        seed: 1,
    }
}

/// What the answer says in the place of the library's outputs.
fn outputs(answer: &RowPrediction) -> Vec<f64> {
    match answer.probabilities.as_slice() {
        [] => vec![answer.value],
        all => all.to_vec(),
    }
}

#[test]
fn every_fixture_becomes_a_package_that_answers_as_its_library() {
    let mut checked = 0;
    for library in ["lightgbm", "xgboost", "catboost", "sklearn"] {
        let Ok(entries) = std::fs::read_dir(fixtures(library)) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).filter(|it| it.is_file()).collect();
        paths.sort();
        for path in paths {
            let said = path.with_extension("expected.json");
            let is_model = sniff(&name_of(&path), &std::fs::read(&path).unwrap()).is_some();
            if is_model && said.is_file() && path != said {
                check(&path, &serde_json::from_slice(&std::fs::read(said).unwrap()).unwrap());
                checked += 1;
            }
        }
    }
    assert!(checked >= 20, "{checked} fixtures were found");
}

fn check(path: &Path, expected: &Expected) {
    let Some(imported) = read(path) else { return };
    let (task, n_outputs) = (imported.task, imported.predictor.predictor().n_outputs());
    let files = match package(imported, &arrival(&name_of(path))) {
        Ok(files) => files,
        Err(InferenceError::Import { reason, .. }) if task == Task::Regression && n_outputs > 1 => {
            assert!(reason.contains("outputs, which do not fit"), "{reason}");
            return;
        }
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let model = Model::load(&files).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Sums of float32 that end near 0 are no better than the numbers that were summed.
    let all = || expected.predictions.iter().flatten();
    let size = all().map(|it| it.abs()).sum::<f64>() / all().count() as f64;
    let answers = model.predict_rows(&expected.rows, PredictOptions::default()).unwrap();
    for (row, (answer, expected)) in answers.into_iter().zip(&expected.predictions).enumerate() {
        let got = outputs(&answer.unwrap_or_else(|error| panic!("{} row {row}: {error}", path.display())));
        // A binary classifier of two outputs answers with the positive one.
        let expected = &expected[expected.len() - got.len()..];
        for (got, expected) in got.iter().zip(expected) {
            let close = (got - expected).abs() <= 1e-6 * expected.abs().max(size);
            assert!(close, "{} row {row}: {got} is not {expected}", path.display());
        }
    }
}

fn binary() -> Imported {
    read(&fixtures("lightgbm").join("binary.txt")).unwrap()
}

#[test]
fn the_same_file_and_seed_give_the_same_bytes_and_another_seed_other_rows() {
    let of = |seed: u64| -> PackageFiles {
        let arrival = Arrival {
            seed,
            ..arrival("binary.txt")
        };
        package(binary(), &arrival).unwrap()
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1)["golden.json"], of(2)["golden.json"]);
}

#[test]
fn the_lineage_says_where_it_came_from() {
    let model = Model::load(&package(binary(), &arrival("binary.txt")).unwrap()).unwrap();
    let from = model.manifest().lineage.imported.clone().unwrap();
    assert!(from.origin.starts_with("lightgbm"), "{from:?}");
    assert_eq!((from.file.as_str(), from.sha256.len()), ("binary.txt", 71));
    assert!(from.golden.contains("made up") && from.golden.contains("seed 1"));
    assert!(!model.manifest().lineage.reproducible);
}

#[test]
fn golden_rows_lie_on_both_sides_of_the_thresholds() {
    let files = package(binary(), &arrival("binary.txt")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&files["golden.json"]).unwrap();
    let values: std::collections::BTreeSet<String> = golden["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["value"].to_string())
        .collect();
    assert!(values.len() > 12, "{} different answers of 32 rows", values.len());
}

#[test]
fn inputs_and_classes_get_other_names_one_each() {
    let mut imported = binary();
    let n = imported.inputs.len();
    let names: Vec<String> = (0..n).map(|it| format!("column {it}")).collect();
    rename_inputs(&mut imported, &names).unwrap();
    rename_classes(&mut imported, &["no".to_owned(), "yes".to_owned()]).unwrap();
    let model = Model::load(&package(imported, &arrival("binary.txt")).unwrap()).unwrap();
    assert_eq!(model.manifest().inputs[0].name, "column 0");
    assert_eq!(model.manifest().classes, ["no", "yes"]);
    let mut imported = binary();
    let refused = rename_inputs(&mut imported, &names[1..]).unwrap_err().to_string();
    assert!(
        refused.contains(&format!(
            "{} different names were given, the model has {n} inputs",
            n - 1
        )),
        "{refused}"
    );
    assert!(rename_inputs(&mut imported, &vec!["a".to_owned(); n]).is_err());
    let refused = rename_classes(&mut imported, &names[..1]).unwrap_err().to_string();
    assert_eq!(refused, "1 different class names were given, the model has 2 classes");
}
