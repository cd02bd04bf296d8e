//! Rows of a source in memory, as views see them.

use std::sync::Arc;

use foretell_features::{Column, DataType, Entity, Expression, SourceKey, Table, Timestamp};
use polars::prelude as pl;
use polars::prelude::{IntoColumn, IntoLazy};

use crate::column::{from_column, our_type, polars_type, to_column, to_table, to_times};
use crate::error::{Result, definition, engine};
use crate::lower::{lower, schema_of};
use crate::needs::Columns;
use crate::scan::inspect::SourceSchema;
use crate::scan::reading::Rows;
use crate::scan::types::cast;

/// Some columns of some or all rows of a source.
#[derive(Debug)]
pub(crate) struct SourceFrame {
    pub(crate) schema: Arc<SourceSchema>,
    pub(crate) frame: pl::DataFrame,
    /// The 0-based file row of each row kept.
    pub(crate) file_rows: Vec<u64>,
}

impl SourceFrame {
    pub(crate) fn new(schema: Arc<SourceSchema>, rows: Rows) -> Self {
        let Rows { frame, file_rows } = rows;
        Self {
            schema,
            frame,
            file_rows,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.schema.name()
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.file_rows.len()
    }

    pub(crate) fn table(&self) -> Table {
        to_table(&self.frame)
    }

    /// Whether it has all of these columns that the source has.
    pub(crate) fn has(&self, columns: &Columns) -> bool {
        let here = |name: &str| self.frame.column(name).is_ok();
        columns.iter().all(|it| here(it) || self.schema.data_type(it).is_none())
    }

    /// Names of its columns.
    pub(crate) fn columns(&self) -> Columns {
        self.frame.columns().iter().map(|it| it.name().to_string()).collect()
    }

    pub(crate) fn data_type(&self, column: &str) -> Option<DataType> {
        self.schema.data_type(column)
    }

    fn polars_column(&self, name: &str) -> Result<&pl::Column> {
        self.frame.column(name).map_err(|_| self.schema.missing(name))
    }

    /// A column by name.
    pub(crate) fn column(&self, name: &str) -> Result<Column> {
        self.polars_column(name).map(to_column)
    }

    /// A column that is to be a feature or a label: refused where it mixes numbers with text.
    pub(crate) fn meant_column(&self, name: &str) -> Result<Column> {
        self.schema.check_meant(&Expression::column(name))?;
        self.column(name)
    }

    /// The value of an expression for each row.
    pub(crate) fn evaluate(&self, place: &str, expression: &Expression) -> Result<Column> {
        self.evaluate_frame(place, expression).map(|it| to_column(&it))
    }

    /// The same, as polars has it.
    pub(crate) fn evaluate_frame(&self, place: &str, expression: &Expression) -> Result<pl::Column> {
        if let Some(name) = expression.as_column() {
            self.schema.check_meant(expression)?;
            return self.polars_column(name).cloned();
        }
        let place = format!("source `{}`, {place}", self.name());
        self.schema.typed(&place, expression)?;
        let (lowered, _) = lower(expression, &schema_of(&self.frame))
            .map_err(|error| self.schema.explained(&place, expression, error))?;
        evaluate(&self.frame, lowered).map_err(|error| engine(place, error))
    }

    /// Whether the condition is true for each row; all rows without one.
    pub(crate) fn holds(&self, place: &str, filter: Option<&Expression>) -> Result<Option<Vec<bool>>> {
        let Some(filter) = filter else { return Ok(None) };
        match self.evaluate(place, filter)? {
            Column::Bool(it) => Ok(Some(it.into_iter().map(|it| it == Some(true)).collect())),
            other => Err(definition(
                place,
                format!("`{filter}` is {}, not a condition", other.data_type()),
            )),
        }
    }

    /// When each row happened; `None` for a snapshot.
    pub(crate) fn event_times(&self) -> Result<Option<Vec<Option<Timestamp>>>> {
        let name = self.schema.source.event_time.as_deref();
        name.map(|it| self.polars_column(it).map(to_times)).transpose()
    }

    /// The microseconds of a time column, and what to put where there is no time.
    pub(crate) fn micros(&self, name: &str, no_time: i64) -> Result<Vec<i64>> {
        let series = self.polars_column(name)?.as_materialized_series();
        let times = series.datetime().expect("a time column was read as times").physical();
        Ok(times.iter().map(|it| it.unwrap_or(no_time)).collect())
    }

    /// A text column read as times; the first value that is none is named.
    pub(crate) fn as_times(&self, name: &str, column: &Column) -> Result<Column> {
        cast(self.name(), name, column, DataType::Timestamp, 0)
    }

    /// The entity's key columns, integers or text; a key of another type is cast.
    pub(crate) fn key_columns(&self, entity: &Entity) -> Result<Vec<pl::Column>> {
        if self.schema.source.key == SourceKey::Row {
            let rows = self.file_rows.iter().map(|it| *it as i64).collect();
            let rows = pl::Int64Chunked::from_vec("row".into(), rows).into_column();
            let key_type = entity.key.first().map_or(DataType::Int64, |(_, it)| *it);
            return Ok(vec![self.as_key("row", &rows, key_type)?]);
        }
        let keys = entity.key.iter();
        keys.map(|(name, data_type)| self.as_key(name, self.polars_column(name)?, *data_type))
            .collect()
    }

    fn as_key(&self, name: &str, column: &pl::Column, data_type: DataType) -> Result<pl::Column> {
        let wanted = key_type(data_type);
        if our_type(column.dtype()) == wanted {
            return Ok(column.clone());
        }
        Ok(from_column(
            name,
            &cast(self.name(), name, &to_column(column), wanted, 0)?,
        ))
    }
}

/// A key part is an integer or text.
pub(crate) fn key_type(declared: DataType) -> DataType {
    match declared {
        DataType::Int64 => DataType::Int64,
        _ => DataType::String,
    }
}

/// An expression over a frame; a constant stands for every row.
pub(crate) fn evaluate(frame: &pl::DataFrame, expression: pl::Expr) -> pl::PolarsResult<pl::Column> {
    const ANSWER: &str = "__answer";
    let rows = frame.height();
    let answer = frame
        .clone()
        .lazy()
        .with_columns([expression.alias(ANSWER)])
        .collect()?;
    let column = answer.column(ANSWER)?;
    let whole = if column.len() == rows {
        column.clone()
    } else {
        column.new_from_index(0, rows)
    };
    // A constant may come in a type of its own.
    debug_assert_eq!(polars_type(our_type(whole.dtype())), *whole.dtype());
    Ok(whole)
}
