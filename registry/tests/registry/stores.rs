//! What the tests share: requests in one line, and a store that fails on purpose.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use foretell_registry::{ModelVersion, PackageFile, PublishRequest, Registry, Result, Stamp};
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

pub(crate) type Store = Arc<dyn ObjectStore>;

pub(crate) fn memory() -> Store {
    Arc::new(InMemory::new())
}

/// Memory, and a folder that lives as long as the second value.
pub(crate) fn both_kinds() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalFileSystem::new_with_prefix(folder.path())
        .unwrap()
        .with_fsync(true);
    vec![(memory(), None), (Arc::new(local), Some(folder))]
}

pub(crate) fn ann(time: i64) -> Stamp {
    Stamp::new("ann", time)
}

/// Two files: one that differs with `content` and one that never does.
pub(crate) fn package(content: &str) -> Vec<PackageFile> {
    vec![
        PackageFile::new("model.bin", content.as_bytes().to_vec()),
        PackageFile::new("docs/card.md", "# churn"),
    ]
}

pub(crate) fn request(model: &str, content: &str) -> PublishRequest {
    PublishRequest::new(model, package(content), ann(1))
}

pub(crate) async fn publish(registry: &Registry, model: &str, content: &str) -> Result<ModelVersion> {
    registry.publish(request(model, content)).await
}

pub(crate) async fn assert_sound(store: &Store) {
    let report = Registry::new(store.clone()).verify().await.unwrap();
    assert!(report.is_ok(), "{report}");
}

pub(crate) async fn keys(store: &Store, prefix: &str) -> Vec<String> {
    let found = futures::TryStreamExt::try_collect::<Vec<_>>(store.list(None))
        .await
        .unwrap();
    let mut keys: Vec<_> = found.into_iter().map(|it| it.location.to_string()).collect();
    keys.retain(|it| it.starts_with(prefix));
    keys.sort();
    keys
}

pub(crate) async fn read(store: &Store, key: &str) -> Vec<u8> {
    store
        .get(&Path::from(key))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec()
}

pub(crate) async fn write(store: &Store, key: &str, bytes: Vec<u8>) {
    store.put(&Path::from(key), bytes.into()).await.unwrap();
}

/// How the put that is chosen goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing fails; requests are counted.
    None,
    /// An error, and nothing happened.
    Before,
    /// It happened, and an error is answered.
    After,
    /// It happened, and the store's own retry then found the object there.
    AfterAsTaken,
    /// "Already exists", though nothing is there: two writers at once on a cloud store.
    TakenYetAbsent,
    /// The writer dies before it: no request works from then on.
    DeadBefore,
    /// The writer dies after it, before the answer.
    DeadAfter,
}

/// Fails the put number `at` (from 0) in the way of `fault`.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Store,
    fault: Fault,
    at: usize,
    pub(crate) puts: AtomicUsize,
    pub(crate) gets: AtomicUsize,
}

impl FaultyStore {
    pub(crate) fn new(inner: &Store, fault: Fault, at: usize) -> Arc<Self> {
        let (puts, gets) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            inner: inner.clone(),
            fault,
            at,
            puts,
            gets,
        })
    }

    fn check_alive(&self) -> Result<(), Error> {
        let died = matches!(self.fault, Fault::DeadBefore | Fault::DeadAfter);
        let dead = died && self.puts.load(Ordering::SeqCst) > self.at;
        if dead { Err(lost()) } else { Ok(()) }
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "faulty",
        source: "connection lost".into(),
    }
}

fn taken(path: &Path) -> Error {
    Error::AlreadyExists {
        path: path.to_string(),
        source: "taken".into(),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult, Error> {
        self.check_alive()?;
        let chosen = self.puts.fetch_add(1, Ordering::SeqCst) == self.at;
        let fault = if chosen { self.fault } else { Fault::None };
        match fault {
            Fault::Before | Fault::DeadBefore => return Err(lost()),
            Fault::TakenYetAbsent => return Err(taken(path)),
            _ => {}
        }
        let done = self.inner.put_opts(path, bytes, options).await;
        match fault {
            Fault::After | Fault::DeadAfter => Err(lost()),
            Fault::AfterAsTaken => Err(taken(path)),
            _ => done,
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, Error> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult, Error> {
        self.check_alive()?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path, Error>>) -> BoxStream<'static, Result<Path, Error>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult, Error> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<(), Error> {
        self.inner.copy_opts(from, to, options).await
    }
}
