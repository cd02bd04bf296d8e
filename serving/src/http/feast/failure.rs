//! Failures in Feast's shape, from which its clients raise the exception that is meant.
//!
//! Feast sends a JSON *string* that holds a JSON object of module, class and message; its client looks the class up and
//! raises it. What is wrong with the shape of a body comes as the `detail` of the framework that Feast is built on.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use foretell_features::ReferenceError;
use foretell_features_online::OnlineError;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::ServeError;
use crate::http::body::Body;
use crate::http::short;

/// Why a request of the feature server failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client raises `class` of `feast.errors` with the message.
    Raised {
        status: StatusCode,
        class: &'static str,
        message: String,
    },
    /// The body has not the shape of a request; `field` is what is missing.
    Shape { field: Option<String>, message: String },
    /// The views are being materialized already.
    Busy { views: Vec<String>, message: String },
}

impl Failure {
    /// The client's mistake, without a class of its own. Not 500, which clients send again and again.
    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::raised(StatusCode::BAD_REQUEST, "FeastError", message)
    }

    pub(super) fn raised(status: StatusCode, class: &'static str, message: impl Into<String>) -> Self {
        Self::Raised {
            status,
            class,
            message: message.into(),
        }
    }
}

/// The body of a request, or what is wrong with its shape.
pub(super) fn body<T: DeserializeOwned>(body: &Body) -> Result<T, Failure> {
    serde_json::from_slice(&body.0).map_err(|error| {
        let message = error.to_string();
        let field = message
            .strip_prefix("missing field `")
            .and_then(|it| it.split_once('`'));
        Failure::Shape {
            field: field.map(|it| it.0.to_owned()),
            message,
        }
    })
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let status = error.codes().0;
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?error, "a request failed");
        }
        Self::raised(status, "FeastError", error.to_string())
    }
}

impl From<OnlineError> for Failure {
    fn from(error: OnlineError) -> Self {
        ServeError::from(error).into()
    }
}

impl From<ReferenceError> for Failure {
    fn from(error: ReferenceError) -> Self {
        let class = match &error {
            ReferenceError::View { .. } => "FeatureViewNotFoundException",
            ReferenceError::Feature { .. } => "SpecifiedFeaturesNotPresentError",
            ReferenceError::Derived { .. } => "OnDemandFeatureViewNotFoundException",
            ReferenceError::Ambiguous { .. } | ReferenceError::Request { .. } => {
                return Self::request(error.to_string());
            }
        };
        Self::raised(StatusCode::NOT_FOUND, class, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Raised { status, class, message } => {
                let raised = json!({ "module": "feast.errors", "class": class, "message": short(message) });
                (status, Json(raised.to_string())).into_response()
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
