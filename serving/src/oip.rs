//! The Open Inference Protocol without its two wires: tensors in, the one predict path, tensors out.
//!
//! Inputs are the model's columns by name, or one dense `features` tensor where all of them are numbers, or the key columns
//! of the entity or series. Outputs are the answer's fields, [n, 1]; `probabilities`, [n, classes]; and for forecasts `value`,
//! `lower` and `upper`, [n, horizon]. `status` says how each row fared; a row that was not scored is NaN (null in JSON).

mod tensor;

use foretell_features::{DataType, Value};
use foretell_inference::{AnswerField, Manifest, Output, Task};
use foretell_registry::VersionRef;

use crate::error::{ServeError, hint};
use crate::request::{PredictRequest, Row};
use crate::response::{PredictResponse, Prediction};
use crate::servable::Servable;
use crate::service::PredictService;

pub(crate) use tensor::{Tensor, TensorData, check_datatype};

/// Name of the dense input.
const DENSE: &str = "features";
/// Name of the output that says how each row fared.
const STATUS: &str = "status";
/// Extensions this server speaks.
pub(crate) const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "parameters"];

/// A tensor as metadata describes it; -1 is any length.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<i64>,
}

/// What both wires ask for.
#[derive(Debug, Default)]
pub(crate) struct InferRequest {
    pub(crate) inputs: Vec<Tensor>,
    /// Names of the outputs wanted; none named means all.
    pub(crate) outputs: Vec<String>,
    /// `explain`, `interval`, `horizon`, `as_of`.
    pub(crate) parameters: Row,
    pub(crate) id: Option<String>,
}

/// A model or version by its names in a path: an empty version is the champion.
pub(crate) fn wanted(version: &str) -> Result<Option<VersionRef>, ServeError> {
    match version {
        "" | "champion" => Ok(None),
        other => Ok(Some(other.parse()?)),
    }
}

/// `foretell_boosted_trees`, information only.
pub(crate) fn platform(manifest: &Manifest) -> String {
    format!("foretell_{}", manifest.algorithm)
}

/// What metadata says beside inputs and outputs; `classes` in the order of `probabilities`.
pub(crate) fn properties(servable: &Servable) -> serde_json::Map<String, serde_json::Value> {
    let manifest = servable.manifest();
    let mut properties = serde_json::Map::new();
    properties.insert("task".to_owned(), manifest.task.to_string().into());
    properties.insert("digest".to_owned(), servable.digest.clone().into());
    if !manifest.classes.is_empty() {
        properties.insert("classes".to_owned(), manifest.classes.clone().into());
    }
    properties
}

/// The inputs as metadata lists them.
pub(crate) fn described_inputs(manifest: &Manifest) -> Vec<Described> {
    let column = |name: &str, data_type| Described {
        name: name.to_owned(),
        datatype: datatype(data_type),
        shape: vec![-1, 1],
    };
    let key = manifest.series.as_ref().map_or(&manifest.plan.key, |it| &it.key);
    let mut described: Vec<Described> = manifest
        .inputs
        .iter()
        .map(|it| column(&it.name, it.data_type))
        .collect();
    if is_dense(manifest) {
        let shape = vec![-1, i64::try_from(manifest.inputs.len()).unwrap_or(-1)];
        described.push(Described {
            name: DENSE.to_owned(),
            datatype: "FP64",
            shape,
        });
    }
    let new: Vec<_> = key
        .iter()
        .filter(|key| manifest.inputs.iter().all(|it| it.name != key.0))
        .collect();
    described.extend(new.into_iter().map(|it| column(&it.0, it.1)));
    described
}

/// The outputs as metadata lists them.
pub(crate) fn described_outputs(manifest: &Manifest) -> Vec<Described> {
    let width = |field: AnswerField| match (&manifest.series, field) {
        (Some(forecast), _) => forecast.horizon,
        (None, AnswerField::Probabilities) => manifest.classes.len(),
        (None, _) => 1,
    };
    let field = |it: Output| Described {
        shape: vec![-1, i64::try_from(width(it.field)).unwrap_or(-1)],
        name: it.name,
        datatype: field_type(it.field),
    };
    let status = Described {
        name: STATUS.to_owned(),
        datatype: "BYTES",
        shape: vec![-1, 1],
    };
    outputs(manifest).into_iter().map(field).chain([status]).collect()
}

