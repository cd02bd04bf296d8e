//! The native API: `POST /v1/predict/{model}` and the list of models.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::App;
use super::body::{Body, Segments};
use crate::error::ServeError;
use crate::request::PredictRequest;
use crate::response::PredictResponse;

/// The longest request id that is taken over.
const LONGEST_ID: usize = 128;

/// One model of the list.
#[derive(Serialize)]
pub(crate) struct ModelAnswer {
    name: String,
    /// The version that answers; absent where the model has no champion or it cannot be loaded.
    version: Option<String>,
    digest: Option<String>,
    task: Option<foretell_inference::Task>,
    algorithm: Option<String>,
    aliases: BTreeMap<String, u64>,
    versions: Vec<u64>,
    endpoints: Vec<String>,
    problem: Option<String>,
}

pub(crate) async fn predict(
    State(app): State<App>,
    mut path: Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PredictResponse>, ServeError> {
    let request: PredictRequest = body.json()?;
    let request = PredictRequest {
        request_id: request_id(&headers),
        ..request
    };
    app.service.predict(&path.take("model"), request).await.map(Json)
}

pub(crate) async fn models(State(app): State<App>) -> Json<Vec<ModelAnswer>> {
    let snapshot = app.service.snapshot();
    let model = |(name, entry): (&String, &crate::snapshot::Entry)| {
        let champion = entry.champion.as_ref();
        let manifest = champion.map(|it| it.manifest());
        ModelAnswer {
            name: name.clone(),
            version: champion.map(|it| it.version.to_string()),
            digest: champion.map(|it| it.digest.clone()),
            task: manifest.map(|it| it.task),
            algorithm: manifest.map(|it| it.algorithm.clone()),
            aliases: entry.state.aliases().clone(),
            versions: entry.state.versions().map(|it| it.version).collect(),
            endpoints: manifest.map_or_else(Vec::new, |it| it.endpoints.iter().map(|it| it.path.clone()).collect()),
            problem: entry.problem.as_ref().map(|it| it.message.clone()),
        }
    };
    Json(snapshot.models.iter().map(model).collect())
}

/// One view version of the list.
#[derive(Serialize)]
pub(crate) struct ViewAnswer {
    id: String,
    /// Whether it is the version that its view has now; others are there for models trained on them.
    current: bool,
    definition: foretell_features::ViewDefinition,
}

pub(crate) async fn views(State(app): State<App>) -> Json<Vec<ViewAnswer>> {
    let online = &app.service.dependencies().online;
    let view = |it: &std::sync::Arc<foretell_features_online::OnlineView>| ViewAnswer {
        id: it.id.to_string(),
        current: online.current(&it.id.view).is_some_and(|current| current.id == it.id),
        definition: it.definition.clone(),
    };
    Json(online.views().iter().map(view).collect())
}

/// The caller's name for the request, for the log.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    (id.len() <= LONGEST_ID).then(|| id.to_owned())
}
