//! Files in and out of packages in chunks: for those that are too large to lie in memory whole.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::{GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::digest::{Digest, Hasher};
use crate::error::{RegistryError, Result};
use crate::files::check_file;
use crate::names::check_file_path;
use crate::package::{ManifestFile, blob_key};
use crate::registry::Registry;
use crate::storage::failure;
use crate::view::ModelVersion;

/// Bytes of one part of a copy.
const PART: usize = 8 * 1024 * 1024;
/// Parts of one file on their way at a time.
const PARTS_AT_ONCE: usize = 2;

/// Bytes of a local file read at a time: the store's own 8 KiB cost more in changes of thread than in reading.
const CHUNK: u64 = 256 * 1024;

/// The bytes of an object in chunks worth their way.
pub fn chunks(found: GetResult) -> BoxStream<'static, object_store::Result<Bytes>> {
    let range = found.range.clone();
    match found.payload {
        GetResultPayload::File(file, _) => file_chunks(file, range).boxed(),
        GetResultPayload::Stream(chunks) => chunks,
    }
}

fn file_chunks(file: File, range: Range<u64>) -> impl Stream<Item = object_store::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, range), |(file, left)| async move {
        if left.is_empty() {
            return Ok(None);
        }
        let count = CHUNK.min(left.end - left.start);
        let reading = tokio::task::spawn_blocking(move || read_at(file, left.start, count));
        let (file, chunk) = reading.await?.map_err(|source| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: source.into(),
        })?;
        Ok(Some((chunk, (file, left.start + count..left.end))))
    })
}

fn read_at(mut file: File, at: u64, count: u64) -> std::io::Result<(File, Bytes)> {
    let mut bytes = Vec::with_capacity(count as usize);
    file.seek(SeekFrom::Start(at))?;
    let read = Read::by_ref(&mut file).take(count).read_to_end(&mut bytes)?;
    if (read as u64) < count {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok((file, bytes.into()))
}

/// A file of a package to be whose bytes are not in memory.
#[derive(Clone, Debug)]
pub struct StreamedFile {
    listed: ManifestFile,
    /// `None`: it is in the registry.
    from: Option<(Arc<dyn ObjectStore>, ObjectMeta)>,
}

impl StreamedFile {
    /// An object of another store as `path` of the package. It is read for its digest now, and again when it is
    /// published; if it changes in between, publishing fails with `Conflict`.
    pub async fn read(path: &str, from: Arc<dyn ObjectStore>, object: ObjectMeta) -> Result<Self> {
        check_file_path(path)?;
        let mut hasher = Hasher::default();
        let mut chunks = chunks_of(&*from, &object).await?;
        while let Some(chunk) = chunks.try_next().await? {
            hasher.update(&chunk);
        }
        let (size, sha256) = hasher.finish();
        let path = path.to_owned();
        Ok(Self {
            listed: ManifestFile { path, size, sha256 },
            from: Some((from, object)),
        })
    }

    /// A file that is in the registry: a line of another version's manifest.
    pub fn stored(listed: ManifestFile) -> Self {
        Self { listed, from: None }
    }

    pub(crate) fn listed(&self) -> &ManifestFile {
        &self.listed
    }
}

impl Registry {
    /// One file of a version in chunks. The last one comes only when size and digest agree with the manifest: who got
    /// all of them got the right bytes.
    pub async fn open_file(
        &self,
        version: &ModelVersion,
        path: &str,
    ) -> Result<(ManifestFile, BoxStream<'static, Result<Bytes>>)> {
        let file = self.listed_file(version, path).await?;
        let key = blob_key(&file.sha256);
        let found = self.storage().store().get(&key.as_str().into()).await;
        let chunks = match found {
            Ok(found) => chunks(found).map_err(move |it| failure("read", &key, it)),
            Err(object_store::Error::NotFound { .. }) => {
                let absent = check_file(&version.to_string(), &file, None);
                return Err(absent.expect_err("an absent object is refused"));
            }
            Err(error) => return Err(failure("read", &key, error)),
        };
        let checked = checked(version.to_string(), file.clone(), chunks.boxed());
        Ok((file, checked.boxed()))
    }

    /// Sees to it that the file is in the registry.
    pub(crate) async fn bring(&self, file: &StreamedFile) -> Result<()> {
        let listed = &file.listed;
        if self.storage().size(&blob_key(&listed.sha256)).await? == Some(listed.size) {
            return Ok(());
        }
        match &file.from {
            Some((from, object)) => self.copy_in(&listed.sha256, &**from, object).await,
            None => check_file("a copied package", listed, None),
        }
    }

    async fn copy_in(&self, expected: &Digest, from: &dyn ObjectStore, object: &ObjectMeta) -> Result<()> {
        let key = blob_key(expected);
        let mut chunks = chunks_of(from, object).await?;
        if object.size <= PART as u64 {
            let bytes = Bytes::from(chunks.try_collect::<Vec<_>>().await?.concat());
            return match Digest::of(&bytes) == *expected {
                true => self.storage().ensure(&key, &bytes).await,
                false => Err(changed(object)),
            };
        }
        let failed = |it| failure("write", &key, it);
        let upload = self.storage().store().put_multipart(&key.as_str().into()).await;
        let mut writer = WriteMultipart::new_with_chunk_size(upload.map_err(failed)?, PART);
        let mut hasher = Hasher::default();
        while let Some(chunk) = chunks.try_next().await? {
            hasher.update(&chunk);
            writer.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
            writer.put(chunk);
        }
        if hasher.finish().1 == *expected {
            return writer.finish().await.map(drop).map_err(failed);
        }
        writer.abort().await.map_err(failed)?;
        Err(changed(object))
    }
}

fn changed(object: &ObjectMeta) -> RegistryError {
    RegistryError::Conflict {
        reason: format!("`{}` was written while it was read", object.location),
        log: object.location.to_string(),
        seq: 0,
    }
}

async fn chunks_of(from: &dyn ObjectStore, object: &ObjectMeta) -> Result<BoxStream<'static, Result<Bytes>>> {
    let at = object.location.to_string();
    let found = from
        .get(&object.location)
        .await
        .map_err(|it| failure("read", &at, it))?;
    Ok(chunks(found).map_err(move |it| failure("read", &at, it)).boxed())
}

