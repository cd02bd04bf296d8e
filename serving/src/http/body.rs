//! Bodies: read up to the limit, parsed with an error that says where.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::App;
use crate::error::ServeError;

/// The whole body. No content type is asked for: common clients send none.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<App> for Body {
    type Rejection = ServeError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ServeError> {
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|it| it.as_bytes() != b"identity") {
            let encoding = String::from_utf8_lossy(encoding.as_bytes());
            return Err(ServeError::MediaType(format!(
                "content encoding `{encoding}` is not read; send the body as it is"
            )));
        }
        match Bytes::from_request(request, app).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ServeError::TooLarge { limit: app.limits.body })
            }
            Err(error) => Err(ServeError::request(format!("the body cannot be read: {error}"))),
        }
    }
}

/// `{name}` segments of the path, decoded.
pub(crate) struct Segments(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = ServeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ServeError> {
        let path = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
        path.map(|it| Self(it.0))
            .map_err(|error| ServeError::request(error.to_string()))
    }
}

impl Segments {
    /// A segment; empty where the path has no such one.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }
}

impl Body {
    /// The body as JSON. Nesting is bounded by the parser.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ServeError> {
        json(&self.0)
    }
}

pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ServeError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ServeError::request(format!("the body is not what is expected: {error}")))
}
