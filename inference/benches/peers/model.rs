//! The models that `benches/peers/trees.py` made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Which library trained it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Library {
    LightGbm,
    XGBoost,
}

/// A trained model's folder.
#[derive(Debug)]
pub(crate) struct PeerModel {
    pub(crate) folder: PathBuf,
    pub(crate) library: Library,
    pub(crate) shape: String,
    pub(crate) columns: usize,
    /// The file of rows that it is asked.
    pub(crate) rows: PathBuf,
    /// The library's own raw scores of the first rows.
    pub(crate) expected: Vec<f64>,
}

impl PeerModel {
    /// The models in a folder, all of them or those of some shapes, by shape, columns and library.
    pub(crate) fn list(folder: &Path, shapes: &[String]) -> Result<Vec<Self>, Failure> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let about = entry?.path().join("shape.json");
            if about.exists() {
                let model = Self::read(&about)?;
                let order = (model.size(), model.shape.clone(), model.columns, model.library);
                found.insert(order, model);
            }
        }
        let mut models: Vec<Self> = found.into_values().collect();
        models.retain(|it| shapes.is_empty() || shapes.contains(&it.shape));
        if models.is_empty() {
            return Err(format!("{} has no such model: run benches/peers/trees.sh", folder.display()).into());
        }
        Ok(models)
    }

    fn read(about: &Path) -> Result<Self, Failure> {
        #[derive(serde::Deserialize)]
        struct About {
            library: String,
            shape: String,
            columns: usize,
            rows: String,
        }
        let it: About = serde_json::from_slice(&fs::read(about)?)?;
        let folder = about.parent().expect("it is a file in a folder").to_owned();
        let expected = fs::read(folder.join("expected.f64"))?;
        Ok(Self {
            library: match it.library.as_str() {
                "lightgbm" => Library::LightGbm,
                _ => Library::XGBoost,
            },
            shape: it.shape,
            columns: it.columns,
            rows: folder.with_file_name(it.rows),
            expected: expected
                .as_chunks()
                .0
                .iter()
                .map(|it| f64::from_le_bytes(*it))
                .collect(),
            folder,
        })
    }

    /// The file that the library wrote.
    pub(crate) fn own_file(&self) -> PathBuf {
        self.folder.join(match self.library {
            Library::LightGbm => "model.txt",
            Library::XGBoost => "model.json",
        })
    }

    /// Leaves at most: the order of shapes.
    fn size(&self) -> u64 {
        let (trees, rest) = self.shape.split_once('x').unwrap_or(("0", "0"));
        let number = |text: &str| text.parse().unwrap_or(0);
        match number(rest.trim_end_matches('c')) {
            levels @ 0..32 => number(trees) << levels,
            leaves => number(trees) * leaves,
        }
    }
}

impl Display for PeerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let library = match self.library {
            Library::LightGbm => "LightGBM",
            Library::XGBoost => "XGBoost",
        };
        write!(f, "{library} {}, {} columns", self.shape, self.columns)
    }
}

/// The files of rows that the models are asked.
pub(crate) fn rows(models: &[PeerModel]) -> BTreeSet<&Path> {
    models.iter().map(|it| it.rows.as_path()).collect()
}
