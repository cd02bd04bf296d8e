//! `/write-to-online-store` and `/push` write rows; `/materialize` asks the offline engine to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use foretell_features::{
    DataType, Definitions, EntityKey, FeatureRow, MaterializeReport, MaterializeRequest, Source, Timestamp, Value, View,
};
use foretell_features_online::SourceRows;
use serde::Deserialize;

use super::frame::{Columns, column, key_columns, keys, n_rows, view};
use crate::error::{ServeError, hint};
use crate::http::App;
use crate::http::body::Body;

/// The name Feast's client gives the event time, whatever the source calls it.
const EVENT_TIME: &str = "event_timestamp";
/// The same for the time at which a row was learned.
const KNOWN_TIME: &str = "created";

#[derive(Deserialize)]
struct Write {
    feature_view_name: String,
    df: Columns,
}

#[derive(Deserialize)]
struct Push {
    push_source_name: String,
    df: Columns,
    #[serde(default)]
    to: Option<String>,
}

#[derive(Deserialize)]
struct Materialize {
    start_ts: Option<String>,
    end_ts: Option<String>,
    feature_views: Option<Vec<String>>,
    #[serde(default)]
    incremental: bool,
}

/// Rows of one view: its features as columns, or, where it aggregates, the columns of its source.
pub(crate) async fn write_to_online_store(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    let asked: Write = body.json()?;
    let dependencies = app.service.dependencies();
    let view = view(&dependencies.definitions, &asked.feature_view_name)?;
    let stored = dependencies.online.view(&view.name, None).await?;
    if stored.plan.has_windows() {
        let rows = source_rows(asked.df)?;
        dependencies
            .online
            .push_to(&stored, &rows, dependencies.clock.now())
            .await?;
        return Ok(Json(()));
    }
    let rows = Rows::of(&dependencies.definitions, view, &asked.df)?;
    let feature = |(name, data_type): &(String, DataType)| typed(name, *data_type, column(&asked.df, name)?.to_vec());
    let features = stored.columns().iter().map(feature).collect::<Result<Vec<_>, _>>()?;
    dependencies.online.put(&stored, rows.with(features)).await?;
    Ok(Json(()))
}

/// Rows of a source: every view on it takes them.
pub(crate) async fn push(State(app): State<App>, body: Body) -> Result<StatusCode, ServeError> {
    let asked: Push = body.json()?;
    if let Some(to) = asked.to.as_deref().filter(|it| *it != "online") {
        return Err(ServeError::Unsupported(format!(
            "rows are pushed to the online store only. to=`{to}`"
        )));
    }
    let dependencies = app.service.dependencies();
    let source = source(&dependencies.definitions, &asked.push_source_name)?;
    let rows = source_rows(asked.df)?;
    dependencies
        .online
        .push(&source.name, &rows, dependencies.clock.now())
        .await?;
    Ok(StatusCode::OK)
}

/// Columns as rows.
fn source_rows(df: Columns) -> Result<SourceRows, ServeError> {
    let n = n_rows(&df)?;
    let (columns, values): (Vec<String>, Vec<Vec<Value>>) = df.into_iter().unzip();
    let rows = (0..n).map(|row| values.iter().map(|it| it[row].clone()).collect());
    Ok(SourceRows {
        rows: rows.collect(),
        columns,
    })
}

pub(crate) async fn materialize(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    let asked: Materialize = body.json()?;
    let from = asked
        .start_ts
        .as_deref()
        .ok_or_else(|| ServeError::request("missing `start_ts`; send an ISO time"))?;
    let from = time("start_ts", from)?;
    run(&app, &asked, Some(from), false).await?;
    Ok(Json(()))
}

pub(crate) async fn materialize_incremental(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    run(&app, &body.json_or_empty()?, None, true).await?;
    Ok(Json(()))
}

/// `POST /v1/materialize`: the same, `start_ts` optional, answered with what was written; the command line's way to the store
/// while a server has it.
pub(crate) async fn materialize_with_report(
    State(app): State<App>,
    body: Body,
) -> Result<Json<Vec<MaterializeReport>>, ServeError> {
    let asked: Materialize = body.json_or_empty()?;
    let from = asked.start_ts.as_deref().map(|it| time("start_ts", it)).transpose()?;
    run(&app, &asked, from, asked.incremental).await.map(Json)
}

