//! CSV files, plain or gzip. All fields are read as text first; a column's type is what its whole text allows.

use std::fs::File;
use std::path::Path;

use foretell_features::{Column, DataType, Table};
use polars::prelude as pl;
use polars::prelude::SerReader;

use crate::column::{to_frame, to_table};
use crate::error::{OfflineStoreError, Result};
use crate::scan::types::cast;
use crate::scan::{MixedColumn, Scan};

pub(super) fn header(source: &str, path: &Path, separator: u8) -> Result<Vec<String>> {
    let frame = texts(source, path, separator, Some(1))?;
    Ok(frame.columns().iter().map(|it| it.name().to_string()).collect())
}

/// All fields as text; an empty field is null.
pub(super) fn read(source: &str, path: &Path, separator: u8) -> Result<pl::DataFrame> {
    let frame = texts(source, path, separator, None)?;
    let first_only = frame.width() == 1 && frame.columns()[0].name().contains([';', '\t', '|']);
    if first_only && separator == b',' {
        return Err(OfflineStoreError::Read {
            name: source.to_owned(),
            path: path.display().to_string(),
            reason: format!(
                "its header `{}` has one column; set `separator`",
                frame.columns()[0].name()
            ),
        });
    }
    Ok(frame)
}

fn texts(source: &str, path: &Path, separator: u8, rows: Option<usize>) -> Result<pl::DataFrame> {
    let empty = || OfflineStoreError::EmptyFile {
        name: source.to_owned(),
        path: path.display().to_string(),
    };
    let refuse = |reason: String| OfflineStoreError::Read {
        name: source.to_owned(),
        path: path.display().to_string(),
        reason,
    };
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let options = pl::CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .with_n_rows(rows)
        .map_parse_options(|options| options.with_separator(separator));
    let frame = options
        .into_reader_with_file_handle(file)
        .finish()
        .map_err(|error| match error {
            pl::PolarsError::NoData(_) => empty(),
            error => refuse(format!("row lengths or encoding are wrong ({error})")),
        })?;
    if frame.height() == 0 { Err(empty()) } else { Ok(frame) }
}

/// The texts as typed columns: the declared type, else what every value of the column allows.
pub(super) fn typed(
    source: &str,
    frame: &pl::DataFrame,
    null_values: &[String],
    declared: &[(String, DataType)],
) -> Result<Scan> {
    let mut table = Table::new();
    let mut mixed = Vec::new();
    for (name, column) in to_table(frame).iter() {
        let Column::Str(texts) = column else {
            unreachable!("every field was read as text")
        };
        let is_null = |text: &str| null_values.iter().any(|it| it == text);
        let texts: Vec<_> = texts.iter().map(|it| it.clone().filter(|it| !is_null(it))).collect();
        let (data_type, odd) = match declared.iter().find(|(it, _)| it == name) {
            Some((_, data_type)) => (*data_type, None),
            None => inferred(name, &texts),
        };
        mixed.extend(odd);
        table.push(name, cast(source, name, &Column::Str(texts), data_type)?);
    }
    let frame = to_frame(&table).map_err(|error| crate::error::engine(source, error))?;
    Ok(Scan { frame, mixed })
}

/// What a column's texts allow, the narrowest first; and, for text, whether it is really numbers with something amiss.
fn inferred(name: &str, texts: &[Option<std::sync::Arc<str>>]) -> (DataType, Option<MixedColumn>) {
    let values = || texts.iter().flatten().map(|it| it.trim()).filter(|it| !it.is_empty());
    if values().all(|it| it.eq_ignore_ascii_case("nan") || is_integer(it)) {
        // A column without any value is of no use as text, and as numbers it does no harm.
        let none = values().all(|it| it.eq_ignore_ascii_case("nan"));
        return (if none { DataType::Double } else { DataType::Int64 }, None);
    }
    if values().all(|it| it.eq_ignore_ascii_case("nan") || is_number(it)) {
        return (DataType::Double, None);
    }
    if values().all(|it| it.eq_ignore_ascii_case("true") || it.eq_ignore_ascii_case("false")) {
        return (DataType::Boolean, None);
    }
    (DataType::String, mixed(name, texts))
}

/// A text column of which a quarter or more are numbers, and too many different ones to be codes.
fn mixed(name: &str, texts: &[Option<std::sync::Arc<str>>]) -> Option<MixedColumn> {
    const CODES: usize = 20;
    let values = || texts.iter().flatten().map(|it| it.trim()).filter(|it| !it.is_empty());
    let numbers = values().filter(|it| is_number(it)).count();
    if numbers * 4 < values().count() {
        return None;
    }
    let different: std::collections::HashSet<&str> = values().filter(|it| is_number(it)).collect();
    let odd = |it: &&str| !it.trim().is_empty() && !is_number(it.trim());
    let row = texts.iter().position(|it| it.as_deref().as_ref().is_some_and(odd))?;
    let text = texts[row].as_deref().unwrap_or_default().to_owned();
    (different.len() > CODES).then(|| MixedColumn {
        column: name.to_owned(),
        numbers,
        row: row as u64,
        text,
    })
}

fn is_integer(text: &str) -> bool {
    starts_like_a_number(text) && text.parse::<i64>().is_ok()
}

fn is_number(text: &str) -> bool {
    starts_like_a_number(text) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `inf` and `nan` are words, not numbers.
fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit() || matches!(it, '-' | '+' | '.'))
}
