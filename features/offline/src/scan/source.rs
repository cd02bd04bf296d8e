//! A source as views see it: file and computed columns, times as times, the rows that `where` keeps, and which file row each is.

use foretell_features::{Column, DataType, Entity, Expression, ExpressionError, Source, SourceKey, Table, Timestamp};
use polars::prelude as pl;
use polars::prelude::IntoLazy;

use crate::column::{to_column, to_table, to_times};
use crate::error::{OfflineStoreError, Result, definition, engine, missing_column};
use crate::lower::lower;
use crate::scan::types::cast;

/// A source in memory.
#[derive(Debug)]
pub(crate) struct SourceFrame {
    pub(crate) source: Source,
    pub(crate) frame: pl::DataFrame,
    /// Names and types of its columns, file columns first.
    pub(crate) schema: Vec<(String, DataType)>,
    /// How many of them are file columns.
    pub(crate) n_file_columns: usize,
    /// The 0-based file row of each row kept.
    pub(crate) file_rows: Vec<u64>,
    /// Rows in the files, kept or not.
    pub(crate) rows_read: u64,
    /// Its columns of numbers with something amiss.
    pub(crate) mixed: Vec<MixedColumn>,
}

/// A text column that is mostly numbers.
#[derive(Debug, Clone)]
pub(crate) struct MixedColumn {
    pub(crate) column: String,
    pub(crate) numbers: usize,
    pub(crate) row: u64,
    pub(crate) text: String,
}

impl SourceFrame {
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.file_rows.len()
    }

    pub(crate) fn table(&self) -> Table {
        to_table(&self.frame)
    }

    pub(crate) fn data_type(&self, column: &str) -> Option<DataType> {
        self.schema.iter().find(|(name, _)| name == column).map(|(_, it)| *it)
    }

    /// A column by name.
    pub(crate) fn column(&self, name: &str) -> Result<Column> {
        match self.frame.column(name) {
            Ok(column) => Ok(to_column(column)),
            Err(_) => Err(missing_column(
                self.name(),
                name,
                self.schema.iter().map(|(name, _)| name.as_str()),
            )),
        }
    }

    /// A column that is to be a feature or a label: refused where it mixes numbers with text.
    pub(crate) fn meant_column(&self, name: &str) -> Result<Column> {
        match self.mixed.iter().find(|it| it.column == name) {
            Some(mixed) => Err(refuse(&self.source, mixed)),
            None => self.column(name),
        }
    }

    /// The value of an expression for each row.
    pub(crate) fn evaluate(&self, place: &str, expression: &Expression) -> Result<Column> {
        if let Some(name) = expression.as_column() {
            return self.meant_column(name);
        }
        let (lowered, _) = lower(expression, &self.schema).map_err(|error| self.explained(place, expression, error))?;
        let place = || format!("source `{}`, {place}", self.name());
        evaluate(&self.frame, lowered).map_err(|error| engine(place(), error))
    }

    /// Refuses an expression that is one column of numbers mixed with text.
    pub(crate) fn check(&self, place: &str, expression: &Expression) -> Result<()> {
        let bare = expression
            .as_column()
            .and_then(|name| self.mixed.iter().find(|it| it.column == name));
        if let Some(mixed) = bare {
            return Err(refuse(&self.source, mixed));
        }
        expression
            .typed(&self.schema)
            .map(|_| ())
            .map_err(|error| self.explained(place, expression, error))
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
        self.source.event_time.as_deref().map(|it| self.times(it)).transpose()
    }

    /// When each row was learned of, where the source knows.
    pub(crate) fn known_times(&self) -> Result<Option<Vec<Option<Timestamp>>>> {
        self.source.known_time.as_deref().map(|it| self.times(it)).transpose()
    }

    /// A text column read as times; the first value that is none is named.
    pub(crate) fn as_times(&self, name: &str, column: &Column) -> Result<Column> {
        cast(self.name(), name, column, DataType::Timestamp)
    }

    fn times(&self, name: &str) -> Result<Vec<Option<Timestamp>>> {
        self.column(name)?;
        Ok(to_times(self.frame.column(name).expect("looked up above")))
    }

    /// The entity's key columns, integers or text; a key of another type is cast.
    pub(crate) fn key_columns(&self, entity: &Entity) -> Result<Vec<Column>> {
        if self.source.key == SourceKey::Row {
            let rows = Column::Int(self.file_rows.iter().map(|it| Some(*it as i64)).collect());
            let key_type = entity.key.first().map_or(DataType::Int64, |(_, it)| *it);
            return Ok(vec![self.as_key("row", rows, key_type)?]);
        }
        entity
            .key
            .iter()
            .map(|(name, data_type)| self.as_key(name, self.column(name)?, *data_type))
            .collect()
    }

    fn as_key(&self, name: &str, column: Column, data_type: DataType) -> Result<Column> {
        let wanted = if data_type == DataType::Int64 {
            DataType::Int64
        } else {
            DataType::String
        };
        if column.data_type() == wanted {
            Ok(column)
        } else {
            cast(self.name(), name, &column, wanted)
        }
    }

    fn explained(&self, place: &str, expression: &Expression, error: ExpressionError) -> OfflineStoreError {
        explained(
            &self.source,
            &self.mixed,
            &format!("source `{}`, {place}", self.name()),
            expression,
            error,
        )
    }
}

/// An expression that does not fit may be over numbers with something amiss: then that is what to say.
pub(super) fn explained(
    source: &Source,
    mixed: &[MixedColumn],
    place: &str,
    expression: &Expression,
    error: ExpressionError,
) -> OfflineStoreError {
    let used = expression.columns();
    match mixed.iter().find(|it| used.contains(&it.column.as_str())) {
        Some(mixed) => refuse(source, mixed),
        None => OfflineStoreError::Expression {
            place: place.to_owned(),
            error,
        },
    }
}

fn refuse(source: &Source, mixed: &MixedColumn) -> OfflineStoreError {
    OfflineStoreError::MixedColumn {
        name: source.name.clone(),
        column: mixed.column.clone(),
        numbers: mixed.numbers,
        row: mixed.row,
        got: mixed.text.clone(),
    }
}

/// An expression over a frame; a constant stands for every row.
pub(crate) fn evaluate(frame: &pl::DataFrame, expression: pl::Expr) -> pl::PolarsResult<Column> {
    const ANSWER: &str = "__answer";
    let rows = frame.height();
    let answer = frame
        .clone()
        .lazy()
        .with_columns([expression.alias(ANSWER)])
        .collect()?;
    let column = answer.column(ANSWER)?;
    if column.len() == rows {
        Ok(to_column(column))
    } else {
        Ok(to_column(&column.new_from_index(0, rows)))
    }
}
