//! The five column types, and what a source declares about its columns.

use foretell_features::value::CastError;
use foretell_features::{Column, DataType, Timestamp, Value};
use polars::prelude as pl;
use polars::prelude::IntoColumn;

use crate::column::{from_column, our_type, polars_type, to_column};
use crate::error::{OfflineStoreError, Result};

/// Any flat polars column as one of the five types: integers widen to Int64, floats to Double (NaN to null), every time to
/// microseconds in UTC. What does not fit (an unsigned integer above the greatest signed one) is null.
pub(super) fn normalised(column: &pl::Column) -> pl::PolarsResult<pl::Column> {
    use pl::DataType as Pl;
    let series = column.as_materialized_series();
    let wanted = match series.dtype() {
        Pl::Boolean => DataType::Boolean,
        Pl::UInt8 | Pl::UInt16 | Pl::UInt32 | Pl::UInt64 | Pl::Int8 | Pl::Int16 | Pl::Int32 | Pl::Int64 => {
            DataType::Int64
        }
        Pl::Float32 | Pl::Float64 | Pl::Null => DataType::Double,
        Pl::Date => DataType::Timestamp,
        Pl::Datetime(unit, _) => return Ok(from_column(series.name(), &micros(series, *unit)?)),
        Pl::Duration(_) | Pl::Time => return normalised(&series.to_physical_repr().into_owned().into_column()),
        _ => DataType::String,
    };
    let cast = series.cast(&polars_type(wanted))?;
    match wanted {
        DataType::Double => Ok(from_column(series.name(), &to_column(&cast.into_column()))),
        _ => Ok(cast.into_column()),
    }
}

fn micros(series: &pl::Series, unit: pl::TimeUnit) -> pl::PolarsResult<Column> {
    let physical = series.to_physical_repr();
    let instants = physical.i64()?.iter().map(|it| {
        let it = it?;
        Some(Timestamp(match unit {
            pl::TimeUnit::Nanoseconds => it.div_euclid(1_000),
            pl::TimeUnit::Microseconds => it,
            pl::TimeUnit::Milliseconds => it.checked_mul(1_000)?,
        }))
    });
    Ok(Column::Time(instants.collect()))
}

/// The frame with its columns cast to declared types. `row` of an error counts from the first file row.
pub(crate) fn apply_types(source: &str, frame: &mut pl::DataFrame, declared: &[(String, DataType)]) -> Result<()> {
    for (name, data_type) in declared {
        let Ok(column) = frame.column(name) else {
            let there = frame.columns().iter().map(|it| it.name().as_str());
            return Err(crate::error::missing_column(source, name, there));
        };
        if our_type(column.dtype()) == *data_type {
            continue;
        }
        let cast = cast(source, name, &to_column(column), *data_type)?;
        frame
            .with_column(from_column(name, &cast))
            .map_err(|error| crate::error::engine(source, error))?;
    }
    Ok(())
}

/// A column in another type, value by value; the first value that does not fit is named.
pub(super) fn cast(source: &str, name: &str, column: &Column, to: DataType) -> Result<Column> {
    let values = (0..column.len()).map(|row| blank_is_null(column.value(row), to));
    Column::from_values(to, values).map_err(|(row, error)| refuse(source, name, row, error))
}

fn blank_is_null(value: Value, to: DataType) -> Value {
    match &value {
        Value::Str(text) if to != DataType::String && text.trim().is_empty() => Value::Null,
        Value::Str(text) if is_number(to) && text.trim().eq_ignore_ascii_case("nan") => Value::Null,
        _ => value,
    }
}

fn is_number(data_type: DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Double)
}

fn refuse(source: &str, column: &str, row: usize, error: CastError) -> OfflineStoreError {
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
        row: row as u64,
        expected: error.expected,
        advice,
        got: error.got,
    }
}
