//! Artifacts in an object store: bytes go through in parts, never whole through memory.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use foretell_registry::chunks;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{Error, GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

use super::path::ArtifactPath;
use crate::error::{ApiError, ErrorCode, log_causes};

/// Bytes held of one upload before a part of it is written.
const PART: usize = 8 * 1024 * 1024;
/// Parts of one upload on their way at a time.
const PARTS_AT_ONCE: usize = 2;
/// Objects deleted at a time.
const DELETED_AT_ONCE: usize = 16;

/// The artifacts of all runs and logged models.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactStore {
    store: Arc<dyn ObjectStore>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The last part of its path.
    pub(crate) name: String,
    /// Bytes of a file; a folder has none.
    pub(crate) size: Option<u64>,
}

/// A file under a folder.
#[derive(Debug, Clone)]
pub(crate) struct StoredFile {
    /// Its path from the folder on; for the folder that is a file, its name.
    pub(crate) path: String,
    pub(crate) object: ObjectMeta,
}

impl ArtifactStore {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Writes a file, whatever was there. Until the last byte has come the old one stays; a body that breaks off
    /// leaves nothing.
    pub(crate) async fn put<S>(&self, path: &ArtifactPath, mut body: S) -> Result<(), ApiError>
    where
        S: Stream<Item = Result<Bytes, ApiError>> + Unpin,
    {
        let (mut held, mut size) = (Vec::new(), 0);
        while size < PART {
            let Some(chunk) = body.next().await else {
                let whole = PutPayload::from_iter(held);
                let put = self.store.put(&path.key(), whole).await;
                return put.map(drop).map_err(|it| failure(path, it));
            };
            let chunk = chunk?;
            size += chunk.len();
            held.push(chunk);
        }
        let upload = self.store.put_multipart(&path.key()).await;
        let upload = upload.map_err(|it| failure(path, it))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        held.into_iter().for_each(|it| writer.put(it));
        match copy(body, &mut writer, path).await {
            Ok(()) => writer.finish().await.map(drop).map_err(|it| failure(path, it)),
            Err(error) => {
                if let Err(left) = writer.abort().await {
                    tracing::warn!(%left, %path, "parts of an upload that broke off may be left");
                }
                Err(error)
            }
        }
    }

    /// A file to be read in chunks.
    pub(crate) async fn open(&self, path: &ArtifactPath) -> Result<GetResult, ApiError> {
        match self.store.get(&path.key()).await {
            Err(Error::NotFound { .. }) if !self.list(path).await?.is_empty() => Err(ApiError::invalid(format!(
                "Artifact path refers to a directory, not a file: '{path}'"
            ))),
            got => got.map_err(|it| failure(path, it)),
        }
    }

    /// These bytes of a file.
    pub(crate) async fn open_part(&self, path: &ArtifactPath, part: Range<u64>) -> Result<GetResult, ApiError> {
        let options = GetOptions {
            range: Some(part.into()),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&path.key(), options).await;
        got.map_err(|it| failure(path, it))
    }

