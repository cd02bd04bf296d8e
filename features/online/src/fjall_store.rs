//! The embedded store: bytes on disk in this process, in a fjall database. One keyspace per space, so that a space goes
//! without looking at its keys.
//!
//! A change of one key is made under a lock of its shard; many keys at once are sorted and written as finished tables, past
//! the journal, while the space takes no other writes.

mod bulk;
mod expiry;
mod journal;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use foretell_features::Timestamp;

use self::expiry::Expiry;
use self::journal::Journal;
use crate::store::{Change, Edit, OnlineError, OnlineStore, See, Walk};

/// Writers of keys in different shards never wait for one another.
const SHARDS: usize = 64;
/// From here on a write leaves the I/O threads.
const MANY_KEYS: usize = 256;
/// Blocks of rows kept in memory: what is read often is never decompressed or read from disk twice.
const CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// What a write survives once it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process: the operating system has it.
    #[default]
    Buffer,
    /// The end of the machine: the disk has it. Writers that come together share one flush.
    Sync,
}

/// Bytes in a folder of this machine. One process at a time; clones share it.
#[derive(Clone)]
pub struct FjallStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    database: Database,
    journal: Journal,
    expiry: Expiry,
    spaces: ArcSwap<HashMap<String, Arc<Space>>>,
    creating: Mutex<()>,
}

/// A keyspace and the order of its writers.
struct Space {
    rows: Keyspace,
    /// Writers of few keys read, the one writer of many writes.
    writers: RwLock<()>,
    shards: [Mutex<()>; SHARDS],
}

