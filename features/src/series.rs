//! Series: what a forecast looks at in place of entities and labels.

use crate::expression::Expression;
use crate::time::Span;

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
