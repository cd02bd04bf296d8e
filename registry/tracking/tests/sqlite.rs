//! The suite of all stores, on SQLite: a file of its own for each test.

mod suite;

use std::ops::Deref;
use std::path::Path;

use foretell_tracking::Tracking;
use tempfile::TempDir;

const URL: &str = "sqlite:deep/tracking.db";

pub(crate) struct Store {
    tracking: Tracking,
    folder: TempDir,
}

impl Store {
    /// What opens it once more.
    pub(crate) fn address(&self) -> (&str, &Path) {
        (URL, self.folder.path())
    }
}

impl Deref for Store {
    type Target = Tracking;

    fn deref(&self) -> &Tracking {
        &self.tracking
    }
}

/// A new store; the suite is skipped where there is none.
pub(crate) async fn opened() -> Option<Store> {
    let folder = TempDir::new().unwrap();
    let tracking = Tracking::open(URL, folder.path()).await.unwrap();
    Some(Store { tracking, folder })
}
