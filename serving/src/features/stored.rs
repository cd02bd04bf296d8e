//! The one place of these routes that touches the online store.

use std::collections::{BTreeSet, HashMap};

use foretell_features::{DataType, EntityKey, FeatureRead, FeatureRow, ReferenceError, Timestamp, View};
use foretell_features_online::{IngestReport, OnlineView, SourceRows, ViewReads};

use super::failure::Failure;
use super::frame::source;
use crate::error::hint;
use crate::service::PredictService;

/// Features of one view for all entities of a request, at one instant.
pub(crate) struct StoredView {
    features: Vec<String>,
    reads: ViewReads,
    /// Per entity, its place among the keys read; none where a part of its key is null.
    places: Vec<Option<usize>>,
}

impl StoredView {
    /// Reads each key once, however often it is asked for; no key, no row.
    pub(crate) async fn read(
        service: &PredictService,
        view: &View,
        features: &BTreeSet<&str>,
        keys: &[Option<EntityKey>],
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let online = &service.dependencies().online;
        let stored = online.view(&view.name, None).await?;
        let at = features.iter().map(|it| place(&stored, it));
        let at = at.collect::<Result<Vec<_>, Failure>>()?;
        let mut distinct: Vec<EntityKey> = Vec::new();
        let mut known: HashMap<&EntityKey, usize> = HashMap::new();
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            places.push(key.as_ref().map(|key| {
                *known.entry(key).or_insert_with(|| {
                    distinct.push(key.clone());
                    distinct.len() - 1
                })
            }));
        }
        let wanted = stored.project(&at, view.max_age);
        Ok(Self {
            features: features.iter().map(|it| (*it).to_owned()).collect(),
            reads: online.read(&stored, &distinct, &wanted, now).await?,
            places,
        })
    }

    /// One of the features read, of all rows.
    pub(crate) fn feature(&self, name: &str) -> impl Iterator<Item = FeatureRead> + '_ {
        let at = self
            .features
            .iter()
            .position(|it| it == name)
            .expect("it was asked for");
        let read = move |place: &Option<usize>| match place {
            None => FeatureRead::NOT_FOUND,
            Some(row) => self.reads.row(*row)[at].clone(),
        };
        self.places.iter().map(read)
    }
}

fn place(view: &OnlineView, feature: &str) -> Result<usize, Failure> {
    let unknown = || ReferenceError::Feature {
        view: view.id.view.clone(),
        name: feature.to_owned(),
        hint: hint(feature, view.columns().iter().map(|it| it.0.as_str())),
    };
    view.feature(feature).ok_or_else(|| unknown().into())
}

/// The stored features of a view and their types.
pub(crate) async fn columns(service: &PredictService, view: &View) -> Result<Vec<(String, DataType)>, Failure> {
    let stored = service.dependencies().online.view(&view.name, None).await?;
    Ok(stored.columns().to_vec())
}

/// Whether rows of the view are rows of its source, because it aggregates over them.
pub(crate) async fn takes_events(service: &PredictService, view: &View) -> Result<bool, Failure> {
    let stored = service.dependencies().online.view(&view.name, None).await?;
    Ok(stored.plan.has_windows())
}

/// Writes rows of a view of latest values, its features in order.
pub(crate) async fn write(
    service: &PredictService,
    view: &View,
    rows: Vec<(EntityKey, FeatureRow)>,
) -> Result<(), Failure> {
    let online = &service.dependencies().online;
    let stored = online.view(&view.name, None).await?;
    online.put(&stored, rows).await?;
    Ok(())
}

/// Writes rows of its source into a view.
pub(crate) async fn write_events(service: &PredictService, view: &View, rows: &SourceRows) -> Result<(), Failure> {
    let dependencies = service.dependencies();
    let stored = dependencies.online.view(&view.name, None).await?;
    dependencies
        .online
        .push_to(&stored, rows, dependencies.clock.now())
        .await?;
    Ok(())
}

/// Writes rows of a source into every view on it, all or none.
pub(crate) async fn push(service: &PredictService, source_name: &str, rows: &SourceRows) -> Result<(), Failure> {
    let dependencies = service.dependencies();
    source(&dependencies.definitions, source_name)?;
    dependencies
        .online
        .push(source_name, rows, dependencies.clock.now())
        .await?;
    Ok(())
}

/// The same, but rows that do not fit are told and the others written.
pub(crate) async fn ingest(
    service: &PredictService,
    source_name: &str,
    rows: SourceRows,
) -> Result<IngestReport, Failure> {
    let dependencies = service.dependencies();
    source(&dependencies.definitions, source_name)?;
    Ok(dependencies
        .online
        .ingest(source_name, rows, dependencies.clock.now())
        .await?)
}
