//! Features of entities as columns: what is read, what is derived, and what the columns are called.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use foretell_features::{DataType, FeatureRead, ServiceFeature, Status, Timestamp, Value};

use super::asked::Asked;
use super::derive::OnDemand;
use super::failure::Failure;
use super::frame::{Columns, entity_key, key_columns, keys, view};
use super::stored::StoredView;
use crate::service::PredictService;

/// What a request asked for.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Key columns first, then the features in order.
    pub(crate) columns: Vec<Column>,
    /// The views read.
    pub(crate) views: Vec<String>,
}

/// One column of the answer.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) values: Vec<Value>,
    pub(crate) statuses: Vec<Status>,
    /// Event times; the epoch where there is none.
    pub(crate) times: Vec<Timestamp>,
}

impl Column {
    /// What the caller sent or what was computed from it: there, or null; it has no time.
    pub(crate) fn computed(name: String, values: Vec<Value>) -> Self {
        let status = |it: &Value| {
            if it.is_null() {
                Status::NullValue
            } else {
                Status::Present
            }
        };
        Self {
            name,
            statuses: values.iter().map(status).collect(),
            times: vec![Timestamp::default(); values.len()],
            values,
        }
    }

    /// What was read.
    pub(crate) fn read(name: String, reads: impl Iterator<Item = FeatureRead>) -> Self {
        let (mut values, mut statuses, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for read in reads {
            values.push(read.value);
            statuses.push(read.status);
            times.push(read.event_time.unwrap_or_default());
        }
        Self {
            name,
            values,
            statuses,
            times,
        }
    }
}

/// Reads and computes all that a request asks for.
///
/// # Errors
/// The request as a whole is wrong, or the store fails. An entity that nothing is known of is no failure.
pub(crate) async fn online_features(service: &PredictService, asked: &Asked) -> Result<Answer, Failure> {
    let sent = asked.entities.n_rows()?;
    let features = asked.features(service).await?;
    let reading = Reading::of(service, &asked.entities, sent, &features).await?;
    Ok(Answer {
        columns: reading.columns(asked, &features)?,
        views: reading.views.keys().cloned().collect(),
    })
}

/// All that the features asked for are made of.
struct Reading<'a> {
    /// Key columns that count, in the order of the request.
    keys: Vec<(&'a str, DataType)>,
    views: BTreeMap<String, StoredView>,
    derived: BTreeMap<&'a str, OnDemand>,
    n: usize,
}

impl<'a> Reading<'a> {
    async fn of(
        service: &'a PredictService,
        entities: &'a Columns,
        sent: Option<usize>,
        features: &'a [ServiceFeature],
    ) -> Result<Self, Failure> {
        let definitions = &*service.dependencies().definitions;
        let mut derived = BTreeMap::new();
        for it in features {
            if let ServiceFeature::Derived { entity, .. } = it
                && !derived.contains_key(entity.as_str())
            {
                derived.insert(entity.as_str(), OnDemand::plan(service, entity, features).await?);
            }
        }
        let mut reads: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for it in features {
            if let ServiceFeature::Stored { view, feature } = it {
                reads.entry(view).or_default().insert(feature);
            }
        }
        for (view, feature) in derived.values().flat_map(OnDemand::reads) {
            reads.entry(view).or_default().insert(feature);
        }
        let mut key: Vec<&(String, DataType)> = Vec::new();
        for name in reads.keys() {
            key.extend(key_columns(definitions, view(definitions, name)?)?);
        }
        for entity in derived.keys() {
            key.extend(entity_key(definitions, entity)?);
        }
        let type_of = |name: &str| key.iter().find(|it| it.0 == name).map(|it| it.1);
        let known = entities
            .iter()
            .filter_map(|(name, _)| Some((name, type_of(name)?)))
            .collect();
        // Global views have no key: without any entity there is one row.
        let n = sent.unwrap_or(usize::from(key.is_empty()));
        let now = service.dependencies().clock.now();
        let mut views = BTreeMap::new();
        for (name, features) in &reads {
            let view = view(definitions, name)?;
            let keys = keys(key_columns(definitions, view)?, entities, n)?;
            let stored = StoredView::read(service, view, features, &keys, now).await?;
            views.insert((*name).to_owned(), stored);
        }
        Ok(Self {
            keys: known,
            views,
            derived,
            n,
        })
    }

    /// Key columns first, then the features in order.
    fn columns(&self, asked: &Asked, features: &[ServiceFeature]) -> Result<Vec<Column>, Failure> {
        let mut columns = Vec::with_capacity(self.keys.len() + features.len());
        for (name, data_type) in &self.keys {
            let values = asked.entities.need(name)?.iter().cloned();
            let wrong = |error| Failure::request(format!("`{name}`: {error}"));
            let cast: Result<Vec<Value>, Failure> = values.map(|it| it.cast(*data_type).map_err(wrong)).collect();
            columns.push(Column::computed((*name).to_owned(), cast?));
        }
        let mut computed = BTreeMap::new();
        for (entity, plan) in &self.derived {
            computed.insert(*entity, plan.evaluate(&self.views, &asked.entities, self.n)?);
        }
        for it in features {
            let name = column_name(it, asked.full_feature_names);
            if columns.iter().any(|it| it.name == name) {
                return Err(collision(&name, asked.full_feature_names));
            }
            columns.push(match it {
                ServiceFeature::Stored { view, feature } => Column::read(name, self.views[view].feature(feature)),
                ServiceFeature::Derived { entity, name: of } => {
                    Column::computed(name, computed[entity.as_str()][of.as_str()].clone())
                }
            });
        }
        Ok(columns)
    }
}

fn column_name(feature: &ServiceFeature, full: bool) -> String {
    let (of, name) = match feature {
        ServiceFeature::Stored { view, feature } => (view, feature),
        ServiceFeature::Derived { entity, name } => (entity, name),
    };
    if full { format!("{of}__{name}") } else { name.clone() }
}

/// In Feast's words.
fn collision(name: &str, full: bool) -> Failure {
    let fix = if full {
        "please ensure that the feature views or their own features have different names."
    } else {
        "either use the full feature name by setting 'full_feature_names=True', or ensure that the features in question have different names."
    };
    let message = format!("Duplicate features named {name} found.\nTo resolve this collision, {fix}");
    Failure::raised(StatusCode::BAD_REQUEST, "FeatureNameCollisionError", message)
}
