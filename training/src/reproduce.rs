//! Training a version again from what its package says of its origin, and comparing bytes.

use std::collections::BTreeSet;
use std::path::Path;

use foretell_features_offline::OfflineStore;
use foretell_inference::manifest::MANIFEST_FILE;
use foretell_inference::{Lineage, Manifest, PackageFiles};
use foretell_registry::Digest;
use serde::Serialize;

use crate::definitions::recorded_definitions;
use crate::error::TrainError;
use crate::package::code;
use crate::progress::Progress;
use crate::publish::digest;
use crate::train::{TrainRequest, train};

/// Which package, and from what data.
#[derive(Clone, Copy)]
pub struct ReproduceRequest<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The version's package.
    pub files: &'a PackageFiles,
    /// Folder of the source files.
    pub data: &'a Path,
    /// Hears what is being done.
    pub progress: &'a dyn Progress,
}

/// How the two packages compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reproduction {
    /// Whether every byte is the same.
    pub equal: bool,
    /// Digest of the version's package.
    pub digest: String,
    /// Digest of the package made now.
    pub again: String,
    /// Every file of either.
    pub files: Vec<ComparedFile>,
    /// What may explain a difference.
    pub notes: Vec<String>,
}

/// One file of the two packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedFile {
    /// Its path in the package.
    pub path: String,
    /// Whether the bytes are the same.
    pub equal: bool,
    /// SHA-256 in the version; `None` where it lacks the file.
    pub recorded: Option<Digest>,
    /// SHA-256 now; `None` where the file is not made any more.
    pub again: Option<Digest>,
}

/// Trains a package again, from its own definitions, seed and clock. Registers nothing and writes nothing down.
///
/// # Errors
/// The package does not say enough of its origin, the data are not those of then ([`TrainError::DataChanged`]), or training
/// fails.
pub async fn reproduce(request: ReproduceRequest<'_>) -> Result<Reproduction, TrainError> {
    let lineage = lineage(&request)?;
    let recorded = recorded_definitions(request.model, request.files)?;
    let offline = OfflineStore::open(recorded.definitions, request.data)?;
    let again = train(TrainRequest {
        spec: &recorded.spec,
        offline: &offline,
        registry: None,
        tracking: None,
        seed: lineage.seed,
        as_of: lineage.as_of,
        now: lineage.as_of,
        promote: false,
        parity: None,
        actor: "",
        definitions: &recorded.texts,
        expect_data: Some(&lineage.data),
        progress: request.progress,
    })
    .await?;
    compared(request.files, &again.package, &lineage)
}

fn lineage(request: &ReproduceRequest<'_>) -> Result<Lineage, TrainError> {
    let refuse = |reason: String| TrainError::Request {
        model: request.model.to_owned(),
        reason,
    };
    let without = || {
        refuse(format!(
            "it has no {MANIFEST_FILE}: it was not trained here, so nothing says how it was made"
        ))
    };
    let manifest = request.files.get(MANIFEST_FILE).ok_or_else(without)?;
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| refuse(format!("its {MANIFEST_FILE} cannot be read: {error}")))?;
    match &manifest.lineage.imported {
        None => Ok(manifest.lineage),
        Some(from) => Err(refuse(format!(
            "it was imported from {} (`{}`), not trained here",
            from.origin, from.file
        ))),
    }
}

fn compared(recorded: &PackageFiles, again: &PackageFiles, lineage: &Lineage) -> Result<Reproduction, TrainError> {
    let paths: BTreeSet<&String> = recorded.keys().chain(again.keys()).collect();
    let of = |files: &PackageFiles, path: &str| files.get(path).map(|it| Digest::of(it));
    let file = |path: &String| {
        let (recorded, again) = (of(recorded, path), of(again, path));
        ComparedFile {
            path: path.clone(),
            equal: recorded == again,
            recorded,
            again,
        }
    };
    let files: Vec<ComparedFile> = paths.into_iter().map(file).collect();
    Ok(Reproduction {
        equal: files.iter().all(|it| it.equal),
        digest: digest(recorded)?,
        again: digest(again)?,
        files,
        notes: notes(lineage),
    })
}

fn notes(lineage: &Lineage) -> Vec<String> {
    let mut notes = Vec::new();
    if lineage.code != code() {
        notes.push(format!("it was trained by {}, this is {}", lineage.code, code()));
    }
    if !lineage.reproducible {
        notes.push("its package says that training it again need not give the same bytes".to_owned());
    }
    notes
}
