//! `foretell.v1.FeatureService`: features read, pushed and streamed in.

use std::collections::BTreeSet;
use std::time::Instant;

use foretell_features::Value;
use foretell_features_online::SourceRows;
use futures::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::foretell_v1 as pb;
use super::foretell_v1::feature_service_server::{FeatureService, FeatureServiceServer};
use super::native::{pb_value, row};
use crate::features::{self, Asked, Columns, Failure};
use crate::metrics::Route;
use crate::request::Row;
use crate::server::Limits;
use crate::service::PredictService;

/// Rows of one batch: what is in flight of one stream, beside what the connection's own window holds.
const BATCH: usize = 10_000;

pub(super) fn service(service: PredictService, limits: Limits) -> FeatureServiceServer<Features> {
    let server = FeatureServiceServer::new(Features { service });
    server
        .max_decoding_message_size(limits.body)
        .max_encoding_message_size(usize::MAX)
}

pub(super) struct Features {
    service: PredictService,
}

#[tonic::async_trait]
impl FeatureService for Features {
    async fn get_online_features(
        &self,
        request: Request<pb::GetOnlineFeaturesRequest>,
    ) -> Result<Response<pb::GetOnlineFeaturesResponse>, Status> {
        let start = Instant::now();
        let answer = features::online_features(&self.service, &asked(request.into_inner())).await;
        self.answered(Route::GrpcFeatures, start, answer.map(written))
    }

    async fn push(&self, request: Request<pb::PushRequest>) -> Result<Response<pb::PushResponse>, Status> {
        let start = Instant::now();
        let request = request.into_inner();
        let rows = source_rows(request.rows);
        let accepted = rows.rows.len() as u64;
        let pushed = features::push(&self.service, &request.source, &rows).await;
        self.answered(Route::GrpcPush, start, pushed.map(|()| pb::PushResponse { accepted }))
    }

    type IngestStream = BoxStream<'static, Result<pb::IngestResponse, Status>>;

    /// The answers pull the batches: while nobody reads them, nothing is read of what is sent.
    async fn ingest(
        &self,
        request: Request<Streaming<pb::IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let state = (request.into_inner(), self.service.clone());
        let answers = stream::try_unfold(state, |(mut batches, service)| async move {
            match batches.message().await? {
                None => Ok(None),
                Some(batch) => {
                    let start = Instant::now();
                    let answer = take(&service, batch).await;
                    let answer = counted(&service, Route::GrpcPush, start, answer)?;
                    Ok(Some((answer, (batches, service))))
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}

impl Features {
    fn answered<T>(&self, route: Route, start: Instant, answer: Result<T, Failure>) -> Result<Response<T>, Status> {
        counted(&self.service, route, start, answer).map(Response::new)
    }
}

fn counted<T>(service: &PredictService, route: Route, start: Instant, answer: Result<T, Failure>) -> Result<T, Status> {
    let status = answer
        .as_ref()
        .map_or_else(|failure| failure.status, |_| axum::http::StatusCode::OK);
    service.metrics().request(route, status, start.elapsed());
    answer.map_err(Status::from)
}

async fn take(service: &PredictService, batch: pb::IngestRequest) -> Result<pb::IngestResponse, Failure> {
    if batch.rows.len() > BATCH {
        let (sequence, n) = (batch.sequence, batch.rows.len());
        let message = format!("batch {sequence} has {n} rows; send at most {BATCH} at a time");
        return Err(Failure::request(message));
    }
    let taken = features::ingest(service, &batch.source, source_rows(batch.rows)).await?;
    let refused = taken.refused.into_iter().map(|it| pb::RefusedRow {
        row: u32::try_from(it.row).unwrap_or(u32::MAX),
        reason: it.reason,
    });
    Ok(pb::IngestResponse {
        sequence: batch.sequence,
        accepted: taken.accepted,
        refused: refused.collect(),
    })
}

fn source_rows(rows: Vec<pb::Row>) -> SourceRows {
    SourceRows::of(rows.into_iter().map(row).collect())
}

/// Entities row by row as columns.
fn asked(request: pb::GetOnlineFeaturesRequest) -> Asked {
    let rows: Vec<Row> = request.entities.into_iter().map(row).collect();
    let names: BTreeSet<&String> = rows.iter().flat_map(Row::keys).collect();
    let mut entities = Columns::default();
    for name in names {
        let values = rows.iter().map(|it| it.get(name).cloned().unwrap_or(Value::Null));
        entities.push(name, values.collect());
    }
    Asked {
        entities,
        features: Some(request.features),
        feature_service: Some(request.feature_service).filter(|it| !it.is_empty()),
        full_feature_names: request.full_feature_names,
        include_feature_view_version_metadata: false,
    }
}

fn written(answer: features::Answer) -> pb::GetOnlineFeaturesResponse {
    let column = |it: features::Column| pb::FeatureColumn {
        name: it.name,
        values: it.values.into_iter().map(pb_value).collect(),
        statuses: it.statuses.into_iter().map(|it| status(it).into()).collect(),
        event_times: it.times.into_iter().map(|it| it.0).collect(),
    };
    pb::GetOnlineFeaturesResponse {
        columns: answer.columns.into_iter().map(column).collect(),
        views: answer.views,
    }
}

fn status(status: foretell_features::Status) -> pb::FeatureStatus {
    match status {
        foretell_features::Status::Present => pb::FeatureStatus::Present,
        foretell_features::Status::NullValue => pb::FeatureStatus::NullValue,
        foretell_features::Status::NotFound => pb::FeatureStatus::NotFound,
        foretell_features::Status::OutsideMaxAge => pb::FeatureStatus::OutsideMaxAge,
    }
}
