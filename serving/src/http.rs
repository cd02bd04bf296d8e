//! REST: an axum skin over the predict path. Every answer that is not a success is `{"error": ".."}`.

mod body;
mod domain;
mod feast;
mod native;
mod open_inference;
mod operations;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::access::{Access, over_http};
use crate::error::ServeError;
use crate::server::Limits;
use crate::service::PredictService;

pub(crate) use domain::field_of;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) service: PredictService,
    pub(crate) limits: Limits,
    pub(crate) materializing: feast::Materializing,
}

impl App {
    pub(crate) fn new(service: PredictService, limits: Limits) -> Self {
        Self {
            service,
            limits,
            materializing: feast::Materializing::default(),
        }
    }
}

/// The HTTP routes without a socket: for tests, and for programs that have a listener of their own.
pub fn routes(service: PredictService, limits: Limits, access: Option<Arc<Access>>, extra: Router) -> Router {
    router(App::new(service, limits), access, extra)
}

/// All routes; `extra` is mounted beside them and keeps its own limits. Without `access` everybody may do everything.
pub(crate) fn router(app: App, access: Option<Arc<Access>>, extra: Router) -> Router {
    let ours = Router::new()
        .route("/v1/predict/{model}", post(native::predict))
        .route("/v1/models", get(native::models))
        .route("/v1/views", get(native::views))
        .merge(open_inference::routes())
        .merge(feast::routes())
        .merge(operations::routes())
        .fallback(domain::endpoint)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(from_fn_with_state(app.clone(), watch::watch));
    let ours = ours.with_state(app);
    // The extra routes are asked first where they have the path, ours answer everything else.
    let all = extra.fallback_service(ours).layer(over_http(access));
    all.layer(from_fn(watch::no_panic))
}

async fn wrong_method(State(_): State<App>, request: Request) -> ServeError {
    ServeError::Method {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
    }
}

impl IntoResponse for ServeError {
    fn into_response(self) -> Response {
        let status = self.codes().0;
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?self, "a request failed");
        }
        (status, axum::Json(json!({ "error": short(self.to_string()) }))).into_response()
    }
}

/// Messages quote what was sent; they must not grow with it.
fn short(mut message: String) -> String {
    const LONGEST: usize = 2000;
    if message.len() > LONGEST {
        let cut = (0..=LONGEST)
            .rev()
            .find(|it| message.is_char_boundary(*it))
            .unwrap_or(0);
        message.truncate(cut);
        message.push_str(" ..");
    }
    message
}
