//! Writes what the targets begin with: `seeds FOLDER`, a folder for each target. From the importers' fixtures, and from the
//! packages and ensembles that the tests of other crates use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use foretell_features::Timestamp;
use foretell_fuzz::one_input;
use foretell_inference::forecast::fixture::tiny_forecast_package;
use foretell_inference::import::import;
use foretell_inference::network::{NETWORK_FILE, WEIGHTS_FILE};
use foretell_inference::packaging::{Arrival, package, sha256};
use foretell_inference::testing::{
    Shape, random_ensemble, random_rows, tiny_churn_package, tiny_churn_package_with, tiny_derived_package,
};
use foretell_inference::tree::TREES_FILE;
use foretell_inference::{Predictor, sampling::Background};

/// The formats by target: folder of fixtures, extension, target.
const FIXTURES: [(&str, &str, &str); 6] = [
    ("lightgbm", "txt", "lightgbm"),
    ("xgboost", "json", "xgboost_json"),
    ("xgboost", "ubj", "xgboost_ubjson"),
    ("catboost", "json", "catboost"),
    ("sklearn", "onnx", "onnx"),
    ("sessions", "onnx", "onnx"),
];

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).expect("usage: seeds FOLDER"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/tests/fixtures");
    for (library, extension, target) in FIXTURES {
        copy(&fixtures.join(library), extension, &folder.join(target))?;
    }
    networks(&fixtures.join("networks"), &folder.join("network"))?;
    imported(&fixtures, &folder)?;
    packages(&folder)?;
    write(&folder.join("mlmodel"), "xgboost", MLMODEL.as_bytes())?;
    trees(&folder.join("trees"))?;
    let background = Background::new(random_rows(3, 4, 1)).expect("rows of numbers");
    write(&folder.join("background"), "rows.json", &background.to_bytes())
}

fn copy(from: &Path, extension: &str, to: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            copy(&path, extension, to)?;
            continue;
        }
        // A folder's name tells its files apart.
        let names = path.iter().rev().take(2).map(|it| it.to_string_lossy().into_owned());
        let name = names.collect::<Vec<_>>().join(".");
        let is_model = path.extension().is_some_and(|it| it == extension) && !name.contains(".expected.");
        if is_model {
            write(to, &name, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// Each folder has the architecture, the weights, and rows that are nothing for a reader.
fn networks(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .expect("it is an entry")
            .to_string_lossy()
            .into_owned();
        let mut files = BTreeMap::new();
        for file in [NETWORK_FILE, WEIGHTS_FILE] {
            files.insert(file.to_owned(), fs::read(folder.join(file))?);
        }
        write(to, &name, &one_input(&files))?;
    }
    Ok(())
}

/// A package of one model of each library, and its trees alone.
fn imported(fixtures: &Path, to: &Path) -> io::Result<()> {
    for path in [
        "lightgbm/category_text.txt",
        "xgboost/vector_softprob.json",
        "catboost/one_hot.json",
        "sklearn/linear_double.onnx",
    ] {
        let Ok(bytes) = fs::read(fixtures.join(path)) else {
            continue;
        };
        let (library, name) = path.split_once('/').expect("a folder and a name");
        let arrival = Arrival {
            model: "seed".to_owned(),
            file: name.to_owned(),
            sha256: sha256(&bytes),
            at: Timestamp(0),
            seed: 1,
        };
        let model = import(&BTreeMap::from([(name.to_owned(), bytes)]), name).expect("fixtures can be imported");
        let files = package(model, &arrival).expect("fixtures can be packaged");
        if let Some(trees) = files.get(TREES_FILE) {
            write(&to.join("trees"), library, trees)?;
        }
        write(&to.join("package"), library, &one_input(&files))?;
    }
    Ok(())
}

const MLMODEL: &str = r#"artifact_path: model
flavors:
  python_function:
    data: model.xgb
    env:
      conda: conda.yaml
    loader_module: mlflow.xgboost
  xgboost:
    data: model.json
    model_class: xgboost.sklearn.XGBClassifier
    model_format: json
    xgb_version: 3.2.0
mlflow_version: 3.17.2
model_uuid: 4f0e
run_id: 0a1b
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "long", "name": "b"}]'
  outputs: '[{"type": "double", "required": true}]'
  params: null
utc_time_created: '2026-01-01 00:00:00.000000'
"#;

fn packages(folder: &Path) -> io::Result<()> {
    let packages = [
        tiny_churn_package(),
        tiny_churn_package_with(0.5, "1"),
        tiny_derived_package(),
        tiny_forecast_package(),
    ];
    for (at, package) in packages.iter().enumerate() {
        write(&folder.join("package"), &format!("{at}.package"), &one_input(package))?;
        if let Some(linear) = package.get("linear.json") {
            write(&folder.join("linear"), &format!("{at}.json"), linear)?;
        }
    }
    with_trees(&folder.join("package"))
}

/// The first package with trees in place of its linear predictor. Its golden rows are not those of the trees: the loader gets
/// as far as replaying them.
fn with_trees(folder: &Path) -> io::Result<()> {
    let mut files: BTreeMap<String, Vec<u8>> = tiny_churn_package();
    files.remove("linear.json");
    let manifest = files.get_mut("manifest.json").expect("a package has a manifest");
    *manifest = String::from_utf8_lossy(manifest)
        .replace("linear.json", "trees.bin")
        .into_bytes();
    let trees = random_ensemble(SHAPE, 1).to_bytes();
    files.insert("trees.bin".to_owned(), trees);
    write(folder, "trees.package", &one_input(&files))
}

const SHAPE: Shape = Shape {
    trees: 3,
    depth: 3,
    leaves: 6,
    features: 3,
};

fn trees(folder: &Path) -> io::Result<()> {
    for seed in 0..4 {
        let trees = random_ensemble(SHAPE, seed).to_file().1;
        write(folder, &format!("{seed}.bin"), &trees)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), bytes)
}
