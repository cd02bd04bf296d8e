//! Is it alive, is it ready, what does it count.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use super::App;
use crate::metrics;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/health", get(health))
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    models: BTreeMap<String, ModelReadiness>,
}

#[derive(Serialize)]
struct ModelReadiness {
    /// The version that answers.
    version: Option<String>,
    /// Why the registered champion is not the one that answers.
    problem: Option<String>,
}

/// Feast's probe: the status is the answer.
async fn health(State(app): State<App>) -> StatusCode {
    readiness_status(app.service.is_ready())
}

async fn ready(State(app): State<App>) -> impl IntoResponse {
    let snapshot = app.service.snapshot();
    let model = |(name, entry): (&String, &crate::snapshot::Entry)| {
        let version = entry.champion.as_ref().map(|it| it.version.to_string());
        let problem = entry
            .problem
            .as_ref()
            .map(|it| format!("version {}: {}", it.version, it.message));
        (name.clone(), ModelReadiness { version, problem })
    };
    let readiness = Readiness {
        ready: snapshot.is_ready(),
        models: snapshot.models.iter().map(model).collect(),
    };
    (readiness_status(readiness.ready), Json(readiness))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics::render(&app.service),
    )
}

fn readiness_status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
