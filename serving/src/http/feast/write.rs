//! `/write-to-online-store` writes rows of a view, `/push` rows of a source.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use foretell_features::{Column, DataType, Definitions, EntityKey, FeatureRow, Table, Timestamp, Value, View};
use foretell_features_online::{IngestReport, SourceRows};
use serde::Deserialize;

use super::refusal::{self, Refusal};
use crate::error::ServeError;
use crate::features::{self, Columns, Failure, key_columns, keys, source, view};
use crate::http::App;
use crate::http::body::Body;
use crate::request::Row;

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

#[derive(Deserialize)]
struct Ingest {
    source: String,
    rows: Vec<Row>,
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

/// `POST /v1/ingest`: rows of a source by name, taken as far as they fit; the command line's way in while a server runs.
pub(crate) async fn ingest(State(app): State<App>, body: Body) -> Result<Json<IngestReport>, Refusal> {
    let asked: Ingest = refusal::body(&body)?;
    let rows = SourceRows::of(asked.rows);
    Ok(Json(features::ingest(&app.service, &asked.source, rows).await?))
}

/// Rows of one view: its features as columns or, where it aggregates, the columns of its source.
pub(crate) async fn write_to_online_store(State(app): State<App>, body: Body) -> Result<Json<()>, Refusal> {
    let asked: Write = refusal::body(&body)?;
    let definitions = &app.service.dependencies().definitions;
    let view = view(definitions, &asked.feature_view_name)?;
    if features::takes_events(&app.service, view).await? {
        features::write_events(&app.service, view, &source_rows(&asked.df)?).await?;
        return Ok(Json(()));
    }
    let columns = features::columns(&app.service, view).await?;
    let rows = Rows::of(definitions, view, &asked.df)?;
    let feature = |(name, data_type): &(String, DataType)| typed(name, *data_type, asked.df.need(name)?.to_vec());
    let features = columns.iter().map(feature).collect::<Result<Vec<_>, _>>()?;
    features::write(&app.service, view, rows.with(features)).await?;
    Ok(Json(()))
}

/// Rows of a source: every view on it takes them, the source's files do, or both.
pub(crate) async fn push(State(app): State<App>, body: Body) -> Result<StatusCode, Refusal> {
    let asked: Push = refusal::body(&body)?;
    let dependencies = app.service.dependencies();
    let definitions = &dependencies.definitions;
    let source = source(definitions, &asked.push_source_name)?;
    let offline = match asked.to {
        To::Online => None,
        To::Offline | To::OnlineAndOffline => Some((super::offline_engine(&app)?, table(&asked.df)?)),
    };
    // First online: that a retry does not count twice. Both are checked before anything is written.
    if asked.to != To::Offline {
        features::push(&app.service, &source.name, &source_rows(&asked.df)?).await?;
    }
    if let Some((engine, table)) = offline {
        engine.append(&source.name, table).await.map_err(ServeError::from)?;
    }
    Ok(StatusCode::OK)
}

/// Columns as rows.
fn source_rows(df: &Columns) -> Result<SourceRows, Failure> {
    let n = df.n_rows()?.unwrap_or_default();
    let row = |row: usize| df.iter().map(|(_, values)| values[row].clone()).collect();
    Ok(SourceRows {
        columns: df.iter().map(|(name, _)| name.to_owned()).collect(),
        rows: (0..n).map(row).collect(),
    })
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
