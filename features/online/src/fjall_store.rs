//! The embedded store: rows on disk in this process, in a fjall database.
//!
//! One keyspace per view, named by a number that the `meta` keyspace gives to the view together with its columns. New
//! columns mean a new number: the one write of the view's `meta` entry is the commit, whatever it left behind is removed
//! when the store is opened. Writes reach the operating system before `put` returns, so they outlive the process; a `put`
//! of many rows also reaches the disk.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use foretell_features::{EntityKey, FeatureRow};

use crate::admit;
use crate::codec;
use crate::store::{OnlineError, OnlineStore, PutReport, ViewRows, ViewSchema};

const META: &str = "meta";
/// Writers of keys in different shards never wait for one another.
const SHARDS: usize = 64;
/// From here on a write leaves the I/O threads and is forced to disk.
const MANY_ROWS: usize = 256;

/// Rows in a folder of this machine. One process at a time; clones share it.
#[derive(Clone)]
pub struct FjallStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    database: Database,
    meta: Keyspace,
    views: ArcSwap<HashMap<String, Arc<View>>>,
    /// Readers put rows, the one writer changes what the views are.
    definitions: RwLock<()>,
    shards: [Mutex<()>; SHARDS],
}

#[derive(Clone)]
struct View {
    number: u64,
    columns: Arc<ViewSchema>,
    rows: Keyspace,
}

impl FjallStore {
    /// Opens the store in a folder, which is created if absent.
    ///
    /// # Errors
    /// Another process has it open, or the folder cannot be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnlineError> {
        let path = path.as_ref().to_owned();
        let storage = |error: fjall::Error| failed(&path, &error);
        std::fs::create_dir_all(&path).map_err(|error| failed(&path, &error.into()))?;
        let database = Database::builder(&path).open().map_err(storage)?;
        let meta = database
            .keyspace(META, KeyspaceCreateOptions::default)
            .map_err(storage)?;
        let views = read_views(&path, &database, &meta)?;
        remove_orphans(&database, &views).map_err(storage)?;
        let shards = std::array::from_fn(|_| Mutex::new(()));
        let views = ArcSwap::from_pointee(views);
        let inner = Inner {
            path,
            database,
            meta,
            views,
            definitions: RwLock::new(()),
            shards,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl OnlineStore for FjallStore {
    async fn define(&self, view: &str, columns: &ViewSchema) -> Result<(), OnlineError> {
        self.inner.define(view, columns)
    }

    async fn schema(&self, view: &str) -> Result<Option<ViewSchema>, OnlineError> {
        Ok(self
            .inner
            .views
            .load()
            .get(view)
            .map(|it| ViewSchema::clone(&it.columns)))
    }

    async fn put(&self, view: &str, rows: Vec<(EntityKey, FeatureRow)>) -> Result<PutReport, OnlineError> {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if rows.len() >= MANY_ROWS => {
                let (inner, view) = (Arc::clone(&self.inner), view.to_owned());
                let write = runtime.spawn_blocking(move || inner.put(&view, rows));
                write.await.unwrap_or_else(|error| {
                    Err(OnlineError::Storage {
                        reason: error.to_string(),
                    })
                })
            }
            _ => self.inner.put(view, rows),
        }
    }

    async fn read(&self, view: &str, keys: &[EntityKey]) -> Result<ViewRows, OnlineError> {
        self.inner.read(view, keys)
    }
}

impl Inner {
    fn view(&self, view: &str) -> Result<Arc<View>, OnlineError> {
        let found = self.views.load().get(view).cloned();
        found.ok_or_else(|| OnlineError::UnknownView { view: view.to_owned() })
    }

    fn define(&self, view: &str, columns: &ViewSchema) -> Result<(), OnlineError> {
        let _alone = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        let views = self.views.load_full();
        let old = views.get(view);
        if old.is_some_and(|it| *it.columns == *columns) {
            return Ok(());
        }
        let number = views.values().map(|it| it.number + 1).max().unwrap_or(1);
        let rows = self
            .commit_view(view, number, columns)
            .map_err(|error| failed(&self.path, &error))?;
        let mut views = HashMap::clone(&views);
        let dropped = views.insert(
            view.to_owned(),
            Arc::new(View {
                number,
                columns: Arc::new(columns.clone()),
                rows,
            }),
        );
        self.views.store(Arc::new(views));
        if let Some(dropped) = dropped {
            self.database
                .delete_keyspace(dropped.rows.clone())
                .map_err(|error| failed(&self.path, &error))?;
        }
        Ok(())
    }

    fn commit_view(&self, view: &str, number: u64, columns: &ViewSchema) -> fjall::Result<Keyspace> {
        let rows = self.database.keyspace(&keyspace_name(number), row_options)?;
        // A number that was used before a crash may have left rows.
        rows.clear()?;
        self.meta.insert(view, meta_entry(number, columns))?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(rows)
    }

