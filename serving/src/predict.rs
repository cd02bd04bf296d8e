//! One request on one servable: keys to frames, frames to inputs, inputs to predictions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use foretell_features::{EntityKey, Status, Timestamp};
use foretell_features_online::OnlineFeatures;
use foretell_inference::{InferenceError, PredictOptions, RowPrediction, SeriesPrediction};

use crate::error::{ServeError, hint};
use crate::plan::{Frame, RowPlan, key_of};
use crate::request::{PredictRequest, Row, Subjects};
use crate::request_log::{LoggedRow, RequestLog};
use crate::response::{Interval, PredictResponse, Prediction, ReasonAnswer, Refusal, StepAnswer};
use crate::servable::{RowSide, Servable};

/// A frame that can be scored, or what to answer instead.
type Framed = Result<Frame, Refusal>;

pub(crate) async fn predict(
    servable: &Arc<Servable>,
    store: &OnlineFeatures,
    request: &PredictRequest,
    now: Timestamp,
    log: Option<&RequestLog>,
) -> Result<PredictResponse, ServeError> {
    let start = Instant::now();
    let options = PredictOptions {
        explain: request.explain,
        interval: request.interval,
    };
    let subjects = request.subjects()?;
    let (predictions, frames) = match (subjects, &servable.rows) {
        (Subjects::Series(series), None) => (forecasts(servable, series, request, options)?, Vec::new()),
        (_, None) => {
            return Err(wrong_subjects(
                servable,
                "forecasts series; send `series` with the key columns",
            ));
        }
        (Subjects::Series(_), Some(_)) => {
            return Err(wrong_subjects(servable, "predicts rows; send `entities` or `rows`"));
        }
        (Subjects::Entities(entities), Some(rows)) => {
            let framed = frames_of_entities(rows, store, entities, &request.request, now).await?;
            let (mut predictions, frames) = score(servable, &rows.plan, framed, options, now)?;
            for (prediction, entity) in predictions.iter_mut().zip(entities) {
                prediction.entity = Some(only(&rows.plan.key, entity));
            }
            (predictions, frames)
        }
        (Subjects::Rows(sent), Some(rows)) => {
            let framed = frames_of_rows(&rows.plan, sent, &request.request)?;
            let (mut predictions, frames) = score(servable, &rows.plan, framed, options, now)?;
            for (prediction, row) in predictions.iter_mut().zip(sent) {
                prediction.entity = Some(only(&rows.plan.key, row)).filter(|it| !it.is_empty());
            }
            (predictions, frames)
        }
    };
    let response = PredictResponse {
        model: servable.name.clone(),
        version: servable.version.to_string(),
        digest: servable.digest.clone(),
        predictions,
    };
    if let Some(log) = log {
        log.record(
            servable,
            request,
            LoggedRow::of(frames, &response),
            now,
            start.elapsed(),
        );
    }
    Ok(response)
}

async fn frames_of_entities(
    rows: &RowSide,
    store: &OnlineFeatures,
    entities: &[Row],
    request: &Row,
    now: Timestamp,
) -> Result<Vec<Framed>, ServeError> {
    let plan = &rows.plan;
    let mut refused: BTreeMap<usize, Refusal> = BTreeMap::new();
    let (mut keys, mut frames) = (Vec::new(), Vec::new());
    for (at, entity) in entities.iter().enumerate() {
        let mut frame = plan.blank();
        let key = plan.entity_key(at, entity)?;
        let filled = plan.fill_request(at, entity, request, &mut frame)?;
        match key.and_then(|key| filled.map(|()| key)) {
            Ok(key) => {
                keys.push(key);
                frames.push(frame);
            }
            Err(message) => drop(refused.insert(at, Refusal::invalid(message))),
        }
    }
    let found = rows.positions.fill(store, plan, &keys, &mut frames, now).await?;
    let mut framed = keys
        .iter()
        .zip(frames)
        .zip(found)
        .map(|((key, frame), found)| finish(plan, key, frame, found));
    let in_order = (0..entities.len()).map(|at| match refused.remove(&at) {
        Some(refusal) => Err(refusal),
        None => framed.next().expect("a frame per key that was not refused"),
    });
    Ok(in_order.collect())
}

fn finish(plan: &RowPlan, key: &EntityKey, mut frame: Frame, found: bool) -> Framed {
    if !found {
        let message = format!("nothing is stored for `{key}`; materialize its features or send them as `rows`");
        return Err(Refusal::not_found(message));
    }
    plan.derive_all(&mut frame);
    Ok(frame)
}

/// `request` holds for rows as well: what a row does not say itself.
fn frames_of_rows(plan: &RowPlan, rows: &[Row], request: &Row) -> Result<Vec<Framed>, ServeError> {
    let frame = |(at, row): (usize, &Row)| {
        let framed = if request.is_empty() {
            plan.frame_of_row(at, row)
        } else {
            let mut whole = request.clone();
            whole.extend(row.iter().map(|(name, value)| (name.clone(), value.clone())));
            plan.frame_of_row(at, &whole)
        };
        framed.map(|it| it.map_err(Refusal::invalid))
    };
    rows.iter().enumerate().map(frame).collect()
}

