//! The features of entities at an instant: what the rest of the house reads and writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foretell_features::view_plan::Slot;
use foretell_features::{EntityKey, FeatureRead, Span, Status, Timestamp, Value, ViewDefinition, ViewId};

use crate::catalog::{Catalog, META, OnlineView, entity_key, erased_key, journal_key, stored_key, view_key};
use crate::codec;
use crate::erased::Erasure;
use crate::record;
use crate::store::{Edit, OnlineError, OnlineStore};
use crate::windows::{self, WindowError};

/// Where other processes write as well, definitions and erasures are read again when they are older than this.
const STALE: Duration = Duration::from_secs(1);

/// Views in versions over a store. Clones share everything.
#[derive(Debug, Clone)]
pub struct OnlineFeatures {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn OnlineStore>,
    pub(crate) catalog: ArcSwap<Catalog>,
    /// Counts changes of the catalog, so that readers may keep what they looked up.
    generation: AtomicU64,
    /// One change of the catalog at a time.
    changing: tokio::sync::Mutex<Instant>,
}

/// Some features of a view, their places found once.
#[derive(Debug, Clone)]
pub struct Projection {
    width: usize,
    /// Stored latest values: their slots, and where each goes.
    latest: (Vec<usize>, Vec<usize>),
    /// Window features likewise.
    windows: (Vec<usize>, Vec<usize>),
    max_age: Option<Span>,
}

/// What was read: `width` reads for each key, in the order of the projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewReads {
    /// Features per key.
    pub width: usize,
    /// Key by key.
    pub reads: Vec<FeatureRead>,
    /// Per key, whether the view has a record of it.
    pub found: Vec<bool>,
}

/// What an erasure removed online.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EraseReport {
    /// The view in its version.
    pub view: String,
    /// Records removed.
    pub records: u64,
}

