//! Writes what the targets begin with: `seeds FOLDER`, a folder for each target. From the importers' fixtures, and from the
//! packages and ensembles that the tests of other crates use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use foretell_fuzz::{one_input, without_digest};
use foretell_inference::forecast::fixture::tiny_forecast_package;
use foretell_inference::testing::{
    Shape, random_ensemble, random_rows, tiny_churn_package, tiny_churn_package_with, tiny_derived_package,
};
use foretell_inference::{Predictor, sampling::Background};

/// The formats by target: folder of fixtures, extension, target.
const FIXTURES: [(&str, &str, &str); 8] = [
    ("lightgbm", "txt", "lightgbm"),
    ("xgboost", "json", "xgboost_json"),
    ("xgboost", "ubj", "xgboost_ubjson"),
    ("catboost", "json", "catboost"),
    ("sklearn", "onnx", "onnx"),
    ("onnx", "onnx", "onnx"),
    ("lightgbm", "onnx", "onnx"),
    ("xgboost", "onnx", "onnx"),
];

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).expect("usage: seeds FOLDER"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/tests/fixtures");
    for (library, extension, target) in FIXTURES {
        copy(&fixtures.join(library), extension, &folder.join(target))?;
    }
    packages(&folder)?;
    trees(&folder.join("trees"))?;
    let background = Background::new(random_rows(3, 4, 1)).expect("rows of numbers");
    write(&folder.join("background"), "rows.json", &background.to_bytes())
}

fn copy(from: &Path, extension: &str, to: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().expect("it is an entry").to_string_lossy().into_owned();
        let is_model = path.extension().is_some_and(|it| it == extension) && !name.contains(".expected.");
        if is_model {
            write(to, &name, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

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
    files.insert("trees.bin".to_owned(), without_digest(&trees).to_vec());
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
        write(folder, &format!("{seed}.bin"), without_digest(&trees))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), bytes)
}
