//! Around every request: a time limit, a count, and a net under panics.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::App;
use crate::error::ServeError;
use crate::metrics::Route;

/// Counts the request and ends it when it takes too long. Materializing takes as long as it takes.
pub(crate) async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|it| it.as_str().to_owned());
    let route = path.as_deref().map_or(Route::Other, route_of);
    let response = match route {
        Route::Materialize => next.run(request).await,
        _ => limited(app.limits.time, next.run(request)).await,
    };
    let route = response.extensions().get::<Route>().copied().unwrap_or(route);
    app.service.metrics().request(route, response.status(), start.elapsed());
    response
}

/// One bad request never ends a connection, let alone the server.
pub(crate) async fn no_panic(request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| ServeError::Internal("the request could not be handled".to_owned()).into_response())
}

async fn limited(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    let timeout = |_| {
        ServeError::Timeout {
            seconds: limit.as_secs(),
        }
        .into_response()
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(timeout)
}

fn route_of(path: &str) -> Route {
    match path {
        "/v1/predict/{model}" => Route::Predict,
        "/get-online-features" => Route::OnlineFeatures,
        "/push" | "/write-to-online-store" | "/v1/ingest" => Route::Push,
        "/materialize" | "/materialize-incremental" | "/v1/materialize" => Route::Materialize,
        "/health" | "/healthz" | "/readyz" | "/metrics" | "/v1/models" => Route::Operations,
        _ if path.ends_with("/infer") => Route::Infer,
        _ if path.starts_with("/v2") => Route::OpenInference,
        _ => Route::Other,
    }
}
