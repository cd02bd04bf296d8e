//! From files to the online store: per entity the newest row and the events of its windows, from which the online store gives
//! at any later instant the very values that [`OfflineStore::historical`] gives.

mod journal;
mod rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use foretell_features::row::KeyPart;
use foretell_features::{
    DataType, Definitions, EntityKey, ErasedView, ErasureReceipt, ErasureRequest, Expression, MaterializeReport,
    MaterializeRequest, Offline, OfflineError, SourceName, Table, Timestamp, Value, ViewDefinition,
};
use foretell_features_online::{Erasure, MaterializedEntity, OnlineFeatures, OnlineView};

use self::journal::{Journal, Running};
use self::rows::Rows;
use crate::append::append;
use crate::entity_batches::EntityBatchSpec;
use crate::error::{OfflineStoreError, Result, definition};
use crate::store::{OfflineStore, find_source};

/// Told the view, and how many of its entities are done.
pub type MaterializeProgress<'a> = &'a (dyn Fn(&str, u64) + Send + Sync);

/// Definitions, files and an online store joined: the server's `/materialize`. Files are read anew on every call.
#[derive(Debug)]
pub struct OfflineEngine {
    definitions: Definitions,
    data_root: PathBuf,
    state: Option<PathBuf>,
    online: OnlineFeatures,
}

impl OfflineStore {
    /// A view with all that its values depend on, file columns included.
    ///
    /// # Errors
    /// An unknown view, an unreadable source.
    pub fn view_definition(&self, view: &str) -> Result<ViewDefinition> {
        let inputs = self.input_types(view)?;
        let found = ViewDefinition::of(self.definitions(), view, inputs);
        found.ok_or_else(|| definition(format!("view `{view}`"), "its source or its entity is not defined"))
    }

    /// Writes the views into the online store, those named or all, and the older versions of them that are still there.
    ///
    /// What the files say of an entity up to `to` replaces what was known of it before `to`; events pushed since stay. Latest
    /// values keep the time of their row (a snapshot's rows are of `to`), and a newer stored row stays. A run that was cut off
    /// goes on where it was, when it is asked for the same again and the files are the same.
    ///
    /// # Errors
    /// An unknown view, `to` after `now`, an unreadable source, the store's own errors. Views before the failing one are
    /// written.
    pub async fn materialize(
        self: &Arc<Self>,
        online: &OnlineFeatures,
        request: &MaterializeRequest,
        progress: MaterializeProgress<'_>,
    ) -> Result<Vec<MaterializeReport>> {
        if request.to > request.now {
            let (to, now) = (request.to, request.now);
            let reason =
                format!("{to} is in the future, it is {now}; events until then would be missed. Materialize up to now");
            return Err(definition("materialize up to", reason));
        }
        let mut reports = Vec::new();
        for view in self.named(&request.views) {
            self.view(&view)?;
            reports.push(self.materialize_view(online, &view, request, progress).await?);
            let (store, name, to) = (Arc::clone(self), view.clone(), request.to);
            aside(move || store.keep_statistics(&name, to)).await?;
            for old in online.views().iter().filter(|it| it.id.view == view) {
                if online.current(&view).is_some_and(|it| it.id != old.id) {
                    reports.extend(self.refresh(online, old, request).await);
                }
            }
        }
        Ok(reports)
    }

    /// The views to write; none named means all.
    fn named(&self, views: &[String]) -> Vec<String> {
        if views.is_empty() {
            self.definitions().views.keys().cloned().collect()
        } else {
            views.to_vec()
        }
    }

    async fn materialize_view(
        self: &Arc<Self>,
        online: &OnlineFeatures,
        view: &str,
        request: &MaterializeRequest,
        progress: MaterializeProgress<'_>,
    ) -> Result<MaterializeReport> {
        let (store, name, to) = (Arc::clone(self), view.to_owned(), request.to);
        let defined = aside(move || {
            store.admit(&name, to)?;
            store.view_definition(&name)
        });
        let defined = defined.await?;
        let view = online.define(&defined).await?;
        self.write_view(online, &view, request, progress).await
    }

