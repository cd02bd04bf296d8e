//! Domain endpoints: whatever path the packages of the snapshot declare, and the answer in their words.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use foretell_features::Value;
use foretell_inference::{AnswerField, Endpoint, Method, Task};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Tree, json};

use super::App;
use super::body::Body;
use super::native::request_id;
use crate::endpoints::percent_decoded;
use crate::error::{ServeError, hint};
use crate::metrics::Route;
use crate::request::{PredictRequest, Row};
use crate::response::{Prediction, RowStatus};
use crate::servable::Servable;

/// Reasons shown where an endpoint answers with reasons.
const REASONS: usize = 3;

/// Answers what no fixed route does.
pub(crate) async fn endpoint(State(app): State<App>, request: Request) -> Response {
    let snapshot = app.service.snapshot();
    let path = request.uri().path().to_owned();
    let method = request.method().to_string();
    match snapshot.endpoints.find(&method, &path) {
        Ok((mounted, keys)) => {
            let answered = answered(&app, &mounted.servable, &mounted.endpoint, keys, request).await;
            let mut response = answered.unwrap_or_else(IntoResponse::into_response);
            response.extensions_mut().insert(Route::Endpoint);
            response
        }
        Err(true) => ServeError::Method { method, path }.into_response(),
        Err(false) => {
            let fixed = [
                "/v1/predict/{model}",
                "/v1/models",
                "/v2",
                "/healthz",
                "/readyz",
                "/metrics",
            ];
            let hint = hint(&path, fixed.into_iter().chain(snapshot.endpoints.paths()));
            ServeError::NotFound(format!("nothing answers {path}{hint}")).into_response()
        }
    }
}

async fn answered(
    app: &App,
    servable: &Arc<Servable>,
    endpoint: &Endpoint,
    path_keys: Vec<(String, String)>,
    request: Request,
) -> Result<Response, ServeError> {
    let id = request_id(request.headers());
    let from_path = path_keys.into_iter().map(|(column, text)| (column, Value::text(text)));
    let mut outer: Row = query(request.uri().query().unwrap_or_default())
        .chain(from_path)
        .collect();
    let asked = match endpoint.method {
        Method::Get => Asked {
            batch: false,
            rows: vec![std::mem::take(&mut outer)],
            horizon: None,
            future: None,
        },
        Method::Post => Asked::of(Body::from_request(request, app).await?.json()?, servable, outer)?,
    };
    let batch = asked.batch;
    let explain = if endpoint.answer.iter().any(|it| it.1 == AnswerField::Reasons) {
        REASONS
    } else {
        0
    };
    let request = PredictRequest {
        explain,
        request_id: id,
        ..asked.request(servable)?
    };
    let response = app.service.predict_with(servable, request).await?;
    if batch {
        let answers: Vec<Answer<'_>> = response
            .predictions
            .iter()
            .map(|it| Answer {
                endpoint,
                prediction: it,
            })
            .collect();
        return Ok(Json(answers).into_response());
    }
    let one = response
        .predictions
        .first()
        .ok_or_else(|| ServeError::request("send one entity or row"))?;
    match one.status {
        RowStatus::Ok => Ok(Json(Answer {
            endpoint,
            prediction: one,
        })
        .into_response()),
        RowStatus::NotFound => Err(ServeError::NotFound(one.message.clone().unwrap_or_default())),
        RowStatus::Invalid => Err(ServeError::Request(one.message.clone().unwrap_or_default())),
    }
}

/// What the body, the path and the query string ask for.
struct Asked {
    batch: bool,
    rows: Vec<Row>,
    horizon: Option<usize>,
    future: Option<Vec<Row>>,
}

impl Asked {
    /// An object is one row, an array is a batch; a forecast's object also holds `horizon` and `future`.
    fn of(body: Tree, servable: &Servable, outer: Row) -> Result<Self, ServeError> {
        let (batch, objects) = match body {
            Tree::Array(items) => (true, items),
            one => (false, vec![one]),
        };
        let forecast = servable.manifest().task == Task::Forecast;
        let (mut horizon, mut future, mut rows) = (None, None, Vec::with_capacity(objects.len()));
        for (at, object) in objects.into_iter().enumerate() {
            let Tree::Object(mut object) = object else {
                return Err(ServeError::request(format!(
                    "row {at} is not an object of names and values"
                )));
            };
            if forecast {
                horizon = take(&mut object, "horizon")?.or(horizon);
                future = take(&mut object, "future")?.or(future);
            }
            let mut row = outer.clone();
            for (name, value) in object {
                let value = typed(&name, value)?;
                row.insert(name, value);
            }
            rows.push(row);
        }
        Ok(Self {
            batch,
            rows,
            horizon,
            future,
        })
    }

