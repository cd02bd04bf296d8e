//! `/write-to-online-store` writes rows of a view, `/push` rows of a source.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use foretell_features::{
    Column, DataType, Definitions, EntityKey, FeatureKind, FeatureRow, Source, Table, Timestamp, Value, View,
};
use foretell_features_online::ViewSchema;
use serde::Deserialize;

use super::failure::{self, Failure};
use super::frame::{Columns, key_columns, keys, view};
use super::stored;
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
    to: To,
}

/// Where pushed rows go.
#[derive(Deserialize, Clone, Copy, PartialEq, Default)]
#[serde(rename_all = "snake_case")]
enum To {
    #[default]
    Online,
    Offline,
    OnlineAndOffline,
}

/// Rows of one view, with features as columns.
pub(crate) async fn write_to_online_store(State(app): State<App>, body: Body) -> Result<Json<()>, Failure> {
    let asked: Write = failure::body(&body)?;
    let definitions = &app.service.dependencies().definitions;
    let view = view(definitions, &asked.feature_view_name)?;
    let columns = stored::columns(&app, view).await?;
    let rows = Rows::of(definitions, view, &asked.df)?;
    let feature = |(name, data_type): &(String, DataType)| typed(name, *data_type, asked.df.need(name)?.to_vec());
    let features = columns.iter().map(feature).collect::<Result<Vec<_>, _>>()?;
    stored::write(&app, view, rows.with(features)).await?;
    Ok(Json(()))
}

/// Rows of a source: every view on it takes them, the source's files do, or both.
pub(crate) async fn push(State(app): State<App>, body: Body) -> Result<StatusCode, Failure> {
    let asked: Push = failure::body(&body)?;
    let dependencies = app.service.dependencies();
    let definitions = &dependencies.definitions;
    let source = source(definitions, &asked.push_source_name)?;
    let offline = match asked.to {
        To::Online => None,
        To::Offline | To::OnlineAndOffline => Some((super::offline_engine(&app)?, table(&asked.df)?)),
    };
    // First online: that a retry does not count twice. Both are checked before anything is written.
    if asked.to != To::Offline {
        push_online(&app, source, asked.df).await?;
    }
    if let Some((engine, table)) = offline {
        engine.append(&source.name, table).await.map_err(ServeError::from)?;
    }
    Ok(StatusCode::OK)
}

async fn push_online(app: &App, source: &Source, df: Columns) -> Result<(), Failure> {
    let definitions = &app.service.dependencies().definitions;
    let df = computed(source, df)?;
    let views: Vec<&View> = definitions
        .views
        .values()
        .filter(|it| it.source == source.name)
        .collect();
    let windowed = |it: &&&View| it.features.iter().any(|it| latest(&it.kind).is_none());
    if let Some(windowed) = views.iter().find(windowed) {
        let message = format!(
            "view `{}` counts over windows, which one row does not give; materialize it",
            windowed.name
        );
        return Err(Failure::request(message));
    }
    let mut writes = Vec::new();
    for view in views {
        let columns = stored::columns(app, view).await?;
        writes.push((
            view,
            Rows::of(definitions, view, &df)?.with(pushed(view, &columns, &df)?),
        ));
    }
    for (view, rows) in writes {
        stored::write(app, view, rows).await?;
    }
    Ok(())
}

/// The rows as sent, each column of the narrowest type that holds all its values; the source's files say what they are.
fn table(df: &Columns) -> Result<Table, Failure> {
    df.n_rows()?;
    let mut table = Table::new();
    for (name, values) in df.iter() {
        let wrong = |(row, error)| Failure::request(format!("column `{name}`, row {row}: {error}"));
        let column = Column::from_values(narrowest(values), values.iter().cloned()).map_err(wrong)?;
        table.push(name, column);
    }
    Ok(table)
}

