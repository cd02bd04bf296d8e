//! Leases: what a garbage collection must leave alone although no live version needs it, or although nothing but age
//! speaks for it. A writer leases the files that it is about to commit, a server the versions that it has loaded.
//!
//! Uploads and collections exclude each other as two flags do: an upload leaves its lease and then looks for a
//! collection; a collection leaves its mark and then looks for leases. Whichever comes second sees the other.

use std::collections::BTreeSet;
use std::time::Duration;

use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, random_id};
use crate::error::{RegistryError, Result};
use crate::package::{Manifest, blob_key, manifest_key};
use crate::record::Stamp;
use crate::registry::Registry;
use crate::seal::{Broken, seal, unseal};
use crate::storage::Storage;

/// A lease that was not renewed for so long counts no more: its holder is gone.
pub const LEASE_LIFE: Duration = Duration::from_secs(600);

const SERVERS: &str = "leases/servers";
const UPLOADS: &str = "leases/uploads";
/// The marks of collections that are deleting: which keys. More than one only after an interruption.
pub(crate) const SWEEPS: &str = "gc";
/// A mark this old belongs to a collection that was interrupted: a living one stops well before.
pub(crate) const STALE: Duration = Duration::from_secs(600);
/// An upload waits so long for a collection that is deleting what it needs.
const SWEEP_WAIT: Duration = Duration::from_secs(60);
/// An upload that takes longer than a lease lives could meet a collection that does not see it.
const UPLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A version that a server has loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) model: String,
    pub(crate) version: u64,
    pub(crate) manifest: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
struct ServerLease {
    /// Microseconds since 1970, UTC.
    renewed_at: i64,
    actor: String,
    versions: Vec<Held>,
}

#[derive(Debug, Serialize, Deserialize)]
struct UploadLease {
    actor: String,
    keys: BTreeSet<String>,
}

/// The keys that a collection is deleting, and which collection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) id: String,
    pub(crate) keys: BTreeSet<String>,
}

/// Files that are about to be committed. Forgotten leases only delay a collection.
#[derive(Debug)]
pub(crate) struct Upload {
    storage: Storage,
    key: String,
    began: tokio::time::Instant,
}

