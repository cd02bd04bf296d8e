//! Versions that were not packaged here: model folders that an MLflow client registered. What is one of the formats that can
//! be imported becomes a package when it is loaded; what is not is listed with its reason, and nothing is ever executed.

use std::collections::BTreeMap;

use foretell_features::Timestamp;
use foretell_inference::import::import;
use foretell_inference::mlflow::{MLMODEL, MlflowModel};
use foretell_inference::packaging::{Arrival, package, sha256};
use foretell_inference::{InferenceError, PackageFiles};
use foretell_registry::{Manifest, ModelVersion, Registry};

use crate::error::ServeError;

/// The package that a version's files come to. Only the files that are needed are fetched: a pickle of gigabytes is not.
pub(crate) async fn fetch(
    registry: &Registry,
    version: &ModelVersion,
    listed: &Manifest,
) -> Result<PackageFiles, ServeError> {
    let is_listed = |path: &str| listed.files.iter().any(|it| it.path == path);
    if !is_listed(MLMODEL) {
        return Err(ServeError::Foreign(String::new()));
    }
    let said = registry.fetch_file(version, MLMODEL).await?;
    let said = MlflowModel::parse(&said.bytes).map_err(foreign)?;
    let file = said.file().map_err(foreign)?.to_owned();
    if !is_listed(&file) {
        return Err(ServeError::Foreign(format!(
            ": its {MLMODEL} names `{file}`, which is not among its files"
        )));
    }
    let bytes = registry.fetch_file(version, &file).await?.bytes;
    let arrival = Arrival {
        model: version.model.clone(),
        sha256: sha256(&bytes),
        at: Timestamp(version.created_at),
        seed: 0,
        file,
    };
    let made = tokio::task::spawn_blocking(move || packaged(&said, bytes.to_vec(), &arrival));
    made.await
        .unwrap_or_else(|error| Err(ServeError::Internal(format!("importing failed: {error}"))))
}

fn packaged(said: &MlflowModel, bytes: Vec<u8>, arrival: &Arrival) -> Result<PackageFiles, ServeError> {
    let files = BTreeMap::from([(arrival.file.clone(), bytes)]);
    let mut imported = import(&files, &arrival.file).map_err(foreign)?;
    said.name_inputs(&mut imported).map_err(foreign)?;
    package(imported, arrival).map_err(foreign)
}

fn foreign(error: InferenceError) -> ServeError {
    ServeError::Foreign(format!(": {error}"))
}
