//! Bodies of infer: JSON, or a JSON header with raw tensors behind it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use foretell_features::Value;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Tree;

use crate::error::ServeError;
use crate::http::body::json;
use crate::oip::{self, InferRequest, Tensor, TensorData};
use crate::response::PredictResponse;

const HEADER_LENGTH: &str = "inference-header-content-length";

/// A request as read, and which outputs are wanted as raw bytes.
pub(super) struct Asked {
    pub(super) request: InferRequest,
    pub(super) binary: Binary,
}

/// Which outputs go out as raw bytes.
#[derive(Default)]
pub(super) struct Binary {
    by_default: bool,
    by_name: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct JsonRequest {
    id: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Tree>,
    inputs: Vec<JsonInput>,
    #[serde(default)]
    outputs: Vec<JsonOutput>,
}

#[derive(Deserialize)]
struct JsonInput {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: BTreeMap<String, Tree>,
    data: Option<Tree>,
}

#[derive(Deserialize)]
struct JsonOutput {
    name: String,
    #[serde(default)]
    parameters: BTreeMap<String, Tree>,
}

/// Reads a body by the protocol's rules.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Asked, ServeError> {
    let (head, mut raw) = split(headers, body)?;
    let read: JsonRequest = json(head)?;
    let mut inputs = Vec::with_capacity(read.inputs.len());
    for input in read.inputs {
        inputs.push(input.tensor(&mut raw)?);
    }
    if !raw.is_empty() {
        return Err(ServeError::request(format!(
            "unexpected additional input data: {} bytes",
            raw.len()
        )));
    }
    let by_default = read
        .parameters
        .get("binary_data_output")
        .and_then(Tree::as_bool)
        .unwrap_or(false);
    let wanted = |it: &JsonOutput| {
        it.parameters
            .get("binary_data")
            .and_then(Tree::as_bool)
            .map(|flag| (it.name.clone(), flag))
    };
    let binary = Binary {
        by_default,
        by_name: read.outputs.iter().filter_map(wanted).collect(),
    };
    let parameters = read
        .parameters
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), oip::parameter(value)?)));
    let request = InferRequest {
        inputs,
        outputs: read.outputs.iter().map(|it| it.name.clone()).collect(),
        parameters: parameters.collect(),
        id: read.id,
    };
    Ok(Asked { request, binary })
}

fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), ServeError> {
    let Some(length) = headers.get(HEADER_LENGTH) else {
        return Ok((body, &[]));
    };
    let length = length.to_str().ok().and_then(|it| it.parse().ok());
    let parts = length.and_then(|it| body.split_at_checked(it));
    parts.ok_or_else(|| {
        ServeError::request(format!(
            "{HEADER_LENGTH} is not a number within the body's {} bytes",
            body.len()
        ))
    })
}

impl JsonInput {
    fn tensor(self, raw: &mut &[u8]) -> Result<Tensor, ServeError> {
        let data = match (self.data, self.parameters.get("binary_data_size")) {
            (Some(data), None) => {
                oip::check_datatype(&self.name, &self.datatype)?;
                let mut values = Vec::new();
                flatten(&self.name, data, &mut values)?;
                TensorData::Values(values)
            }
            (None, Some(size)) => {
                let size = size.as_u64().and_then(|it| usize::try_from(it).ok());
                let (bytes, rest) = size.and_then(|it| raw.split_at_checked(it)).ok_or_else(|| {
                    ServeError::request(format!(
                        "input `{}`: binary_data_size is more than the body holds",
                        self.name
                    ))
                })?;
                *raw = rest;
                TensorData::from_bytes(&self.name, &self.datatype, bytes)?
            }
            _ => {
                return Err(ServeError::request(format!(
                    "input `{}`: send `data` or binary_data_size",
                    self.name
                )));
            }
        };
        Tensor::checked(self.name, self.shape, data)
    }
}

/// Nested or flat, row-major either way. The parser bounds the nesting.
fn flatten(name: &str, data: Tree, values: &mut Vec<Value>) -> Result<(), ServeError> {
    match data {
        Tree::Array(items) => items.into_iter().try_for_each(|it| flatten(name, it, values)),
        Tree::Object(_) => Err(ServeError::request(format!("input `{name}`: data holds an object"))),
        scalar => {
            values.push(oip::parameter(&scalar).unwrap_or_default());
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct JsonResponse<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<JsonAnswer<'a>>,
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    name: &'a str,
    shape: &'a [i64],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

/// Writes the answer; with any raw output, the JSON's length goes into a header.
pub(super) fn write(response: &PredictResponse, id: Option<String>, tensors: &[Tensor], binary: &Binary) -> Response {
    let mut raw = Vec::new();
    let mut outputs = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let is_raw = binary.by_name.get(&tensor.name).copied().unwrap_or(binary.by_default);
        let bytes = is_raw.then(|| tensor.to_bytes());
        outputs.push(JsonAnswer {
            name: &tensor.name,
            shape: &tensor.shape,
            datatype: tensor.datatype(),
            parameters: bytes
                .as_ref()
                .map(|it| serde_json::json!({ "binary_data_size": it.len() })),
            data: if is_raw { None } else { Some(Data(&tensor.data)) },
        });
        raw.extend(bytes.into_iter().flatten());
    }
    let any_raw = outputs.iter().any(|it| it.data.is_none());
    let answer = JsonResponse {
        model_name: &response.model,
        model_version: &response.version,
        id,
        outputs,
    };
    let mut body = serde_json::to_vec(&answer).expect("names, numbers and texts are always JSON");
    let content = if any_raw {
        "application/octet-stream"
    } else {
        "application/json"
    };
    let length = HeaderValue::from(body.len());
    body.extend(raw);
    let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static(content))], body).into_response();
    if any_raw {
        response.headers_mut().insert(HEADER_LENGTH, length);
    }
    response
}

/// Elements as a flat JSON array.
struct Data<'a>(&'a TensorData);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TensorData::Bools(it) => it.serialize(serializer),
            TensorData::Ints(it) => it.serialize(serializer),
            TensorData::Doubles(it) => it.serialize(serializer),
            TensorData::Values(it) => it.serialize(serializer),
            TensorData::Texts(it) => serializer.collect_seq(it.iter().map(|it| String::from_utf8_lossy(it))),
        }
    }
}
