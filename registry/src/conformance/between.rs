//! A store between the registry and a real one that errs on purpose.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// One request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// What is asked.
    pub verb: Verb,
    /// The object, or the folder that is listed.
    pub key: &'a str,
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To write an object that must not exist.
    Create,
    /// To write an object, whatever was there.
    Overwrite,
    /// To read an object, or to look it up.
    Read,
    /// To list a folder.
    List,
    /// To delete an object.
    Delete,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is done after a while.
    DoneLate(Duration),
    /// An error, and nothing happened.
    Refused,
    /// It happened, and an error is answered: the reply was lost.
    ReplyLost,
    /// It happened, and the store's own retry then found the object there.
    FoundOwn,
    /// "Already exists", though nothing is there: two writers at once on a cloud store.
    TakenYetAbsent,
    /// A store that ignores the condition: what exists is created again.
    Overwritten,
    /// A listing from a while ago: the newer half is not in it.
    Stale,
}

/// A store that does to each request what `judge` says.
pub struct Between<J> {
    inner: Arc<dyn ObjectStore>,
    judge: Arc<J>,
}

impl<J: Fn(Call<'_>) -> Fate + Send + Sync + 'static> Between<J> {
    /// Puts `judge` before a store.
    pub fn new(inner: Arc<dyn ObjectStore>, judge: J) -> Arc<Self> {
        let judge = Arc::new(judge);
        Arc::new(Self { inner, judge })
    }

    fn fate(&self, verb: Verb, key: &Path) -> Fate {
        (self.judge)(Call {
            verb,
            key: key.as_ref(),
        })
    }

    async fn read<T>(&self, key: &Path, read: impl Future<Output = Result<T>> + Send) -> Result<T> {
        meet(self.fate(Verb::Read, key), key, read).await
    }
}

/// Lets a request meet its fate.
async fn meet<T>(fate: Fate, key: &Path, request: impl Future<Output = Result<T>> + Send) -> Result<T> {
    match fate {
        Fate::Refused => return Err(lost()),
        Fate::TakenYetAbsent => return Err(taken(key)),
        Fate::DoneLate(wait) => tokio::time::sleep(wait).await,
        _ => {}
    }
    let done = request.await;
    match fate {
        Fate::ReplyLost => Err(lost()),
        Fate::FoundOwn => Err(taken(key)),
        _ => done,
    }
}

impl<J> fmt::Debug for Between<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Between({})", self.inner)
    }
}

impl<J> fmt::Display for Between<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[async_trait]
impl<J: Fn(Call<'_>) -> Fate + Send + Sync + 'static> ObjectStore for Between<J> {
    async fn put_opts(&self, key: &Path, bytes: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let overwrites = options.mode == PutMode::Overwrite;
        let fate = self.fate(if overwrites { Verb::Overwrite } else { Verb::Create }, key);
        if fate == Fate::Overwritten {
            options.mode = PutMode::Overwrite;
        }
        meet(fate, key, self.inner.put_opts(key, bytes, options)).await
    }

    async fn put_multipart_opts(&self, key: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let fate = self.fate(Verb::Overwrite, key);
        meet(fate, key, self.inner.put_multipart_opts(key, options)).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.read(key, self.inner.get_opts(key, options)).await
    }

    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read(key, self.inner.get_ranges(key, ranges)).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let judge = self.judge.clone();
        let allowed = move |key: Path| {
            let (verb, asked) = (Verb::Delete, key.as_ref());
            let fate = judge(Call { verb, key: asked });
            std::future::ready(if fate == Fate::Refused { Err(lost()) } else { Ok(key) })
        };
        self.inner.delete_stream(keys.and_then(allowed).boxed())
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list(folder);
        match self.fate(Verb::List, &folder.cloned().unwrap_or_default()) {
            Fate::Refused | Fate::ReplyLost => stream::once(async { Err(lost()) }).boxed(),
            Fate::Stale => stream::once(older_half(listed)).try_flatten().boxed(),
            _ => listed,
        }
    }

    async fn list_with_delimiter(&self, folder: Option<&Path>) -> Result<ListResult> {
        let key = folder.cloned().unwrap_or_default();
        meet(
            self.fate(Verb::List, &key),
            &key,
            self.inner.list_with_delimiter(folder),
        )
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        meet(self.fate(Verb::Create, to), to, self.inner.copy_opts(from, to, options)).await
    }
}

type Listed = BoxStream<'static, Result<ObjectMeta>>;

async fn older_half(listed: Listed) -> Result<Listed> {
    let mut found: Vec<_> = listed.try_collect().await?;
    found.sort_by_key(|it| it.last_modified);
    found.truncate(found.len() / 2);
    Ok(stream::iter(found.into_iter().map(Ok)).boxed())
}

fn lost() -> Error {
    Error::Generic {
        store: "Between",
        source: "connection lost".into(),
    }
}

fn taken(key: &Path) -> Error {
    Error::AlreadyExists {
        path: key.to_string(),
        source: "taken".into(),
    }
}