impl OnlineFeatures {
    /// Reads what is defined.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Arc<dyn OnlineStore>) -> Result<Self, OnlineError> {
        let catalog = Catalog::read(&*store).await?;
        let inner = Inner {
            store,
            catalog: ArcSwap::from_pointee(catalog),
            generation: AtomicU64::new(0),
            changing: tokio::sync::Mutex::new(Instant::now()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A number that changes whenever a view is defined or forgotten.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// Declares a view version and makes it the current one of its view. The same again is a no-op.
    ///
    /// # Errors
    /// A definition that cannot be compiled; the store.
    pub async fn define(&self, definition: &ViewDefinition) -> Result<Arc<OnlineView>, OnlineError> {
        let _alone = self.inner.changing.lock().await;
        let catalog = Catalog::read(&*self.inner.store).await?;
        let id = definition.id();
        let stored = catalog.views.get(&id);
        let definition = match stored {
            Some(stored) => in_the_order_of(definition, &stored.definition),
            None => definition.clone(),
        };
        let is_current = catalog.current.get(&id.view).is_some_and(|it| it.id == id);
        if let Some(stored) = stored.filter(|it| is_current && it.definition == definition) {
            let view = Arc::clone(stored);
            self.changed(catalog);
            return Ok(view);
        }
        let order = if is_current {
            stored.map_or(1, |it| it.order)
        } else {
            catalog.next_order()
        };
        let view = Arc::new(OnlineView::of(definition, order)?);
        let (key, bytes) = view.entry();
        self.set_meta(key, bytes).await?;
        self.changed(catalog.with(Arc::clone(&view)));
        Ok(view)
    }

    /// All view versions, the current ones and those that models trained on them still read.
    pub fn views(&self) -> Vec<Arc<OnlineView>> {
        self.inner.catalog.load().views.values().cloned().collect()
    }

    /// A view in its current version.
    pub fn current(&self, view: &str) -> Option<Arc<OnlineView>> {
        self.inner.catalog.load().current.get(view).cloned()
    }

    /// A view, in a version or the current one.
    ///
    /// # Errors
    /// The view, or this version of it, is not in the store.
    pub async fn view(&self, view: &str, version: Option<&str>) -> Result<Arc<OnlineView>, OnlineError> {
        if let Some(found) = self.known(view, version) {
            return Ok(found);
        }
        self.refresh().await?;
        self.known(view, version).ok_or_else(|| match version {
            Some(version) if self.current(view).is_some() => OnlineError::UnknownVersion {
                view: view.to_owned(),
                version: version.to_owned(),
            },
            _ => OnlineError::UnknownView { view: view.to_owned() },
        })
    }

    fn known(&self, view: &str, version: Option<&str>) -> Option<Arc<OnlineView>> {
        match version {
            None => self.current(view),
            Some(version) => {
                let (view, version) = (view.to_owned(), version.to_owned());
                self.inner.catalog.load().views.get(&ViewId { view, version }).cloned()
            }
        }
    }

    /// Looks again at what is defined, where another process may have changed it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn refresh(&self) -> Result<(), OnlineError> {
        // Every push comes by here: with a store of one's own there is nothing to wait for.
        if !self.inner.store.is_shared() {
            return Ok(());
        }
        let mut last = self.inner.changing.lock().await;
        if last.elapsed() >= STALE {
            let read = Catalog::read(&*self.inner.store).await;
            // Also where it failed: who waits for their turn must not all wait for a store that is gone.
            *last = Instant::now();
            self.changed(read?);
        }
        Ok(())
    }

    /// Forgets a view version with its rows.
    ///
    /// # Errors
    /// The store.
    pub async fn forget(&self, id: &ViewId) -> Result<(), OnlineError> {
        let _alone = self.inner.changing.lock().await;
        let catalog = Catalog::read(&*self.inner.store).await?;
        for key in [view_key(id), journal_key(id)] {
            self.inner
                .store
                .update(META, vec![key], Arc::new(|_, _| Ok(Edit::Delete)))
                .await?;
        }
        if let Some(view) = catalog.views.get(id) {
            self.inner.store.remove(&view.space).await?;
        }
        self.changed(catalog.without(id));
        Ok(())
    }

    /// Features of keys at an instant: keys keep their order, repeated keys are answered each time. Windows end at `at`; a
    /// latest value's age is counted from it.
    ///
    /// # Errors
    /// The store, a damaged record, a window whose past is no longer kept event by event.
    pub async fn read(
        &self,
        view: &OnlineView,
        keys: &[EntityKey],
        wanted: &Projection,
        at: Timestamp,
    ) -> Result<ViewReads, OnlineError> {
        let mut answer = ViewReads {
            width: wanted.width,
            reads: vec![FeatureRead::NOT_FOUND; keys.len() * wanted.width],
            found: vec![false; keys.len()],
        };
        let stored: Vec<Vec<u8>> = keys.iter().map(stored_key).collect();
        let mut values = Vec::new();
        let see = &mut |position: usize, bytes: Option<&[u8]>| {
            let row = &mut answer.reads[position * wanted.width..][..wanted.width];
            answer.found[position] = bytes.is_some();
            wanted.fill(view, bytes, at, row, &mut values)
        };
        self.inner.store.read(&view.space, &stored, see).await?;
        Ok(answer)
    }

    /// What the offline engine noted about a view version, last time.
    ///
    /// # Errors
    /// The store.
    pub async fn journal(&self, id: &ViewId) -> Result<Option<String>, OnlineError> {
        let mut found = None;
        let see = &mut |_: usize, bytes: Option<&[u8]>| {
            found = bytes.map(|it| String::from_utf8_lossy(it).into_owned());
            Ok(())
        };
        self.inner.store.read(META, &[journal_key(id)], see).await?;
        Ok(found)
    }

    /// Notes something about a view version; it goes when the version goes.
    ///
    /// # Errors
    /// The store.
    pub async fn set_journal(&self, id: &ViewId, text: &str) -> Result<(), OnlineError> {
        self.set_meta(journal_key(id), text.as_bytes().to_vec()).await
    }

    /// Records of a view without any event since may be forgotten.
    ///
    /// # Errors
    /// The store.
    pub async fn expire(&self, view: &OnlineView, now: Timestamp) -> Result<(), OnlineError> {
        match view.definition.view.retention {
            Some(retention) => self.inner.store.expire(&view.space, now.minus(retention)).await,
            None => Ok(()),
        }
    }

    /// Removes everybody whose key has these parts from every view, and refuses what happened to them up to `until` from now
    /// on. Again is harmless.
    ///
    /// # Errors
    /// The store; what was removed before stays removed.
    pub async fn erase(&self, erasure: &Erasure) -> Result<Vec<EraseReport>, OnlineError> {
        // The refusal first: nothing can come back between the removal and it.
        let text = serde_json::to_vec(erasure).expect("key parts are text and numbers");
        {
            let _alone = self.inner.changing.lock().await;
            self.set_meta(erased_key(erasure), text).await?;
            let catalog = Catalog::read(&*self.inner.store).await?;
            self.changed(catalog.with_erasure(erasure.clone()));
        }
        let mut reports = Vec::new();
        for view in self.views().iter().filter(|it| erasure.concerns(it.definition.key())) {
            let keys = self.keys_of(view, erasure).await?;
            let records = self.inner.store.update(&view.space, keys, Arc::new(delete)).await?;
            let view = view.id.to_string();
            reports.push(EraseReport { view, records });
        }
        Ok(reports)
    }

    /// How many records an erasure would remove, view by view.
    ///
    /// # Errors
    /// The store.
    pub async fn would_erase(&self, erasure: &Erasure) -> Result<Vec<EraseReport>, OnlineError> {
        let mut reports = Vec::new();
        for view in self.views().iter().filter(|it| erasure.concerns(it.definition.key())) {
            let keys = self.keys_of(view, erasure).await?;
            let mut records = 0;
            let see = &mut |_: usize, bytes: Option<&[u8]>| {
                records += u64::from(bytes.is_some());
                Ok(())
            };
            self.inner.store.read(&view.space, &keys, see).await?;
            let view = view.id.to_string();
            reports.push(EraseReport { view, records });
        }
        Ok(reports)
    }

    /// The stored keys that an erasure means: one where it has the whole key, else all are looked at.
    async fn keys_of(&self, view: &OnlineView, erasure: &Erasure) -> Result<Vec<Vec<u8>>, OnlineError> {
        let columns = view.definition.key();
        if erasure.key.len() == columns.len() {
            let parts = columns.iter().map(|(name, _)| erasure.key[name].clone());
            return Ok(vec![stored_key(&EntityKey(parts.collect()))]);
        }
        let mut keys = Vec::new();
        let see = &mut |stored: &[u8], _: &[u8]| {
            if entity_key(stored).is_some_and(|key| erasure.matches(columns, &key)) {
                keys.push(stored.to_vec());
            }
            Ok(true)
        };
        self.inner.store.walk(&view.space, see).await?;
        Ok(keys)
    }

    async fn set_meta(&self, key: Vec<u8>, bytes: Vec<u8>) -> Result<(), OnlineError> {
        let write = move |_: usize, _: Option<&[u8]>| Ok(Edit::Write(bytes.clone()));
        self.inner.store.update(META, vec![key], Arc::new(write)).await?;
        Ok(())
    }

    fn changed(&self, catalog: Catalog) {
        self.inner.catalog.store(Arc::new(catalog));
        self.inner.generation.fetch_add(1, Ordering::AcqRel);
    }
}

fn delete(_: usize, stored: Option<&[u8]>) -> Result<Edit, OnlineError> {
    Ok(stored.map_or(Edit::Keep, |_| Edit::Delete))
}

/// Stored rows have the order of features of their day; a later definition of the same meaning follows it.
fn in_the_order_of(definition: &ViewDefinition, stored: &ViewDefinition) -> ViewDefinition {
    let mut definition = definition.clone();
    let place = |name: &str| stored.view.features.iter().position(|it| it.name == name);
    definition.view.features.sort_by_key(|it| place(&it.name));
    let input = |name: &str| stored.inputs.iter().position(|it| it.0 == name);
    definition.inputs.sort_by_key(|it| input(&it.0));
    definition
}

impl OnlineView {
    /// Features by position, read in this order; `max_age` is for the latest values among them.
    pub fn project(&self, features: &[usize], max_age: Option<Span>) -> Projection {
        let mut projection = Projection {
            width: features.len(),
            latest: Default::default(),
            windows: Default::default(),
            max_age,
        };
        for (place, &feature) in features.iter().enumerate() {
            let (slot, (slots, places)) = match self.plan.slots[feature] {
                Slot::Latest(slot) => (slot, &mut projection.latest),
                Slot::Window(slot) => (slot, &mut projection.windows),
            };
            slots.push(slot);
            places.push(place);
        }
        projection
    }

