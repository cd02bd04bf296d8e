//! `inference.GRPCInferenceService`: the Open Inference Protocol's core. Answers are raw: a popular client reads nothing else.

use std::collections::HashMap;
use std::time::Instant;

use foretell_features::Value;
use tonic::{Request, Response, Status};

use super::inference as pb;
use super::inference::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use super::inference::infer_parameter::ParameterChoice;
use super::inference::model_infer_request::InferInputTensor;
use super::inference::model_infer_response::InferOutputTensor;
use super::inference::model_metadata_response::TensorMetadata;
use crate::error::ServeError;
use crate::metrics::Route;
use crate::oip::{self, Described, InferRequest, Tensor, TensorData};
use crate::servable::Servable;
use crate::server::Limits;
use crate::service::PredictService;

pub(super) fn service(service: PredictService, limits: Limits) -> GrpcInferenceServiceServer<OpenInference> {
    let server = GrpcInferenceServiceServer::new(OpenInference { service });
    server
        .max_decoding_message_size(limits.body)
        .max_encoding_message_size(usize::MAX)
}

pub(super) struct OpenInference {
    service: PredictService,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl GrpcInferenceService for OpenInference {
    async fn server_live(&self, _: Request<pb::ServerLiveRequest>) -> Answer<pb::ServerLiveResponse> {
        Ok(Response::new(pb::ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<pb::ServerReadyRequest>) -> Answer<pb::ServerReadyResponse> {
        Ok(Response::new(pb::ServerReadyResponse {
            ready: self.service.is_ready(),
        }))
    }

    async fn model_ready(&self, request: Request<pb::ModelReadyRequest>) -> Answer<pb::ModelReadyResponse> {
        let pb::ModelReadyRequest { name, version } = request.into_inner();
        let wanted = oip::wanted(&version)?;
        // What is not there is not ready: a probe is asked for an answer, clients turn an error into an exception.
        let ready = self.service.servable(&name, wanted.as_ref()).await.is_ok();
        Ok(Response::new(pb::ModelReadyResponse { ready }))
    }

    async fn server_metadata(&self, _: Request<pb::ServerMetadataRequest>) -> Answer<pb::ServerMetadataResponse> {
        Ok(Response::new(pb::ServerMetadataResponse {
            name: "foretell".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: oip::EXTENSIONS.map(str::to_owned).into(),
        }))
    }

    async fn model_metadata(&self, request: Request<pb::ModelMetadataRequest>) -> Answer<pb::ModelMetadataResponse> {
        let pb::ModelMetadataRequest { name, version } = request.into_inner();
        let wanted = oip::wanted(&version)?;
        let servable = self.service.servable(&name, wanted.as_ref()).await?;
        let manifest = servable.manifest();
        let snapshot = self.service.snapshot();
        let versions = snapshot.entry(&name)?.state.versions().map(|it| it.version.to_string());
        Ok(Response::new(pb::ModelMetadataResponse {
            versions: versions.collect(),
            platform: oip::platform(manifest),
            inputs: oip::described_inputs(manifest).into_iter().map(metadata).collect(),
            outputs: oip::described_outputs(manifest).into_iter().map(metadata).collect(),
            properties: properties(&servable),
            name,
        }))
    }

    async fn model_infer(&self, request: Request<pb::ModelInferRequest>) -> Answer<pb::ModelInferResponse> {
        let start = Instant::now();
        let answer = infer(&self.service, request.into_inner()).await;
        super::answered(&self.service, Route::GrpcInfer, start, answer)
    }
}

async fn infer(service: &PredictService, request: pb::ModelInferRequest) -> Result<pb::ModelInferResponse, ServeError> {
    let (name, version, id) = (
        request.model_name.clone(),
        request.model_version.clone(),
        request.id.clone(),
    );
    let (response, tensors) = oip::infer(service, &name, &version, read(request)?).await?;
    let output = |it: &Tensor| InferOutputTensor {
        name: it.name.clone(),
        datatype: it.datatype().to_owned(),
        shape: it.shape.clone(),
        ..InferOutputTensor::default()
    };
    Ok(pb::ModelInferResponse {
        model_name: response.model,
        model_version: response.version,
        id,
        outputs: tensors.iter().map(output).collect(),
        raw_output_contents: tensors.iter().map(Tensor::to_bytes).collect(),
        ..pb::ModelInferResponse::default()
    })
}

fn read(request: pb::ModelInferRequest) -> Result<InferRequest, ServeError> {
    let raw = &request.raw_input_contents;
    if !raw.is_empty() && raw.len() != request.inputs.len() {
        let message = format!(
            "there are {} raw contents for {} inputs; send one each",
            raw.len(),
            request.inputs.len()
        );
        return Err(ServeError::Request(message));
    }
    let mut inputs = Vec::with_capacity(request.inputs.len());
    for (at, input) in request.inputs.into_iter().enumerate() {
        inputs.push(tensor(input, raw.get(at).map(Vec::as_slice))?);
    }
    let parameters = request
        .parameters
        .into_iter()
        .filter_map(|(name, it)| Some((name, parameter(it.parameter_choice?))));
    Ok(InferRequest {
        inputs,
        outputs: request.outputs.into_iter().map(|it| it.name).collect(),
        parameters: parameters.collect(),
        id: Some(request.id).filter(|it| !it.is_empty()),
    })
}

fn tensor(input: InferInputTensor, raw: Option<&[u8]>) -> Result<Tensor, ServeError> {
    let InferInputTensor {
        name,
        datatype,
        shape,
        contents,
        ..
    } = input;
    let data = match (contents, raw) {
        (Some(_), Some(_)) => {
            return Err(ServeError::request(format!(
                "input `{name}` has typed contents beside raw ones; send one kind"
            )));
        }
        (None, Some(raw)) => TensorData::from_bytes(&name, &datatype, raw)?,
        (contents, None) => typed(&name, &datatype, contents.unwrap_or_default())?,
    };
    Tensor::checked(name, shape, data)
}

fn typed(name: &str, datatype: &str, contents: pb::InferTensorContents) -> Result<TensorData, ServeError> {
    let narrow = |values: Vec<i32>| values.into_iter().map(i64::from).collect();
    let unsigned = |values: Vec<u32>| values.into_iter().map(i64::from).collect();
    Ok(match datatype {
        "BOOL" => TensorData::Bools(contents.bool_contents),
        "INT8" | "INT16" | "INT32" => TensorData::Ints(narrow(contents.int_contents)),
        "INT64" => TensorData::Ints(contents.int64_contents),
        "UINT8" | "UINT16" | "UINT32" => TensorData::Ints(unsigned(contents.uint_contents)),
        "UINT64" => TensorData::Doubles(contents.uint64_contents.into_iter().map(|it| it as f64).collect()),
        "FP32" => TensorData::Doubles(contents.fp32_contents.into_iter().map(f64::from).collect()),
        "FP64" => TensorData::Doubles(contents.fp64_contents),
        "BYTES" => TensorData::Texts(contents.bytes_contents),
        other => return TensorData::from_bytes(name, other, &[]),
    })
}

fn parameter(choice: ParameterChoice) -> Value {
    match choice {
        ParameterChoice::BoolParam(it) => Value::Bool(it),
        ParameterChoice::Int64Param(it) => Value::Int(it),
        ParameterChoice::StringParam(it) => Value::text(it),
        ParameterChoice::DoubleParam(it) => Value::Float(it),
        ParameterChoice::Uint64Param(it) => i64::try_from(it).map_or(Value::Float(it as f64), Value::Int),
    }
}

/// The same as over REST, lists as JSON text.
fn properties(servable: &Servable) -> HashMap<String, String> {
    let text = |it: serde_json::Value| match it {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let all = oip::properties(servable);
    all.into_iter().map(|(name, it)| (name, text(it))).collect()
}

fn metadata(it: Described) -> TensorMetadata {
    TensorMetadata {
        name: it.name,
        datatype: it.datatype.to_owned(),
        shape: it.shape,
    }
}
