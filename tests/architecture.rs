//! The arrows of ARCHITECTURE.md, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Crate and what of ours it may use (DESIGN's table).
const ARROWS: [(&str, &[&str]); 12] = [
    ("features", &[]),
    ("features-online", &["features"]),
    ("features-offline", &["features", "features-online"]),
    ("inference", &["features"]),
    ("models", &["features", "inference"]),
    ("registry", &[]),
    ("tracking", &[]),
    ("mlflow", &["registry", "tracking"]),
    ("boosting", &["features", "inference"]),
    (
        "training",
        &[
            "features",
            "features-offline",
            "models",
            "inference",
            "registry",
            "tracking",
            "boosting",
        ],
    ),
    ("serving", &["features", "features-online", "inference", "registry"]),
    (
        "cli",
        &[
            "features",
            "features-online",
            "features-offline",
            "inference",
            "models",
            "registry",
            "tracking",
            "mlflow",
            "boosting",
            "training",
            "serving",
        ],
    ),
];

/// A heavy library and the only crates of ours that may name it.
const LEAVES: [(&str, &[&str]); 10] = [
    ("polars", &["features-offline"]),
    ("linfa", &["training"]),
    ("linfa-logistic", &["training"]),
    ("sqlx", &["tracking"]),
    ("fjall", &["features-online"]),
    ("rdkafka", &["features-online"]),
    ("redis", &["features-online"]),
    ("object_store", &["registry", "mlflow", "features-offline"]),
    ("axum", &["serving", "mlflow", "cli"]),
    ("tonic", &["serving", "cli"]),
];

/// What the server must never carry.
const NOT_IN_SERVING: [&str; 9] = [
    "polars",
    "burn",
    "linfa",
    "smartcore",
    "sqlx",
    "foretell-boosting",
    "foretell-mlflow",
    "foretell-training",
    "foretell-models",
];

#[test]
fn every_crate_uses_only_what_the_table_allows() {
    let metadata = metadata();
    let ours: BTreeMap<String, &Package> = metadata
        .workspace_packages()
        .iter()
        .map(|it| (room(&it.name), *it))
        .collect();
    let named: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        ours.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        named,
        "every crate stands in the table"
    );
    for (name, allowed) in ARROWS {
        let used = dependencies(ours[name]).filter(|it| it.starts_with("foretell-"));
        for used in used.map(|it| room(&it)) {
            assert!(allowed.contains(&used.as_str()), "{name} may not use {used}");
        }
    }
}

#[test]
fn heavy_libraries_stay_in_their_leaf() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        for used in dependencies(package) {
            if let Some((library, allowed)) = LEAVES.iter().find(|(library, _)| *library == used) {
                let here = room(&package.name);
                assert!(
                    allowed.contains(&here.as_str()),
                    "{library} belongs to {allowed:?}, {here} may not use it"
                );
            }
        }
    }
}

#[test]
fn the_server_carries_no_training_library() {
    let metadata = metadata();
    let names = tree(&metadata, "foretell-serving");
    assert!(names.contains("axum"), "the tree was read");
    for library in NOT_IN_SERVING {
        let found = names
            .iter()
            .find(|name| *name == library || name.starts_with(&format!("{library}-")));
        assert_eq!(found, None, "serving carries {library}");
    }
}

#[test]
fn serving_names_no_domain_model() {
    let root =
        std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
            .join("../serving/src");
    for (path, text) in sources(&root) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_lowercase();
        let spoken = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for model in ["churn", "ltv", "lifetime_value", "conversion_probability", "revenue"] {
            assert!(
                !spoken.contains(model),
                "{} names the domain model `{model}`",
                path.display()
            );
        }
    }
}

fn metadata() -> Metadata {
    let manifest =
        std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
            .join("../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        // What only other systems need was never fetched here.
        .other_options(["--offline", "--filter-platform", &host()].map(str::to_owned))
        .exec()
        .expect("cargo metadata runs")
}

/// `x86_64-unknown-linux-gnu`.
fn host() -> String {
    let said = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|it| it.strip_prefix("host: "));
    host.expect("rustc says what it runs on").to_owned()
}

/// `foretell-features-online` is the room `features-online`, the binary's crate is `cli`.
fn room(package: &str) -> String {
    package.strip_prefix("foretell-").unwrap_or("cli").to_owned()
}

fn dependencies(package: &Package) -> impl Iterator<Item = String> {
    let normal = package
        .dependencies
        .iter()
        .filter(|it| it.kind == DependencyKind::Normal);
    normal.map(|it| it.name.clone())
}

/// Names of all packages that a package's normal dependencies reach.
fn tree(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("metadata resolves dependencies");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|it| (&it.id, it)).collect();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|it| (&it.id, it.name.to_string()))
        .collect();
    let start = metadata
        .packages
        .iter()
        .find(|it| it.name.as_str() == root)
        .expect("the root is a package");
    let (mut open, mut seen) = (vec![&start.id], BTreeSet::new());
    while let Some(id) = open.pop() {
        let normal = nodes[id]
            .deps
            .iter()
            .filter(|it| it.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        for next in normal.map(|it| &it.pkg) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.iter().map(|id| names[id].clone()).collect()
}

fn sources(dir: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("the entry can be read").path();
        let is_test = path.file_stem().is_some_and(|it| it.to_string_lossy().contains("test"));
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            found.push((path.clone(), std::fs::read_to_string(&path).expect("the file is text")));
        }
    }
    found
}