    /// By entity where every row has the key and nothing but the key and request values; else by features.
    fn request(mut self, servable: &Servable) -> Result<PredictRequest, ServeError> {
        let Some(side) = &servable.rows else {
            for row in &mut self.rows {
                if let Some(horizon) = row.remove("horizon") {
                    let steps = horizon.as_str().and_then(|it| it.parse().ok());
                    let wrong = || ServeError::request(format!("`horizon` is a number of steps. got=`{horizon}`"));
                    self.horizon = Some(steps.ok_or_else(wrong)?);
                }
            }
            let (horizon, future) = (self.horizon, self.future);
            return Ok(PredictRequest {
                horizon,
                future,
                ..PredictRequest::series(self.rows)
            });
        };
        let by_key = self.rows.iter().all(|it| side.plan.is_entity(it));
        Ok(if by_key {
            PredictRequest::entities(self.rows)
        } else {
            PredictRequest::rows(self.rows)
        })
    }
}

fn take<T: serde::de::DeserializeOwned>(object: &mut Map<String, Tree>, name: &str) -> Result<Option<T>, ServeError> {
    let Some(value) = object.remove(name) else {
        return Ok(None);
    };
    serde_json::from_value(value).map_err(|error| ServeError::request(format!("`{name}`: {error}")))
}

fn typed(name: &str, value: Tree) -> Result<Value, ServeError> {
    if value.is_array() || value.is_object() {
        return Err(ServeError::request(format!(
            "`{name}` is not a null, boolean, number or text. got=`{value}`"
        )));
    }
    serde_json::from_value(value).map_err(|error| ServeError::request(format!("`{name}`: {error}")))
}

fn query(text: &str) -> impl Iterator<Item = (String, Value)> {
    let pairs = text.split('&').filter(|it| !it.is_empty());
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_decoded(&text.replace('+', " "));
        Some((decode(name)?, Value::text(decode(value)?)))
    })
}

/// One prediction in the words of an endpoint. A row of a batch that was not scored has its status and why.
struct Answer<'a> {
    endpoint: &'a Endpoint,
    prediction: &'a Prediction,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.prediction.status != RowStatus::Ok {
            map.serialize_entry("status", &self.prediction.status)?;
            map.serialize_entry("error", &self.prediction.message)?;
            return map.end();
        }
        for (name, field) in &self.endpoint.answer {
            map.serialize_entry(name, &field_of(*field, self.prediction))?;
        }
        map.end()
    }
}

/// A field of the answer as JSON; null where the model does not have it.
pub(crate) fn field_of(field: AnswerField, prediction: &Prediction) -> Tree {
    let decision = prediction.decision.as_ref();
    match field {
        AnswerField::Value => json!(prediction.value),
        AnswerField::Lower => json!(prediction.lower),
        AnswerField::Upper => json!(prediction.upper),
        AnswerField::Interval => json!([prediction.lower, prediction.upper]),
        AnswerField::Score100 => json!(prediction.value.map(|it| (it * 100.0).round() as i64)),
        AnswerField::Class => json!(prediction.class),
        AnswerField::Probabilities => json!(
            prediction
                .probabilities
                .iter()
                .map(|(class, it)| (class.to_string(), json!(it)))
                .collect::<Map<_, _>>()
        ),
        AnswerField::Level => json!(decision.map(|it| &it.level)),
        AnswerField::Recommendations => json!(decision.map(|it| &it.recommendations)),
        AnswerField::Recommendation => json!(decision.and_then(|it| it.recommendations.first())),
        AnswerField::Reasons => json!(prediction.reasons),
        AnswerField::Steps => json!(prediction.steps),
        AnswerField::Total => json!(prediction.total),
        AnswerField::Components => json!(
            prediction
                .components
                .iter()
                .cloned()
                .collect::<std::collections::BTreeMap<_, _>>()
        ),
        AnswerField::Key => key(prediction),
    }
}

/// The bare value of a key of one column, else the columns.
fn key(prediction: &Prediction) -> Tree {
    match prediction.entity.as_ref().or(prediction.series.as_ref()) {
        Some(key) if key.len() == 1 => json!(key.values().next()),
        key => json!(key),
    }
}
