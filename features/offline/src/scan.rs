//! From a source's files to one normalised frame: five column types, computed columns, rows kept by `where`, the file row of each.

mod csv;
mod files;
mod load;
mod parquet;
mod source;
mod types;
mod wide;

use std::path::Path;

use foretell_features::{Format, Source};
use polars::prelude as pl;

use crate::error::{OfflineStoreError, Result};

pub use files::SourceFile;
pub(crate) use files::source_files;
pub(crate) use load::{load, load_files};
pub(crate) use source::{MixedColumn, SourceFrame, evaluate};
pub(crate) use types::apply_types;

/// The file's columns as they stand, normalised; text columns of a CSV typed by what the whole file holds.
pub(crate) struct Scan {
    pub(crate) frame: pl::DataFrame,
    pub(crate) mixed: Vec<MixedColumn>,
}

/// Column names of the source's first file, in file order.
pub(crate) fn header(source: &Source, root: &Path) -> Result<Vec<String>> {
    let paths = files::paths(source, root)?;
    match &source.format {
        Format::Parquet => parquet::header(&source.name, &paths[0]),
        Format::Csv { separator, .. } => csv::header(&source.name, &paths[0], *separator),
    }
}

/// Reads files of one format as one table.
pub(crate) fn read_paths(
    name: &str,
    format: &Format,
    declared: &[(String, foretell_features::DataType)],
    paths: &[std::path::PathBuf],
) -> Result<Scan> {
    match format {
        Format::Parquet => {
            let frames = paths
                .iter()
                .map(|path| parquet::read(name, path))
                .collect::<Result<Vec<_>>>()?;
            Ok(Scan {
                frame: stacked(name, frames)?,
                mixed: Vec::new(),
            })
        }
        Format::Csv { separator, null_values } => {
            let frames = paths
                .iter()
                .map(|path| csv::read(name, path, *separator))
                .collect::<Result<Vec<_>>>()?;
            csv::typed(name, &stacked(name, frames)?, null_values, declared)
        }
    }
}

fn stacked(name: &str, frames: Vec<pl::DataFrame>) -> Result<pl::DataFrame> {
    let mut frames = frames.into_iter();
    let mut all = frames.next().expect("a source has at least one file");
    for frame in frames {
        all.vstack_mut(&frame).map_err(|error| OfflineStoreError::Read {
            name: name.to_owned(),
            path: "all its files together".to_owned(),
            reason: format!("they must have the same columns and types: {error}"),
        })?;
    }
    Ok(all)
}
