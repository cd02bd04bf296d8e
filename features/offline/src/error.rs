//! Everything that can go wrong offline, each in one sentence: what, where, what to do.

use foretell_features::spelling::hint;
use foretell_features::{DataType, ExpressionError, Value};
use foretell_features_online::OnlineError;

/// A failure of the offline engine.
#[derive(Debug, thiserror::Error)]
pub enum OfflineStoreError {
    /// A name that nothing has.
    #[error("there is no {kind} `{name}`{hint}")]
    Unknown {
        /// What was looked for: source, view, entity, feature.
        kind: &'static str,
        /// The name given.
        name: String,
        /// `` ; did you mean `x`? `` or nothing.
        hint: String,
    },
    /// No file where the source says.
    #[error("source `{name}`: there is no file `{path}`{hint}")]
    MissingFile {
        /// The source.
        name: String,
        /// The path looked at.
        path: String,
        /// The nearest file, or where to put it.
        hint: String,
    },
    /// A file without a row.
    #[error("source `{name}`: `{path}` is empty; it needs a header and at least one row")]
    EmptyFile {
        /// The source.
        name: String,
        /// The file.
        path: String,
    },
    /// A file that cannot be read as what its name says.
    #[error("source `{name}`: `{path}` cannot be read: {reason}")]
    Read {
        /// The source.
        name: String,
        /// The file.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A column that the file does not have.
    #[error("source `{name}` has no column `{column}`{hint}")]
    MissingColumn {
        /// The source.
        name: String,
        /// The column asked for.
        column: String,
        /// The nearest column.
        hint: String,
    },
    /// A value that its column's type cannot hold.
    #[error("source `{name}`, column `{column}`: row {row} is not {expected}, {advice}. got=`{got}`")]
    Value {
        /// The source.
        name: String,
        /// The column.
        column: String,
        /// 0-based row of the file, header not counted.
        row: u64,
        /// What it should be.
        expected: DataType,
        /// What to do.
        advice: String,
        /// What it is.
        got: Value,
    },
    /// A column that mixes numbers and text, used as a feature or label.
    #[error(
        "source `{name}`, column `{column}`: {numbers} values are numbers but row {row} is `{got}`; add it to `null_values`, \
         or declare `types = {{ {column} = \"string\" }}` if these are codes"
    )]
    MixedColumn {
        /// The source.
        name: String,
        /// The column.
        column: String,
        /// How many values are numbers.
        numbers: usize,
        /// 0-based row of the first that is not.
        row: u64,
        /// Its text.
        got: String,
    },
    /// An expression that does not fit the columns it is over.
    #[error("{place}: {error}")]
    Expression {
        /// Where it is written.
        place: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// A definition that makes no sense for this data.
    #[error("{place}: {reason}")]
    Definition {
        /// Where it is written.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The view's rows are not what it expects.
    #[error("view `{view}` is not written, its source is not as expected: {reason}")]
    Refused {
        /// The view.
        view: String,
        /// The checks that failed, with what was found.
        reason: String,
    },
    /// No row to learn from.
    #[error("there is nobody to learn from: {reason}")]
    NoRows {
        /// Why, and what to do.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("`{path}` cannot be written: {reason}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The online store refused.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// The frame engine failed where it should not.
    #[error("{place}: {reason}")]
    Engine {
        /// While doing what.
        place: String,
        /// Its message.
        reason: String,
    },
}

pub(crate) type Result<T, E = OfflineStoreError> = std::result::Result<T, E>;

/// `name` is unknown; `there_are` are the names that exist.
pub(crate) fn unknown<'a>(
    kind: &'static str,
    name: &str,
    there_are: impl IntoIterator<Item = &'a str>,
) -> OfflineStoreError {
    OfflineStoreError::Unknown {
        kind,
        name: name.to_owned(),
        hint: hint(name, there_are),
    }
}

pub(crate) fn missing_column<'a>(
    source: &str,
    column: &str,
    there_are: impl IntoIterator<Item = &'a str>,
) -> OfflineStoreError {
    OfflineStoreError::MissingColumn {
        name: source.to_owned(),
        column: column.to_owned(),
        hint: hint(column, there_are),
    }
}

pub(crate) fn definition(place: impl Into<String>, reason: impl Into<String>) -> OfflineStoreError {
    OfflineStoreError::Definition {
        place: place.into(),
        reason: reason.into(),
    }
}

pub(crate) fn engine(place: impl Into<String>, error: polars::prelude::PolarsError) -> OfflineStoreError {
    OfflineStoreError::Engine {
        place: place.into(),
        reason: error.to_string(),
    }
}
