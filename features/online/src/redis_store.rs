//! The shared store: bytes in a Redis (or Valkey) server that many processes read and write.
//!
//! A space is [`BUCKETS`] hashes, `foretell:{space}:{bucket}`, and the set `foretell:spaces` names them all. So a space goes
//! without looking at its keys, and walking one never looks at another. Every command concerns one hash and the names carry
//! no hash tag, so they spread over the slots of a cluster; the store itself speaks to one primary, and a database holds the
//! features of one project.
//!
//! A change is computed here and set by a script that compares first: whoever lost is told what is stored now and decides
//! again. How long an acknowledged write is kept is the server's configuration (`appendonly`, `appendfsync`), which must not
//! evict keys.

mod failure;
mod scan;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use foretell_features::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _, Pipeline, RedisError, Script};

use self::failure::{Place, bad_url};
use self::scan::Scan;
use crate::record;
use crate::store::{Change, Edit, OnlineError, OnlineStore, See, Walk};

/// Hashes of a space.
const BUCKETS: u64 = 64;
/// Keys of one round trip.
const BATCH: usize = 256;
/// Round trips of one call under way at once.
const IN_FLIGHT: usize = 4;
/// How often a change is computed again because another process was quicker. One of those who try wins each time.
const TRIES: u32 = 200;
/// An answer takes no longer, or is none.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// The same for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(2);
const SPACES: &str = "foretell:spaces";

/// Sets or deletes a field if it still holds what it held when the change was computed; else answers what it holds.
/// Arguments: field, whether it was there, its bytes, whether to set it, the new bytes.
const SWAP: &str = "
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local expected = ARGV[2] == '1' and ARGV[3]
if stored ~= expected then return {stored} end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[5]) else redis.call('HDEL', KEYS[1], ARGV[1]) end
return false";

/// Bytes in a Redis server. Clones share the connection, which is made again whenever it is lost.
#[derive(Clone)]
pub struct RedisStore {
    place: Arc<Place>,
    connection: ConnectionManager,
}

/// A key of an update whose fate is open.
struct Pending {
    at: usize,
    key: Vec<u8>,
    stored: Option<Vec<u8>>,
}

/// What a swap says: nothing where it was made, else what is stored.
type Swapped = Option<(Option<Vec<u8>>,)>;

