//! The Open Inference Protocol over REST, with Triton's binary tensors.

mod wire;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value as Tree, json};

use super::App;
use super::body::{Body, Segments};
use crate::error::ServeError;
use crate::oip::{self, Described};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/", get(server))
        .route(
            "/v2/health/live",
            get(|| async { Json(json!({ "live": true, "ready": true })) }),
        )
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/versions/{version}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer))
}

#[derive(Serialize)]
struct ModelAnswer {
    name: String,
    versions: Vec<String>,
    platform: String,
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    properties: Map<String, Tree>,
}

async fn server() -> Json<Tree> {
    Json(json!({ "name": "foretell", "version": env!("CARGO_PKG_VERSION"), "extensions": oip::EXTENSIONS }))
}

async fn ready(State(app): State<App>) -> Result<Json<Tree>, ServeError> {
    if app.service.is_ready() {
        return Ok(Json(json!({ "live": true, "ready": true })));
    }
    Err(ServeError::Unavailable(
        "not every champion is loaded; /readyz says which".to_owned(),
    ))
}

async fn model(State(app): State<App>, path: Segments) -> Result<Json<ModelAnswer>, ServeError> {
    let (name, version) = model_and_version(path);
    let servable = app.service.servable(&name, oip::wanted(&version)?.as_ref()).await?;
    let manifest = servable.manifest();
    let snapshot = app.service.snapshot();
    let versions = snapshot
        .entry(&name)?
        .state
        .versions()
        .map(|it| it.version.to_string())
        .collect();
    Ok(Json(ModelAnswer {
        versions,
        platform: oip::platform(manifest),
        inputs: oip::described_inputs(manifest),
        outputs: oip::described_outputs(manifest),
        properties: oip::properties(&servable),
        name,
    }))
}

async fn model_ready(State(app): State<App>, path: Segments) -> Result<Json<Tree>, ServeError> {
    let (name, version) = model_and_version(path);
    app.service.servable(&name, oip::wanted(&version)?.as_ref()).await?;
    Ok(Json(json!({ "name": name, "ready": true })))
}

async fn infer(State(app): State<App>, path: Segments, headers: HeaderMap, body: Body) -> Result<Response, ServeError> {
    let (name, version) = model_and_version(path);
    let asked = wire::read(&headers, &body.0)?;
    let id = asked.request.id.clone();
    let (response, tensors) = oip::infer(&app.service, &name, &version, asked.request).await?;
    Ok(wire::write(&response, id, &tensors, &asked.binary))
}

fn model_and_version(mut path: Segments) -> (String, String) {
    (path.take("model"), path.take("version"))
}