impl Registry {
    /// Says that `holder`, a process, has these versions loaded: no collection removes their files, no retention rule the
    /// versions. To be repeated after each change, and well within [`LEASE_LIFE`]; what was said before is replaced.
    /// A version that is not there any more is left out.
    pub async fn hold(&self, holder: &str, versions: &[(String, u64)], stamp: &Stamp) -> Result<()> {
        let mut held = Vec::new();
        for (model, version) in versions {
            match self.model(model).await.and_then(|it| it.version(*version)) {
                Ok(found) => held.push(Held {
                    model: model.clone(),
                    version: *version,
                    manifest: found.digest,
                }),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let lease = ServerLease {
            renewed_at: stamp.time,
            actor: stamp.actor.clone(),
            versions: held,
        };
        self.storage().insist(&server_key(holder), seal(&lease).1).await
    }

    /// Ends the lease of `holder`.
    pub async fn release(&self, holder: &str) -> Result<()> {
        self.storage().delete(&server_key(holder)).await
    }

    /// What live servers have loaded at `now`, microseconds since 1970.
    pub(crate) async fn held(&self, now: i64) -> Result<BTreeSet<Held>> {
        let mut held = BTreeSet::new();
        for (object, lease) in self.leases::<ServerLease>(SERVERS, now).await? {
            let age = now - lease.renewed_at.max(modified(&object));
            if age <= micros(LEASE_LIFE) {
                held.extend(lease.versions);
            } else {
                self.storage().delete(object.location.as_ref()).await?;
            }
        }
        Ok(held)
    }

    /// Keys that uploads which are not committed yet rely on.
    pub(crate) async fn uploading(&self, now: i64) -> Result<BTreeSet<String>> {
        let mut keys = BTreeSet::new();
        for (object, lease) in self.leases::<UploadLease>(UPLOADS, now).await? {
            if now - modified(&object) <= micros(UPLOAD_LIFE) {
                keys.extend(lease.keys);
            } else {
                self.storage().delete(object.location.as_ref()).await?;
            }
        }
        Ok(keys)
    }

    /// Leases the files of a package until the upload ends, and waits for a collection that is deleting any of them.
    pub(crate) async fn begin_upload(&self, manifest: &Manifest, stamp: &Stamp) -> Result<Upload> {
        let mut keys: BTreeSet<_> = manifest.files.iter().map(|it| blob_key(&it.sha256)).collect();
        keys.insert(manifest_key(&manifest.encode().0));
        let lease = UploadLease {
            actor: stamp.actor.clone(),
            keys,
        };
        let key = format!("{UPLOADS}/{}.json", random_id());
        let storage = self.storage().clone();
        storage.insist(&key, seal(&lease).1).await?;
        let began = tokio::time::Instant::now();
        let upload = Upload { storage, key, began };
        match upload.wait_for_sweeps(&lease.keys, stamp.time).await {
            Ok(()) => Ok(upload),
            Err(error) => {
                upload.end().await;
                Err(error)
            }
        }
    }

    /// One that is damaged counts as long as the longest, then it is dropped.
    async fn leases<T: serde::de::DeserializeOwned>(&self, folder: &str, now: i64) -> Result<Vec<(ObjectMeta, T)>> {
        let mut leases = Vec::new();
        for object in self.storage().list_objects(folder).await? {
            let key = object.location.to_string();
            let Some(bytes) = self.storage().get(&key).await? else {
                continue;
            };
            match unseal::<T>(&bytes) {
                Ok((_, lease)) => leases.push((object, lease)),
                Err(_) if now - modified(&object) > micros(UPLOAD_LIFE) => self.storage().delete(&key).await?,
                Err(Broken { expected, got }) => {
                    let what = "a lease, which might name anything, so that nothing can be collected".to_owned();
                    return Err(RegistryError::Corrupt {
                        what,
                        at: key,
                        expected,
                        got,
                    });
                }
            }
        }
        Ok(leases)
    }
}

impl Upload {
    /// Whether the lease still counts: only then may what was uploaded be committed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.began.elapsed() < UPLOAD_LIFE / 2 {
            return Ok(());
        }
        Err(RegistryError::Unsupported {
            what:
                "the upload took more than half a day, so a garbage collection may have removed parts of it; repeat it"
                    .to_owned(),
        })
    }

    /// The files are committed, or never will be.
    pub(crate) async fn end(self) {
        if let Err(error) = self.storage.delete(&self.key).await {
            tracing::debug!(%error, "lease of an upload is left; it ends by itself");
        }
    }

    async fn wait_for_sweeps(&self, keys: &BTreeSet<String>, now: i64) -> Result<()> {
        while self.meets_sweep(keys, now).await? {
            if self.began.elapsed() > SWEEP_WAIT {
                let reason = "a garbage collection is removing files of this very package".to_owned();
                return Err(RegistryError::Conflict {
                    reason,
                    log: SWEEPS.to_owned(),
                    seq: 0,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn meets_sweep(&self, keys: &BTreeSet<String>, now: i64) -> Result<bool> {
        for mark in self.storage.list_objects(SWEEPS).await? {
            if now - modified(&mark) > micros(STALE) {
                continue;
            }
            let Some(bytes) = self.storage.get(mark.location.as_ref()).await? else {
                continue;
            };
            // A mark that cannot be read might name anything.
            if unseal::<Sweep>(&bytes).map_or(true, |it| !it.1.keys.is_disjoint(keys)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// When an object was written, microseconds since 1970 by the store's clock.
pub(crate) fn modified(object: &ObjectMeta) -> i64 {
    object.last_modified.timestamp_micros()
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn server_key(holder: &str) -> String {
    // Any text may name a holder; a key has only letters.
    format!("{SERVERS}/{}.json", &Digest::of(holder.as_bytes()).hex()[..32])
}