impl RedisStore {
    /// Connects to `redis://[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    /// An address that is none, a server that does not answer or refuses the login.
    pub async fn connect(url: &str) -> Result<Self, OnlineError> {
        let info = parsed(url)?;
        let place = Arc::new(Place::of(&info));
        let failed = |error: RedisError| place.failed(&error);
        let client = Client::open(info).map_err(failed)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(ANSWER_TIME))
            .set_number_of_retries(2)
            .set_max_delay(Duration::from_millis(300));
        let connection = ConnectionManager::new_with_config(client, config)
            .await
            .map_err(failed)?;
        let store = Self { place, connection };
        let mut ping = Pipeline::new();
        store.look::<()>(ping.cmd("PING").ignore().clone()).await?;
        store.warn_of_eviction().await;
        Ok(store)
    }

    /// Whether the text is an address that [`RedisStore::connect`] takes; nobody is asked.
    ///
    /// # Errors
    /// In what way it is none.
    pub fn check(url: &str) -> Result<(), OnlineError> {
        parsed(url).map(|_| ())
    }

    /// A server that evicts would lose features without a word. Who may not ask is not told.
    async fn warn_of_eviction(&self) {
        let memory: Result<String, _> = redis::cmd("INFO")
            .arg("memory")
            .query_async(&mut self.connection.clone())
            .await;
        if memory.is_ok_and(|it| it.contains("maxmemory_policy:allkeys")) {
            let place = &self.place;
            tracing::warn!(
                "Redis at {place} evicts any key when it is full, features too; set `maxmemory-policy noeviction`"
            );
        }
    }

    /// Asks what changes nothing: once more where the connection was lost meanwhile.
    async fn look<T: FromRedisValue>(&self, pipeline: Pipeline) -> Result<T, OnlineError> {
        match pipeline.query_async(&mut self.connection.clone()).await {
            Err(error) if error.is_connection_dropped() => self.tell(&pipeline).await,
            answer => answer.map_err(|error| self.place.failed(&error)),
        }
    }

    /// Asks once: what is not answered may have happened or not.
    async fn tell<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, OnlineError> {
        let answer = pipeline.query_async(&mut self.connection.clone()).await;
        answer.map_err(|error| self.place.failed(&error))
    }

    async fn update_batch(
        &self,
        space: &str,
        keys: Vec<(usize, Vec<u8>)>,
        change: &Change,
    ) -> Result<u64, OnlineError> {
        let stored: Vec<Option<Vec<u8>>> = self.look(reads(space, keys.iter().map(|it| &it.1))).await?;
        let pending = keys.into_iter().zip(stored);
        let mut pending: Vec<Pending> = pending.map(|((at, key), stored)| Pending { at, key, stored }).collect();
        let mut changed = 0;
        for again in 0..TRIES {
            let swaps = decide(space, pending, change)?;
            changed += swaps.changed;
            if swaps.sent.is_empty() {
                return Ok(changed);
            }
            let answers: Vec<Swapped> = self.tell(&swaps.pipeline).await?;
            pending = lost(swaps.sent, answers);
            if pending.is_empty() {
                return Ok(changed);
            }
            changed -= pending.len() as u64;
            tokio::time::sleep(pause(again)).await;
        }
        Err(self.place.contended(TRIES))
    }

    async fn expire_page(
        &self,
        space: &str,
        page: Vec<(Vec<u8>, Vec<u8>)>,
        before: Timestamp,
    ) -> Result<(), OnlineError> {
        let is_old = move |bytes: &[u8]| record::newest(bytes).is_some_and(|it| it < before);
        let old = page.into_iter().filter(|it| is_old(&it.1)).map(|it| it.0);
        // Looked at again: an event may have come meanwhile.
        let delete = move |_: usize, stored: Option<&[u8]>| {
            Ok(if stored.is_some_and(is_old) {
                Edit::Delete
            } else {
                Edit::Keep
            })
        };
        self.update(space, old.collect(), Arc::new(delete)).await.map(|_| ())
    }
}

#[async_trait]
impl OnlineStore for RedisStore {
    async fn read(&self, space: &str, keys: &[Vec<u8>], see: See<'_>) -> Result<(), OnlineError> {
        let asked: Vec<_> = keys
            .chunks(BATCH)
            .map(|it| self.look::<Vec<Option<Vec<u8>>>>(reads(space, it.iter())))
            .collect();
        let mut answers = stream::iter(asked).buffered(IN_FLIGHT);
        let mut at = 0;
        while let Some(stored) = answers.try_next().await? {
            for bytes in stored {
                see(at, bytes.as_deref())?;
                at += 1;
            }
        }
        Ok(())
    }

