//! What a client is told when something is wrong, in MLflow's words where its clients look at them.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use foretell_registry::RegistryError;
use serde_json::json;

/// The codes of MLflow that we answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub enum ErrorCode {
    InvalidParameterValue,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    EndpointNotFound,
    ResourceConflict,
    PermissionDenied,
    NotImplemented,
    InvalidState,
    DataLoss,
    InternalError,
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The name on the wire and the status that goes with it.
    pub fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidParameterValue => ("INVALID_PARAMETER_VALUE", StatusCode::BAD_REQUEST),
            Self::ResourceAlreadyExists => ("RESOURCE_ALREADY_EXISTS", StatusCode::BAD_REQUEST),
            Self::ResourceDoesNotExist => ("RESOURCE_DOES_NOT_EXIST", StatusCode::NOT_FOUND),
            Self::EndpointNotFound => ("ENDPOINT_NOT_FOUND", StatusCode::NOT_FOUND),
            Self::ResourceConflict => ("RESOURCE_CONFLICT", StatusCode::CONFLICT),
            Self::PermissionDenied => ("PERMISSION_DENIED", StatusCode::FORBIDDEN),
            Self::NotImplemented => ("NOT_IMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
            Self::InvalidState => ("INVALID_STATE", StatusCode::INTERNAL_SERVER_ERROR),
            Self::DataLoss => ("DATA_LOSS", StatusCode::INTERNAL_SERVER_ERROR),
            Self::InternalError => ("INTERNAL_ERROR", StatusCode::INTERNAL_SERVER_ERROR),
            Self::TemporarilyUnavailable => ("TEMPORARILY_UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// An answer other than 200.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// What is wrong, for the user of the client.
    pub message: String,
}

pub(crate) type ApiResult = Result<axum::Json<serde_json::Value>, ApiError>;

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameterValue, message)
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::invalid(format!("Missing value for required parameter '{parameter}'.{SEE}"))
    }

    pub(crate) fn exists(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceAlreadyExists, message)
    }

    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, message)
    }
}

/// MLflow ends its messages about parameters so.
pub(crate) const SEE: &str = " See the API docs for more information about request parameters.";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (name, status) = self.code.parts();
        let body = json!({ "error_code": name, "message": self.message });
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// For every path under our prefixes that is not served.
pub(crate) async fn no_endpoint(uri: Uri) -> ApiError {
    ApiError::new(
        ErrorCode::EndpointNotFound,
        format!("this server has no endpoint {}", uri.path()),
    )
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        use RegistryError as E;
        match &error {
            E::UnknownModel { name, .. } => Self::absent(format!("Registered Model with name={name} not found")),
            E::UnknownVersion { model, version, .. } => {
                Self::absent(format!("Model Version (name={model}, version={version}) not found"))
            }
            E::UnknownAlias { alias, .. } => Self::invalid(format!("Registered model alias {alias} not found.")),
            E::AlreadyExists { name } => Self::exists(format!("Registered Model (name={name}) already exists.")),
            E::InvalidName { message } => Self::invalid(message.clone()),
            E::Conflict { .. } => Self::new(ErrorCode::ResourceConflict, error.to_string()),
            E::Storage { .. } => {
                log_causes(&error);
                Self::new(ErrorCode::TemporarilyUnavailable, error.to_string())
            }
            E::Untrusted { .. } => Self::new(ErrorCode::PermissionDenied, error.to_string()),
            E::Corrupt { what, .. } => {
                tracing::error!(%error, "an MLflow request met damage");
                let message = format!("{what} is damaged in the registry's store; the server's log says where");
                Self::new(ErrorCode::DataLoss, message)
            }
            it if it.is_not_found() => Self::absent(error.to_string()),
            _ => internal(&error),
        }
    }
}

/// The log gets the causes; the client does not: they may name paths and hosts.
pub(crate) fn internal(error: &dyn std::error::Error) -> ApiError {
    let causes = log_causes(error);
    let busy = causes
        .iter()
        .any(|it| it.contains("database is locked") || it.contains("pool timed out"));
    let code = if busy {
        ErrorCode::TemporarilyUnavailable
    } else {
        ErrorCode::InternalError
    };
    ApiError::new(code, "the server could not do this; its log says why")
}

pub(crate) fn log_causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    tracing::error!(causes = causes.join(": "), "an MLflow request failed");
    causes
}