    /// A version that models trained on it still read is kept up to date as long as its source has what it needs.
    async fn refresh(
        &self,
        online: &OnlineFeatures,
        old: &Arc<OnlineView>,
        request: &MaterializeRequest,
    ) -> Option<MaterializeReport> {
        let alone = alone(&old.definition);
        let written = async {
            let store = OfflineStore::open(alone, self.data_root())?;
            let store = Arc::new(match self.state() {
                Some(state) => store.keeping(state),
                None => store,
            });
            store.write_view(online, old, request, &|_, _| {}).await
        };
        let told = |error: &OfflineStoreError| tracing::warn!("{} stays as it is: {error}", old.id);
        written.await.inspect_err(told).ok()
    }

    async fn write_view(
        self: &Arc<Self>,
        online: &OnlineFeatures,
        view: &Arc<OnlineView>,
        request: &MaterializeRequest,
        progress: MaterializeProgress<'_>,
    ) -> Result<MaterializeReport> {
        let files = self.source_files(&view.definition.source.name)?;
        let before = Journal::parse(online.journal(&view.id).await?);
        let work = before.work(&files, request);
        let mut report = MaterializeReport {
            view: view.id.view.clone(),
            version: view.id.version.clone(),
            rows_read: 0,
            entities: 0,
            skipped: 0,
            to: request.to,
        };
        let (send, mut batches) = tokio::sync::mpsc::channel(1);
        let reading = self.read_aside(view, request, &work, send);
        let mut number = 0;
        while let Some(batch) = batches.recv().await {
            number += 1;
            let Read { entities, unchanged } = batch;
            report.skipped += unchanged;
            if number <= work.done {
                report.skipped += entities.len() as u64;
                continue;
            }
            let written = online.replace(view, entities, request.to).await?;
            report.entities += written.written;
            report.skipped += written.kept;
            let running = Running::of(request, &files, number);
            online.set_journal(&view.id, &before.with(Some(running)).text()).await?;
            progress(&view.id.view, report.entities + report.skipped);
        }
        let stopped = |error: tokio::task::JoinError| definition("materialize", format!("it was stopped: {error}"));
        report.rows_read = reading.await.map_err(stopped)??;
        online
            .set_journal(&view.id, &Journal::done(request, files).text())
            .await?;
        online.expire(view, request.now).await?;
        Ok(report)
    }

    /// Reads the source on a thread of its own, one batch ahead of the writer; the answer is the number of rows.
    fn read_aside(
        self: &Arc<Self>,
        view: &Arc<OnlineView>,
        request: &MaterializeRequest,
        work: &journal::Work,
        send: tokio::sync::mpsc::Sender<Read>,
    ) -> tokio::task::JoinHandle<Result<u64>> {
        let (store, view, request, work) = (Arc::clone(self), Arc::clone(view), request.clone(), work.clone());
        tokio::task::spawn_blocking(move || {
            let changed = match &work.new_files {
                Some(files) => Some(store.entities_in(&view, request.to, files)?),
                None => None,
            };
            let expressions: Vec<Expression> = view.plan.inputs.iter().map(|it| Expression::column(&it.0)).collect();
            let spec = EntityBatchSpec {
                view: &view.id.view,
                to: request.to,
                expressions: &expressions,
                keys: None,
                files: None,
            };
            let since = work.since.zip(changed.as_ref());
            let totals = store.for_each_entity_batch(&spec, |batch| {
                let read = Rows::of(&view, &batch, &request).entities(since)?;
                // A writer that failed has gone; its own error is the one to tell.
                send.blocking_send(read)
                    .map_err(|_| definition("materialize", "the writer has stopped"))
            })?;
            Ok(totals.rows_read)
        })
    }