    async fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: Change) -> Result<u64, OnlineError> {
        let mut keys = keys.into_iter().enumerate().peekable();
        let mut batches = Vec::new();
        while keys.peek().is_some() {
            batches.push(self.update_batch(space, keys.by_ref().take(BATCH).collect(), &change));
        }
        let add = |sum, it| std::future::ready(Ok(sum + it));
        stream::iter(batches).buffer_unordered(IN_FLIGHT).try_fold(0, add).await
    }

    async fn walk(&self, space: &str, see: Walk<'_>) -> Result<(), OnlineError> {
        let mut scan = Scan::of(space);
        while let Some(page) = scan.next(self).await? {
            for (key, bytes) in page {
                if !see(&key, &bytes)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn spaces(&self) -> Result<Vec<String>, OnlineError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SMEMBERS").arg(SPACES);
        let (mut names,): (Vec<String>,) = self.look(pipeline).await?;
        names.sort();
        Ok(names)
    }

    async fn remove(&self, space: &str) -> Result<(), OnlineError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SREM").arg(SPACES).arg(space).ignore();
        for bucket in 0..BUCKETS {
            pipeline.cmd("UNLINK").arg(hash(space, bucket)).ignore();
        }
        self.tell(&pipeline).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn expire(&self, space: &str, before: Timestamp) -> Result<(), OnlineError> {
        let mut scan = Scan::of(space);
        while let Some(page) = scan.next(self).await? {
            self.expire_page(space, page, before).await?;
        }
        Ok(())
    }
}

/// The swaps of one round trip.
struct Swaps {
    pipeline: Pipeline,
    sent: Vec<Pending>,
    /// Keys changed, once all that is sent is made.
    changed: u64,
}

/// Asks the change about every key; what is as it should be needs no swap.
fn decide(space: &str, pending: Vec<Pending>, change: &Change) -> Result<Swaps, OnlineError> {
    static SHA: LazyLock<String> = LazyLock::new(|| Script::new(SWAP).get_hash().to_owned());
    let mut pipeline = Pipeline::new();
    // A server that was restarted does not know the script; to say it again costs less than to ask.
    pipeline.cmd("SCRIPT").arg("LOAD").arg(SWAP).ignore();
    let (mut sent, mut changed) = (Vec::new(), 0);
    for it in pending {
        let new = match change(it.at, it.stored.as_deref())? {
            Edit::Keep => continue,
            Edit::Write(bytes) => Some(bytes),
            Edit::Delete => None,
        };
        changed += 1;
        if new != it.stored {
            let swap = pipeline
                .cmd("EVALSHA")
                .arg(&*SHA)
                .arg(1)
                .arg(hash(space, bucket(&it.key)))
                .arg(&it.key);
            for bytes in [&it.stored, &new] {
                swap.arg(u8::from(bytes.is_some()))
                    .arg(bytes.as_deref().unwrap_or_default());
            }
            sent.push(it);
        }
    }
    // Last, so that whoever removes the space meanwhile leaves no rows of a space that is not listed.
    pipeline.cmd("SADD").arg(SPACES).arg(space).ignore();
    Ok(Swaps {
        pipeline,
        sent,
        changed,
    })
}

/// The keys that somebody else changed first, with what they hold now.
fn lost(sent: Vec<Pending>, answers: Vec<Swapped>) -> Vec<Pending> {
    let both = sent.into_iter().zip(answers);
    let lost = both.filter_map(|(it, answer)| answer.map(|(stored,)| Pending { stored, ..it }));
    lost.collect()
}

/// Who lost often waits longer, up to 16 ms.
fn pause(again: u32) -> Duration {
    Duration::from_millis(if again < 4 { 0 } else { 1 << (again - 4).min(4) })
}

fn reads<'a>(space: &str, keys: impl Iterator<Item = &'a Vec<u8>>) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for key in keys {
        pipeline.cmd("HGET").arg(hash(space, bucket(key))).arg(key);
    }
    pipeline
}

fn hash(space: &str, bucket: u64) -> String {
    format!("foretell:{space}:{bucket:02}")
}

/// The same for every build, for ever: it says where a key is stored.
fn bucket(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key) % BUCKETS
}

fn parsed(url: &str) -> Result<ConnectionInfo, OnlineError> {
    if url.starts_with("rediss://") {
        return Err(bad_url(url, "this build speaks to Redis without TLS only"));
    }
    let info = url
        .into_connection_info()
        .map_err(|error| bad_url(url, &error.to_string()))?;
    let tcp = TcpSettings::default().set_nodelay(true);
    // A server that is gone without a word is given up, and its successor found.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(ANSWER_TIME);
    Ok(info.set_tcp_settings(tcp))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("place", &self.place.to_string())
            .finish_non_exhaustive()
    }
}
