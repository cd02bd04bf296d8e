//! What serving may ask of the offline engine, without knowing it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::definition::{SourceName, ViewName};
use crate::erasure::{ErasureReceipt, ErasureRequest};
use crate::table::Table;
use crate::time::Timestamp;

/// What is to be written into the online store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaterializeRequest {
    /// These views; none named means all.
    pub views: Vec<ViewName>,
    /// Of latest values only rows that happened at this instant or later.
    pub from: Option<Timestamp>,
    /// Events up to this instant, inclusive. It may not lie after `now`.
    pub to: Timestamp,
    /// The clock.
    pub now: Timestamp,
    /// Only entities about which files have something new since the last time; files are told apart by name, size and age.
    pub incremental: bool,
}

/// What one materialization wrote for one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterializeReport {
    /// The view.
    pub view: ViewName,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Source rows read.
    pub rows_read: u64,
    /// Entities written.
    pub entities: u64,
    /// Entities about which there was nothing new, or that an interrupted run had written already.
    #[serde(default)]
    pub skipped: u64,
    /// The instant up to which events count.
    pub to: Timestamp,
}

/// A failure of the offline engine, in a sentence for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OfflineError(pub String);

/// The offline engine behind the server's `/materialize`. `foretell` hands in polars; `foretell-server` has none.
#[async_trait]
pub trait Offline: Send + Sync {
    /// Writes what the files say of the views into the online store.
    async fn materialize(&self, request: MaterializeRequest) -> Result<Vec<MaterializeReport>, OfflineError>;

    /// Adds rows to a source's files, columns as the source names them. The same rows again change nothing.
    async fn append(&self, source: &SourceName, rows: Table) -> Result<(), OfflineError>;

    /// Removes an entity from the online store and from every file of the project, and refuses or hides rows of it that come
    /// back. Asking again is harmless, and completes what was cut off.
    async fn erase(&self, request: &ErasureRequest) -> Result<ErasureReceipt, OfflineError>;
}
