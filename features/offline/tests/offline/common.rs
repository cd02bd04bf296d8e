//! What the tests of this crate share: small projects in a temporary folder, and the public data where it is there.

use std::path::PathBuf;

use foretell_features::row::KeyPart;
use foretell_features::{Definitions, EntityKey, FeatureRef, Table, Timestamp, Value};
use foretell_features_offline::OfflineStore;

/// A folder with files and definitions over them.
pub(crate) struct Project {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) definitions: Definitions,
}

impl Project {
    pub(crate) fn new(toml: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self {
            folder,
            definitions: definitions(toml),
        }
    }

    /// One more file, or another content of one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn open(&self) -> OfflineStore {
        OfflineStore::open(self.definitions.clone(), self.folder.path()).unwrap()
    }
}

pub(crate) fn definitions(toml: &str) -> Definitions {
    match Definitions::parse(&[(PathBuf::from("features/test.toml"), toml.to_owned())]) {
        Ok(definitions) => definitions,
        Err(problems) => panic!("{problems}"),
    }
}

/// A folder of the public data sets: `FORETELL_DATA`, or `shared/data` beside the workspace. Tests pass without it.
pub(crate) fn public_data(folder: &str) -> Option<PathBuf> {
    let beside = || {
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
            .join("../../../shared/data")
    };
    let root = std::env::var_os("FORETELL_DATA").map_or_else(beside, PathBuf::from);
    let folder = root.join(folder);
    folder.is_dir().then_some(folder)
}

/// The definitions of a project under `examples/`.
pub(crate) fn example(name: &str) -> Definitions {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells tests where their crate is"))
        .join("../../examples")
        .join(name)
        .join("features");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        files.push((path, text));
    }
    files.sort();
    match Definitions::parse(&files) {
        Ok(definitions) => definitions,
        Err(problems) => panic!("{problems}"),
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn refs(names: &[&str]) -> Vec<FeatureRef> {
    names.iter().map(|it| it.parse().unwrap()).collect()
}

/// `1,b` is the key of an integer and a text; a part `-` is null and makes no key.
pub(crate) fn key(text: &str) -> Option<EntityKey> {
    let part = |it: &str| match it.parse() {
        Ok(number) => KeyPart::Int(number),
        Err(_) => KeyPart::Str(it.into()),
    };
    let parts: Vec<&str> = text.split(',').collect();
    (!parts.contains(&"-")).then(|| EntityKey(parts.into_iter().map(part).collect()))
}

/// A row of a table as text, null as `-`.
pub(crate) fn row_text(table: &Table, row: usize) -> String {
    let values = table.iter().map(|(_, column)| match column.value(row) {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    });
    values.collect::<Vec<_>>().join(",")
}
