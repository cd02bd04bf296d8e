//! Rows that come one by one, added to a source's files.

use std::path::{Path, PathBuf};

use foretell_features::{Column, DataType, Format, Source, Table, Value, spelling};
use sha2::{Digest, Sha256};

use crate::error::{OfflineStoreError, Result, definition, missing_column};
use crate::file_table::write_parquet;
use crate::place::Place;
use crate::scan::file_columns;

/// Writes the rows as one more Parquet file of the source, with the columns and types of the files that are there. The name
/// of the file follows from its rows, so that the same rows again write the same file.
pub(crate) fn append(source: &Source, root: &Path, rows: &Table) -> Result<PathBuf> {
    let place = Place::of(root)?;
    let Place::Folder(data) = &place else {
        return Err(refuse(
            source,
            "its files are objects; write the rows there as one more object",
        ));
    };
    let (folder, prefix) = target(source, data)?;
    let schema = file_columns(source, &place)?;
    let table = shaped(source, &schema, rows)?;
    let path = data.join(folder).join(format!("{prefix}{}.parquet", digest(&table)));
    if !path.is_file() {
        write_parquet(&path, &table)?;
    }
    Ok(path)
}

/// The folder that new files go into, and how their names begin: for a path that is a folder, or ends in `*.parquet`.
fn target<'a>(source: &'a Source, data: &Path) -> Result<(&'a str, &'a str)> {
    let fix = "make its path one like `orders/*.parquet` to add rows to it";
    let wrong = |reason: &str| refuse(source, &format!("{reason}; {fix}"));
    if source.format != Format::Parquet {
        return Err(wrong("rows are added to Parquet files only"));
    }
    if source.wide.is_some() {
        return Err(wrong("its rows are the time steps of a wide file"));
    }
    if data.join(&source.path).is_dir() {
        return Ok((&source.path, ""));
    }
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    if folder.contains(['*', '?']) {
        return Err(wrong("its files are in several folders"));
    }
    match file.strip_suffix("*.parquet") {
        Some(prefix) if !prefix.contains(['*', '?']) => Ok((folder, prefix)),
        _ => Err(wrong(
            "it is one file, or its pattern says more than the beginning of a name",
        )),
    }
}

fn refuse(source: &Source, reason: &str) -> OfflineStoreError {
    definition(format!("source `{}`", source.name), reason)
}

/// The rows with exactly the columns of the files, named and typed as there.
fn shaped(source: &Source, schema: &[(String, String, DataType)], rows: &Table) -> Result<Table> {
    let names = || schema.iter().map(|it| it.1.as_str());
    if let Some(unknown) = rows.names().iter().find(|it| names().all(|name| name != *it)) {
        return Err(missing_column(&source.name, unknown, names()));
    }
    let mut table = Table::new();
    for (file_name, name, data_type) in schema {
        let Some(column) = rows.column(name) else {
            let hint = spelling::hint(name, rows.names().iter().map(String::as_str));
            let reason = format!("the rows to add have no column `{name}`{hint}; its files have it");
            return Err(refuse(source, &reason));
        };
        let values = (0..column.len()).map(|row| column.value(row));
        let cast = Column::from_values(*data_type, values).map_err(|(row, error)| OfflineStoreError::Value {
            name: source.name.clone(),
            column: name.clone(),
            row: row as u64,
            expected: error.expected,
            advice: "the files hold nothing else".to_owned(),
            got: error.got,
        })?;
        table.push(file_name, cast);
    }
    Ok(table)
}

/// Of names and values, each with its length or its tag, so that no two tables are written alike.
fn digest(table: &Table) -> String {
    let mut hash = Sha256::new();
    for (name, column) in table.iter() {
        text(&mut hash, name);
        for row in 0..column.len() {
            match column.value(row) {
                Value::Null => hash.update([0]),
                Value::Bool(it) => hash.update([1, u8::from(it)]),
                Value::Int(it) => number(&mut hash, 2, it.to_le_bytes()),
                Value::Float(it) => number(&mut hash, 3, it.to_le_bytes()),
                Value::Time(it) => number(&mut hash, 4, it.0.to_le_bytes()),
                Value::Str(it) => {
                    hash.update([5]);
                    text(&mut hash, &it);
                }
            }
        }
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(16).map(|it| format!("{it:02x}")).collect();
    format!("pushed-{hex}")
}

fn number(hash: &mut Sha256, tag: u8, bytes: [u8; 8]) {
    hash.update([tag]);
    hash.update(bytes);
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}
