//! Which views there are, in which versions, and who was erased: kept in the store's `meta` space, cached here whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foretell_features::{DataType, EntityKey, ViewDefinition, ViewId, ViewPlan};
use serde::{Deserialize, Serialize};

use crate::erased::{Erased, Erasure};
use crate::store::{OnlineError, OnlineStore};

/// The space of definitions, journals and erasures.
pub(crate) const META: &str = "meta";
const VIEW: &str = "view/";
const ERASED: &str = "erased/";

/// A view version that has rows, ready to be read and written.
#[derive(Debug)]
pub struct OnlineView {
    /// Its name and version.
    pub id: ViewId,
    /// What it means.
    pub definition: ViewDefinition,
    /// How rows become values.
    pub plan: ViewPlan,
    /// Of several versions of a view the one defined last is current.
    pub(crate) order: u64,
    pub(crate) space: String,
}

/// All that `meta` says.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) views: BTreeMap<ViewId, Arc<OnlineView>>,
    pub(crate) current: HashMap<String, Arc<OnlineView>>,
    pub(crate) erased: Erased,
}

/// A view version as `meta` keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    definition: ViewDefinition,
    order: u64,
}

impl OnlineView {
    /// Compiles a definition.
    pub(crate) fn of(definition: ViewDefinition, order: u64) -> Result<Self, OnlineError> {
        let id = definition.id();
        let plan = ViewPlan::compile(&definition).map_err(|error| OnlineError::Definition {
            view: id.view.clone(),
            reason: error.to_string(),
        })?;
        let space = format!("view.{id}");
        Ok(Self {
            id,
            definition,
            plan,
            order,
            space,
        })
    }

    /// Name and type of every feature.
    pub fn columns(&self) -> &[(String, DataType)] {
        &self.plan.columns
    }

    /// The position of a feature.
    pub fn feature(&self, name: &str) -> Option<usize> {
        self.plan.columns.iter().position(|it| it.0 == name)
    }

    /// The key of the `meta` entry, and its bytes.
    pub(crate) fn entry(&self) -> (Vec<u8>, Vec<u8>) {
        let entry = Entry {
            definition: self.definition.clone(),
            order: self.order,
        };
        let bytes = serde_json::to_vec(&entry).expect("definitions have text keys, so they are always JSON");
        (view_key(&self.id), bytes)
    }
}

impl Catalog {
    /// Reads `meta`. A version whose definition this build cannot compile is left out, and said.
    pub(crate) async fn read(store: &dyn OnlineStore) -> Result<Self, OnlineError> {
        let mut views = Vec::new();
        let mut erasures: Vec<Erasure> = Vec::new();
        store
            .walk(META, &mut |key, bytes| {
                let key = String::from_utf8_lossy(key);
                if let Some(id) = key.strip_prefix(VIEW) {
                    match read_view(id, bytes) {
                        Ok(view) => views.push(Arc::new(view)),
                        Err(error) => tracing::warn!("{error}"),
                    }
                } else if key.starts_with(ERASED) {
                    erasures.push(serde_json::from_slice(bytes).map_err(|error| damaged(&key, &error))?);
                }
                Ok(true)
            })
            .await?;
        Ok(Self::of(views, Erased::of(erasures)))
    }

    fn of(views: Vec<Arc<OnlineView>>, erased: Erased) -> Self {
        let mut current: HashMap<String, Arc<OnlineView>> = HashMap::new();
        for view in &views {
            let newest = current.get(&view.id.view).is_none_or(|it| it.order < view.order);
            if newest {
                current.insert(view.id.view.clone(), Arc::clone(view));
            }
        }
        let views = views.into_iter().map(|it| (it.id.clone(), it)).collect();
        Self { views, current, erased }
    }

    pub(crate) fn with(&self, view: Arc<OnlineView>) -> Self {
        let mut views = self.views.clone();
        views.insert(view.id.clone(), view);
        Self::of(views.into_values().collect(), self.erased.clone())
    }

    pub(crate) fn without(&self, id: &ViewId) -> Self {
        let mut views = self.views.clone();
        views.remove(id);
        Self::of(views.into_values().collect(), self.erased.clone())
    }

    pub(crate) fn with_erasure(&self, erasure: Erasure) -> Self {
        let views = self.views.values().cloned().collect();
        Self::of(views, self.erased.with(erasure))
    }

    pub(crate) fn next_order(&self) -> u64 {
        self.views.values().map(|it| it.order + 1).max().unwrap_or(1)
    }
}

fn read_view(id: &str, bytes: &[u8]) -> Result<OnlineView, OnlineError> {
    let entry: Entry = serde_json::from_slice(bytes).map_err(|error| damaged(id, &error))?;
    OnlineView::of(entry.definition, entry.order)
}

pub(crate) fn view_key(id: &ViewId) -> Vec<u8> {
    format!("{VIEW}{id}").into_bytes()
}

pub(crate) fn journal_key(id: &ViewId) -> Vec<u8> {
    format!("journal/{id}").into_bytes()
}

pub(crate) fn erased_key(erasure: &Erasure) -> Vec<u8> {
    format!("{ERASED}{}", erasure.name()).into_bytes()
}

/// The key of a record: the key of a global view has no parts, and no store has empty keys, so one byte leads them all.
pub(crate) fn stored_key(key: &EntityKey) -> Vec<u8> {
    let mut bytes = key.encode();
    bytes.insert(0, b'k');
    bytes
}

/// The entity of a stored key, `None` where the bytes are none.
pub(crate) fn entity_key(stored: &[u8]) -> Option<EntityKey> {
    EntityKey::decode(stored.strip_prefix(b"k")?)
}

fn damaged(what: &str, error: &serde_json::Error) -> OnlineError {
    OnlineError::Damaged {
        view: what.to_owned(),
        reason: error.to_string(),
    }
}
