//! What is compared: ways to get the raw scores of the same rows.

use std::fs;
use std::path::{Path, PathBuf};

use foretell_features::FeatureMatrix;
use libloading::Library;

use crate::Failure;
use crate::model::PeerModel;

/// A way to get raw scores.
pub(crate) trait Contender {
    /// Its name in the table.
    fn name(&self) -> String;

    /// The raw score of each row.
    fn predict(&mut self, batch: &Batch, out: &mut [f64]);

    /// Whether it is ours.
    fn is_ours(&self) -> bool {
        false
    }
}

/// Some rows, as f64 and as f32: each contender takes what it takes without a conversion.
pub(crate) struct Batch {
    pub(crate) rows: FeatureMatrix,
    pub(crate) narrow: Vec<f32>,
}

impl Batch {
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.rows.n_columns()
    }
}

/// The rows that are asked, cut into batches of each size.
pub(crate) struct Batches {
    pub(crate) by_size: Vec<Vec<Batch>>,
}

/// The rows that are cycled through: enough that no branch predictor learns them by heart.
const CYCLED: usize = 2048;
const SIZES: [usize; 5] = [1, 8, 64, 1024, 65_536];
const QUICK_SIZES: [usize; 2] = [1, 1024];

impl Batches {
    /// The rows that a model is asked.
    pub(crate) fn read(model: &PeerModel, quick: bool) -> Result<Self, Failure> {
        let bytes = fs::read(&model.rows)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
        let sizes: &[usize] = if quick { &QUICK_SIZES } else { &SIZES };
        let by_size = sizes.iter().map(|&size| cut(&values, model.columns, size)).collect();
        Ok(Self { by_size })
    }
}

fn cut(values: &[f32], columns: usize, size: usize) -> Vec<Batch> {
    let rows = CYCLED.max(size) * columns;
    let batch = |part: &[f32]| Batch {
        rows: FeatureMatrix::from_rows(columns, part.iter().copied().map(f64::from).collect()),
        narrow: part.to_vec(),
    };
    values[..rows].chunks_exact(size * columns).map(batch).collect()
}

/// Loads a shared library of a Python package, `name` relative to FORETELL_PEERS.
pub(crate) fn load_of_package(folder: &str, start: &str) -> Result<Library, Failure> {
    let packages = std::env::var_os("FORETELL_PEERS")
        .ok_or("FORETELL_PEERS does not name the site-packages of the peers; benches/peers/trees.sh sets it")?;
    let folder = PathBuf::from(packages).join(folder);
    let named = |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with(start));
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let found = entries.filter_map(Result::ok).map(|it| it.path()).find(named);
    load(&found.ok_or_else(|| format!("{} has no {start}", folder.display()))?)
}

/// Loads a shared library.
pub(crate) fn load(path: &Path) -> Result<Library, Failure> {
    // SAFETY: loading runs the library's initialisers; these are the pinned libraries that are to be measured, and what gcc
    // made of their models.
    unsafe { Library::new(path) }.map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A function of a library, by name.
///
/// # Safety
/// `F` is the type of that function.
pub(crate) unsafe fn function<F: Copy>(library: &Library, name: &str) -> Result<F, Failure> {
    // SAFETY: as of this function; the caller keeps the library as long as the pointer.
    Ok(unsafe { *library.get::<F>(name)? })
}
