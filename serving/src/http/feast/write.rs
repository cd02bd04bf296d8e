//! `/write-to-online-store` and `/push` write rows; `/materialize` asks the offline engine to.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use foretell_features::{
    DataType, Definitions, EntityKey, FeatureKind, FeatureRow, MaterializeReport, Source, Timestamp, Value, View,
};
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
}

/// Rows of one view, with features as columns.
pub(crate) async fn write_to_online_store(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    let asked: Write = body.json()?;
    let dependencies = app.service.dependencies();
    let view = view(&dependencies.definitions, &asked.feature_view_name)?;
    let columns = schema(&app, &view.name).await?;
    let rows = Rows::of(&dependencies.definitions, view, &asked.df)?;
    let feature = |(name, data_type): &(String, DataType)| typed(name, *data_type, column(&asked.df, name)?.to_vec());
    let features = columns.iter().map(feature).collect::<Result<Vec<_>, _>>()?;
    dependencies.online.put(&view.name, rows.with(features)).await?;
    Ok(Json(()))
}

/// Rows of a source; every view on it whose features are latest values takes them.
pub(crate) async fn push(State(app): State<App>, body: Body) -> Result<StatusCode, ServeError> {
    let asked: Push = body.json()?;
    if let Some(to) = asked.to.as_deref().filter(|it| *it != "online") {
        return Err(ServeError::Unsupported(format!(
            "rows are pushed to the online store only. to=`{to}`"
        )));
    }
    let dependencies = app.service.dependencies();
    let definitions = &dependencies.definitions;
    let source = source(definitions, &asked.push_source_name)?;
    let df = computed(source, asked.df)?;
    let views: Vec<&View> = definitions
        .views
        .values()
        .filter(|it| it.source == source.name)
        .collect();
    if let Some(windowed) = views
        .iter()
        .find(|it| it.features.iter().any(|it| latest(&it.kind).is_none()))
    {
        let message = format!(
            "view `{}` counts over windows, which one row does not give; materialize it",
            windowed.name
        );
        return Err(ServeError::Request(message));
    }
    let mut writes = Vec::new();
    for view in views {
        let columns = schema(&app, &view.name).await?;
        writes.push((
            view,
            Rows::of(definitions, view, &df)?.with(pushed(view, &columns, &df)?),
        ));
    }
    for (view, rows) in writes {
        dependencies.online.put(&view.name, rows).await?;
    }
    Ok(StatusCode::OK)
}

pub(crate) async fn materialize(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    let asked: Materialize = body.json()?;
    let from = asked
        .start_ts
        .as_deref()
        .ok_or_else(|| ServeError::request("missing `start_ts`; send an ISO time"))?;
    let from = time("start_ts", from)?;
    run(&app, &asked, Some(from)).await?;
    Ok(Json(()))
}

pub(crate) async fn materialize_incremental(State(app): State<App>, body: Body) -> Result<Json<()>, ServeError> {
    run(&app, &body.json_or_empty()?, None).await?;
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
    run(&app, &asked, from).await.map(Json)
}

async fn run(app: &App, asked: &Materialize, from: Option<Timestamp>) -> Result<Vec<MaterializeReport>, ServeError> {
    let dependencies = app.service.dependencies();
    let to = asked
        .end_ts
        .as_deref()
        .map_or_else(|| Ok(dependencies.clock.now()), |it| time("end_ts", it))?;
    let views = asked.feature_views.clone().unwrap_or_default();
    for name in &views {
        view(&dependencies.definitions, name)?;
    }
    let without = || {
        let advice = "this server has no offline engine; run `foretell features materialize` or use `foretell serve`";
        ServeError::Unsupported(advice.to_owned())
    };
    let offline = dependencies.offline.as_ref().ok_or_else(without)?;
    Ok(offline.materialize(&views, from, to).await?)
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

async fn schema(app: &App, view: &str) -> Result<foretell_features_online::ViewSchema, ServeError> {
    let unknown = || foretell_features_online::OnlineError::UnknownView { view: view.to_owned() };
    Ok(app
        .service
        .dependencies()
        .online
        .schema(view)
        .await?
        .ok_or_else(unknown)?)
}

fn source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source, ServeError> {
    let unknown = || {
        let hint = hint(name, definitions.sources.keys().map(String::as_str));
        ServeError::NotFound(format!("unknown push source `{name}`{hint}"))
    };
    definitions.sources.get(name).ok_or_else(unknown)
}

/// The source's computed columns beside the file columns that were sent; rows that its filter drops are dropped.
fn computed(source: &Source, mut df: Columns) -> Result<Columns, ServeError> {
    let n = n_rows(&df)?;
    for (name, expression) in &source.columns {
        let values = (0..n)
            .map(|row| expression.evaluate(&|column| at(&df, column, row)))
            .collect();
        df.insert(name.clone(), values);
    }
    let Some(filter) = &source.filter else { return Ok(df) };
    let kept: Vec<bool> = (0..n)
        .map(|row| filter.evaluate(&|column| at(&df, column, row)) == Value::Bool(true))
        .collect();
    for values in df.values_mut() {
        let mut kept = kept.iter();
        values.retain(|_| kept.next().copied().unwrap_or(false));
    }
    Ok(df)
}

/// The features of a view from the rows of its source, in the order of the stored columns.
fn pushed(
    view: &View,
    columns: &foretell_features_online::ViewSchema,
    df: &Columns,
) -> Result<Vec<Vec<Value>>, ServeError> {
    let n = n_rows(df)?;
    let by_name: BTreeMap<&str, _> = view
        .features
        .iter()
        .map(|it| (it.name.as_str(), latest(&it.kind)))
        .collect();
    let feature = |(name, data_type): &(String, DataType)| {
        // A view of all columns (`latest = "*"`) has features that its definition does not list.
        let Some(Some(expression)) = by_name.get(name.as_str()) else {
            return typed(name, *data_type, column(df, name)?.to_vec());
        };
        for needed in expression.columns() {
            column(df, needed)?;
        }
        let values = (0..n)
            .map(|row| expression.evaluate(&|column| at(df, column, row)))
            .collect();
        typed(name, *data_type, values)
    };
    columns.iter().map(feature).collect()
}

fn latest(kind: &FeatureKind) -> Option<&foretell_features::Expression> {
    match kind {
        FeatureKind::Latest { value } => Some(value),
        FeatureKind::Aggregate { .. } => None,
    }
}

fn at(df: &Columns, column: &str, row: usize) -> Value {
    df.get(column).map_or(Value::Null, |it| it[row].clone())
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
