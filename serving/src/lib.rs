//! Serving: predictions over REST and gRPC from packages of the registry, through one predict path.
//!
//! [`PredictService`] is that path, without sockets; [`start`] puts it on the wire. A model is data here: nothing in this
//! crate names a domain, trains, or reads the offline store. What a champion is, the registry says; the server follows it.

mod access;
mod arrived;
mod clock;
mod endpoints;
mod error;
mod features;
pub mod grpc;
mod http;
mod lease;
mod metrics;
mod oip;
mod plan;
mod predict;
mod read;
mod request;
mod request_log;
mod response;
mod servable;
mod server;
mod service;
mod snapshot;

pub use access::{Access, AccessToken, Role, TokenHash};
pub use clock::Clock;
pub use error::ServeError;
pub use http::routes;
pub use request::{PredictRequest, Row};
pub use request_log::{LogLimits, RequestLog};
pub use response::{Interval, PredictResponse, Prediction, ReasonAnswer, RowStatus, StepAnswer};
pub use servable::Servable;
pub use server::{Limits, RunningServer, ServerSettings, start};
pub use service::{Dependencies, PredictService};
pub use snapshot::RefreshReport;
