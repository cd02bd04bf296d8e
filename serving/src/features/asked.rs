//! What a request asks for: features by reference or by service, and all that they are computed from.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use foretell_features::{DataType, Definitions, FeatureRef, Found, ReferenceError, ServiceFeature, View};
use serde::Deserialize;

use super::failure::Failure;
use super::frame::{Columns, unversioned};
use super::stored;
use crate::error::hint;
use crate::service::PredictService;

#[derive(Deserialize)]
pub(crate) struct Asked {
    pub(crate) entities: Columns,
    #[serde(default)]
    pub(crate) features: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) feature_service: Option<String>,
    #[serde(default)]
    pub(crate) full_feature_names: bool,
    #[serde(default)]
    pub(crate) include_feature_view_version_metadata: bool,
}

impl Asked {
    /// Every feature asked for, in order and each once.
    pub(crate) async fn features(&self, service: &PredictService) -> Result<Vec<ServiceFeature>, Failure> {
        // Clients send an empty list beside a service.
        let listed = self.features.as_deref().filter(|it| !it.is_empty());
        match (listed, &self.feature_service) {
            (Some(names), None) => {
                let references: Vec<FeatureRef> = names.iter().map(|it| reference(it)).collect();
                expanded(service, &references, &[]).await
            }
            (None, Some(name)) => of_service(service, name).await,
            (None, None) => Err(Failure::request("no features; send `features` or `feature_service`")),
            (Some(_), Some(_)) => Err(Failure::request("send `features` or `feature_service`, not both")),
        }
    }
}

fn reference(text: &str) -> FeatureRef {
    let whole: FeatureRef = text.parse().expect("every text is a reference");
    match whole {
        FeatureRef::All(view) => FeatureRef::All(unversioned(&view).to_owned()),
        FeatureRef::One(view, feature) => FeatureRef::One(unversioned(&view).to_owned(), feature),
        FeatureRef::Bare(name) => FeatureRef::Bare(name),
    }
}

/// The features of a service; a model is one as well, of the stored features that it reads.
async fn of_service(service: &PredictService, name: &str) -> Result<Vec<ServiceFeature>, Failure> {
    let definitions = &service.dependencies().definitions;
    if let Some(listed) = definitions.services.get(name) {
        return expanded(service, &listed.features, &listed.except).await;
    }
    let snapshot = service.snapshot();
    if !snapshot.models.contains_key(name) {
        let services = definitions.services.keys().chain(snapshot.models.keys());
        let hint = hint(name, services.map(String::as_str));
        let message = format!("Feature service {name} does not exist{hint}");
        return Err(Failure::raised(
            StatusCode::NOT_FOUND,
            "FeatureServiceNotFoundException",
            message,
        ));
    }
    let servable = service.servable(name, None).await?;
    let reads = servable.manifest().plan.reads.iter();
    let stored = reads.map(|it| ServiceFeature::Stored {
        view: it.view.clone(),
        feature: it.feature.clone(),
    });
    Ok(stored.collect())
}

async fn expanded(
    service: &PredictService,
    features: &[FeatureRef],
    except: &[FeatureRef],
) -> Result<Vec<ServiceFeature>, Failure> {
    let definitions = &service.dependencies().definitions;
    let mut open: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for reference in features.iter().chain(except) {
        match definitions.found(reference)? {
            Found::View(view) | Found::Stored(view, _) if view.all_columns => {
                let columns = stored::columns(service, view).await?;
                open.insert(&view.name, columns.into_iter().map(|it| it.0).collect());
            }
            _ => {}
        }
    }
    let columns = |view: &View| match open.get(view.name.as_str()) {
        Some(columns) => columns.clone(),
        None => view.features.iter().map(|it| it.name.clone()).collect(),
    };
    let all = definitions.expand(features, except, &columns)?;
    // Whether a view of all columns has a feature is known only now.
    for it in &all {
        if let ServiceFeature::Stored { view, feature } = it
            && let Some(columns) = open.get(view.as_str()).filter(|it| !it.contains(feature))
        {
            return Err(unknown_feature(view, feature, columns).into());
        }
    }
    Ok(all)
}

fn unknown_feature(view: &str, feature: &str, there: &[String]) -> ReferenceError {
    ReferenceError::Feature {
        view: view.to_owned(),
        name: feature.to_owned(),
        hint: hint(feature, there.iter().map(String::as_str)),
    }
}

/// The names of a request value's entity and its type, where some entity takes it.
pub(crate) fn request_type(definitions: &Definitions, entity: &str, name: &str) -> Option<DataType> {
    let columns = definitions.request.get(entity).into_iter().flatten();
    columns.into_iter().find(|it| it.name == name).map(|it| it.data_type)
}
