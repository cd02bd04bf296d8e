//! A version of a model, loaded and warmed: what answers requests until another takes its place.

use std::sync::Arc;

use foretell_inference::manifest::MANIFEST_FILE;
use foretell_inference::{Manifest, Model, PackageFiles, Task};
use foretell_registry::{ModelVersion, Registry};

use crate::arrived;
use crate::error::ServeError;
use crate::plan::RowPlan;
use crate::read::Positions;

/// A loaded version. Immutable; requests that run on it finish on it.
#[derive(Debug)]
pub struct Servable {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) digest: String,
    pub(crate) model: Model,
    /// Names of the classes, shared by all answers.
    pub(crate) classes: Vec<Arc<str>>,
    /// `None` for forecasts.
    pub(crate) rows: Option<RowSide>,
}

/// What only row models have.
#[derive(Debug)]
pub(crate) struct RowSide {
    pub(crate) plan: RowPlan,
    pub(crate) positions: Positions,
}

impl Servable {
    /// Fetches a version, checks its digests, replays its golden rows (which also warms it), off the I/O threads.
    pub(crate) async fn load(registry: &Registry, version: &ModelVersion) -> Result<Self, ServeError> {
        let listed = registry.manifest(version).await?;
        let files: PackageFiles = match listed.files.iter().any(|it| it.path == MANIFEST_FILE) {
            true => {
                let files = registry.fetch(version).await?;
                files.into_iter().map(|it| (it.path, it.bytes.to_vec())).collect()
            }
            false => arrived::fetch(registry, version, &listed).await?,
        };
        let version = version.clone();
        let load = tokio::task::spawn_blocking(move || Self::from_files(&version, &files));
        load.await
            .unwrap_or_else(|error| Err(ServeError::Internal(format!("loading failed: {error}"))))
    }

    fn from_files(version: &ModelVersion, files: &PackageFiles) -> Result<Self, ServeError> {
        let model = Model::load(files)?;
        let manifest = model.manifest();
        if manifest.model != version.model {
            let reason = format!("it is a package of model `{}`", manifest.model);
            return Err(ServeError::Unavailable(format!(
                "version {version} cannot be served: {reason}"
            )));
        }
        let rows = match manifest.task {
            Task::Forecast => None,
            _ => {
                let plan = RowPlan::compile(manifest)?;
                Some(RowSide {
                    positions: Positions::of(&plan),
                    plan,
                })
            }
        };
        let (name, digest) = (version.model.clone(), version.digest.to_string());
        let classes = manifest.classes.iter().map(|it| it.as_str().into()).collect();
        Ok(Self {
            name,
            version: version.version,
            digest,
            model,
            classes,
            rows,
        })
    }

    /// The package's manifest.
    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// Its version number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The digest of its package.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it is that version of that very package.
    pub(crate) fn is(&self, version: &ModelVersion) -> bool {
        self.version == version.version && self.digest == version.digest.to_string()
    }
}
