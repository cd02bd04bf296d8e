//! The five column types, and what a source declares about its columns.

use std::path::Path;

use foretell_features::value::CastError;
use foretell_features::{Column, DataType, Value};
use polars::prelude as pl;
use polars::prelude::{ChunkApply, IntoColumn, IntoSeries, NewChunkedArray};

use crate::column::{from_column, our_type, polars_type, to_column};
use crate::error::{OfflineStoreError, Result, definition};
use crate::scan::inferred::{is_integer, is_number};

/// What [`normalised`] makes of a polars type.
pub(super) fn normal_type(data_type: &pl::DataType) -> DataType {
    use pl::DataType as Pl;
    match data_type {
        Pl::Boolean => DataType::Boolean,
        Pl::UInt8 | Pl::UInt16 | Pl::UInt32 | Pl::UInt64 | Pl::Int8 | Pl::Int16 | Pl::Int32 | Pl::Int64 => {
            DataType::Int64
        }
        Pl::Float32 | Pl::Float64 | Pl::Null => DataType::Double,
        Pl::Date | Pl::Datetime(..) => DataType::Timestamp,
        Pl::Duration(_) | Pl::Time => DataType::Int64,
        _ => DataType::String,
    }
}

/// Any flat polars column as one of the five types: integers widen to Int64, floats to Double (NaN to null), every time to
/// microseconds in UTC. An unsigned integer above the greatest signed one is null; a time that is no whole microsecond, or
/// beyond 64 bits of them, is refused.
pub(super) fn normalised(column: &pl::Column) -> Result<pl::Column, Unfit> {
    let series = column.as_materialized_series();
    let wanted = normal_type(series.dtype());
    match series.dtype() {
        pl::DataType::Datetime(unit, _) => micros(series, *unit),
        pl::DataType::Duration(_) | pl::DataType::Time => Ok(series.to_physical_repr().into_owned().into_column()),
        _ => {
            let cast = series.cast(&polars_type(wanted))?;
            Ok(match wanted {
                DataType::Double => without_nan(&cast)?.into_column(),
                _ => cast.into_column(),
            })
        }
    }
}

fn without_nan(series: &pl::Series) -> pl::PolarsResult<pl::Series> {
    let floats = series.f64()?;
    let any = floats
        .downcast_iter()
        .any(|it| it.values().iter().any(|it| it.is_nan()));
    if !any {
        return Ok(series.clone());
    }
    let numbers = floats.iter().map(|it| it.filter(|it| !it.is_nan()));
    Ok(pl::Float64Chunked::from_iter_options(floats.name().clone(), numbers).into_series())
}

fn micros(series: &pl::Series, unit: pl::TimeUnit) -> Result<pl::Column, Unfit> {
    let physical = series.to_physical_repr();
    let raw = physical.i64()?;
    let micros = match unit {
        pl::TimeUnit::Microseconds => raw.clone(),
        pl::TimeUnit::Milliseconds => {
            refuse_where(raw, unit, |it| it.checked_mul(1_000).is_none())?;
            raw.apply_values(|it| it.wrapping_mul(1_000))
        }
        pl::TimeUnit::Nanoseconds => {
            refuse_where(raw, unit, |it| it % 1_000 != 0)?;
            raw.apply_values(|it| it.div_euclid(1_000))
        }
    };
    Ok(micros.into_datetime(pl::TimeUnit::Microseconds, None).into_column())
}

fn refuse_where(raw: &pl::Int64Chunked, unit: pl::TimeUnit, wrong: impl Fn(i64) -> bool) -> Result<(), Unfit> {
    match raw
        .iter()
        .enumerate()
        .find_map(|(row, it)| Some((row, it.filter(|it| wrong(*it))?)))
    {
        Some((row, value)) => Err(Unfit::Time { row, value, unit }),
        None => Ok(()),
    }
}

/// A column that has no place among the five types.
#[derive(Debug)]
pub(super) enum Unfit {
    Time { row: usize, value: i64, unit: pl::TimeUnit },
    Engine(pl::PolarsError),
}

impl From<pl::PolarsError> for Unfit {
    fn from(error: pl::PolarsError) -> Self {
        Unfit::Engine(error)
    }
}