/// Scores the frames that can be; the answers and the frames keep the order of the request.
fn score(
    servable: &Servable,
    plan: &RowPlan,
    framed: Vec<Framed>,
    options: PredictOptions,
    now: Timestamp,
) -> Result<(Vec<Prediction>, Vec<Option<Frame>>), ServeError> {
    let inputs: Vec<_> = framed.iter().flatten().map(|frame| plan.inputs_of(frame)).collect();
    let mut scored = servable.model.predict_rows(&inputs, options)?.into_iter();
    let mut predictions = Vec::with_capacity(framed.len());
    let mut frames = Vec::with_capacity(framed.len());
    for framed in framed {
        let (prediction, frame) = match framed {
            Err(refusal) => (refusal.into(), None),
            Ok(frame) => match scored.next().expect("one answer per scored row") {
                Ok(row) => (answer(servable, plan, row, &frame, now), Some(frame)),
                Err(error) => (Refusal::invalid(error.to_string()).into(), Some(frame)),
            },
        };
        predictions.push(prediction);
        frames.push(frame);
    }
    Ok((predictions, frames))
}

fn answer(servable: &Servable, plan: &RowPlan, row: RowPrediction, frame: &Frame, now: Timestamp) -> Prediction {
    let age = |feature: &str| {
        let slot = plan.inputs[servable.model.input_position(feature)?];
        let event_time = frame.found.get(slot)?.event_time?;
        Some(now.since(event_time).as_seconds())
    };
    let reasons = row.reasons.into_iter().map(|reason| ReasonAnswer {
        age: age(&reason.feature),
        feature: reason.feature,
        value: reason.value,
        contribution: reason.contribution,
    });
    let unsent = frame.unsent.iter().map(|slot| (*slot, Status::NotFound));
    let named = |(slot, status): (usize, Status)| (plan.slot(slot).0.clone(), status);
    let unusual = frame
        .found
        .iter()
        .enumerate()
        .filter(|it| it.1.status != Status::Present);
    Prediction {
        value: Some(row.value),
        class: row.class,
        probabilities: servable.classes.iter().cloned().zip(row.probabilities).collect(),
        lower: row.lower,
        upper: row.upper,
        decision: row.decision,
        reasons: reasons.collect(),
        statuses: unusual
            .map(|(slot, found)| (slot, found.status))
            .chain(unsent)
            .map(named)
            .collect(),
        ..Prediction::default()
    }
}

fn forecasts(
    servable: &Servable,
    series: &[Row],
    request: &PredictRequest,
    options: PredictOptions,
) -> Result<Vec<Prediction>, ServeError> {
    let signature = servable.manifest().series.as_ref();
    let key = signature.map_or(&[][..], |it| &it.key);
    let future = request.future.as_deref();
    let forecast = |(at, sent): (usize, &Row)| {
        if let Some(unknown) = sent.keys().find(|name| !key.iter().any(|it| &it.0 == *name)) {
            let hint = hint(unknown, key.iter().map(|it| it.0.as_str()));
            return Err(ServeError::request(format!(
                "series[{at}]: `{unknown}` is not a key column{hint}"
            )));
        }
        let missing =
            |column: &str| ServeError::request(format!("series[{at}]: missing key column `{column}`; send it"));
        let wanted = match key_of(key, sent).map_err(missing)? {
            Ok(key) => key,
            Err(message) => return Ok(refused_series(sent, Refusal::invalid(message))),
        };
        let future = future.map(|it| future_of(key, sent, it)).transpose()?;
        match servable
            .model
            .predict_series(&wanted, request.horizon, future.as_deref(), options)
        {
            Ok(forecast) => Ok(Prediction {
                series: Some(sent.clone()),
                ..answer_series(forecast)
            }),
            Err(error @ InferenceError::UnknownSeries { .. }) => {
                Ok(refused_series(sent, Refusal::not_found(error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    };
    series.iter().enumerate().map(forecast).collect()
}

/// The known covariates of one series: rows without key columns count for all, rows with them for the series they name.
fn future_of(
    key: &[(String, foretell_features::DataType)],
    series: &Row,
    future: &[Row],
) -> Result<Vec<Row>, ServeError> {
    let of_series = |row: &&Row| {
        key.iter()
            .all(|(name, _)| row.get(name).is_none_or(|it| same(it, series.get(name))))
    };
    let without_key = |row: &Row| {
        row.iter()
            .filter(|it| !key.iter().any(|key| &key.0 == it.0))
            .map(owned)
            .collect()
    };
    Ok(future.iter().filter(of_series).map(without_key).collect())
}

fn same(value: &foretell_features::Value, other: Option<&foretell_features::Value>) -> bool {
    other.is_some_and(|it| it.to_string() == value.to_string())
}

fn refused_series(series: &Row, refusal: Refusal) -> Prediction {
    Prediction {
        series: Some(series.clone()),
        ..refusal.into()
    }
}

fn answer_series(forecast: SeriesPrediction) -> Prediction {
    let (value, lower, upper) = forecast.total;
    let step = |it: foretell_inference::Step| StepAnswer {
        time: it.time,
        value: it.value,
        lower: it.lower,
        upper: it.upper,
    };
    Prediction {
        steps: forecast.steps.into_iter().map(step).collect(),
        total: Some(Interval { value, lower, upper }),
        components: forecast.components,
        ..Prediction::default()
    }
}

fn only(key: &[(String, foretell_features::DataType)], row: &Row) -> Row {
    row.iter()
        .filter(|it| key.iter().any(|key| &key.0 == it.0))
        .map(owned)
        .collect()
}

fn owned<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

fn wrong_subjects(servable: &Servable, what: &str) -> ServeError {
    ServeError::request(format!("model `{}` {what}", servable.name))
}
