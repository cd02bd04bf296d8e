//! What can go wrong in serving, and the one place that turns it into HTTP and gRPC codes.

use axum::http::StatusCode;
use foretell_features::{OfflineError, spelling};
use foretell_features_online::OnlineError;
use foretell_inference::InferenceError;
use foretell_registry::RegistryError;

/// Every failure of a request as a whole, or of starting the server. Rows that cannot be scored are no failure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What was asked for does not exist; the message names the nearest thing that does.
    #[error("{0}")]
    NotFound(String),
    /// The request is wrong; the message names the field and the fix.
    #[error("{0}")]
    Request(String),
    /// The body is longer than the server reads.
    #[error("the body is longer than {limit} bytes; send the rows in several requests")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The path exists, but not with this method.
    #[error("{path} does not answer {method}")]
    Method {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// The body is encoded in a way that is not read.
    #[error("{0}")]
    MediaType(String),
    /// No token, or one that is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// The token's holder may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// Not ready now, maybe later.
    #[error("{0}")]
    Unavailable(String),
    /// A version of another format, which says nothing about this server; the text is empty, or `: ` and the reason.
    #[error("it was registered in another format, so it is listed but not served{0}")]
    Foreign(String),
    /// This build cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// The request took too long.
    #[error("the request took longer than {seconds} s; send fewer rows at a time")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// The package, a row or the request does not fit the model.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The online store.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// The offline engine.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// The address is taken.
    #[error("port {port} is in use by another program; choose another with {flag} HOST:PORT, or stop that program")]
    PortInUse {
        /// The port.
        port: u16,
        /// `--http` or `--grpc`.
        flag: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}` ({reason}); set {flag} HOST:PORT")]
    Address {
        /// As given.
        address: String,
        /// What the system said.
        reason: String,
        /// `--http` or `--grpc`.
        flag: &'static str,
    },
    /// A fault of the server itself.
    #[error("{0}; this is a fault of the server, its log says more")]
    Internal(String),
}

impl ServeError {
    /// The HTTP status and the gRPC code: the only place that chooses them.
    pub fn codes(&self) -> (StatusCode, tonic::Code) {
        match self {
            Self::Request(_) => (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, tonic::Code::NotFound),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, tonic::Code::ResourceExhausted),
            Self::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, tonic::Code::InvalidArgument),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, tonic::Code::Unimplemented),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, tonic::Code::Unauthenticated),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, tonic::Code::PermissionDenied),
            Self::Unavailable(_) | Self::Foreign(_) => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
            Self::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, tonic::Code::Unimplemented),
            Self::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, tonic::Code::DeadlineExceeded),
            Self::Registry(it) if it.is_not_found() => (StatusCode::NOT_FOUND, tonic::Code::NotFound),
            Self::Registry(_) => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
            Self::Online(OnlineError::UnknownView { .. } | OnlineError::UnknownSource { .. }) => {
                (StatusCode::NOT_FOUND, tonic::Code::NotFound)
            }
            Self::Online(OnlineError::Schema { .. } | OnlineError::Past { .. }) => {
                (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument)
            }
            Self::Online(_) => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
            Self::Inference(InferenceError::UnknownSeries { .. }) => (StatusCode::NOT_FOUND, tonic::Code::NotFound),
            Self::Inference(
                InferenceError::MissingFile { .. }
                | InferenceError::Damaged { .. }
                | InferenceError::Format { .. }
                | InferenceError::Golden { .. }
                | InferenceError::GoldenLevel { .. },
            ) => (StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
            Self::Inference(_) => (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument),
            Self::Offline(_) | Self::PortInUse { .. } | Self::Address { .. } | Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, tonic::Code::Internal)
            }
        }
    }

    /// A wrong field of the request.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::Request(message.into())
    }
}

impl From<ServeError> for tonic::Status {
    fn from(error: ServeError) -> Self {
        tonic::Status::new(error.codes().1, error.to_string())
    }
}

/// `; did you mean ..`, or what there is, or nothing. A name longer than any of ours is not compared: that would take long.
pub(crate) fn hint<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    if wanted.len() > 200 {
        String::new()
    } else {
        spelling::hint(wanted, names)
    }
}
