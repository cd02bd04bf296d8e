//! From files to the online store: each entity's row as of an instant, the very values that [`OfflineStore::historical`] gives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use foretell_features::{
    Column, Definitions, EntityKey, Feature, FeatureKind, FeatureRow, MaterializeReport, Offline, OfflineError,
    SourceName, Table, Timestamp, View, ViewName,
};
use foretell_features_online::{OnlineStore, ViewSchema};

use crate::append::append;
use crate::error::Result;
use crate::events::Query;
use crate::store::{OfflineStore, find_source};
use crate::view::LoadedView;

/// Rows put at once: enough to amortise the store's commit, few enough to hold in memory.
const BATCH: usize = 4096;

/// Told the view, how many of its entities are written and how many there are.
pub type MaterializeProgress<'a> = &'a (dyn Fn(&str, u64, u64) + Send + Sync);

/// Definitions, files and an online store joined: the server's `/materialize`. Files are read anew on every call.
#[derive(Debug)]
pub struct OfflineEngine {
    definitions: Definitions,
    data_root: PathBuf,
    state: Option<PathBuf>,
    online: Arc<dyn OnlineStore>,
}

impl OfflineStore {
    /// Writes each entity's row of the named views (none named: all) as of `to` into the online store.
    ///
    /// A view of latest values only writes the newest row under its own event time, however old (a snapshot's rows under
    /// `to`). A view with aggregates writes every entity of its kind that any view knows by then, under `to`, so that an entity
    /// without events reads 0 as it does in training.
    ///
    /// # Errors
    /// An unknown view, an unreadable source, the store's own errors. Views before the failing one are written.
    pub async fn materialize(
        &self,
        online: &dyn OnlineStore,
        views: &[ViewName],
        to: Timestamp,
        progress: MaterializeProgress<'_>,
    ) -> Result<Vec<MaterializeReport>> {
        self.materialize_between(online, views, None, to, progress).await
    }

    /// The same, but of views of latest values only the rows that happened at `from` or later.
    ///
    /// # Errors
    /// As [`OfflineStore::materialize`].
    pub async fn materialize_between(
        &self,
        online: &dyn OnlineStore,
        views: &[ViewName],
        from: Option<Timestamp>,
        to: Timestamp,
        progress: MaterializeProgress<'_>,
    ) -> Result<Vec<MaterializeReport>> {
        let mut reports = Vec::new();
        for view in self.named(views) {
            reports.push(self.prepared(&view, from, to)?.write(online, progress).await?);
        }
        Ok(reports)
    }

    /// The views to write; none named means all.
    fn named(&self, views: &[ViewName]) -> Vec<ViewName> {
        if views.is_empty() {
            self.definitions().views.keys().cloned().collect()
        } else {
            views.to_vec()
        }
    }

    /// All rows of a view, computed but not written.
    fn prepared(&self, view: &str, from: Option<Timestamp>, to: Timestamp) -> Result<Prepared> {
        self.admit(view, to)?;
        let schema = self.view_schema(view)?;
        let loaded = self.loaded_view(view)?;
        let due = self.due(&loaded, from, to)?;
        let values = self.values_of(&loaded, &due)?;
        let (rows_read, entities) = (loaded.source.schema.rows(), due.len() as u64);
        let report = MaterializeReport {
            view: view.to_owned(),
            rows_read,
            entities,
            to,
        };
        Ok(Prepared {
            schema,
            due,
            values,
            report,
        })
    }

    /// The entities to write, sorted, each with the time it is written under.
    fn due(&self, view: &LoadedView<'_>, from: Option<Timestamp>, to: Timestamp) -> Result<Vec<Due>> {
        if has_aggregates(view.view) {
            let due = |key| Due {
                key,
                query_at: to,
                event_time: to,
                known_time: None,
            };
            return Ok(self.known_entities(view.view, to)?.into_iter().map(due).collect());
        }
        let snapshot = view.source.schema.source.event_time.is_none();
        let newest = |(code, key): (u32, EntityKey)| {
            let newest = view.events.latest(
                Query {
                    entity: Some(code),
                    at: to,
                },
                None,
                view.knowledge,
            )?;
            let event_time = if snapshot { to } else { view.events.time(newest) };
            Some(Due {
                key,
                query_at: to,
                event_time,
                known_time: view.events.known_time(newest),
            })
        };
        let mut due: Vec<Due> = (0..).zip(view.events.keys()).filter_map(newest).collect();
        due.retain(|it| from.is_none_or(|from| it.event_time >= from));
        due.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(due)
    }

