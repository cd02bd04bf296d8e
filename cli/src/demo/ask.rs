//! The same question over gRPC.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use foretell_serving::grpc::foretell_v1::prediction_service_client::PredictionServiceClient;
use foretell_serving::grpc::foretell_v1::value::Kind;
use foretell_serving::grpc::foretell_v1::{PredictRequest, Row, Value};
use tonic::transport::Endpoint;

/// The value, or a forecast's total, for the one entity or series of a REST request's body.
pub(crate) async fn over_grpc(address: SocketAddr, model: &str, body: &serde_json::Value) -> Result<f64> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await
        .context("gRPC does not answer")?;
    let mut client = PredictionServiceClient::new(channel);
    let request = PredictRequest {
        model: model.to_owned(),
        entities: rows(&body["entities"]),
        series: rows(&body["series"]),
        explain: 3,
        ..PredictRequest::default()
    };
    let answer = client
        .predict(request)
        .await
        .with_context(|| format!("gRPC refused {model}"))?
        .into_inner();
    let prediction = answer.predictions.into_iter().next().context("gRPC answered nothing")?;
    match (prediction.value, prediction.total) {
        (Some(value), _) => Ok(value),
        (None, Some(total)) => Ok(total.value),
        (None, None) => bail!("gRPC gave no value for {model}: {}", prediction.status),
    }
}

fn rows(json: &serde_json::Value) -> Vec<Row> {
    let row = |it: &serde_json::Value| {
        let cells = it.as_object().into_iter().flatten();
        let cell = |value: &serde_json::Value| Value {
            kind: value.as_str().map(|it| Kind::StringValue(it.to_owned())),
        };
        Row {
            values: cells.map(|(name, value)| (name.clone(), cell(value))).collect(),
        }
    };
    json.as_array().into_iter().flatten().map(row).collect()
}