/// Answers one request.
pub(crate) async fn infer(
    service: &PredictService,
    model: &str,
    version: &str,
    request: InferRequest,
) -> Result<(PredictResponse, Vec<Tensor>), ServeError> {
    let servable = service.servable(model, wanted(version)?.as_ref()).await?;
    let manifest = servable.manifest();
    let wanted = wanted_outputs(manifest, &request.outputs)?;
    let rows = rows_of(&request.inputs, manifest)?;
    let asked = ask(&servable, rows, &request)?;
    let response = service.predict_with(&servable, asked).await?;
    let n_classes = servable.classes.len();
    let tensors = wanted
        .iter()
        .map(|it| output(it, &response.predictions, n_classes))
        .collect();
    Ok((response, tensors))
}

fn ask(servable: &Servable, rows: Vec<Row>, request: &InferRequest) -> Result<PredictRequest, ServeError> {
    let asked = match &servable.rows {
        None => PredictRequest::series(rows),
        Some(side) if !rows.is_empty() && rows.iter().all(|it| side.plan.is_entity(it)) => {
            PredictRequest::entities(rows)
        }
        Some(_) => PredictRequest::rows(rows),
    };
    let wrong = |name: &str| ServeError::request(format!("parameter `{name}` is not what is expected"));
    let number = |name: &str| match request.parameters.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(name)),
    };
    let whole = |name: &str| match number(name)? {
        None => Ok(None),
        Some(it) if it.fract() == 0.0 && (0.0..1e9).contains(&it) => Ok(Some(it as usize)),
        Some(_) => Err(wrong(name)),
    };
    let as_of = match request.parameters.get("as_of") {
        None => None,
        Some(value) => Some(
            value
                .as_str()
                .and_then(|it| it.parse().ok())
                .ok_or_else(|| wrong("as_of"))?,
        ),
    };
    Ok(PredictRequest {
        explain: whole("explain")?.unwrap_or(0),
        horizon: whole("horizon")?,
        interval: number("interval")?,
        as_of,
        request_id: request.id.clone(),
        ..asked
    })
}

/// Columns become rows. Names are checked by the predict path, which knows all of them.
fn rows_of(inputs: &[Tensor], manifest: &Manifest) -> Result<Vec<Row>, ServeError> {
    let Some(first) = inputs.first() else {
        return Err(ServeError::request("`inputs` is empty; send at least one tensor"));
    };
    let n = first.rows()?;
    let mut rows = vec![Row::new(); n];
    for (at, tensor) in inputs.iter().enumerate() {
        if inputs[..at].iter().any(|it| it.name == tensor.name) {
            return Err(ServeError::request(format!(
                "input `{}` is there twice; send it once",
                tensor.name
            )));
        }
        if tensor.rows()? != n {
            let message = format!(
                "input `{}` has {} rows, `{}` has {n}",
                tensor.name,
                tensor.rows()?,
                first.name
            );
            return Err(ServeError::Request(message));
        }
        let is_dense = tensor.name == DENSE && !manifest.inputs.iter().any(|it| it.name == DENSE);
        let names: Vec<&str> = match is_dense {
            true if !self::is_dense(manifest) => {
                let message = "`features` is only for models whose inputs are all numbers; send the columns by name";
                return Err(ServeError::request(message));
            }
            true => manifest.inputs.iter().map(|it| it.name.as_str()).collect(),
            false => vec![&tensor.name],
        };
        let values = tensor.values(names.len())?;
        for (row, values) in rows.iter_mut().zip(values.chunks_exact(names.len().max(1))) {
            row.extend(names.iter().map(|it| (*it).to_owned()).zip(values.iter().cloned()));
        }
    }
    Ok(rows)
}

fn is_dense(manifest: &Manifest) -> bool {
    let number = |it: &DataType| matches!(it, DataType::Double | DataType::Int64 | DataType::Boolean);
    !manifest.inputs.is_empty() && manifest.inputs.iter().all(|it| number(&it.data_type))
}

/// What the package names, else every field the task has.
fn outputs(manifest: &Manifest) -> Vec<Output> {
    let plain = |name: &str, field| Output {
        name: name.to_owned(),
        field,
    };
    if manifest.task == Task::Forecast {
        return vec![
            plain("value", AnswerField::Value),
            plain("lower", AnswerField::Lower),
            plain("upper", AnswerField::Upper),
        ];
    }
    if !manifest.outputs.is_empty() {
        return manifest.outputs.clone();
    }
    let mut outputs = vec![plain("value", AnswerField::Value)];
    if !manifest.classes.is_empty() {
        outputs.push(plain("class", AnswerField::Class));
    }
    if manifest.task == Task::MulticlassClassification {
        outputs.push(plain("probabilities", AnswerField::Probabilities));
    }
    if manifest.conformal.is_some() {
        outputs.extend([plain("lower", AnswerField::Lower), plain("upper", AnswerField::Upper)]);
    }
    if manifest.decision.is_some() {
        outputs.push(plain("level", AnswerField::Level));
    }
    outputs
}

