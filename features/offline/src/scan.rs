//! From a source's files to its rows: five column types, computed columns, rows kept by `where`, the file row of each.
//!
//! [`inspect`] says what there is without keeping rows; [`Reading`] reads the columns that a question needs, batch by batch.

mod csv;
mod inferred;
mod inspect;
mod parquet;
mod reading;
mod source;
mod types;
mod wide;

pub(crate) use inspect::{SourceSchema, Texts, file_columns, header, inspect};
pub(crate) use reading::{Reading, Rows};
pub(crate) use source::{SourceFrame, evaluate, key_type};

use std::path::PathBuf;

use foretell_features::{DataType, Format, Source, SourceKey, Table};

use crate::column::to_table;
use crate::error::Result;
use crate::place::Located;

/// Reads a file that belongs to no source; declared types of columns that it lacks are passed over.
pub(crate) fn read_file(name: &str, format: &Format, types: &[(String, DataType)], path: PathBuf) -> Result<Table> {
    let mut source = Source {
        name: name.to_owned(),
        path: path.display().to_string(),
        format: format.clone(),
        rename: Vec::new(),
        event_time: None,
        known_time: None,
        columns: Vec::new(),
        types: Vec::new(),
        filter: None,
        key: SourceKey::Row,
        wide: None,
        about: Default::default(),
    };
    let file = Located {
        local: path.clone(),
        path,
    };
    let there = inspect::header_of(&source, &file)?;
    source.types = types.iter().filter(|(it, _)| there.contains(it)).cloned().collect();
    let inspected = inspect::inspect_files(&source, vec![file], u64::MAX)?;
    let all = there.into_iter().collect();
    let rows = Reading::of(&inspected.schema, &all)?.whole(inspected.texts)?;
    Ok(to_table(&rows.frame))
}