    /// Every entity of the view's kind with a row in any view by then.
    fn known_entities(&self, view: &View, to: Timestamp) -> Result<BTreeSet<EntityKey>> {
        let Some(entity) = &view.entity else {
            return Ok([EntityKey(Vec::new())].into());
        };
        let alike = self
            .definitions()
            .views
            .values()
            .filter(|it| it.entity.as_ref() == Some(entity));
        let sources: BTreeSet<&str> = alike.map(|it| it.source.as_str()).collect();
        let mut known = BTreeSet::new();
        for source in sources {
            let events = self.whole_events(source, Some(entity))?;
            let by_then = |code| {
                events
                    .latest(
                        Query {
                            entity: Some(code),
                            at: to,
                        },
                        None,
                        self.knowledge,
                    )
                    .is_some()
            };
            known.extend(
                (0..)
                    .zip(events.keys())
                    .filter(|(code, _)| by_then(*code))
                    .map(|(_, key)| key),
            );
        }
        Ok(known)
    }

    fn values_of(&self, view: &LoadedView<'_>, due: &[Due]) -> Result<Vec<Column>> {
        let features: Vec<&Feature> = view.view.features.iter().collect();
        let keys: Vec<Option<EntityKey>> = due.iter().map(|it| Some(it.key.clone())).collect();
        let times: Vec<Timestamp> = due.iter().map(|it| it.query_at).collect();
        if has_aggregates(view.view) {
            view.columns(&features, &keys, &times)
        } else {
            view.of_any_age(&features, &keys, &times)
        }
    }
}

impl OfflineEngine {
    /// Over the definitions and files of a store, and the store to write to. What `store` has read is not kept.
    pub fn new(store: Arc<OfflineStore>, online: Arc<dyn OnlineStore>) -> Self {
        Self {
            definitions: store.definitions().clone(),
            data_root: store.data_root().to_owned(),
            state: store.state().map(Path::to_owned),
            online,
        }
    }

    /// The files as they are now.
    async fn opened(&self) -> Result<OfflineStore, OfflineError> {
        let (definitions, data_root, state) = (self.definitions.clone(), self.data_root.clone(), self.state.clone());
        let store = aside(move || OfflineStore::open(definitions, &data_root)).await?;
        Ok(match state {
            Some(state) => store.keeping(&state),
            None => store,
        })
    }
}

#[async_trait]
impl Offline for OfflineEngine {
    async fn materialize(
        &self,
        views: &[ViewName],
        from: Option<Timestamp>,
        to: Timestamp,
    ) -> Result<Vec<MaterializeReport>, OfflineError> {
        let store = Arc::new(self.opened().await?);
        let mut reports = Vec::new();
        for view in store.named(views) {
            let store = store.clone();
            let prepared = aside(move || store.prepared(&view, from, to)).await?;
            let written = prepared.write(self.online.as_ref(), &|_, _, _| {}).await;
            reports.push(written.map_err(|error| OfflineError(error.to_string()))?);
        }
        Ok(reports)
    }

    async fn append(&self, source: &SourceName, rows: Table) -> Result<(), OfflineError> {
        let (definitions, data_root, source) = (self.definitions.clone(), self.data_root.clone(), source.clone());
        aside(move || append(find_source(&definitions, &source)?, &data_root, &rows).map(drop)).await
    }
}

/// Runs work that keeps cores busy off the threads that answer requests.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, OfflineError> {
    let done = tokio::task::spawn_blocking(work).await;
    let result = done.map_err(|error| OfflineError(format!("materialization was stopped: {error}")))?;
    result.map_err(|error| OfflineError(error.to_string()))
}

/// A view's rows, ready to be written.
#[derive(Debug)]
struct Prepared {
    schema: ViewSchema,
    due: Vec<Due>,
    values: Vec<Column>,
    report: MaterializeReport,
}

impl Prepared {
    async fn write(self, online: &dyn OnlineStore, progress: MaterializeProgress<'_>) -> Result<MaterializeReport> {
        let view = &self.report.view;
        let total = self.due.len();
        online.define(view, &self.schema).await?;
        progress(view, 0, total as u64);
        for start in (0..total).step_by(BATCH) {
            let end = total.min(start + BATCH);
            online
                .put(
                    view,
                    (start..end).map(|at| self.due[at].with(&self.values, at)).collect(),
                )
                .await?;
            progress(view, end as u64, total as u64);
        }
        Ok(self.report)
    }
}

/// An entity to write.
#[derive(Debug)]
struct Due {
    key: EntityKey,
    query_at: Timestamp,
    event_time: Timestamp,
    known_time: Option<Timestamp>,
}

impl Due {
    fn with(&self, values: &[Column], at: usize) -> (EntityKey, FeatureRow) {
        let values = values.iter().map(|it| it.value(at)).collect();
        (
            self.key.clone(),
            FeatureRow {
                event_time: self.event_time,
                known_time: self.known_time,
                values,
            },
        )
    }
}

fn has_aggregates(view: &View) -> bool {
    view.features
        .iter()
        .any(|it| matches!(it.kind, FeatureKind::Aggregate { .. }))
}
