//! The package becomes a version; `champion` moves only when every gate holds.

use std::collections::BTreeMap;

use foretell_features::Timestamp;
use foretell_inference::PackageFiles;
use foretell_registry::{
    Digest, Expected, Manifest, PackageFile, PromoteRequest, PublishRequest, Registry, RegistryError, Stamp,
};
use foretell_tracking::RunId;
use serde_json::json;

use crate::error::TrainError;
use crate::gate::GateResult;
use crate::report::TrainReport;

/// The alias of the version that serves.
pub const CHAMPION: &str = "champion";
/// The alias of the newest trained version.
pub const CHALLENGER: &str = "challenger";

/// What is to be published, and under which conditions it takes over.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The package.
    pub files: &'a PackageFiles,
    /// Kept as the version's metadata, with the gates.
    pub report: &'a TrainReport,
    /// The winner's hyperparameters: those given and those found.
    pub parameters: &'a BTreeMap<String, String>,
    /// How the gates went.
    pub gates: &'a [GateResult],
    /// The run in tracking that it came from.
    pub run: Option<&'a RunId>,
    /// Take over from a champion that is there.
    pub promote: bool,
    /// Who.
    pub actor: &'a str,
    /// When.
    pub time: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version's number.
    pub version: u64,
    /// Whether it is the champion now.
    pub promoted: bool,
}

/// The champion's version and files, where there is one.
///
/// # Errors
/// The registry cannot be read.
pub async fn champion(registry: &Registry, model: &str) -> Result<Option<(u64, PackageFiles)>, TrainError> {
    let state = match registry.model(model).await {
        Err(RegistryError::UnknownModel { .. } | RegistryError::NoRegistry { .. }) => return Ok(None),
        other => other?,
    };
    if !state.aliases().contains_key(CHAMPION) {
        return Ok(None);
    }
    let version = state.alias(CHAMPION)?;
    let files = registry.fetch(&version).await?;
    let files = files.into_iter().map(|it| (it.path, it.bytes.to_vec())).collect();
    Ok(Some((version.version, files)))
}

/// Registers the package as `challenger`. It becomes `champion` when all gates hold and there is no champion yet, or
/// `promote` is set; a champion that another run made meanwhile stays.
///
/// # Errors
/// The registry cannot be written. Nothing is visible then, or the version is and no alias but `challenger` moved.
pub async fn publish(registry: &Registry, it: Publication<'_>) -> Result<Published, TrainError> {
    let Publication { report, gates, .. } = it;
    let stamp = Stamp::new(it.actor, it.time.0).because("train");
    let mut request = PublishRequest::new(&report.model, package_files(it.files), stamp.clone());
    request.metadata = json!({ "report": report, "gates": gates, "hyperparameters": it.parameters });
    if let Some(run) = it.run {
        request.metadata["run_id"] = json!(run.as_str());
    }
    request.aliases = vec![CHALLENGER.to_owned()];
    let version = registry.publish(request).await?.version;
    let before = registry.model(&report.model).await?.aliases().get(CHAMPION).copied();
    let holds = gates.iter().all(|it| it.passed);
    if !(holds && (before.is_none() || it.promote)) {
        return Ok(Published {
            version,
            promoted: false,
        });
    }
    let mut promotion = PromoteRequest::new(&report.model, version, CHAMPION, stamp);
    promotion.expect = Some(Expected::from([(CHAMPION.to_owned(), before)]));
    promotion.evidence = json!({ "gates": gates, "metrics": report.metrics });
    match registry.promote(promotion).await {
        Ok(_) => Ok(Published {
            version,
            promoted: true,
        }),
        Err(RegistryError::Conflict { .. }) => Ok(Published {
            version,
            promoted: false,
        }),
        Err(error) => Err(error.into()),
    }
}

/// The digest that the registry gives the package.
///
/// # Errors
/// A file has a path that no package may have.
pub fn digest(files: &PackageFiles) -> Result<String, TrainError> {
    let manifest = Manifest::of(&package_files(files))?;
    let bytes = serde_json::to_vec(&manifest).expect("a manifest has only strings and numbers");
    Ok(Digest::of(&bytes).to_string())
}

fn package_files(files: &PackageFiles) -> Vec<PackageFile> {
    files
        .iter()
        .map(|(path, bytes)| PackageFile::new(path.clone(), bytes.clone()))
        .collect()
}
