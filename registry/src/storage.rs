//! The object store with our errors on it: which object, what was tried, what to do.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};

use crate::digest::{Digest, Hasher};
use crate::error::{RegistryError, Result};

/// Keys in one object store.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
}

impl Storage {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// The bytes of an object, `None` when there is none.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&Path::from(key)).await?.bytes().await };
        optional(read.await).map_err(|it| failure("read", key, it))
    }

    /// Size and digest of an object, read in chunks, `None` when there is none.
    pub(crate) async fn digest(&self, key: &str) -> Result<Option<(u64, Digest)>> {
        let read = async {
            let mut chunks = self.store.get(&Path::from(key)).await?.into_stream();
            let mut hasher = Hasher::default();
            while let Some(chunk) = chunks.try_next().await? {
                hasher.update(&chunk);
            }
            Ok(hasher.finish())
        };
        optional(read.await).map_err(|it| failure("read", key, it))
    }

    /// Size and entity tag of an object, `None` when there is none.
    pub(crate) async fn stat(&self, key: &str) -> Result<Option<(u64, Option<String>)>> {
        let meta = optional(self.store.head(&Path::from(key)).await);
        let meta = meta.map_err(|it| failure("look up", key, it))?;
        Ok(meta.map(|it| (it.size, it.e_tag.or_else(|| Some(it.last_modified.to_rfc3339())))))
    }

    /// Creates an object that must not exist; the raw error is for the caller to settle.
    pub(crate) async fn create(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let key = Path::from(key);
        self.store
            .put_opts(&key, bytes.into(), PutMode::Create.into())
            .await
            .map(drop)
    }

    /// Writes an object, whatever was there.
    pub(crate) async fn overwrite(&self, key: &str, bytes: Bytes) -> Result<()> {
        let put = self.store.put(&Path::from(key), bytes.into()).await;
        put.map(drop).map_err(|it| failure("write", key, it))
    }

    /// Makes sure that a content-addressed object is there. An error may come after the effect, so the store is asked
    /// before it is believed; an object cut short by a crash below us is replaced, which its address allows.
    pub(crate) async fn ensure(&self, key: &str, bytes: &Bytes) -> Result<()> {
        let Err(cause) = self.create(key, bytes.clone()).await else {
            return Ok(());
        };
        match (self.stat(key).await?, cause) {
            (Some((size, _)), _) if size == bytes.len() as u64 => Ok(()),
            (_, Error::AlreadyExists { .. }) => self.overwrite(key, bytes.clone()).await,
            (_, cause) => Err(failure("write", key, cause)),
        }
    }

    /// Keys under a folder, sorted.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let found = self.store.list(Some(&Path::from(folder)));
        let keys = found.map_ok(|it| it.location.to_string()).try_collect::<Vec<_>>();
        let mut keys = optional(keys.await)
            .map_err(|it| failure("list", folder, it))?
            .unwrap_or_default();
        keys.sort();
        Ok(keys)
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
        (_, Some(io::ErrorKind::Unsupported)) | (Error::NotImplemented { .. } | Error::NotSupported { .. }, _) => {
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
