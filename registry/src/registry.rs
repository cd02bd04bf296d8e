//! The registry itself and everything that only reads it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::error::Result;
use crate::log::Log;
use crate::package::Manifest;
use crate::record::{CatalogOp, ModelOp, Record};
use crate::reference::{ModelRef, VersionRef};
use crate::sign::Trust;
use crate::state::{Catalog, CatalogEntry, ModelLog};
use crate::storage::Storage;
use crate::view::{ModelState, ModelVersion};

/// Logs read at a time when all models are asked for.
const AT_ONCE: usize = 16;

/// A model registry in an object store. Cloning is cheap; clones share what was read.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Inner>,
    trust: Arc<Trust>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    catalog: Log<Catalog>,
    models: Mutex<HashMap<String, Arc<Log<ModelLog>>>>,
    /// Whether the manifest without files was seen in the store; no collection removes it.
    empty_stored: AtomicBool,
}

impl Registry {
    /// A registry in this store, which may be empty. The store must support [`object_store::PutMode::Create`]; one that
    /// does not is refused at the first commit.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::with_hints(store.clone(), store)
    }

    /// The same, with a second way to the same objects that need not wait for the disk, for what may be lost.
    pub(crate) fn with_hints(store: Arc<dyn ObjectStore>, hints: Arc<dyn ObjectStore>) -> Self {
        let storage = Storage::new(store, hints);
        let catalog = Log::new(storage.clone(), "catalog");
        let models = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                storage,
                catalog,
                models,
                empty_stored: AtomicBool::new(false),
            }),
            trust: Arc::default(),
        }
    }

    /// All models, by name.
    pub async fn list_models(&self) -> Result<Vec<ModelState>> {
        let catalog = self.catalog().refresh().await?;
        let entries: Vec<_> = catalog
            .state
            .entries()
            .map(|(name, entry)| (name.to_owned(), entry.clone()))
            .collect();
        let models = stream::iter(entries).map(|(name, entry)| self.state(name, entry));
        models.buffered(AT_ONCE).try_collect().await
    }

    /// One model.
    pub async fn model(&self, name: &str) -> Result<ModelState> {
        let entry = self.entry(name).await?;
        self.state(name.to_owned(), entry).await
    }

    /// The version that is meant, as of now.
    pub async fn resolve(&self, name: &str, version: &VersionRef) -> Result<ModelVersion> {
        self.model(name).await?.resolve(version)
    }

    /// The version that `M`, `M@3` or `M@champion` means now; without `@` the champion.
    pub async fn resolve_ref(&self, model: &ModelRef) -> Result<ModelVersion> {
        self.resolve(&model.name, &model.version_or_champion()).await
    }

    /// Everything that ever happened to a model, oldest first.
    pub async fn history(&self, name: &str) -> Result<Vec<Record<ModelOp>>> {
        let entry = self.entry(name).await?;
        self.log_of(&entry.id).history().await
    }

    /// Every creation, renaming and deletion of a model, oldest first.
    pub async fn catalog_history(&self) -> Result<Vec<Record<CatalogOp>>> {
        self.catalog().history().await
    }

    /// Removes every object and forgets what was read: for tests of clients, which want an empty registry each.
    pub async fn clear(&self) -> Result<()> {
        // Names first: what is no longer named is not looked at.
        let mut objects = self.storage().list_objects("").await?;
        objects.sort_by_key(|it| !it.location.as_ref().starts_with("catalog/"));
        let deletions = objects
            .iter()
            .map(|it| async move { self.storage().delete(it.location.as_ref()).await });
        let deletions: Vec<_> = deletions.collect();
        stream::iter(deletions)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.inner.models.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.catalog().forget();
        self.inner.empty_stored.store(false, Ordering::Release);
        self.storage().forget();
        Ok(())
    }

    /// Stores the manifest of a package without files, once per process.
    pub(crate) async fn store_nothing(&self, manifest: &Manifest) -> Result<()> {
        if !self.inner.empty_stored.load(Ordering::Acquire) {
            self.store(&[], &[], manifest).await?;
            self.inner.empty_stored.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn with_trust(self, trust: Trust) -> Self {
        let trust = Arc::new(trust);
        Self { trust, ..self }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub(crate) fn catalog(&self) -> &Log<Catalog> {
        &self.inner.catalog
    }

    /// The log of the model with this id, shared by everybody in this process.
    pub(crate) fn log_of(&self, id: &str) -> Arc<Log<ModelLog>> {
        let mut models = self.inner.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = models.get(id) {
            return log.clone();
        }
        let log = Arc::new(Log::new(self.inner.storage.clone(), model_folder(id)));
        models.insert(id.to_owned(), log.clone());
        log
    }

    pub(crate) async fn entry(&self, name: &str) -> Result<CatalogEntry> {
        self.catalog().refresh().await?.state.entry(name).cloned()
    }

    pub(crate) async fn state(&self, name: String, entry: CatalogEntry) -> Result<ModelState> {
        let head = self.log_of(&entry.id).refresh().await?;
        Ok(ModelState::new(&name, &entry, head))
    }
}

pub(crate) fn model_folder(id: &str) -> String {
    format!("models/{id}")
}