/// `None` is the status.
fn wanted_outputs(manifest: &Manifest, names: &[String]) -> Result<Vec<Option<Output>>, ServeError> {
    let all: Vec<Option<Output>> = outputs(manifest).into_iter().map(Some).chain([None]).collect();
    if names.is_empty() {
        return Ok(all);
    }
    let name_of = |it: &Option<Output>| it.as_ref().map_or(STATUS.to_owned(), |it| it.name.clone());
    let known: Vec<String> = all.iter().map(name_of).collect();
    let find = |name: &String| {
        let unknown = || {
            ServeError::request(format!(
                "unknown output `{name}`{}",
                hint(name, known.iter().map(String::as_str))
            ))
        };
        known
            .iter()
            .position(|it| it == name)
            .map(|at| all[at].clone())
            .ok_or_else(unknown)
    };
    names.iter().map(find).collect()
}

fn output(output: &Option<Output>, predictions: &[Prediction], n_classes: usize) -> Tensor {
    let Some(output) = output else {
        return status(predictions);
    };
    let n = predictions.len();
    let horizon = predictions.iter().map(|it| it.steps.len()).max().unwrap_or(0);
    let name = output.name.clone();
    if horizon > 0 {
        let step = |it: &crate::response::StepAnswer| match output.field {
            AnswerField::Lower => it.lower,
            AnswerField::Upper => it.upper,
            _ => it.value,
        };
        let row =
            |it: &Prediction| -> Vec<f64> { (0..horizon).map(|at| it.steps.get(at).map_or(f64::NAN, step)).collect() };
        let data = TensorData::Doubles(predictions.iter().flat_map(row).collect());
        return Tensor {
            name,
            shape: vec![n as i64, horizon as i64],
            data,
        };
    }
    if output.field == AnswerField::Probabilities {
        let row = |it: &Prediction| -> Vec<f64> {
            let of = |at: usize| it.probabilities.get(at).map_or(f64::NAN, |it| it.1);
            (0..n_classes).map(of).collect()
        };
        return Tensor {
            name,
            shape: vec![n as i64, n_classes as i64],
            data: TensorData::Doubles(predictions.iter().flat_map(row).collect()),
        };
    }
    let data = match field_type(output.field) {
        "BYTES" => TensorData::Texts(
            predictions
                .iter()
                .map(|it| text(output.field, it).into_bytes())
                .collect(),
        ),
        _ => TensorData::Doubles(predictions.iter().map(|it| number(output.field, it)).collect()),
    };
    Tensor {
        name,
        shape: vec![n as i64, 1],
        data,
    }
}

fn status(predictions: &[Prediction]) -> Tensor {
    let text = |it: &Prediction| match serde_json::to_value(it.status) {
        Ok(serde_json::Value::String(status)) => status.into_bytes(),
        _ => Vec::new(),
    };
    let data = TensorData::Texts(predictions.iter().map(text).collect());
    Tensor {
        name: STATUS.to_owned(),
        shape: vec![predictions.len() as i64, 1],
        data,
    }
}

fn number(field: AnswerField, prediction: &Prediction) -> f64 {
    let number = match field {
        AnswerField::Lower => prediction.lower,
        AnswerField::Upper => prediction.upper,
        AnswerField::Score100 => prediction.value.map(|it| (it * 100.0).round()),
        AnswerField::Total => prediction.total.map(|it| it.value),
        _ => prediction.value,
    };
    number.unwrap_or(f64::NAN)
}

/// Lists and maps travel as JSON text.
fn text(field: AnswerField, prediction: &Prediction) -> String {
    match crate::http::field_of(field, prediction) {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn field_type(field: AnswerField) -> &'static str {
    match field {
        AnswerField::Value
        | AnswerField::Lower
        | AnswerField::Upper
        | AnswerField::Score100
        | AnswerField::Probabilities
        | AnswerField::Total => "FP64",
        _ => "BYTES",
    }
}

fn datatype(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "BOOL",
        DataType::Int64 => "INT64",
        DataType::Double => "FP64",
        DataType::String | DataType::Timestamp => "BYTES",
    }
}

/// A parameter of the wire as a value.
pub(crate) fn parameter(value: &serde_json::Value) -> Option<Value> {
    serde_json::from_value(value.clone()).ok()
}
