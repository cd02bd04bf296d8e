//! Between polars' columns and ours. Inside the engine a polars column has one of five types: Boolean, Int64, Float64, String,
//! Datetime in microseconds without a zone (UTC).

use std::collections::HashMap;
use std::sync::Arc;

use foretell_features::{Column, DataType, Table, Timestamp, Value};
use polars::prelude as pl;
use polars::prelude::{IntoColumn, NamedFrom, NewChunkedArray};
use rustc_hash::FxBuildHasher;

/// The polars type that holds ours.
pub(crate) fn polars_type(data_type: DataType) -> pl::DataType {
    match data_type {
        DataType::Boolean => pl::DataType::Boolean,
        DataType::Int64 => pl::DataType::Int64,
        DataType::Double => pl::DataType::Float64,
        DataType::String => pl::DataType::String,
        DataType::Timestamp => pl::DataType::Datetime(pl::TimeUnit::Microseconds, None),
    }
}

/// Our type of a normalised polars column.
///
/// # Panics
/// If the column was not normalised, which is a bug of this crate.
pub(crate) fn our_type(data_type: &pl::DataType) -> DataType {
    match data_type {
        pl::DataType::Boolean => DataType::Boolean,
        pl::DataType::Int64 => DataType::Int64,
        pl::DataType::Float64 => DataType::Double,
        pl::DataType::String => DataType::String,
        pl::DataType::Datetime(pl::TimeUnit::Microseconds, None) => DataType::Timestamp,
        other => panic!("a column of type {other} is not normalised"),
    }
}

/// Copies a normalised polars column. NaN becomes null; equal texts share one allocation.
pub(crate) fn to_column(column: &pl::Column) -> Column {
    let series = column.as_materialized_series();
    match our_type(series.dtype()) {
        DataType::Boolean => Column::Bool(series.bool().expect("checked above").iter().collect()),
        DataType::Int64 => Column::Int(series.i64().expect("checked above").iter().collect()),
        DataType::Double => {
            let floats = series.f64().expect("checked above");
            Column::Float(floats.iter().map(|it| it.filter(|it| !it.is_nan())).collect())
        }
        DataType::String => Column::Str(interned(series.str().expect("checked above").iter())),
        DataType::Timestamp => {
            let times = series.datetime().expect("checked above").physical();
            Column::Time(times.iter().map(|it| it.map(Timestamp)).collect())
        }
    }
}

/// The microseconds of a normalised time column.
pub(crate) fn to_times(column: &pl::Column) -> Vec<Option<Timestamp>> {
    match to_column(column) {
        Column::Time(times) => times,
        other => panic!("a {} column is not a time", other.data_type()),
    }
}

/// A polars column with the same values.
pub(crate) fn from_column(name: &str, column: &Column) -> pl::Column {
    let name: pl::PlSmallStr = name.into();
    match column {
        Column::Bool(it) => pl::Series::new(name, it.as_slice()).into_column(),
        Column::Int(it) => pl::Series::new(name, it.as_slice()).into_column(),
        Column::Float(it) => pl::Series::new(name, it.as_slice()).into_column(),
        Column::Str(it) => {
            let texts = pl::StringChunked::from_iter_options(name, it.iter().map(Option::as_deref));
            pl::IntoSeries::into_series(texts).into_column()
        }
        Column::Time(it) => {
            let micros = pl::Int64Chunked::from_iter_options(name, it.iter().map(|it| it.map(|it| it.0)));
            let times = micros.into_datetime(pl::TimeUnit::Microseconds, None);
            pl::IntoSeries::into_series(times).into_column()
        }
    }
}

/// A frame with the table's columns.
pub(crate) fn to_frame(table: &Table) -> pl::PolarsResult<pl::DataFrame> {
    let columns = table.iter().map(|(name, column)| from_column(name, column)).collect();
    pl::DataFrame::new(table.n_rows(), columns)
}

/// A table with the frame's columns, all of them normalised.
pub(crate) fn to_table(frame: &pl::DataFrame) -> Table {
    let mut table = Table::new();
    for column in frame.columns() {
        table.push(column.name().as_str(), to_column(column));
    }
    table
}

/// A one-row polars column.
pub(crate) fn constant(value: &Value) -> pl::Expr {
    match value {
        Value::Null => pl::lit(pl::NULL),
        Value::Bool(it) => pl::lit(*it),
        Value::Int(it) => pl::lit(*it),
        Value::Float(it) if it.is_nan() => pl::lit(pl::NULL).cast(pl::DataType::Float64),
        Value::Float(it) => pl::lit(*it),
        Value::Str(it) => pl::lit(it.as_ref()),
        Value::Time(it) => pl::lit(it.0).cast(polars_type(DataType::Timestamp)),
    }
}

/// Texts as shared ones: equal texts share one allocation.
pub(crate) fn interned<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<Arc<str>>> {
    let mut seen: HashMap<&str, Arc<str>, FxBuildHasher> = HashMap::default();
    texts
        .map(|text| text.map(|text| seen.entry(text).or_insert_with(|| text.into()).clone()))
        .collect()
}
