//! Logged models as far as registering a version of one needs them.

use foretell_tracking::{LoggedModel, ModelId};
use serde_json::{Value, json};

use crate::Stores;
use crate::error::ApiError;

/// The tag of a logged model that names the versions made of it.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// # Errors
/// 404 when there is none of this id.
pub(crate) async fn logged_model(stores: &Stores, id: &str) -> Result<LoggedModel, ApiError> {
    let id: ModelId = id
        .parse()
        .map_err(|_| ApiError::absent(format!("Logged model with ID '{id}' not found.")))?;
    Ok(stores.tracking.logged_model(&id, false).await?)
}

/// Notes on the logged model that this version was made of it.
///
/// # Errors
/// As [`logged_model`]; the version is there all the same.
pub(crate) async fn note_version(stores: &Stores, id: &str, name: &str, version: u64) -> Result<(), ApiError> {
    let model = logged_model(stores, id).await?;
    let noted = model.tags.get(VERSIONS_TAG);
    let mut all: Vec<Value> = noted.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let this = json!({ "name": name, "version": version });
    if !all.contains(&this) {
        all.push(this);
    }
    let tag = (VERSIONS_TAG.to_owned(), Value::Array(all).to_string());
    Ok(stores.tracking.set_logged_model_tags(&model.id, &[tag]).await?)
}
