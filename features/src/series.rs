//! Series: what a forecast looks at in place of entities and labels.

use crate::expression::Expression;
use crate::row::EntityKey;
use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};

/// A forecast names its series in place of entity, features and label.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSpec {
    /// The source.
    pub source: String,
    /// Key columns; empty for one series.
    pub key: Vec<String>,
    /// Time column.
    pub time: String,
    /// Value column.
    pub value: String,
    /// Distance of two values.
    pub step: Span,
    /// Steps ahead.
    pub horizon: usize,
    /// Columns known for the future as well.
    pub known: Vec<String>,
    /// Columns constant per series.
    pub statics: Vec<String>,
    /// Further static columns by key from another source (a store table); its key columns are named alike.
    pub statics_from: Option<String>,
    /// Rows that count for error metrics (`open = 1`), over the source's columns; others are trained on but not judged.
    pub judged: Option<Expression>,
    /// Season lengths in steps; empty lets training choose from the step (7 for days).
    pub seasons: Vec<usize>,
    /// How the test steps are chosen.
    pub test: ForecastTest,
}

/// How a forecast is tested.
#[derive(Debug, Clone, PartialEq)]
pub enum ForecastTest {
    /// The last `horizon` steps of each series.
    Last,
    /// Another source with the same columns.
    File(String),
    /// Rows whose column has this value.
    Column {
        /// Column.
        column: String,
        /// Its value on test rows.
        value: String,
    },
}

/// Series on a regular grid of `step`, as the offline engine hands them to forecasting.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSet {
    /// Distance of two values.
    pub step: Span,
    /// The series, by key.
    pub series: Vec<Series>,
    /// Names and types of the known covariates, in the order of [`Series::known`].
    pub known_types: Vec<(String, DataType)>,
    /// Names and types of the static attributes, in the order of [`Series::statics`].
    pub static_types: Vec<(String, DataType)>,
}

/// One series. Value `i` belongs to the instant `start + i * step`.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its key; empty for a single series.
    pub key: EntityKey,
    /// The instant of the first value.
    pub start: Timestamp,
    /// The values; a gap is NaN.
    pub values: Vec<f64>,
    /// Whether the value counts for error metrics, never a gap; as long as `values`.
    pub judged: Vec<bool>,
    /// One column per known covariate; may be longer than `values`: the known future.
    pub known: Vec<Vec<Value>>,
    /// One value per static attribute.
    pub statics: Vec<Value>,
    /// Position of the first test value; `values.len()` where none is tested.
    pub test_start: usize,
}
