//! Named, typed columns: what the offline engine hands to training, and the request body becomes.

use std::sync::Arc;

use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// One typed column; `None` is null.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Booleans.
    Bool(Vec<Option<bool>>),
    /// Integers.
    Int(Vec<Option<i64>>),
    /// Floats; NaN is never stored, it is `None`.
    Float(Vec<Option<f64>>),
    /// Text.
    Str(Vec<Option<Arc<str>>>),
    /// UTC microseconds.
    Time(Vec<Option<Timestamp>>),
}

/// Columns of equal length with unique names, in a fixed order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    names: Vec<String>,
    columns: Vec<Column>,
}

impl Column {
    /// A column of nulls.
    pub fn nulls(data_type: DataType, len: usize) -> Self {
        match data_type {
            DataType::Boolean => Column::Bool(vec![None; len]),
            DataType::Int64 => Column::Int(vec![None; len]),
            DataType::Double => Column::Float(vec![None; len]),
            DataType::String => Column::Str(vec![None; len]),
            DataType::Timestamp => Column::Time(vec![None; len]),
        }
    }

    /// Values cast to one type, in order.
    ///
    /// # Errors
    /// The position and the value that does not fit.
    pub fn from_values(
        data_type: DataType,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Self, (usize, crate::value::CastError)> {
        let mut column = Column::nulls(data_type, 0);
        for (row, value) in values.into_iter().enumerate() {
            column.push(value.cast(data_type).map_err(|error| (row, error))?);
        }
        Ok(column)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Bool(it) => it.len(),
            Column::Int(it) => it.len(),
            Column::Float(it) => it.len(),
            Column::Str(it) => it.len(),
            Column::Time(it) => it.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its type.
    pub fn data_type(&self) -> DataType {
        match self {
            Column::Bool(_) => DataType::Boolean,
            Column::Int(_) => DataType::Int64,
            Column::Float(_) => DataType::Double,
            Column::Str(_) => DataType::String,
            Column::Time(_) => DataType::Timestamp,
        }
    }

    /// The value of one row.
    pub fn value(&self, row: usize) -> Value {
        match self {
            Column::Bool(it) => it[row].map_or(Value::Null, Value::Bool),
            Column::Int(it) => it[row].map_or(Value::Null, Value::Int),
            Column::Float(it) => it[row].map_or(Value::Null, Value::Float),
            Column::Str(it) => it[row].clone().map_or(Value::Null, Value::Str),
            Column::Time(it) => it[row].map_or(Value::Null, Value::Time),
        }
    }

    /// The number of one row, NaN where it is null or text.
    pub fn number(&self, row: usize) -> f64 {
        match self {
            Column::Float(it) => it[row].unwrap_or(f64::NAN),
            Column::Int(it) => it[row].map_or(f64::NAN, |it| it as f64),
            _ => self.value(row).as_f64().unwrap_or(f64::NAN),
        }
    }

    /// Appends a value of this very type, or null.
    ///
    /// # Panics
    /// If the value has another type: cast first.
    pub fn push(&mut self, value: Value) {
        match (self, value) {
            (Column::Bool(it), Value::Bool(v)) => it.push(Some(v)),
            (Column::Int(it), Value::Int(v)) => it.push(Some(v)),
            (Column::Float(it), Value::Float(v)) => it.push(Some(v).filter(|v| !v.is_nan())),
            (Column::Str(it), Value::Str(v)) => it.push(Some(v)),
            (Column::Time(it), Value::Time(v)) => it.push(Some(v)),
            (Column::Bool(it), Value::Null) => it.push(None),
            (Column::Int(it), Value::Null) => it.push(None),
            (Column::Float(it), Value::Null) => it.push(None),
            (Column::Str(it), Value::Null) => it.push(None),
            (Column::Time(it), Value::Null) => it.push(None),
            (column, value) => panic!("a {} column cannot hold `{value}`: cast first", column.data_type()),
        }
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        match self {
            Column::Bool(it) => Column::Bool(pick(it, rows)),
            Column::Int(it) => Column::Int(pick(it, rows)),
            Column::Float(it) => Column::Float(pick(it, rows)),
            Column::Str(it) => Column::Str(pick(it, rows)),
            Column::Time(it) => Column::Time(pick(it, rows)),
        }
    }
}

impl Table {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If its length differs or its name is taken: both are bugs of the caller.
    pub fn push(&mut self, name: impl Into<String>, column: Column) {
        let name = name.into();
        assert!(
            self.columns.is_empty() || column.len() == self.n_rows(),
            "column `{name}` has another length"
        );
        assert!(!self.names.contains(&name), "column `{name}` is there already");
        self.names.push(name);
        self.columns.push(column);
    }

    /// The same, by value.
    pub fn with(mut self, name: impl Into<String>, column: Column) -> Self {
        self.push(name, column);
        self
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Column names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let at = self.names.iter().position(|it| it == name)?;
        Some(&self.columns[at])
    }

    /// Names and columns in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.names.iter().map(String::as_str).zip(&self.columns)
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            names: self.names.clone(),
            columns: self.columns.iter().map(|it| it.select(rows)).collect(),
        }
    }
}
