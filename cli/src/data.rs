//! The source files held against the definitions: what is missing, and what does not fit.

use std::path::Path;

use foretell_features::Definitions;
use foretell_features_offline::{OfflineStore, OfflineStoreError};

/// One thing about the files.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The file is not there (yet); anything else is a definition that does not fit its file.
    pub missing: bool,
    /// In a sentence.
    pub says: String,
}

/// Reads every source and types every view; nothing found is all well.
pub(crate) fn findings(definitions: &Definitions, folder: &Path) -> Vec<Finding> {
    let offline = match OfflineStore::open(definitions.clone(), folder) {
        Ok(offline) => offline,
        Err(error) => return vec![finding(&error)],
    };
    let mut found = Vec::new();
    let mut broken = Vec::new();
    for source in definitions.sources.keys() {
        if let Err(error) = offline.source_schema(source) {
            broken.push(source);
            found.push(finding(&error));
        }
    }
    for view in definitions.views.values().filter(|it| !broken.contains(&&it.source)) {
        found.extend(offline.view_schema(&view.name).err().map(|error| finding(&error)));
        found.extend(
            offline
                .check_expectations(&view.name)
                .err()
                .map(|error| finding(&error)),
        );
    }
    found
}

fn finding(error: &OfflineStoreError) -> Finding {
    Finding {
        missing: matches!(error, OfflineStoreError::MissingFile { .. }),
        says: error.to_string(),
    }
}