fn narrowest(values: &[Value]) -> DataType {
    let all = |fits: fn(&Value) -> bool| values.iter().all(|it| it.is_null() || fits(it));
    if all(|it| matches!(it, Value::Bool(_))) {
        DataType::Boolean
    } else if all(|it| matches!(it, Value::Int(_))) {
        DataType::Int64
    } else if all(|it| matches!(it, Value::Int(_) | Value::Float(_))) {
        DataType::Double
    } else {
        DataType::String
    }
}

/// Keys and times of the rows of a request; rows with a null key are left out.
struct Rows {
    keys: Vec<Option<EntityKey>>,
    event: Vec<Timestamp>,
    known: Vec<Option<Timestamp>>,
}

impl Rows {
    fn of(definitions: &Definitions, view: &View, df: &Columns) -> Result<Self, Failure> {
        let n = df.n_rows()?.unwrap_or_default();
        let keys = keys(key_columns(definitions, view)?, df, n)?;
        let source = definitions.sources.get(&view.source);
        let named = |own: Option<&String>, usual: &str| {
            own.filter(|it| df.get(it).is_some())
                .cloned()
                .unwrap_or_else(|| usual.to_owned())
        };
        let event = named(source.and_then(|it| it.event_time.as_ref()), EVENT_TIME);
        let known = named(source.and_then(|it| it.known_time.as_ref()), KNOWN_TIME);
        let event = times(&event, df.need(&event)?)?.into_iter().enumerate();
        let event =
            event.map(|(row, time)| time.ok_or_else(|| Failure::request(format!("row {row} has no event time"))));
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

fn source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source, Failure> {
    let unknown = || {
        let hint = hint(name, definitions.sources.keys().map(String::as_str));
        let message = format!("Unable to find push source '{name}'{hint}");
        Failure::raised(StatusCode::UNPROCESSABLE_ENTITY, "PushSourceNotFoundException", message)
    };
    definitions.sources.get(name).ok_or_else(unknown)
}

/// The source's computed columns beside the file columns that were sent; rows that its filter drops are dropped.
fn computed(source: &Source, mut df: Columns) -> Result<Columns, Failure> {
    let n = df.n_rows()?.unwrap_or_default();
    for (name, expression) in &source.columns {
        let values = (0..n)
            .map(|row| expression.evaluate(&|column| df.at(column, row)))
            .collect();
        df.set(name, values);
    }
    let Some(filter) = &source.filter else { return Ok(df) };
    let kept: Vec<bool> = (0..n)
        .map(|row| filter.evaluate(&|column| df.at(column, row)) == Value::Bool(true))
        .collect();
    df.retain(&kept);
    Ok(df)
}

/// The features of a view from the rows of its source, in the order of the stored columns.
fn pushed(view: &View, columns: &ViewSchema, df: &Columns) -> Result<Vec<Vec<Value>>, Failure> {
    let n = df.n_rows()?.unwrap_or_default();
    let by_name: BTreeMap<&str, _> = view
        .features
        .iter()
        .map(|it| (it.name.as_str(), latest(&it.kind)))
        .collect();
    let feature = |(name, data_type): &(String, DataType)| {
        // A view of all columns (`latest = "*"`) has features that its definition does not list.
        let Some(Some(expression)) = by_name.get(name.as_str()) else {
            return typed(name, *data_type, df.need(name)?.to_vec());
        };
        for needed in expression.columns() {
            df.need(needed)?;
        }
        let values = (0..n)
            .map(|row| expression.evaluate(&|column| df.at(column, row)))
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

fn typed(name: &str, data_type: DataType, values: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let cast = |(row, value): (usize, Value)| {
        let wrong = |error| Failure::request(format!("column `{name}`, row {row}: {error}"));
        value.cast(data_type).map_err(wrong)
    };
    values.into_iter().enumerate().map(cast).collect()
}

fn times(name: &str, values: &[Value]) -> Result<Vec<Option<Timestamp>>, Failure> {
    let time = |it: Value| if let Value::Time(time) = it { Some(time) } else { None };
    Ok(typed(name, DataType::Timestamp, values.to_vec())?
        .into_iter()
        .map(time)
        .collect())
}
