//! What serving may ask of the offline engine, without knowing it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::definition::{SourceName, ViewName};
use crate::table::Table;
use crate::time::Timestamp;

/// What one materialization wrote for one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterializeReport {
    /// The view.
    pub view: ViewName,
    /// Source rows read.
    pub rows_read: u64,
    /// Entities written.
    pub entities: u64,
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
    /// Writes the views' rows as of `to` into the online store; no view named means all.
    async fn materialize(
        &self,
        views: &[ViewName],
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<Vec<MaterializeReport>, OfflineError>;

    /// Adds rows to a source's files, columns as the files name them. The same rows again change nothing.
    async fn append(&self, source: &SourceName, rows: Table) -> Result<(), OfflineError>;
}
