//! Failures in Feast's shape, from which its clients raise the exception that is meant.
//!
//! Feast sends a JSON *string* that holds a JSON object of module, class and message; its client looks the class up and
//! raises it. What is wrong with the shape of a body comes as the `detail` of the framework that Feast is built on.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::ServeError;
use crate::features::Failure;
use crate::http::body::Body;
use crate::http::short;

/// What a client is told.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client raises what is named.
    Raised(Failure),
    /// The body has not the shape of a request; `field` is what is missing.
    Shape { field: Option<String>, message: String },
    /// The views are being materialized already.
    Busy { views: Vec<String>, message: String },
}

/// The body of a request, or what is wrong with its shape.
pub(super) fn body<T: DeserializeOwned>(body: &Body) -> Result<T, Refusal> {
    serde_json::from_slice(&body.0).map_err(|error| {
        let message = error.to_string();
        let field = message
            .strip_prefix("missing field `")
            .and_then(|it| it.split_once('`'));
        Refusal::Shape {
            field: field.map(|it| it.0.to_owned()),
            message,
        }
    })
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Raised(failure)
    }
}

impl From<ServeError> for Refusal {
    fn from(error: ServeError) -> Self {
        Self::Raised(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Raised(it) => {
                let raised = json!({ "module": "feast.errors", "class": it.class, "message": short(it.message) });
                (it.status, Json(raised.to_string())).into_response()
            }
            Self::Shape { field, message } => {
                let kind = if field.is_some() { "missing" } else { "value_error" };
                let place: Vec<String> = std::iter::once("body".to_owned()).chain(field).collect();
                let detail = json!({ "detail": [{ "type": kind, "loc": place, "msg": short(message) }] });
                (StatusCode::UNPROCESSABLE_ENTITY, Json(detail)).into_response()
            }
            Self::Busy { views, message } => {
                let busy = json!({ "error": message, "feature_views": views });
                (StatusCode::CONFLICT, Json(busy)).into_response()
            }
        }
    }
}