impl FjallStore {
    /// Opens the store in a folder, which is created if absent. Acknowledged writes survive the process.
    ///
    /// # Errors
    /// Another process has it open, or the folder cannot be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnlineError> {
        Self::open_with(path, Durability::default())
    }

    /// The same with the durability of acknowledged writes.
    ///
    /// # Errors
    /// As [`FjallStore::open`].
    pub fn open_with(path: impl AsRef<Path>, durability: Durability) -> Result<Self, OnlineError> {
        let path = path.as_ref().to_owned();
        let storage = |error: fjall::Error| failed(&path, &error);
        std::fs::create_dir_all(&path).map_err(|error| failed(&path, &error.into()))?;
        let expiry = Expiry::default();
        let database = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .with_compaction_filter_factories(expiry.assigner())
            .open()
            .map_err(storage)?;
        let mut spaces = HashMap::new();
        for name in database.list_keyspace_names() {
            let rows = database.keyspace(&name, row_options).map_err(storage)?;
            spaces.insert(name.to_string(), Space::of(rows));
        }
        let journal = Journal::new(database.clone(), durability);
        let inner = Inner {
            path,
            database,
            journal,
            expiry,
            spaces: ArcSwap::from_pointee(spaces),
            creating: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl FjallStore {
    /// Compacts a space now: expired and overwritten records leave the disk. It happens by itself as records are written.
    ///
    /// # Errors
    /// The disk.
    pub fn compact(&self, space: &str) -> Result<(), OnlineError> {
        let broken = |error: fjall::Error| failed(&self.inner.path, &error);
        match self.inner.spaces.load().get(space) {
            Some(space) => {
                space.rows.rotate_memtable_and_wait().map_err(broken)?;
                space.rows.major_compact().map_err(broken)
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl OnlineStore for FjallStore {
    async fn read(&self, space: &str, keys: &[Vec<u8>], see: See<'_>) -> Result<(), OnlineError> {
        let spaces = self.inner.spaces.load();
        let Some(space) = spaces.get(space) else {
            return (0..keys.len()).try_for_each(|at| see(at, None));
        };
        for (at, key) in keys.iter().enumerate() {
            let found = space.rows.get(key).map_err(|error| failed(&self.inner.path, &error))?;
            see(at, found.as_deref())?;
        }
        Ok(())
    }

    async fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: Change) -> Result<u64, OnlineError> {
        let many = keys.len() >= MANY_KEYS;
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if many || self.inner.journal.waits() => {
                let (inner, space) = (Arc::clone(&self.inner), space.to_owned());
                let write = runtime.spawn_blocking(move || inner.update(&space, keys, &change));
                let stopped = |error: tokio::task::JoinError| OnlineError::Storage {
                    reason: format!("a write was stopped: {error}"),
                };
                write.await.map_err(stopped)?
            }
            _ => self.inner.update(space, keys, &change),
        }
    }

    async fn walk(&self, space: &str, see: Walk<'_>) -> Result<(), OnlineError> {
        let Some(space) = self.inner.spaces.load().get(space).cloned() else {
            return Ok(());
        };
        for entry in space.rows.iter() {
            let (key, bytes) = entry.into_inner().map_err(|error| failed(&self.inner.path, &error))?;
            if !see(&key, &bytes)? {
                break;
            }
        }
        Ok(())
    }

    async fn spaces(&self) -> Result<Vec<String>, OnlineError> {
        let mut names: Vec<String> = self.inner.spaces.load().keys().cloned().collect();
        names.sort();
        Ok(names)
    }

    async fn remove(&self, space: &str) -> Result<(), OnlineError> {
        self.inner
            .remove(space)
            .map_err(|error| failed(&self.inner.path, &error))
    }

    async fn expire(&self, space: &str, before: Timestamp) -> Result<(), OnlineError> {
        self.inner.expiry.set(space, before);
        Ok(())
    }
}

impl Inner {
    fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: &Change) -> Result<u64, OnlineError> {
        let space = self.space(space)?;
        let changed = if keys.len() >= bulk::MANY {
            self.update_many(&space, keys, change)?
        } else {
            self.update_few(&space, keys, change)?
        };
        self.journal.acknowledge().map_err(|error| failed(&self.path, &error))?;
        Ok(changed)
    }

    fn update_few(&self, space: &Space, keys: Vec<Vec<u8>>, change: &Change) -> Result<u64, OnlineError> {
        let _no_bulk = space.writers.read().unwrap_or_else(PoisonError::into_inner);
        let mut changed = 0;
        for (shard, keys) in by_shard(keys) {
            let _alone = space.lock(shard);
            let mut batch = self.database.batch();
            for (at, key) in keys {
                let stored = space.rows.get(&key).map_err(|error| failed(&self.path, &error))?;
                match change(at, stored.as_deref())? {
                    Edit::Keep => {}
                    Edit::Write(bytes) => batch.insert(&space.rows, key, bytes),
                    Edit::Delete => batch.remove(&space.rows, key),
                }
            }
            changed += batch.len() as u64;
            batch.commit().map_err(|error| failed(&self.path, &error))?;
        }
        Ok(changed)
    }

    /// The space, made if it is not there.
    fn space(&self, name: &str) -> Result<Arc<Space>, OnlineError> {
        if let Some(space) = self.spaces.load().get(name) {
            return Ok(Arc::clone(space));
        }
        let _alone = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spaces = HashMap::clone(&self.spaces.load());
        if let Some(space) = spaces.get(name) {
            return Ok(Arc::clone(space));
        }
        let rows = self.database.keyspace(name, row_options);
        let space = Space::of(rows.map_err(|error| failed(&self.path, &error))?);
        spaces.insert(name.to_owned(), Arc::clone(&space));
        self.spaces.store(Arc::new(spaces));
        Ok(space)
    }

    fn remove(&self, name: &str) -> fjall::Result<()> {
        let _alone = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spaces = HashMap::clone(&self.spaces.load());
        if let Some(space) = spaces.remove(name) {
            self.spaces.store(Arc::new(spaces));
            self.database.delete_keyspace(space.rows.clone())?;
        }
        Ok(())
    }
}

impl Space {
    fn of(rows: Keyspace) -> Arc<Self> {
        Arc::new(Self {
            rows,
            writers: RwLock::new(()),
            shards: std::array::from_fn(|_| Mutex::new(())),
        })
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, ()> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

/// Positions and keys of one shard.
type OfShard = Vec<(usize, Vec<u8>)>;

/// Keys by shard, each with its position.
fn by_shard(keys: Vec<Vec<u8>>) -> Vec<(usize, OfShard)> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let shard = |key: &[u8]| (hasher.hash_one(key) % SHARDS as u64) as usize;
    let placed = keys.into_iter().enumerate().map(|(at, key)| (shard(&key), at, key));
    let mut placed: Vec<(usize, usize, Vec<u8>)> = placed.collect();
    placed.sort_unstable_by_key(|it| (it.0, it.1));
    let mut shards: Vec<(usize, OfShard)> = Vec::new();
    for (shard, at, key) in placed {
        match shards.last_mut() {
            Some((last, keys)) if *last == shard => keys.push((at, key)),
            _ => shards.push((shard, vec![(at, key)])),
        }
    }
    shards
}

fn row_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
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
