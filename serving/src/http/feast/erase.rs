//! `POST /v1/erase`: an entity leaves the online store, the files and the request log; answered with the receipt.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use foretell_features::{ErasurePattern, ErasureReceipt, ErasureRequest, Value};
use serde::Deserialize;

use super::offline_engine;
use crate::error::ServeError;
use crate::http::App;
use crate::http::body::Body;

/// Whom to erase: key columns and their values.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    entity: BTreeMap<String, Value>,
    #[serde(default)]
    dry_run: bool,
}

pub(crate) async fn erase(State(app): State<App>, body: Body) -> Result<Json<ErasureReceipt>, ServeError> {
    let asked: Erase = body.json()?;
    let offline = offline_engine(&app)?;
    let dependencies = app.service.dependencies();
    let texts: Vec<(&str, String)> = asked
        .entity
        .iter()
        .map(|(name, it)| (name.as_str(), it.to_string()))
        .collect();
    let given = texts.iter().map(|(name, it)| (*name, it.as_str()));
    let request = ErasureRequest {
        pattern: ErasurePattern::parse(given, &dependencies.definitions).map_err(ServeError::Request)?,
        at: dependencies.clock.now(),
        dry_run: asked.dry_run,
    };
    if let Some(log) = dependencies.request_log.clone() {
        // Rows that still wait in memory would be written after the files were gone through. A thread that cannot be had
        // leaves them waiting; the log's own time limit writes them, and erasing again finds them.
        let _ = tokio::task::spawn_blocking(move || log.flush()).await;
    }
    Ok(Json(offline.erase(&request).await?))
}