    /// The entities about which some files say anything.
    fn entities_in(&self, view: &OnlineView, to: Timestamp, files: &BTreeSet<PathBuf>) -> Result<BTreeSet<EntityKey>> {
        let mut found = BTreeSet::new();
        if files.is_empty() {
            return Ok(found);
        }
        let spec = EntityBatchSpec {
            view: &view.id.view,
            to,
            expressions: &[],
            keys: None,
            files: Some(files),
        };
        self.for_each_entity_batch(&spec, |batch| -> Result<()> {
            found.extend(batch.entities.into_iter().map(|it| it.key));
            Ok(())
        })?;
        Ok(found)
    }
}

/// A batch as the writer takes it.
struct Read {
    entities: Vec<MaterializedEntity>,
    /// Entities about which there is nothing new.
    unchanged: u64,
}

fn key_part((column, _, value): &(String, DataType, Value)) -> (String, KeyPart) {
    let part = match value {
        Value::Int(it) => KeyPart::Int(*it),
        other => KeyPart::Str(other.to_string().into()),
    };
    (column.clone(), part)
}

/// One view version as a project of its own.
fn alone(it: &ViewDefinition) -> Definitions {
    let mut definitions = Definitions::default();
    definitions.views.insert(it.view.name.clone(), it.view.clone());
    definitions.sources.insert(it.source.name.clone(), it.source.clone());
    definitions
        .entities
        .extend(it.entity.iter().map(|it| (it.name.clone(), it.clone())));
    definitions
}

impl OfflineEngine {
    /// Over the definitions and files of a store, and the store to write to. What `store` has read is not kept.
    pub fn new(store: &OfflineStore, online: OnlineFeatures) -> Self {
        Self {
            definitions: store.definitions().clone(),
            data_root: store.data_root().to_owned(),
            state: store.state().map(Path::to_owned),
            online,
        }
    }

    /// The online store first: what it has is what is served.
    async fn erase_everywhere(&self, request: &ErasureRequest) -> Result<ErasureReceipt> {
        let erasure = Erasure {
            key: request.pattern.parts().iter().map(key_part).collect(),
            until: request.at,
        };
        let removed = match request.dry_run {
            true => self.online.would_erase(&erasure).await?,
            false => self.online.erase(&erasure).await?,
        };
        let online = removed.into_iter().map(|it| ErasedView {
            view: it.view,
            entities: it.records,
        });
        let (online, store, request) = (online.collect(), self.opened().await?, request.clone());
        aside(move || store.erase(&request, online)).await
    }

    /// The files as they are now.
    async fn opened(&self) -> Result<OfflineStore> {
        let (definitions, data_root) = (self.definitions.clone(), self.data_root.clone());
        let store = aside(move || OfflineStore::open(definitions, &data_root)).await?;
        Ok(match &self.state {
            Some(state) => store.keeping(state),
            None => store,
        })
    }
}

#[async_trait]
impl Offline for OfflineEngine {
    async fn materialize(&self, request: MaterializeRequest) -> Result<Vec<MaterializeReport>, OfflineError> {
        let said = |error: OfflineStoreError| OfflineError(error.to_string());
        let store = self.opened().await.map_err(said)?;
        Arc::new(store)
            .materialize(&self.online, &request, &|_, _| {})
            .await
            .map_err(said)
    }

    async fn append(&self, source: &SourceName, rows: Table) -> Result<(), OfflineError> {
        let (definitions, data_root, source) = (self.definitions.clone(), self.data_root.clone(), source.clone());
        let appended = aside(move || append(find_source(&definitions, &source)?, &data_root, &rows).map(drop)).await;
        appended.map_err(|error| OfflineError(error.to_string()))
    }

    async fn erase(&self, request: &ErasureRequest) -> Result<ErasureReceipt, OfflineError> {
        let erased = self.erase_everywhere(request).await;
        erased.map_err(|error| OfflineError(error.to_string()))
    }
}

/// Runs work that keeps cores busy off the threads that answer requests.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| definition("materialize", format!("it was stopped: {error}")))?
}
