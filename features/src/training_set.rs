//! What training asks of the offline engine and what it gets: rows of features with labels, and series.

use crate::definition::FeatureRef;
use crate::label::{Cutoffs, LabelSpec, Population};
use crate::row::EntityKey;
use crate::table::Table;
use crate::time::{Span, Timestamp};
use crate::value::{DataType, Value};

/// Rows of entities at instants, to be joined with features as they were known then.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EntityFrame {
    /// One key per row; `None` (a null part) never matches.
    pub keys: Vec<Option<EntityKey>>,
    /// One instant per row.
    pub times: Vec<Timestamp>,
    /// Values only the caller knows, one row per row; a request column that is absent is null.
    pub request: Option<Table>,
}

/// What a tabular model learns from.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSetSpec {
    /// Whom.
    pub entity: String,
    /// From what, in this order.
    pub features: Vec<FeatureRef>,
    /// Left out of `features`.
    pub except: Vec<FeatureRef>,
    /// When; `None` for a row table, whose rows hold at every time.
    pub cutoffs: Option<Cutoffs>,
    /// Whom of the entity.
    pub population: Population,
    /// What happened afterwards.
    pub label: LabelSpec,
    /// The clock: no label looks beyond it.
    pub as_of: Timestamp,
}

/// Features and labels, one row per entity and cutoff: by cutoff, then by `appearance`; a row table in file order.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSet {
    /// Features in the order of the references, `view:*` in the view's order; no key, time or label among them.
    pub table: Table,
    /// The entity of each row.
    pub keys: Vec<EntityKey>,
    /// The cutoff of each row; `None` for a row table.
    pub cutoffs: Vec<Option<Timestamp>>,
    /// What is to be predicted: 0 or 1, or a number. Rows of a snapshot whose label is null are left out.
    pub label: Vec<f64>,
    /// The first instant that the label does not look at; `None` for a row table.
    pub label_end: Vec<Option<Timestamp>>,
    /// 0-based row in the label's file, for row tables and labels in a column; else empty.
    pub file_row: Vec<u64>,
    /// The entity's rank of first appearance in the label's source (file order, after `where`, before the cutoff). An entity
    /// has one rank at all cutoffs: the first cutoff ranks first, later ones add the entities that are new.
    pub appearance: Vec<u64>,
}

/// Regular series with what is known about them.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSet {
    /// Distance of two values.
    pub step: Span,
    /// The series, in the order of their keys.
    pub series: Vec<Series>,
    /// Names and types of the columns known for the future, in the order of the spec.
    pub known_types: Vec<(String, DataType)>,
    /// Names and types of the columns constant per series, in the order of the spec.
    pub static_types: Vec<(String, DataType)>,
}

/// One series on a regular grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its key, one part per key column; no part for a single series.
    pub key: EntityKey,
    /// Time of the first value.
    pub start: Timestamp,
    /// One value per step up to the last one known; gaps are NaN.
    pub values: Vec<f64>,
    /// Whether the step counts for error metrics; never a gap.
    pub judged: Vec<bool>,
    /// Column by column, one value per step; columns longer than `values` reach into the future.
    pub known: Vec<Vec<Value>>,
    /// One value per static column.
    pub statics: Vec<Value>,
    /// The first step of the test; training looks at the steps before it.
    pub test_start: usize,
}

impl EntityFrame {
    /// All keys at their times, without request values.
    ///
    /// # Panics
    /// If there is not one time per key, which is a bug of the caller.
    pub fn new(keys: Vec<Option<EntityKey>>, times: Vec<Timestamp>) -> Self {
        assert_eq!(keys.len(), times.len(), "one time per key");
        Self { keys, times, request: None }
    }
}

impl TrainingSet {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.label.len()
    }
}

impl Series {
    /// The instant of a step.
    pub fn time(&self, step: Span, at: usize) -> Timestamp {
        let steps = i64::try_from(at).unwrap_or(i64::MAX);
        self.start.plus(Span(step.0.saturating_mul(steps)))
    }
}
