//! `foretell.v1.PredictionService`: the native API in protobuf.

use std::sync::Arc;
use std::time::Instant;

use foretell_features::Value;
use tonic::{Request, Response, Status};

use super::foretell_v1 as pb;
use super::foretell_v1::prediction_service_server::{PredictionService, PredictionServiceServer};
use crate::error::ServeError;
use crate::metrics::Route;
use crate::request::{PredictRequest, Row};
use crate::response::{PredictResponse, Prediction};
use crate::server::Limits;
use crate::service::PredictService;

pub(super) fn service(service: PredictService, limits: Limits) -> PredictionServiceServer<Native> {
    let server = PredictionServiceServer::new(Native { service });
    server
        .max_decoding_message_size(limits.body)
        .max_encoding_message_size(usize::MAX)
}

pub(super) struct Native {
    service: PredictService,
}

#[tonic::async_trait]
impl PredictionService for Native {
    async fn predict(&self, request: Request<pb::PredictRequest>) -> Result<Response<pb::PredictResponse>, Status> {
        let start = Instant::now();
        let id = request
            .metadata()
            .get("x-request-id")
            .and_then(|it| it.to_str().ok())
            .map(str::to_owned);
        let request = request.into_inner();
        let model = request.model.clone();
        let answer = match read(request, id) {
            Ok(request) => self.service.predict(&model, request).await,
            Err(error) => Err(error),
        };
        super::answered(&self.service, Route::GrpcPredict, start, answer.map(write))
    }
}

fn read(request: pb::PredictRequest, request_id: Option<String>) -> Result<PredictRequest, ServeError> {
    let as_of = request.as_of.as_deref().map(str::parse).transpose();
    let as_of = as_of.map_err(|error| ServeError::request(format!("`as_of`: {error}")))?;
    Ok(PredictRequest {
        entities: rows(request.entities),
        rows: rows(request.rows),
        series: rows(request.series),
        request: request.request.map(row).unwrap_or_default(),
        horizon: request.horizon.map(|it| it as usize),
        future: rows(request.future),
        explain: request.explain as usize,
        interval: request.interval,
        version: request.version,
        alias: request.alias,
        as_of,
        request_id,
    })
}

/// Protobuf cannot tell no rows from an empty list; both mean that this kind was not sent.
fn rows(rows: Vec<pb::Row>) -> Option<Vec<Row>> {
    (!rows.is_empty()).then(|| rows.into_iter().map(row).collect())
}

pub(super) fn row(row: pb::Row) -> Row {
    row.values.into_iter().map(|(name, it)| (name, value(it))).collect()
}

fn value(value: pb::Value) -> Value {
    match value.kind {
        None => Value::Null,
        Some(pb::value::Kind::BoolValue(it)) => Value::Bool(it),
        Some(pb::value::Kind::IntValue(it)) => Value::Int(it),
        Some(pb::value::Kind::DoubleValue(it)) => Value::Float(it),
        Some(pb::value::Kind::StringValue(it)) => Value::text(it),
    }
}

fn write(response: PredictResponse) -> pb::PredictResponse {
    let PredictResponse {
        model,
        version,
        digest,
        predictions,
    } = response;
    pb::PredictResponse {
        model,
        version,
        digest,
        predictions: predictions.into_iter().map(prediction).collect(),
    }
}

fn prediction(it: Prediction) -> pb::Prediction {
    let steps = it.steps.iter().map(|it| pb::Step {
        time: it.time.to_string(),
        value: it.value,
        lower: it.lower,
        upper: it.upper,
    });
    let reasons = it.reasons.into_iter().map(|it| pb::Reason {
        feature: it.feature,
        value: Some(pb_value(it.value)),
        contribution: it.contribution,
        age: it.age,
    });
    pb::Prediction {
        entity: it.entity.map(pb_row),
        series: it.series.map(pb_row),
        status: name(&it.status),
        message: it.message,
        value: it.value,
        lower: it.lower,
        upper: it.upper,
        decision: it.decision.map(|it| pb::Decision {
            level: it.level.clone(),
            recommendations: it.recommendations.clone(),
        }),
        reasons: reasons.collect(),
        statuses: it
            .statuses
            .iter()
            .map(|(feature, status)| (feature.clone(), name(status)))
            .collect(),
        steps: steps.collect(),
        total: it.total.map(|it| pb::Interval {
            value: it.value,
            lower: it.lower,
            upper: it.upper,
        }),
        components: it
            .components
            .into_iter()
            .map(|(name, values)| pb::Component { name, values })
            .collect(),
        class: it.class.map(|it| it.to_string()),
        probabilities: it.probabilities.into_iter().map(class_probability).collect(),
    }
}

fn class_probability((class, probability): (Arc<str>, f64)) -> pb::ClassProbability {
    pb::ClassProbability {
        class: class.to_string(),
        probability,
    }
}

fn pb_row(row: Row) -> pb::Row {
    pb::Row {
        values: row.into_iter().map(|(name, it)| (name, pb_value(it))).collect(),
    }
}

pub(super) fn pb_value(value: Value) -> pb::Value {
    let kind = match value {
        Value::Null => None,
        Value::Bool(it) => Some(pb::value::Kind::BoolValue(it)),
        Value::Int(it) => Some(pb::value::Kind::IntValue(it)),
        Value::Float(it) => Some(pb::value::Kind::DoubleValue(it)),
        Value::Time(it) => Some(pb::value::Kind::StringValue(it.to_string())),
        Value::Str(it) => Some(pb::value::Kind::StringValue(it.to_string())),
    };
    pb::Value { kind }
}

/// The name that JSON uses.
fn name(status: &impl serde::Serialize) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