    /// Every feature, with the view's own `max_age`.
    pub fn project_all(&self) -> Projection {
        let all: Vec<usize> = (0..self.plan.columns.len()).collect();
        self.project(&all, self.definition.view.max_age)
    }
}

impl Projection {
    fn fill(
        &self,
        view: &OnlineView,
        bytes: Option<&[u8]>,
        at: Timestamp,
        row: &mut [FeatureRead],
        values: &mut Vec<Value>,
    ) -> Result<(), OnlineError> {
        let parts = bytes.map(record::parts).transpose().map_err(|it| damaged(view, it))?;
        if let Some(latest) = parts.and_then(|it| it.latest) {
            self.fill_latest(view, latest, at, row)
                .map_err(|it| damaged(view, it))?;
        }
        if self.windows.0.is_empty() {
            return Ok(());
        }
        values.clear();
        let section = parts.and_then(|it| it.windows);
        windows::evaluate(&view.plan.windows, section, &self.windows.0, at, values)
            .map_err(|it| unanswered(view, it))?;
        let event_time = match section {
            Some(section) => Some(windows::as_of(&view.plan.windows, section).map_err(|it| damaged(view, it))?),
            None => None,
        };
        for (value, &place) in values.drain(..).zip(&self.windows.1) {
            let status = match (bytes.is_some(), value.is_null()) {
                (false, _) => Status::NotFound,
                (true, true) => Status::NullValue,
                (true, false) => Status::Present,
            };
            row[place] = FeatureRead {
                value,
                status,
                event_time,
            };
        }
        Ok(())
    }