impl Unfit {
    /// As an error; `start` is the file row of the column's first.
    pub(super) fn explained(self, source: &str, path: &Path, column: &str, start: usize) -> OfflineStoreError {
        let (row, value, unit) = match self {
            Unfit::Engine(error) => return super::parquet::unreadable(source, path, &error),
            Unfit::Time { row, value, unit } => (row + start, value, unit),
        };
        let file = path.file_name().map(|it| it.to_string_lossy()).unwrap_or_default();
        let place = format!("source `{source}`, `{file}`, column `{column}`, row {row}");
        let reason = match unit {
            pl::TimeUnit::Nanoseconds => "the time is no whole microsecond; round the file's times to microseconds",
            _ => "the time is too far away for microseconds in 64 bits; mend the file",
        };
        definition(place, format!("{reason}. got=`{value}` {unit}"))
    }
}

/// Declared types in place of the columns' own. `row` of an error counts from `first_row`.
pub(super) fn declared(
    source: &str,
    frame: &mut pl::DataFrame,
    types: &[(String, DataType)],
    first_row: u64,
) -> Result<()> {
    for (name, data_type) in types {
        let Ok(column) = frame.column(name) else { continue };
        if our_type(column.dtype()) == *data_type {
            continue;
        }
        let cast = cast(source, name, &to_column(column), *data_type, first_row)?;
        frame
            .with_column(from_column(name, &cast))
            .map_err(|error| crate::error::engine(source, error))?;
    }
    Ok(())
}

/// Text read as a type; null values and blanks are null.
pub(super) fn parsed(
    source: &str,
    texts: &pl::StringChunked,
    null_values: &[String],
    to: DataType,
    first_row: u64,
) -> Result<pl::Column> {
    let name = texts.name().clone();
    let values = || {
        texts
            .iter()
            .map(|it| it.filter(|it| !null_values.iter().any(|null| null == it)))
    };
    let simple = match to {
        DataType::String if null_values.is_empty() => Some(texts.clone().into_series()),
        DataType::String => Some(pl::StringChunked::from_iter_options(name.clone(), values()).into_series()),
        DataType::Int64 => read_each(values(), |it| is_integer(it).then(|| it.parse().ok()).flatten())
            .map(|it| pl::Int64Chunked::from_slice_options(name.clone(), &it).into_series()),
        DataType::Double => read_each(values(), |it| is_number(it).then(|| it.parse().ok()).flatten())
            .map(|it| pl::Float64Chunked::from_slice_options(name.clone(), &it).into_series()),
        DataType::Boolean | DataType::Timestamp => None,
    };
    if let Some(series) = simple {
        return Ok(series.into_column());
    }
    let shared = Column::Str(values().map(|it| it.map(Into::into)).collect());
    Ok(from_column(&name, &cast(source, &name, &shared, to, first_row)?))
}

/// Every value read; `None` where one of them is out of the ordinary, which [`cast`] reads or refuses with its row.
fn read_each<'a, T>(
    values: impl Iterator<Item = Option<&'a str>>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Vec<Option<T>>> {
    values
        .map(|text| match text.map(str::trim) {
            None | Some("") => Some(None),
            Some(text) if text.eq_ignore_ascii_case("nan") => Some(None),
            Some(text) => read(text).map(Some),
        })
        .collect()
}

/// A column in another type, value by value; the first value that does not fit is named, rows counted from `first_row`.
pub(super) fn cast(source: &str, name: &str, column: &Column, to: DataType, first_row: u64) -> Result<Column> {
    let values = (0..column.len()).map(|row| blank_is_null(column.value(row), to));
    Column::from_values(to, values).map_err(|(row, error)| refuse(source, name, first_row + row as u64, error))
}

fn blank_is_null(value: Value, to: DataType) -> Value {
    match &value {
        Value::Str(text) if to != DataType::String && text.trim().is_empty() => Value::Null,
        Value::Str(text) if is_numeric(to) && text.trim().eq_ignore_ascii_case("nan") => Value::Null,
        _ => value,
    }
}

fn is_numeric(data_type: DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Double)
}

fn refuse(source: &str, column: &str, row: u64, error: CastError) -> OfflineStoreError {
    let advice = match error.expected {
        DataType::Timestamp => format!(
            "write times like `2011-06-11 08:26:00`, or read your own form with a computed column, \
             `{column}_time = \"to_timestamp({column}, '%m/%d/%Y %H:%M')\"`"
        ),
        _ => "mend the file, add the value to `null_values`, or declare the column a string".to_owned(),
    };
    OfflineStoreError::Value {
        name: source.to_owned(),
        column: column.to_owned(),
        row,
        expected: error.expected,
        advice,
        got: error.got,
    }
}
