//! `/get-online-features`: columns in, columns out, with statuses and event times.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use foretell_features::{DataType, ServiceFeature, Value};

use super::answer::{self, Column};
use super::asked::Asked;
use super::derive::OnDemand;
use super::failure::{self, Failure};
use super::frame::{Columns, entity_key, key_columns, keys, view};
use super::stored::StoredView;
use crate::http::App;
use crate::http::body::Body;

pub(crate) async fn get_online_features(State(app): State<App>, body: Body) -> Result<impl IntoResponse, Failure> {
    let asked: Asked = failure::body(&body)?;
    let sent = asked.entities.n_rows()?;
    let features = asked.features(&app).await?;
    let reading = Reading::of(&app, &asked.entities, sent, &features).await?;
    let columns = reading.columns(&asked, &features)?;
    let views: Vec<&str> = reading.views.keys().map(String::as_str).collect();
    let views = asked.include_feature_view_version_metadata.then_some(views.as_slice());
    Ok((
        [(header::CONTENT_TYPE, "application/json")],
        answer::json(&columns, views),
    ))
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
        app: &'a App,
        entities: &'a Columns,
        sent: Option<usize>,
        features: &'a [ServiceFeature],
    ) -> Result<Self, Failure> {
        let definitions = &*app.service.dependencies().definitions;
        let mut derived = BTreeMap::new();
        for it in features {
            if let ServiceFeature::Derived { entity, .. } = it
                && !derived.contains_key(entity.as_str())
            {
                derived.insert(entity.as_str(), OnDemand::plan(app, entity, features).await?);
            }
        }
        let asked = features.iter().filter_map(|it| match it {
            ServiceFeature::Stored { view, .. } => Some(view.as_str()),
            ServiceFeature::Derived { .. } => None,
        });
        let names: BTreeSet<&str> = asked.chain(derived.values().flat_map(OnDemand::views)).collect();
        let mut key: Vec<&(String, DataType)> = Vec::new();
        for name in &names {
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
        let mut views = BTreeMap::new();
        for name in names {
            let view = view(definitions, name)?;
            let keys = keys(key_columns(definitions, view)?, entities, n)?;
            views.insert(name.to_owned(), StoredView::read(app, view, &keys).await?);
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
                ServiceFeature::Stored { view, feature } => Column::read(name, self.views[view].feature(feature)?),
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
