//! `/materialize` and `/materialize-incremental` ask the offline engine to fill the online store, now or in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use foretell_features::{MaterializeReport, MaterializeRequest, Offline, Timestamp, ViewName};
use serde::Deserialize;
use serde_json::json;

use super::refusal::{self, Refusal};
use crate::error::ServeError;
use crate::features::{Failure, view};
use crate::http::App;
use crate::http::body::Body;

/// A client whose clock is ahead by less than this means now.
const CLOCK_SKEW: foretell_features::Span = foretell_features::Span(60_000_000);

#[derive(Deserialize)]
struct Asked {
    start_ts: Option<String>,
    end_ts: Option<String>,
    feature_views: Option<Vec<String>>,
    #[serde(default)]
    disable_event_timestamp: bool,
    /// `/v1/materialize` only: files that were read before are passed over.
    #[serde(default)]
    incremental: bool,
}

/// Feast's query: in the background, and even where the views are marked as being materialized.
#[derive(Deserialize)]
pub(crate) struct How {
    #[serde(default, rename = "async")]
    background: bool,
    #[serde(default)]
    force: bool,
}

/// The views that are being materialized, and how often.
#[derive(Debug, Clone, Default)]
pub(crate) struct Materializing(Arc<Mutex<BTreeMap<ViewName, usize>>>);

/// Marks views for as long as it lives.
struct Marked {
    all: Materializing,
    views: Vec<ViewName>,
}

/// What is to be done, checked.
struct Job {
    request: MaterializeRequest,
    engine: Arc<dyn Offline>,
}

pub(crate) async fn materialize(
    State(app): State<App>,
    Query(how): Query<How>,
    body: Body,
) -> Result<Response, Refusal> {
    let asked: Asked = refusal::body(&body)?;
    // Feast reads neither time where `disable_event_timestamp` says so.
    let from = match (&asked.start_ts, asked.disable_event_timestamp) {
        (_, true) => None,
        (Some(text), false) => Some(time("start_ts", text)?),
        (None, false) => return Err(Failure::request("missing `start_ts`; send an ISO time").into()),
    };
    Job::of(&app, &asked, from, false)?.answer(&app, &how).await
}

pub(crate) async fn materialize_incremental(
    State(app): State<App>,
    Query(how): Query<How>,
    body: Body,
) -> Result<Response, Refusal> {
    Job::of(&app, &asked_or_empty(&body)?, None, true)?
        .answer(&app, &how)
        .await
}

/// `POST /v1/materialize`: the same, `start_ts` optional, answered with what was written; the command line's way to the store
/// while a server has it.
pub(crate) async fn materialize_with_report(
    State(app): State<App>,
    body: Body,
) -> Result<Json<Vec<MaterializeReport>>, Refusal> {
    let asked = asked_or_empty(&body)?;
    let from = asked.start_ts.as_deref().map(|it| time("start_ts", it)).transpose()?;
    Ok(Json(Job::of(&app, &asked, from, asked.incremental)?.run(&app).await?))
}

fn asked_or_empty(body: &Body) -> Result<Asked, Refusal> {
    if body.0.is_empty() {
        return refusal::body(&Body(bytes::Bytes::from_static(b"{}")));
    }
    refusal::body(body)
}

impl Job {
    fn of(app: &App, asked: &Asked, from: Option<Timestamp>, incremental: bool) -> Result<Self, Refusal> {
        let dependencies = app.service.dependencies();
        let now = dependencies.clock.now();
        let end = asked.end_ts.as_deref().filter(|_| !asked.disable_event_timestamp);
        let to = end.map_or(Ok(now), |it| time("end_ts", it))?;
        if to > now.plus(CLOCK_SKEW) {
            let message = format!(
                "`end_ts` {to} is in the future, where nothing has happened; the server's clock says {now}, send no later time"
            );
            return Err(Failure::request(message).into());
        }
        let mut views = Vec::new();
        for name in asked.feature_views.iter().flatten() {
            views.push(view(&dependencies.definitions, name)?.name.clone());
        }
        Ok(Self {
            request: MaterializeRequest {
                views,
                from,
                to: to.min(now),
                now,
                incremental,
            },
            engine: super::offline_engine(app)?,
        })
    }

    async fn answer(self, app: &App, how: &How) -> Result<Response, Refusal> {
        if !how.background {
            self.run(app).await?;
            return Ok(Json(()).into_response());
        }
        let views = self.all_views(app);
        let marked = app.materializing.mark(&views, how.force)?;
        let job = tokio::spawn(async move {
            let _marked = marked;
            self.engine.materialize(self.request).await
        });
        tokio::spawn(async move {
            match job.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(%error, "materializing in the background failed"),
                Err(error) => tracing::error!(%error, "materializing in the background ended early"),
            }
        });
        let accepted = json!({ "status": "accepted", "feature_views": views });
        Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
    }

    /// Now. Writes are idempotent, so that two at once do no harm; who asks for the background is told.
    async fn run(self, app: &App) -> Result<Vec<MaterializeReport>, Refusal> {
        let _marked = app.materializing.mark(&self.all_views(app), true)?;
        let reports = self.engine.materialize(self.request).await;
        Ok(reports.map_err(ServeError::from)?)
    }

    fn all_views(&self, app: &App) -> Vec<ViewName> {
        match self.request.views.as_slice() {
            [] => app.service.dependencies().definitions.views.keys().cloned().collect(),
            named => named.to_vec(),
        }
    }
}

impl Materializing {
    fn mark(&self, views: &[ViewName], force: bool) -> Result<Marked, Refusal> {
        let mut all = self.lock();
        let busy: Vec<ViewName> = views.iter().filter(|it| all.contains_key(*it)).cloned().collect();
        if !force && !busy.is_empty() {
            let names = busy.join(", ");
            let message = format!("{names} is being materialized; wait until it is done, or send force=true");
            return Err(Refusal::Busy { views: busy, message });
        }
        for view in views {
            *all.entry(view.clone()).or_default() += 1;
        }
        Ok(Marked {
            all: self.clone(),
            views: views.to_vec(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ViewName, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for view in &self.views {
            if let Some(count) = all.get_mut(view) {
                *count -= 1;
            }
        }
        all.retain(|_, count| *count > 0);
    }
}

fn time(field: &str, text: &str) -> Result<Timestamp, Failure> {
    text.parse()
        .map_err(|error| Failure::request(format!("`{field}`: {error}")))
}
