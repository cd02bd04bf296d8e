//! `/get-online-features`: columns in, columns out, with statuses and event times.

use axum::Json;
use axum::extract::State;
use foretell_features::{FeatureRead, FeatureRow, Status, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::frame::{Columns, key_columns, keys, n_rows, view};
use crate::error::{ServeError, hint};
use crate::http::App;
use crate::http::body::Body;

#[derive(Deserialize)]
pub(crate) struct Asked {
    entities: Columns,
    features: Option<Vec<String>>,
    feature_service: Option<String>,
    #[serde(default)]
    full_feature_names: bool,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    results: Vec<ColumnAnswer>,
    metadata: Metadata,
}

#[derive(Serialize)]
struct Metadata {
    feature_names: Vec<String>,
}

#[derive(Serialize)]
struct ColumnAnswer {
    values: Vec<Value>,
    statuses: Vec<Status>,
    event_timestamps: Vec<Timestamp>,
}

/// One feature asked for.
struct Wanted {
    view: String,
    feature: String,
}

pub(crate) async fn get_online_features(State(app): State<App>, body: Body) -> Result<Json<Answer>, ServeError> {
    let asked: Asked = body.json()?;
    let n = n_rows(&asked.entities)?;
    let wanted = wanted(&app, &asked).await?;
    let mut names: Vec<String> = asked.entities.keys().cloned().collect();
    let mut results: Vec<ColumnAnswer> = asked.entities.values().map(|it| ColumnAnswer::sent(it)).collect();
    let views: std::collections::BTreeSet<&str> = wanted.iter().map(|it| it.view.as_str()).collect();
    let mut read = std::collections::BTreeMap::new();
    for name in views {
        read.insert(name, ViewAnswer::read(&app, name, &asked.entities, n).await?);
    }
    for one in &wanted {
        let name = if asked.full_feature_names {
            format!("{}__{}", one.view, one.feature)
        } else {
            one.feature.clone()
        };
        if names.contains(&name) {
            let message = format!("two columns would be named `{name}`; set full_feature_names to true");
            return Err(ServeError::Request(message));
        }
        results.push(read[one.view.as_str()].column(&one.feature)?);
        names.push(name);
    }
    Ok(Json(Answer {
        results,
        metadata: Metadata { feature_names: names },
    }))
}

/// The features named, or those that a model reads: a model is our feature service.
async fn wanted(app: &App, asked: &Asked) -> Result<Vec<Wanted>, ServeError> {
    match (&asked.features, &asked.feature_service) {
        (Some(names), None) => {
            let mut wanted = Vec::with_capacity(names.len());
            for name in names {
                wanted.extend(references(app, name).await?);
            }
            Ok(wanted)
        }
        (None, Some(model)) => {
            let servable = app.service.servable(model, None).await?;
            let reads = servable.manifest().plan.reads.iter();
            Ok(reads
                .map(|it| Wanted {
                    view: it.view.clone(),
                    feature: it.feature.clone(),
                })
                .collect())
        }
        _ => Err(ServeError::request("send `features` or `feature_service`")),
    }
}

async fn references(app: &App, name: &str) -> Result<Vec<Wanted>, ServeError> {
    let wrong = || ServeError::request(format!("`{name}` is not of the form view:feature"));
    let (view, feature) = name.split_once(':').ok_or_else(wrong)?;
    if feature != "*" {
        return Ok(vec![Wanted {
            view: view.to_owned(),
            feature: feature.to_owned(),
        }]);
    }
    let columns = app
        .service
        .dependencies()
        .online
        .schema(view)
        .await?
        .unwrap_or_default();
    Ok(columns
        .into_iter()
        .map(|it| Wanted {
            view: view.to_owned(),
            feature: it.0,
        })
        .collect())
}

/// The rows of one view for all entities of the request.
struct ViewAnswer {
    name: String,
    columns: std::sync::Arc<foretell_features_online::ViewSchema>,
    rows: Vec<Option<FeatureRow>>,
    max_age: Option<foretell_features::Span>,
    now: Timestamp,
}

impl ViewAnswer {
    async fn read(app: &App, name: &str, entities: &Columns, n: usize) -> Result<Self, ServeError> {
        let dependencies = app.service.dependencies();
        let view = view(&dependencies.definitions, name)?;
        let keys = keys(key_columns(&dependencies.definitions, view)?, entities, n)?;
        let some: Vec<_> = keys.iter().flatten().cloned().collect();
        let stored = dependencies.online.read(name, &some).await?;
        let mut found = stored.rows.into_iter();
        let rows = keys
            .iter()
            .map(|key| key.as_ref().and_then(|_| found.next().flatten()))
            .collect();
        let (columns, max_age, now) = (stored.columns, view.max_age, dependencies.clock.now());
        Ok(Self {
            name: name.to_owned(),
            columns,
            rows,
            max_age,
            now,
        })
    }

    fn column(&self, feature: &str) -> Result<ColumnAnswer, ServeError> {
        let unknown = || {
            let hint = hint(feature, self.columns.iter().map(|it| it.0.as_str()));
            ServeError::NotFound(format!("unknown feature `{}:{feature}`{hint}", self.name))
        };
        let at = self.columns.iter().position(|it| it.0 == feature).ok_or_else(unknown)?;
        let read = |row: &Option<FeatureRow>| match row {
            None => FeatureRead::NOT_FOUND,
            Some(row) => FeatureRead::of(row, at, self.now, self.max_age),
        };
        Ok(ColumnAnswer::of(self.rows.iter().map(read)))
    }
}

impl ColumnAnswer {
    fn sent(values: &[Value]) -> Self {
        let n = values.len();
        Self {
            values: values.to_vec(),
            statuses: vec![Status::Present; n],
            event_timestamps: vec![Timestamp(0); n],
        }
    }

    fn of(reads: impl Iterator<Item = FeatureRead>) -> Self {
        let (mut values, mut statuses, mut event_timestamps) = (Vec::new(), Vec::new(), Vec::new());
        for read in reads {
            values.push(wire(read.value));
            statuses.push(read.status);
            event_timestamps.push(read.event_time.unwrap_or_default());
        }
        Self {
            values,
            statuses,
            event_timestamps,
        }
    }
}

/// A time travels as seconds since 1970.
fn wire(value: Value) -> Value {
    match value {
        Value::Time(time) => Value::Int(time.0.div_euclid(1_000_000)),
        other => other,
    }
}
