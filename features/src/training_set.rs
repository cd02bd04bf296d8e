//! What training asks of the offline engine and what it gets: rows of features with labels.

use crate::definition::FeatureRef;
use crate::label::{Cutoffs, LabelSpec, Population};
use crate::row::EntityKey;
use crate::table::Table;
use crate::time::Timestamp;

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

impl EntityFrame {
    /// All keys at their times, without request values.
    ///
    /// # Panics
    /// If there is not one time per key, which is a bug of the caller.
    pub fn new(keys: Vec<Option<EntityKey>>, times: Vec<Timestamp>) -> Self {
        assert_eq!(keys.len(), times.len(), "one time per key");
        Self {
            keys,
            times,
            request: None,
        }
    }
}

impl TrainingSet {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.label.len()
    }
}
