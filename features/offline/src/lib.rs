//! The offline engine: files to features, as they were known at any instant.
//!
//! polars reads files and evaluates expressions; it stays inside. Joins in time and windows are this crate's own: rows are
//! sorted once by entity and time, and each question is a binary search, so that memory never grows with questions times rows.
//! Models are not known here: a training set is a table, labels and the instants they belong to.

mod aggregate;
mod append;
mod column;
mod entity_batches;
mod erase;
mod error;
mod events;
mod file_table;
mod historical;
mod keys;
mod label;
mod lower;
mod materialize;
mod needs;
mod parity;
mod partitions;
mod place;
mod scan;
mod selection;
mod series_set;
mod sketch;
mod spill;
mod state;
mod statistics;
mod store;
mod training_set;
mod validate;
mod view;

pub use entity_batches::{BatchTotals, EntityBatch, EntityBatchSpec, EntityEvents};
pub use error::OfflineStoreError;
pub use file_table::{ReadOptions, read_table, read_table_with, write_parquet};
pub use foretell_features::{EntityFrame, Series, SeriesSet, TrainingSet, TrainingSetSpec};
pub use materialize::{MaterializeProgress, OfflineEngine};
pub use parity::{FeatureParity, ParityExample, ParityReport, ServedFeature, ServedRow};
pub use place::SourceFile;
pub use selection::{SelectedDerived, Selection, StoredFeature};
pub use statistics::{Bin, FeatureDrift, FeatureStatistics, NumberStatistics, TopValue, ViewStatistics, drift};
pub use store::{OfflineStore, SourceTable};
pub use validate::{CheckReport, ValidationReport};
