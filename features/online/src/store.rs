//! What keeps the bytes: spaces of keys, one atomic primitive. Small, so that a further store is an evening's work.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use foretell_features::Timestamp;

/// What a change does to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Keep,
    /// These bytes from now on.
    Write(Vec<u8>),
    /// The key goes.
    Delete,
}

/// Told the position of a key and what is stored under it, says what is to be. It may be called again for the same key where
/// somebody else was quicker, so it answers the same to the same.
pub type Change = Arc<dyn Fn(usize, Option<&[u8]>) -> Result<Edit, OnlineError> + Send + Sync>;

/// Told the position of a key and what is stored under it.
pub type See<'a> = &'a mut (dyn FnMut(usize, Option<&[u8]>) -> Result<(), OnlineError> + Send);

/// Told each key of a space and its bytes; `false` ends the walk.
pub type Walk<'a> = &'a mut (dyn FnMut(&[u8], &[u8]) -> Result<bool, OnlineError> + Send);

/// Bytes by space and key. A space is there once something was written to it; reading one that is not finds nothing.
///
/// [`update`](OnlineStore::update) is atomic for each key and has returned only when what it wrote is as durable as the store
/// was asked to be. Rows, windows and versions are the business of [`OnlineFeatures`](crate::OnlineFeatures).
#[async_trait]
pub trait OnlineStore: Debug + Send + Sync {
    /// Shows what is stored under each key, in the order of the keys.
    async fn read(&self, space: &str, keys: &[Vec<u8>], see: See<'_>) -> Result<(), OnlineError>;

    /// Reads, decides and writes each key as one step; the answer counts the keys written or deleted. Keys are distinct.
    async fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: Change) -> Result<u64, OnlineError>;

    /// Shows every key of a space, in no particular order.
    async fn walk(&self, space: &str, see: Walk<'_>) -> Result<(), OnlineError>;

    /// The spaces that are there.
    async fn spaces(&self) -> Result<Vec<String>, OnlineError>;

    /// Forgets a whole space, without looking at its keys.
    async fn remove(&self, space: &str) -> Result<(), OnlineError>;

    /// Whether other processes may write as well.
    fn is_shared(&self) -> bool {
        false
    }

    /// Records of the space whose newest event ([`record::newest`](crate::record::newest)) is before the instant may be
    /// forgotten whenever it suits the store.
    async fn expire(&self, space: &str, before: Timestamp) -> Result<(), OnlineError>;
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct PutReport {
    /// Entities written.
    pub written: u64,
    /// Entities left as they are: the stored row is newer, the event was there already, or the entity was erased.
    pub kept: u64,
}

impl std::ops::AddAssign for PutReport {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.kept += other.kept;
    }
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
    /// The view is there, but not in the version that a model was trained on.
    #[error(
        "view `{view}` is in the online store, but not its version {version}; train the model again, or bring the old definition back and materialize"
    )]
    UnknownVersion {
        /// Which.
        view: String,
        /// The version asked for.
        version: String,
    },
    /// No view takes rows of the source.
    #[error("no view in the online store takes rows of source `{source_name}`; run `foretell features materialize`")]
    UnknownSource {
        /// Which.
        source_name: String,
    },
    /// A row that does not fit the view's schema.
    #[error("row does not fit view `{view}`: {reason}")]
    Schema {
        /// Which.
        view: String,
        /// In what way.
        reason: String,
    },
    /// A definition that cannot be compiled.
    #[error("view `{view}` cannot be used online: {reason}")]
    Definition {
        /// Which.
        view: String,
        /// Why.
        reason: String,
    },
    /// A window is asked for at an instant that lies too far in the past.
    #[error(
        "windows of view `{view}` cannot be read in the past: {reason}; `foretell features historical` answers for any instant"
    )]
    Past {
        /// Which.
        view: String,
        /// Since when they can.
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