    /// The bytes of several files, one file after the other.
    pub(crate) fn one_after_another(self, paths: Vec<ArtifactPath>) -> BoxStream<'static, Result<Bytes, ApiError>> {
        let opened = stream::iter(paths).then(move |path| self.clone().chunks(path));
        opened.try_flatten().boxed()
    }

    async fn chunks(self, path: ArtifactPath) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let found = self.open(&path).await?;
        Ok(chunks(found).map_err(move |it| failure(&path, it)).boxed())
    }

    /// What lies directly in a folder, sorted by name; nothing for a file and for what is not there.
    pub(crate) async fn list(&self, folder: &ArtifactPath) -> Result<Vec<Entry>, ApiError> {
        let prefix = Some(folder.key()).filter(|_| !folder.is_root());
        let found = match self.store.list_with_delimiter(prefix.as_ref()).await {
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            found => found.map_err(|it| failure(folder, it))?,
        };
        let files = found.objects.iter().map(|it| Entry {
            name: last_part(&it.location),
            size: Some(it.size),
        });
        let folders = found.common_prefixes.iter().map(|it| Entry {
            name: last_part(it),
            size: None,
        });
        let mut entries: Vec<_> = files.chain(folders).collect();
        entries.sort();
        Ok(entries)
    }

    /// Every file under a folder, or the one that the path itself is.
    pub(crate) async fn files(&self, folder: &ArtifactPath) -> Result<Vec<StoredFile>, ApiError> {
        let key = folder.key();
        let inside: Vec<ObjectMeta> = match self.store.list(Some(&key)).try_collect().await {
            Err(Error::NotFound { .. }) => Vec::new(),
            found => found.map_err(|it| failure(folder, it))?,
        };
        if inside.is_empty() && !folder.is_root() {
            return match self.store.head(&key).await {
                Err(Error::NotFound { .. }) => Ok(Vec::new()),
                Err(error) => Err(failure(folder, error)),
                Ok(object) => Ok(vec![StoredFile {
                    path: folder.name().to_owned(),
                    object,
                }]),
            };
        }
        let file = |object: ObjectMeta| {
            let parts = object.location.prefix_match(&key)?;
            let parts: Vec<String> = parts.map(|it| plain(it.as_ref())).collect();
            Some(StoredFile {
                path: parts.join("/"),
                object,
            })
        };
        let mut files: Vec<_> = inside.into_iter().filter_map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Removes a file, or a folder with all that is in it; what is not there is gone already.
    pub(crate) async fn delete(&self, path: &ArtifactPath) -> Result<(), ApiError> {
        let files = self.files(path).await?;
        let deletions = files.into_iter().map(|it| async move {
            match self.store.delete(&it.object.location).await {
                Err(Error::NotFound { .. }) => Ok(()),
                done => done.map_err(|it| failure(path, it)),
            }
        });
        let deletions: Vec<_> = deletions.collect();
        stream::iter(deletions)
            .buffer_unordered(DELETED_AT_ONCE)
            .try_collect()
            .await
    }
}

async fn copy<S>(mut body: S, writer: &mut WriteMultipart, path: &ArtifactPath) -> Result<(), ApiError>
where
    S: Stream<Item = Result<Bytes, ApiError>> + Unpin,
{
    while let Some(chunk) = body.next().await {
        writer
            .wait_for_capacity(PARTS_AT_ONCE)
            .await
            .map_err(|it| failure(path, it))?;
        writer.put(chunk?);
    }
    Ok(())
}

/// The bytes of a request.
pub(crate) fn received(body: Body) -> impl Stream<Item = Result<Bytes, ApiError>> + Unpin {
    let broken_off = |it| ApiError::invalid(format!("The body of the request broke off: {it}"));
    body.into_data_stream().map_err(broken_off)
}

/// Keys are kept in the spelling of the store; clients get names.
fn plain(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .into_owned()
}

fn last_part(key: &object_store::path::Path) -> String {
    key.parts()
        .next_back()
        .map_or_else(String::new, |it| plain(it.as_ref()))
}

/// What the client is told of a failure of the store.
pub(crate) fn failure(path: &ArtifactPath, error: Error) -> ApiError {
    if matches!(error, Error::NotFound { .. }) {
        return ApiError::absent(format!("No such artifact: '{path}'"));
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(this) = cause {
        let kind = this.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        match kind {
            Some(ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists) => {
                return ApiError::invalid(format!("Invalid path: a part of '{path}' is both a file and a folder"));
            }
            Some(ErrorKind::InvalidFilename) => {
                return ApiError::invalid(format!("Invalid path: '{path}' is too long"));
            }
            _ => cause = this.source(),
        }
    }
    log_causes(&error);
    let message = "the artifact store cannot be read or written now; the server's log says why";
    ApiError::new(ErrorCode::TemporarilyUnavailable, message)
}
