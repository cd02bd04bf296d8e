//! Who changes something.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use foretell_registry::Stamp;

use crate::{Actor, now_micros};

/// The actor whom the access layer put into the request; `anonymous` without one.
#[derive(Debug, Clone)]
pub(crate) struct Caller(String);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let actor = parts.extensions.get::<Actor>();
        Ok(Self(
            actor.map_or_else(|| "anonymous".to_owned(), |Actor(name)| name.clone()),
        ))
    }
}

impl Caller {
    /// Who and when, for the registry's log.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::new(&self.0, now_micros()).because("through the MLflow API")
    }
}
