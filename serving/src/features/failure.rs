//! Why a request for features failed, in the terms of Feast's clients.

use axum::http::StatusCode;
use foretell_features::ReferenceError;
use foretell_features_online::OnlineError;

use crate::error::ServeError;

/// A failed request. Feast's client raises `class` of its own errors with the message.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: tonic::Code,
    pub(crate) class: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// The client's mistake, without a class of its own. Not 500, which clients send again and again.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::raised(StatusCode::BAD_REQUEST, "FeastError", message)
    }

    /// A mistake that has a class.
    pub(crate) fn raised(status: StatusCode, class: &'static str, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => tonic::Code::NotFound,
            _ => tonic::Code::InvalidArgument,
        };
        Self {
            status,
            code,
            class,
            message: message.into(),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let (status, code) = error.codes();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = ?error, "a request failed");
        }
        Self {
            status,
            code,
            class: "FeastError",
            message: error.to_string(),
        }
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

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        tonic::Status::new(failure.code, failure.message)
    }
}
