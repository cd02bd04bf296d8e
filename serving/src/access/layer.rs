//! The layer itself, the same for HTTP and gRPC but for what a refusal looks like.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use foretell_registry::Actor;
use futures::future::{Either, Ready, ready};
use serde_json::json;
use tower::{Layer, Service};

use super::needs::{self, Needs};
use super::{Access, Refusal};
use crate::error::ServeError;

/// Lets through what the token allows. Without [`Access`] it lets everything through: the server is for this machine only.
#[derive(Debug)]
pub(crate) struct AccessLayer<B> {
    access: Option<Arc<Access>>,
    wire: Wire<B>,
}

/// What differs between the wires.
#[derive(Debug)]
struct Wire<B> {
    needs: fn(&Method, &str) -> Needs,
    refuse: fn(&Refusal, &str) -> Response<B>,
}

/// The layer around HTTP routes.
pub(crate) fn over_http(access: Option<Arc<Access>>) -> AccessLayer<axum::body::Body> {
    let (needs, refuse) = (needs::http, refuse_http);
    AccessLayer {
        access,
        wire: Wire { needs, refuse },
    }
}

/// The layer around gRPC services.
pub(crate) fn over_grpc(access: Option<Arc<Access>>) -> AccessLayer<tonic::body::Body> {
    let (needs, refuse) = (needs::grpc, refuse_grpc);
    AccessLayer {
        access,
        wire: Wire { needs, refuse },
    }
}

fn refuse_http(refusal: &Refusal, path: &str) -> Response<axum::body::Body> {
    let error = ServeError::from(refusal);
    let status = error.codes().0;
    let mut response = match needs::is_mlflow(path) {
        true => (status, axum::Json(mlflow_error(status, &error))).into_response(),
        false => error.into_response(),
    };
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn mlflow_error(status: StatusCode, error: &ServeError) -> serde_json::Value {
    let code = match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        _ => "PERMISSION_DENIED",
    };
    json!({ "error_code": code, "message": error.to_string() })
}

fn refuse_grpc(refusal: &Refusal, _: &str) -> Response<tonic::body::Body> {
    tonic::Status::from(ServeError::from(refusal)).into_http()
}

impl From<&Refusal> for ServeError {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NoToken | Refusal::UnknownToken => Self::Unauthenticated(refusal.to_string()),
            Refusal::Role { .. } => Self::Forbidden(refusal.to_string()),
        }
    }
}

/// A service behind the layer.
#[derive(Debug)]
pub(crate) struct Guarded<S, B> {
    inner: S,
    access: Option<Arc<Access>>,
    wire: Wire<B>,
}

impl<S, B> Guarded<S, B> {
    fn admit<Q>(&self, request: &mut Request<Q>) -> Result<(), Refusal> {
        let Some(access) = &self.access else { return Ok(()) };
        let Some(allowed) = (self.wire.needs)(request.method(), request.uri().path()) else {
            return Ok(());
        };
        let actor = Actor(access.admit(request.headers(), allowed)?.actor.clone());
        request.extensions_mut().insert(actor);
        Ok(())
    }
}

impl<S, Q, B> Service<Request<Q>> for Guarded<S, B>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<B>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        match self.admit(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => {
                let refused = (self.wire.refuse)(&refusal, request.uri().path());
                Either::Right(ready(Ok(refused)))
            }
        }
    }
}

impl<S, B> Layer<S> for AccessLayer<B> {
    type Service = Guarded<S, B>;

    fn layer(&self, inner: S) -> Guarded<S, B> {
        Guarded {
            inner,
            access: self.access.clone(),
            wire: self.wire,
        }
    }
}

// Derived, these would ask the same of the body.
impl<B> Clone for Wire<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Wire<B> {}

impl<B> Clone for AccessLayer<B> {
    fn clone(&self) -> Self {
        Self {
            access: self.access.clone(),
            wire: self.wire,
        }
    }
}

impl<S: Clone, B> Clone for Guarded<S, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            access: self.access.clone(),
            wire: self.wire,
        }
    }
}
