//! Tables from and to files outside of any source: rows to predict, joined features, what a simulation makes.

use std::fs::File;
use std::path::Path;

use foretell_features::{DataType, Format, Table};
use polars::prelude::ParquetWriter;

use crate::column::to_frame;
use crate::error::{OfflineStoreError, Result, engine};
use crate::scan::read_file;

/// How a file of rows is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOptions {
    /// Field separator of a CSV; `,` where absent.
    pub separator: Option<u8>,
    /// Texts that mean null in a CSV, beside the empty field.
    pub null_values: Vec<String>,
    /// Types that columns are to have; those that the file lacks are passed over.
    pub types: Vec<(String, DataType)>,
}

/// Reads `.parquet`, `.csv` or `.csv.gz`, comma-separated, types as the file has them.
///
/// # Errors
/// Another extension, a missing, empty or damaged file.
pub fn read_table(path: &Path) -> Result<Table> {
    read_table_with(path, &ReadOptions::default())
}

/// The same, with options.
///
/// # Errors
/// Also a value that its declared type cannot hold.
pub fn read_table_with(path: &Path, options: &ReadOptions) -> Result<Table> {
    let name = path
        .file_name()
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_default();
    let lower = name.to_lowercase();
    let refuse = |reason: &str| OfflineStoreError::Read {
        name: name.clone(),
        path: path.display().to_string(),
        reason: reason.to_owned(),
    };
    let format = match () {
        () if lower.ends_with(".parquet") => Format::Parquet,
        () if lower.ends_with(".csv") || lower.ends_with(".csv.gz") => Format::Csv {
            separator: options.separator.unwrap_or(b','),
            null_values: options.null_values.clone(),
        },
        () => return Err(refuse("it is not .csv, .csv.gz or .parquet")),
    };
    if !path.is_file() {
        let path = path.display().to_string();
        return Err(OfflineStoreError::MissingFile {
            name,
            path,
            hint: String::new(),
        });
    }
    read_file(&name, &format, &options.types, path.to_owned())
}

/// Writes a table as Parquet (zstd). The file appears whole or not at all; folders are made.
///
/// # Errors
/// The disk.
pub fn write_parquet(path: &Path, table: &Table) -> Result<()> {
    let refuse = |reason: String| OfflineStoreError::Write {
        path: path.display().to_string(),
        reason,
    };
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
    }
    let mut frame = to_frame(table).map_err(|error| engine(path.display().to_string(), error))?;
    let partial = path.with_extension("parquet.partial");
    let written = File::create(&partial)
        .map_err(|error| error.to_string())
        .and_then(|file| {
            ParquetWriter::new(&file)
                .finish(&mut frame)
                .map_err(|error| error.to_string())?;
            file.sync_all().map_err(|error| error.to_string())
        });
    let published = written.and_then(|()| std::fs::rename(&partial, path).map_err(|error| error.to_string()));
    published.map_err(|reason| {
        // What is left of a failed write is of no use; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&partial);
        refuse(reason)
    })
}
