//! gRPC: a tonic skin over the predict path, with health and reflection.

mod features;
mod native;
mod open_inference;

use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Response, Status};

use crate::access::{Access, over_grpc};
use crate::error::ServeError;
use crate::metrics::Route;
use crate::server::{Limits, stop_signal};
use crate::service::PredictService;

/// `foretell.v1` as generated from `proto/foretell/v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod foretell_v1 {
    tonic::include_proto!("foretell.v1");
}

/// `inference` as generated from the Open Inference Protocol.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod inference {
    tonic::include_proto!("inference");
}

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    service: PredictService,
    limits: Limits,
    access: Option<Arc<Access>>,
    stopped: watch::Receiver<bool>,
) {
    // The builder's own option does not reach sockets that were accepted outside of it.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (health, health_service) = tonic_health::server::health_reporter();
    let native = native::service(service.clone(), limits);
    let features = features::service(service.clone(), limits);
    let open_inference = open_inference::service(service.clone(), limits);
    health
        .set_service_status("foretell.v1.PredictionService", tonic_health::ServingStatus::Serving)
        .await;
    health
        .set_service_status("foretell.v1.FeatureService", tonic_health::ServingStatus::Serving)
        .await;
    health
        .set_service_status("inference.GRPCInferenceService", tonic_health::ServingStatus::Serving)
        .await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let same = "the descriptors are those that the code was generated from";
    let serve = Server::builder()
        .timeout(limits.time)
        .layer(over_grpc(access))
        .add_service(health_service)
        .add_service(reflection().build_v1().expect(same))
        // Python's client, and tools that follow it, know only this name.
        .add_service(reflection().build_v1alpha().expect(same))
        .add_service(native)
        .add_service(features)
        .add_service(open_inference)
        .serve_with_incoming_shutdown(incoming, stop_signal(stopped));
    if let Err(error) = serve.await {
        tracing::error!(%error, "gRPC ended");
    }
}

/// Counts a call and turns its error into a status.
fn answered<T>(
    service: &PredictService,
    route: Route,
    start: Instant,
    answer: Result<T, ServeError>,
) -> Result<Response<T>, Status> {
    let code = answer
        .as_ref()
        .map_or_else(|error| error.codes().0, |_| axum::http::StatusCode::OK);
    service.metrics().request(route, code, start.elapsed());
    answer.map(Response::new).map_err(Status::from)
}