async fn run(
    app: &App,
    asked: &Materialize,
    from: Option<Timestamp>,
    incremental: bool,
) -> Result<Vec<MaterializeReport>, ServeError> {
    let dependencies = app.service.dependencies();
    let now = dependencies.clock.now();
    let to = asked
        .end_ts
        .as_deref()
        .map_or_else(|| Ok(now), |it| time("end_ts", it))?;
    if to > now {
        let message = format!(
            "`end_ts` {to} is in the future, it is {now}; events until then would be missed. Send now or earlier"
        );
        return Err(ServeError::Request(message));
    }
    let views = asked.feature_views.clone().unwrap_or_default();
    for name in &views {
        view(&dependencies.definitions, name)?;
    }
    let without = || {
        let advice = "this server has no offline engine; run `foretell features materialize` or use `foretell serve`";
        ServeError::Unsupported(advice.to_owned())
    };
    let offline = dependencies.offline.as_ref().ok_or_else(without)?;
    let request = MaterializeRequest {
        views,
        from,
        to,
        now,
        incremental,
    };
    Ok(offline.materialize(request).await?)
}

/// Keys and times of the rows of a request; rows with a null key are left out.
struct Rows {
    keys: Vec<Option<EntityKey>>,
    event: Vec<Timestamp>,
    known: Vec<Option<Timestamp>>,
}

impl Rows {
    fn of(definitions: &Definitions, view: &View, df: &Columns) -> Result<Self, ServeError> {
        let n = n_rows(df)?;
        let keys = keys(key_columns(definitions, view)?, df, n)?;
        let source = definitions.sources.get(&view.source);
        let named = |own: Option<&String>, usual: &str| {
            own.filter(|it| df.contains_key(*it))
                .cloned()
                .unwrap_or_else(|| usual.to_owned())
        };
        let event = named(source.and_then(|it| it.event_time.as_ref()), EVENT_TIME);
        let known = named(source.and_then(|it| it.known_time.as_ref()), KNOWN_TIME);
        let event = times(&event, column(df, &event)?)?.into_iter().enumerate();
        let event =
            event.map(|(row, time)| time.ok_or_else(|| ServeError::request(format!("row {row} has no event time"))));
        let known = match df.get(&known) {
            Some(values) => times(&known, values)?,
            None => vec![None; n],
        };
        Ok(Self {
            keys,
            event: event.collect::<Result<_, _>>()?,
            known,
        })
    }

    /// The rows with these features, one column each.
    fn with(self, features: Vec<Vec<Value>>) -> Vec<(EntityKey, FeatureRow)> {
        let mut rows = Vec::with_capacity(self.keys.len());
        for (at, (key, (event_time, known_time))) in self
            .keys
            .into_iter()
            .zip(self.event.into_iter().zip(self.known))
            .enumerate()
        {
            if let Some(key) = key {
                let values = features.iter().map(|it| it[at].clone()).collect();
                rows.push((
                    key,
                    FeatureRow {
                        event_time,
                        known_time,
                        values,
                    },
                ));
            }
        }
        rows
    }
}

fn source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source, ServeError> {
    let unknown = || {
        let hint = hint(name, definitions.sources.keys().map(String::as_str));
        ServeError::NotFound(format!("unknown push source `{name}`{hint}"))
    };
    definitions.sources.get(name).ok_or_else(unknown)
}

fn typed(name: &str, data_type: DataType, values: Vec<Value>) -> Result<Vec<Value>, ServeError> {
    let cast = |(row, value): (usize, Value)| {
        let wrong = |error| ServeError::request(format!("column `{name}`, row {row}: {error}"));
        value.cast(data_type).map_err(wrong)
    };
    values.into_iter().enumerate().map(cast).collect()
}

fn times(name: &str, values: &[Value]) -> Result<Vec<Option<Timestamp>>, ServeError> {
    let time = |it: Value| if let Value::Time(time) = it { Some(time) } else { None };
    Ok(typed(name, DataType::Timestamp, values.to_vec())?
        .into_iter()
        .map(time)
        .collect())
}

fn time(field: &str, text: &str) -> Result<Timestamp, ServeError> {
    text.parse()
        .map_err(|error| ServeError::request(format!("`{field}`: {error}")))
}