    fn fill_latest(
        &self,
        view: &OnlineView,
        latest: &[u8],
        at: Timestamp,
        row: &mut [FeatureRead],
    ) -> Result<(), String> {
        let (slots, places) = &self.latest;
        let see = |position: usize, value: Value| row[places[position]].value = value;
        let event_time = codec::decode_some(&view.plan.latest, latest, slots, see)?;
        let fresh = self.max_age.is_none_or(|age| event_time.plus(age) >= at);
        for &place in places {
            let read = &mut row[place];
            read.event_time = Some(event_time);
            read.status = match (fresh, read.value.is_null()) {
                (false, _) => Status::OutsideMaxAge,
                (true, true) => Status::NullValue,
                (true, false) => Status::Present,
            };
        }
        Ok(())
    }
}

impl ViewReads {
    /// The reads of one key.
    pub fn row(&self, key: usize) -> &[FeatureRead] {
        &self.reads[key * self.width..][..self.width]
    }
}

fn unanswered(view: &OnlineView, error: WindowError) -> OnlineError {
    match error {
        WindowError::Corrupt(reason) => damaged(view, reason),
        folded @ WindowError::Folded { .. } => OnlineError::Past {
            view: view.id.view.clone(),
            reason: folded.to_string(),
        },
    }
}

pub(crate) fn damaged(view: &OnlineView, reason: String) -> OnlineError {
    OnlineError::Damaged {
        view: view.id.view.clone(),
        reason,
    }
}
