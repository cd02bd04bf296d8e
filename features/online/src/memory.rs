//! A store that lives as long as the process: for tests, and for `foretell-server` replicas that are fed by push.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use foretell_features::{EntityKey, FeatureRow};

use crate::admit;
use crate::store::{OnlineError, OnlineStore, PutReport, ViewRows, ViewSchema};

/// Rows in memory. Reads of different views never wait for one another.
#[derive(Debug, Default)]
pub struct MemoryStore {
    views: ArcSwap<HashMap<String, Arc<MemoryView>>>,
}

#[derive(Debug)]
struct MemoryView {
    columns: Arc<ViewSchema>,
    rows: RwLock<HashMap<EntityKey, FeatureRow>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn view(&self, view: &str) -> Result<Arc<MemoryView>, OnlineError> {
        let found = self.views.load().get(view).cloned();
        found.ok_or_else(|| OnlineError::UnknownView { view: view.to_owned() })
    }
}

#[async_trait]
impl OnlineStore for MemoryStore {
    async fn define(&self, view: &str, columns: &ViewSchema) -> Result<(), OnlineError> {
        self.views.rcu(|views| {
            if views.get(view).is_some_and(|it| *it.columns == *columns) {
                return Arc::clone(views);
            }
            let mut views = HashMap::clone(views);
            let empty = MemoryView {
                columns: Arc::new(columns.clone()),
                rows: RwLock::default(),
            };
            views.insert(view.to_owned(), Arc::new(empty));
            Arc::new(views)
        });
        Ok(())
    }

    async fn schema(&self, view: &str) -> Result<Option<ViewSchema>, OnlineError> {
        Ok(self.views.load().get(view).map(|it| ViewSchema::clone(&it.columns)))
    }

    async fn put(&self, view: &str, rows: Vec<(EntityKey, FeatureRow)>) -> Result<PutReport, OnlineError> {
        let n_rows = rows.len() as u64;
        let stored = self.view(view)?;
        let newest = admit::newest_by_key(view, &stored.columns, rows)?;
        let mut written = 0;
        // A row is inserted whole, so a panic elsewhere cannot have left the map half-written.
        let mut rows = stored.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (key, row) in newest {
            if admit::replaces(admit::time(&row), rows.get(&key).map(admit::time)) {
                rows.insert(key, row);
                written += 1;
            }
        }
        Ok(PutReport {
            written,
            kept: n_rows - written,
        })
    }

    async fn read(&self, view: &str, keys: &[EntityKey]) -> Result<ViewRows, OnlineError> {
        let stored = self.view(view)?;
        let rows = stored.rows.read().unwrap_or_else(PoisonError::into_inner);
        let rows = keys.iter().map(|key| rows.get(key).cloned()).collect();
        Ok(ViewRows {
            columns: Arc::clone(&stored.columns),
            rows,
        })
    }
}
