//! What every online store does, whatever keeps the bytes.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use foretell_features::{DataType, EntityKey, FeatureRow};

/// The features of a view as stored: names and types in slot order.
pub type ViewSchema = Vec<(String, DataType)>;

/// Rows as read, with the columns they have.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewRows {
    /// The same allocation for as long as the view's columns stay the same, so that readers may keep positions by pointer.
    pub columns: Arc<ViewSchema>,
    /// One per key.
    pub rows: Vec<Option<FeatureRow>>,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PutReport {
    /// Rows written.
    pub written: u64,
    /// Rows not written because the stored one is newer.
    pub kept: u64,
}

/// Every failure of an online store.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// The view was never defined here.
    #[error("view `{view}` is not in the online store; run `foretell features materialize {view}`")]
    UnknownView {
        /// Which.
        view: String,
    },
    /// A row that does not fit the view's schema.
    #[error("row does not fit view `{view}`: {reason}")]
    Schema {
        /// Which.
        view: String,
        /// In what way.
        reason: String,
    },
    /// Another process has it open.
    #[error("the online store `{path}` is open in another process; stop the server or send the command to it")]
    Locked {
        /// Where.
        path: String,
    },
    /// A stored row cannot be read.
    #[error("a stored row of view `{view}` is damaged: {reason}")]
    Damaged {
        /// Which.
        view: String,
        /// In what way.
        reason: String,
    },
    /// The disk or the network.
    #[error("the online store cannot be used: {reason}")]
    Storage {
        /// What happened and what to do.
        reason: String,
    },
}

/// Rows by view and entity key. Writes are monotone in event time, then known time: a late older row never replaces a newer
/// one, so retries are harmless. Of rows of the same time the last written stays, so that corrections count.
#[async_trait]
pub trait OnlineStore: Debug + Send + Sync {
    /// Declares a view's columns. The same again is a no-op; other columns drop the view's rows first.
    async fn define(&self, view: &str, columns: &ViewSchema) -> Result<(), OnlineError>;

    /// A view's columns, `None` where it was never defined.
    async fn schema(&self, view: &str) -> Result<Option<ViewSchema>, OnlineError>;

    /// Writes rows.
    async fn put(&self, view: &str, rows: Vec<(EntityKey, FeatureRow)>) -> Result<PutReport, OnlineError>;

    /// Reads rows with the columns they have: keys keep their order, repeated keys are answered each time.
    async fn read(&self, view: &str, keys: &[EntityKey]) -> Result<ViewRows, OnlineError>;

    /// The rows alone.
    async fn get(&self, view: &str, keys: &[EntityKey]) -> Result<Vec<Option<FeatureRow>>, OnlineError> {
        Ok(self.read(view, keys).await?.rows)
    }
}