/// Holds one chunk back, and at the end everything, unless all agrees.
fn checked(
    owner: String,
    file: ManifestFile,
    chunks: BoxStream<'static, Result<Bytes>>,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    struct State {
        chunks: BoxStream<'static, Result<Bytes>>,
        hasher: Option<Hasher>,
        held: Option<Bytes>,
    }
    let start = State {
        chunks,
        hasher: Some(Hasher::default()),
        held: None,
    };
    stream::try_unfold((start, owner, file), |(mut state, owner, file)| async move {
        while let Some(hasher) = &mut state.hasher {
            match state.chunks.try_next().await? {
                Some(chunk) => {
                    hasher.update(&chunk);
                    if let Some(before) = state.held.replace(chunk) {
                        return Ok(Some((before, (state, owner, file))));
                    }
                }
                None => {
                    let found = state.hasher.take().map(Hasher::finish);
                    check_file(&owner, &file, found)?;
                }
            }
        }
        Ok(state.held.take().map(|last| (last, (state, owner, file))))
    })
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::{PublishRequest, Stamp};

    async fn object(store: &dyn ObjectStore, size: usize, byte: u8) -> ObjectMeta {
        let key = "0/run/artifacts/model.bin".into();
        store.put(&key, vec![byte; size].into()).await.unwrap();
        store.head(&key).await.unwrap()
    }

    async fn streamed(store: &Arc<InMemory>, size: usize) -> StreamedFile {
        let object = object(&**store, size, 7).await;
        StreamedFile::read("model.bin", store.clone(), object).await.unwrap()
    }

    fn request(file: StreamedFile) -> PublishRequest {
        PublishRequest {
            streamed: vec![file],
            ..PublishRequest::new("m", Vec::new(), Stamp::new("ann", 1))
        }
    }

    #[tokio::test]
    async fn a_streamed_file_is_published_like_one_in_memory() {
        for size in [0, 5, PART + 1] {
            let (store, registry) = (Arc::new(InMemory::new()), Registry::open("memory:").unwrap());
            let version = registry.publish(request(streamed(&store, size).await)).await.unwrap();
            let file = registry.fetch_file(&version, "model.bin").await.unwrap();
            assert!(
                file.bytes.len() == size && file.bytes.iter().all(|it| *it == 7),
                "{size}"
            );
            let (listed, chunks) = registry.open_file(&version, "model.bin").await.unwrap();
            let chunks: Vec<Bytes> = chunks.try_collect().await.unwrap();
            assert_eq!((listed.size as usize, chunks.concat().len()), (size, size));
            let copy = PublishRequest {
                model: "copy".into(),
                ..request(StreamedFile::stored(listed))
            };
            assert_eq!(registry.publish(copy).await.unwrap().digest, version.digest);
            assert!(registry.verify().await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn an_object_that_changes_after_it_was_read_is_not_published() {
        for size in [5, PART + 1] {
            let (store, registry) = (Arc::new(InMemory::new()), Registry::open("memory:").unwrap());
            let file = streamed(&store, size).await;
            object(&*store, size, 8).await;
            let error = registry.publish(request(file)).await.unwrap_err();
            assert!(matches!(error, RegistryError::Conflict { .. }), "{error}");
            assert!(registry.model("m").await.is_err(), "nothing is visible");
        }
    }

    #[tokio::test]
    async fn a_file_that_should_be_in_the_registry_and_is_not_is_not_published() {
        let (store, registry) = (Arc::new(InMemory::new()), Registry::open("memory:").unwrap());
        let listed = streamed(&store, 5).await.listed;
        let error = registry
            .publish(request(StreamedFile::stored(listed)))
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::Corrupt { .. }), "{error}");
    }
}
