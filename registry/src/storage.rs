//! The object store with our errors on it: which object, what was tried, what to do.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use tokio::sync::OnceCell;

use crate::digest::{Digest, Hasher};
use crate::error::{RegistryError, Result};
use crate::streams::chunks;

/// The object by which a store shows that it creates nothing twice.
const PROOF: &str = "catalog/create-only";

/// Keys in one object store.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The same objects, written without waiting for the disk: for what may be lost.
    hints: Arc<dyn ObjectStore>,
    /// Whether this process has seen the store refuse to create an object twice.
    proven: Arc<Mutex<Arc<OnceCell<()>>>>,
}

/// What became of an object since its entity tag was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nothing.
    No,
    /// It has this tag now; `None`: it is not there.
    To(Option<String>),
}

impl Storage {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, hints: Arc<dyn ObjectStore>) -> Self {
        let proven = Arc::default();
        Self { store, hints, proven }
    }

    /// Sees to it, once per process, that the store keeps the promise that commits rest on: what exists is not created
    /// again. A store that answers twice "created" would let two writers both believe that they won.
    pub(crate) async fn prove(&self) -> Result<()> {
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner).clone();
        proven.get_or_try_init(|| self.try_twice()).await.map(drop)
    }

    /// What was proven of the store holds for its objects of then.
    pub(crate) fn forget(&self) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    async fn try_twice(&self) -> Result<()> {
        let key = Path::from(PROOF);
        let (mut created, mut lost) = (0, 0);
        while created < 2 {
            let proof = Bytes::from_static(b"Two writers cannot both create this.\n");
            match self.hints.put_opts(&key, proof.into(), PutMode::Create.into()).await {
                Ok(_) => created += 1,
                Err(it) if is_taken(&it) => return Ok(()),
                Err(it) if lost == 2 || is_impossible(&it) => return Err(failure("prepare for commits", PROOF, it)),
                Err(_) => lost += 1,
            }
        }
        let what = format!(
            "the store created `{PROOF}` although it was there: it ignores `If-None-Match: *`, so two writers could overwrite \
             each other; use a store with conditional puts, or a newer release of this one"
        );
        Err(RegistryError::Unsupported { what })
    }

    /// The store itself, for what goes through it in chunks.
    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }

    /// The bytes of an object, `None` when there is none.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&Path::from(key)).await?.bytes().await };
        optional(read.await).map_err(|it| failure("read", key, it))
    }

    /// Size and digest of an object, read in chunks, `None` when there is none.
    pub(crate) async fn digest(&self, key: &str) -> Result<Option<(u64, Digest)>> {
        let read = async {
            let mut chunks = chunks(self.store.get(&Path::from(key)).await?);
            let mut hasher = Hasher::default();
            while let Some(chunk) = chunks.try_next().await? {
                hasher.update(&chunk);
            }
            Ok(hasher.finish())
        };
        optional(read.await).map_err(|it| failure("read", key, it))
    }

    /// Size of an object, `None` when there is none.
    pub(crate) async fn size(&self, key: &str) -> Result<Option<u64>> {
        let meta = optional(self.store.head(&Path::from(key)).await);
        Ok(meta.map_err(|it| failure("look up", key, it))?.map(|it| it.size))
    }

    /// Whether an object is another one than when it had this tag: one conditional GET, which most often brings nothing.
    pub(crate) async fn changed(&self, key: &str, tag: Option<&str>) -> Result<Changed> {
        let options = GetOptions {
            if_none_match: tag.map(str::to_owned),
            ..GetOptions::default()
        };
        match self.store.get_opts(&Path::from(key), options).await {
            Ok(found) => {
                let meta = found.meta;
                let now = meta.e_tag.unwrap_or_else(|| meta.last_modified.to_rfc3339());
                let same = tag == Some(now.as_str());
                Ok(if same { Changed::No } else { Changed::To(Some(now)) })
            }
            Err(Error::NotModified { .. }) => Ok(Changed::No),
            Err(Error::NotFound { .. }) if tag.is_none() => Ok(Changed::No),
            Err(Error::NotFound { .. }) => Ok(Changed::To(None)),
            Err(other) => Err(failure("look up", key, other)),
        }
    }

    /// Creates an object that must not exist; the raw error is for the caller to settle.
    pub(crate) async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let key = Path::from(key);
        self.store
            .put_opts(&key, bytes.into(), PutMode::Create.into())
            .await
            .map(drop)
    }

    /// Writes an object, whatever was there, without waiting for the disk: it may be lost in a power cut.
    pub(crate) async fn hint(&self, key: &str, bytes: Bytes) -> Result<()> {
        let put = self.hints.put(&Path::from(key), bytes.into()).await;
        put.map(drop).map_err(|it| failure("write", key, it))
    }

    /// The same, and not given up at the first error: what is written whole may be written again.
    pub(crate) async fn insist(&self, key: &str, bytes: Bytes) -> Result<()> {
        for _ in 0..2 {
            if self.hint(key, bytes.clone()).await.is_ok() {
                return Ok(());
            }
        }
        self.hint(key, bytes).await
    }

    /// Makes sure that a content-addressed object is there; what is there already is not sent again. An error may come
    /// after the effect, so the store is asked before it is believed; an object cut short by a crash below us is
    /// replaced, which its address allows.
    pub(crate) async fn ensure(&self, key: &str, bytes: &Bytes) -> Result<()> {
        let whole = Some(bytes.len() as u64);
        let found = self.size(key).await?;
        if found == whole {
            return Ok(());
        }
        let put = match found {
            None => self.create(key, bytes.clone()).await,
            Some(_) => self.overwrite(key, bytes.clone()).await,
        };
        match put {
            Ok(()) => Ok(()),
            Err(_) if self.size(key).await? == whole => Ok(()),
            Err(Error::AlreadyExists { .. }) => {
                let put = self.overwrite(key, bytes.clone()).await;
                put.map_err(|it| failure("write", key, it))
            }
            Err(cause) => Err(failure("write", key, cause)),
        }
    }

    /// Removes an object; one that is not there is none to remove.
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        let deleted = optional(self.store.delete(&Path::from(key)).await);
        deleted.map(drop).map_err(|it| failure("delete", key, it))
    }

    /// Writes a whole object in place of what was there.
    async fn overwrite(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.store.put(&Path::from(key), bytes.into()).await.map(drop)
    }

    /// Keys under a folder, sorted.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.list_objects(folder).await?;
        Ok(listed.into_iter().map(|it| it.location.to_string()).collect())
    }

    /// Objects under a folder, `""` for all, by key.
    pub(crate) async fn list_objects(&self, folder: &str) -> Result<Vec<ObjectMeta>> {
        let folder = Path::from(folder);
        let within = Some(&folder).filter(|it| !it.is_root());
        let listed = optional(self.store.list(within).try_collect::<Vec<_>>().await);
        let mut listed = listed
            .map_err(|it| failure("list", folder.as_ref(), it))?
            .unwrap_or_default();
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(listed)
    }
}