    fn put(&self, view: &str, rows: Vec<(EntityKey, FeatureRow)>) -> Result<PutReport, OnlineError> {
        let _defined = self.definitions.read().unwrap_or_else(PoisonError::into_inner);
        let stored = self.view(view)?;
        let n_rows = rows.len();
        let newest = admit::newest_by_key(view, &stored.columns, rows)?;
        let mut written = 0;
        for (shard, rows) in by_shard(newest) {
            let _alone = self.lock(shard);
            written += self
                .write_shard(&stored, rows)
                .map_err(|error| failed(&self.path, &error))?;
        }
        if n_rows >= MANY_ROWS {
            self.database
                .persist(PersistMode::SyncAll)
                .map_err(|error| failed(&self.path, &error))?;
        }
        Ok(PutReport {
            written,
            kept: n_rows as u64 - written,
        })
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, ()> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compare and set for the keys of one locked shard. A damaged row counts as absent: writing heals it.
    fn write_shard(&self, view: &View, rows: Vec<(Vec<u8>, FeatureRow)>) -> fjall::Result<u64> {
        let mut batch = self.database.batch();
        for (key, row) in rows {
            let stored = view.rows.get(&key)?.and_then(|it| codec::decode_time(&it).ok());
            if admit::replaces(admit::time(&row), stored) {
                batch.insert(&view.rows, key, codec::encode(&row));
            }
        }
        let written = batch.len() as u64;
        batch.commit()?;
        Ok(written)
    }

    fn read(&self, view: &str, keys: &[EntityKey]) -> Result<ViewRows, OnlineError> {
        let stored = self.view(view)?;
        let read = |key: &EntityKey| match stored.rows.get(stored_key(key)) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => {
                codec::decode(&stored.columns, &bytes)
                    .map(Some)
                    .map_err(|reason| OnlineError::Damaged {
                        view: view.to_owned(),
                        reason,
                    })
            }
            Err(error) => Err(failed(&self.path, &error)),
        };
        let rows = keys.iter().map(read).collect::<Result<_, _>>()?;
        Ok(ViewRows {
            columns: Arc::clone(&stored.columns),
            rows,
        })
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

fn by_shard(rows: BTreeMap<EntityKey, FeatureRow>) -> BTreeMap<usize, Vec<(Vec<u8>, FeatureRow)>> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut shards: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (key, row) in rows {
        let key = stored_key(&key);
        let shard = (hasher.hash_one(&key) % SHARDS as u64) as usize;
        shards.entry(shard).or_default().push((key, row));
    }
    shards
}

/// The key of a global view has no parts, and fjall has no empty keys: one byte leads them all.
fn stored_key(key: &EntityKey) -> Vec<u8> {
    let mut bytes = key.encode();
    bytes.insert(0, b'k');
    bytes
}

fn keyspace_name(number: u64) -> String {
    format!("view{number}")
}

fn row_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
}

fn meta_entry(number: u64, columns: &ViewSchema) -> Vec<u8> {
    serde_json::to_vec(&(number, columns)).expect("numbers, names and types are always JSON")
}

fn read_views(path: &Path, database: &Database, meta: &Keyspace) -> Result<HashMap<String, Arc<View>>, OnlineError> {
    let mut views = HashMap::new();
    for entry in meta.iter() {
        let (view, entry) = entry.into_inner().map_err(|error| failed(path, &error))?;
        let view = String::from_utf8_lossy(&view).into_owned();
        let damaged = |error: serde_json::Error| OnlineError::Damaged {
            view: view.clone(),
            reason: error.to_string(),
        };
        let (number, columns): (u64, ViewSchema) = serde_json::from_slice(&entry).map_err(damaged)?;
        let rows = database
            .keyspace(&keyspace_name(number), row_options)
            .map_err(|error| failed(path, &error))?;
        views.insert(
            view,
            Arc::new(View {
                number,
                columns: Arc::new(columns),
                rows,
            }),
        );
    }
    Ok(views)
}

fn remove_orphans(database: &Database, views: &HashMap<String, Arc<View>>) -> fjall::Result<()> {
    let known: Vec<String> = views.values().map(|it| keyspace_name(it.number)).collect();
    for name in database.list_keyspace_names() {
        if &*name != META && !known.iter().any(|it| **it == *name) {
            let orphan = database.keyspace(&name, row_options)?;
            database.delete_keyspace(orphan)?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &fjall::Error) -> OnlineError {
    let path = path.display();
    match error {
        fjall::Error::Locked => OnlineError::Locked { path: path.to_string() },
        fjall::Error::Io(it) if it.kind() == std::io::ErrorKind::StorageFull => OnlineError::Storage {
            reason: format!("the disk is full: free some space and try again. at=`{path}`"),
        },
        fjall::Error::Poisoned => OnlineError::Storage {
            reason: format!("an earlier write failed, see the log: check the disk, then start again. at=`{path}`"),
        },
        other => OnlineError::Storage {
            reason: format!("{other}. at=`{path}`"),
        },
    }
}
