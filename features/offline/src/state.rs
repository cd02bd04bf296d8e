//! The folder where a project keeps what is no source: quarantined rows, statistics, erasures (`.foretell`).

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use foretell_features::Timestamp;

use crate::error::{OfflineStoreError, Result};

/// `2026-06-30T00-00-00Z`: no colons, which some file systems refuse.
pub(crate) fn file_name(at: Timestamp) -> String {
    at.to_string().replace(':', "-")
}

/// Writes a file that appears whole or not at all, and stays after a power cut; folders are made.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = (|| {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error: std::io::Error| OfflineStoreError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}