/// Our error for what the store said.
pub(crate) fn failure(doing: &'static str, at: &str, source: Error) -> RegistryError {
    let advice = advice(&source);
    RegistryError::Storage {
        doing,
        advice,
        at: at.to_owned(),
        source: Box::new(source),
    }
}

/// Whether an error says that the object exists.
pub(crate) fn is_taken(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. })
}

/// Whether an error says that the store will never do this.
fn is_impossible(error: &Error) -> bool {
    let unsupported = io_kind(error) == Some(io::ErrorKind::Unsupported);
    unsupported || matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. })
}

fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn advice(error: &Error) -> &'static str {
    match (error, io_kind(error)) {
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
            "the disk is full: free some space and try again, no version was lost"
        }
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
        | (_, Some(io::ErrorKind::PermissionDenied)) => {
            "access was denied: check the owner of the folder or the credentials"
        }
        (_, Some(io::ErrorKind::ReadOnlyFilesystem)) => "the file system is read-only: choose another [registry] url",
        _ if is_impossible(error) => {
            "this store cannot create an object only if it is absent, which commits rest on: choose another [registry] url"
        }
        _ => "check that the store is reachable and try again, a repeated attempt is safe",
    }
}

/// The kind of the operating system's error at the bottom of the chain.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(found) = this.downcast_ref::<io::Error>() {
            return Some(found.kind());
        }
        cause = this.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_a_full_disk() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = failure(
            "write",
            "blobs/x",
            Error::Generic {
                store: "local",
                source: full.into(),
            },
        );
        assert_eq!(
            error.to_string(),
            "cannot write; the disk is full: free some space and try again, no version was lost. at=`blobs/x`"
        );
    }
}
