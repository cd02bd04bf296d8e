//! Reading a source whole: files, declared types, times, computed columns, and the rows that `where` keeps.

use std::path::{Path, PathBuf};

use foretell_features::{Column, DataType, Source};
use polars::prelude as pl;
use polars::prelude::IntoLazy;

use crate::column::{from_column, to_column, to_frame, to_table};
use crate::error::{OfflineStoreError, Result, definition, engine, missing_column};
use crate::lower::{lower, schema_of};
use crate::scan::files::paths;
use crate::scan::source::{MixedColumn, SourceFrame, explained};
use crate::scan::types::{apply_types, cast};
use crate::scan::wide::unpivoted;
use crate::scan::{Scan, read_paths};

const FILE_ROW: &str = "__file_row";

/// Reads a source whole.
pub(crate) fn load(source: &Source, root: &Path) -> Result<SourceFrame> {
    load_files(source, &paths(source, root)?)
}

/// Reads these files of a source.
pub(crate) fn load_files(source: &Source, files: &[PathBuf]) -> Result<SourceFrame> {
    let Scan { mut frame, mixed } = read_paths(&source.name, &source.format, &source.types, files)?;
    let rows_read = frame.height() as u64;
    apply_types(&source.name, &mut frame, &source.types)?;
    let mut file_rows: Vec<u64> = (0..rows_read).collect();
    if let Some(wide) = &source.wide {
        let (table, rows) = unpivoted(source, wide, &to_table(&frame))?;
        frame = to_frame(&table).map_err(|error| engine(&source.name, error))?;
        file_rows = rows;
    }
    let file_columns: Vec<String> = frame.columns().iter().map(|it| it.name().to_string()).collect();
    read_times(source, &mut frame, |name| file_columns.iter().any(|it| it == name))?;
    let mut frame = computed(source, frame, &mixed)?;
    read_times(source, &mut frame, |name| !file_columns.iter().any(|it| it == name))?;
    let schema = schema_of(&frame);
    let mut frame = kept(source, frame, &schema, file_rows)?;
    let rows = frame
        .drop_in_place(FILE_ROW)
        .map_err(|error| engine(&source.name, error))?;
    let Column::Int(rows) = to_column(&rows) else {
        unreachable!("it was put in as integers")
    };
    let file_rows = rows.into_iter().flatten().map(|it| it as u64).collect();
    Ok(SourceFrame {
        source: source.clone(),
        frame,
        schema,
        n_file_columns: file_columns.len(),
        file_rows,
        rows_read,
        mixed,
    })
}

/// Makes the event and known time columns times, where `here` holds for the column.
fn read_times(source: &Source, frame: &mut pl::DataFrame, here: impl Fn(&str) -> bool) -> Result<()> {
    for name in [&source.event_time, &source.known_time]
        .into_iter()
        .flatten()
        .filter(|it| here(it))
    {
        let Ok(column) = frame.column(name) else {
            let computed = source.columns.iter().map(|(name, _)| name.as_str());
            let there: Vec<&str> = frame
                .columns()
                .iter()
                .map(|it| it.name().as_str())
                .chain(computed)
                .collect();
            return Err(missing_column(&source.name, name, there));
        };
        let column = to_column(column);
        match column.data_type() {
            DataType::Timestamp => {}
            DataType::String => {
                let times = cast(&source.name, name, &column, DataType::Timestamp)?;
                frame
                    .with_column(from_column(name, &times))
                    .map_err(|error| engine(&source.name, error))?;
            }
            other => {
                let reason = format!("column `{name}` is {other}, not a time; compute one with `to_timestamp`");
                return Err(definition(format!("source `{}`", source.name), reason));
            }
        }
    }
    Ok(())
}

fn computed(source: &Source, frame: pl::DataFrame, mixed: &[MixedColumn]) -> Result<pl::DataFrame> {
    let mut frame = frame;
    for (name, expression) in &source.columns {
        let place = format!("source `{}`, column `{name}`", source.name);
        let lowered = lower(expression, &schema_of(&frame));
        let (lowered, _) = lowered.map_err(|error| explained(source, mixed, &place, expression, error))?;
        let lazy = frame.lazy().with_columns([lowered.alias(name.as_str())]);
        frame = lazy.collect().map_err(|error| engine(place, error))?;
    }
    Ok(frame)
}

/// The rows for which `where` is true, with their file rows as a last column.
fn kept(
    source: &Source,
    frame: pl::DataFrame,
    schema: &[(String, DataType)],
    file_rows: Vec<u64>,
) -> Result<pl::DataFrame> {
    let place = format!("source `{}`, where", source.name);
    let file_rows = Column::Int(file_rows.into_iter().map(|it| Some(it as i64)).collect());
    let mut frame = frame;
    frame
        .with_column(from_column(FILE_ROW, &file_rows))
        .map_err(|error| engine(&place, error))?;
    let Some(filter) = &source.filter else { return Ok(frame) };
    let (lowered, data_type) = lower(filter, schema).map_err(|error| OfflineStoreError::Expression {
        place: place.clone(),
        error,
    })?;
    if data_type != DataType::Boolean {
        return Err(definition(place, format!("`{filter}` is {data_type}, not a condition")));
    }
    frame
        .lazy()
        .filter(lowered)
        .collect()
        .map_err(|error| engine(place, error))
}
