//! `/get-online-features`: columns in, columns out, with statuses and event times.

use axum::Json;
use axum::extract::State;
use foretell_features::{EntityKey, FeatureRead, Status, Timestamp, Value};
use foretell_features_online::{OnlineView, ViewReads};
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
    let stored = app.service.dependencies().online.view(view, None).await?;
    let names = stored.columns().iter().map(|it| it.0.clone());
    let wanted = names.map(|feature| Wanted {
        view: view.to_owned(),
        feature,
    });
    Ok(wanted.collect())
}

/// The rows of one view for all entities of the request.
struct ViewAnswer {
    view: std::sync::Arc<OnlineView>,
    reads: ViewReads,
    /// Per entity, its place among the keys read; none where a part of its key is null.
    places: Vec<Option<usize>>,
}

impl ViewAnswer {
    async fn read(app: &App, name: &str, entities: &Columns, n: usize) -> Result<Self, ServeError> {
        let dependencies = app.service.dependencies();
        let view = view(&dependencies.definitions, name)?;
        let keys = keys(key_columns(&dependencies.definitions, view)?, entities, n)?;
        let some: Vec<EntityKey> = keys.iter().flatten().cloned().collect();
        let view = dependencies.online.view(name, None).await?;
        let now = dependencies.clock.now();
        let reads = dependencies.online.read(&view, &some, &view.project_all(), now).await?;
        let mut next = 0..;
        let places = keys.iter().map(|key| key.as_ref().and_then(|_| next.next())).collect();
        Ok(Self { view, reads, places })
    }

    fn column(&self, feature: &str) -> Result<ColumnAnswer, ServeError> {
        let unknown = || {
            let hint = hint(feature, self.view.columns().iter().map(|it| it.0.as_str()));
            ServeError::NotFound(format!("unknown feature `{}:{feature}`{hint}", self.view.id.view))
        };
        let at = self.view.feature(feature).ok_or_else(unknown)?;
        let read = |place: &Option<usize>| match place {
            None => FeatureRead::NOT_FOUND,
            Some(place) => self.reads.row(*place)[at].clone(),
        };
        Ok(ColumnAnswer::of(self.places.iter().map(read)))
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
