//! A data root in an object store. Objects are fetched once per version into a cache folder, `FORETELL_CACHE` or
//! `~/.cache/foretell`, and read from there like any file. What the cache holds may be deleted at any time.

use std::hash::BuildHasher as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foretell_features::{Source, Timestamp};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use rustc_hash::FxBuildHasher;

use super::pattern::Pattern;
use super::{Located, SourceFile, has_format};
use crate::error::{OfflineStoreError, Result};

/// Objects under a URL.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    url: String,
    store: Arc<dyn ObjectStore>,
    cache: PathBuf,
}

impl Objects {
    /// The store that a URL means, with credentials from the environment.
    pub(super) fn open(url: &str) -> Result<Self> {
        let store = match url.split_once("://").map_or("", |it| it.0) {
            "s3" | "s3a" => s3(url)?,
            "gs" => gs(url)?,
            "az" | "azure" | "abfs" | "abfss" | "adl" => az(url)?,
            scheme => {
                let reason = format!("unknown kind of store `{scheme}`; use a folder, s3://, gs:// or az://");
                return Err(unreadable("data root", url, reason));
            }
        };
        Ok(Self::new(url, store, cache_folder()))
    }

    fn new(url: &str, store: Arc<dyn ObjectStore>, cache: PathBuf) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            store,
            cache,
        }
    }

    pub(super) fn describe(&self, source: &Source) -> Result<Vec<SourceFile>> {
        let found = self.list(source)?;
        Ok(found
            .iter()
            .map(|it| SourceFile {
                path: self.url_of(it).into(),
                size: it.size,
                modified: Timestamp(it.last_modified.timestamp_micros()),
            })
            .collect())
    }

    pub(super) fn locate(&self, source: &Source) -> Result<Vec<Located>> {
        let found = self.list(source)?;
        let fetched = |it: &ObjectMeta| {
            Ok(Located {
                path: self.url_of(it).into(),
                local: self.fetched(source, it)?,
            })
        };
        found.iter().map(fetched).collect()
    }

    fn url_of(&self, object: &ObjectMeta) -> String {
        format!("{}/{}", self.url, object.location)
    }

    /// The objects of a source by location; at least one.
    fn list(&self, source: &Source) -> Result<Vec<ObjectMeta>> {
        let pattern = Pattern::of(&source.path);
        let below = pattern.as_ref().map_or(source.path.clone(), Pattern::fixed_part);
        let wanted = |object: &ObjectMeta| match &pattern {
            Some(pattern) => pattern.fits(object.location.as_ref()),
            None => has_format(object.location.as_ref(), &source.format),
        };
        let place = object_store::path::Path::from(below.as_str());
        let mut found = waited_for(async {
            // A path without pattern is an object, or the folder of many.
            if pattern.is_none()
                && let Ok(one) = self.store.head(&place).await
            {
                return Ok(vec![one]);
            }
            let all: Vec<ObjectMeta> = self.store.list(Some(&place)).try_collect().await?;
            Ok(all.into_iter().filter(wanted).collect())
        })
        .map_err(|error| unreadable(&source.name, &format!("{}/{}", self.url, source.path), error))?;
        if found.is_empty() {
            return Err(OfflineStoreError::MissingFile {
                name: source.name.clone(),
                path: format!("{}/{}", self.url, source.path),
                hint: "; put the object there, or name its place with `--data`".to_owned(),
            });
        }
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// The local copy of an object, fetched where this very version is not there yet.
    fn fetched(&self, source: &Source, object: &ObjectMeta) -> Result<PathBuf> {
        let version = object
            .e_tag
            .clone()
            .unwrap_or_else(|| format!("{} {}", object.size, object.last_modified));
        let key = FxBuildHasher.hash_one((self.url_of(object), version, object.size));
        let name = object.location.filename().unwrap_or("object");
        let path = self.cache.join(format!("{key:016x}")).join(name);
        if path.is_file() {
            return Ok(path);
        }
        let fetched = waited_for(self.fetch(object, &path));
        fetched.map_err(|error| unreadable(&source.name, &self.url_of(object), error))?;
        Ok(path)
    }

    /// The copy appears whole or not at all.
    async fn fetch(&self, object: &ObjectMeta, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(&self.cache);
        std::fs::create_dir_all(folder)?;
        let mut partial = tempfile::NamedTempFile::new_in(folder)?;
        let mut bytes = self.store.get(&object.location).await?.into_stream();
        while let Some(bytes) = bytes.next().await {
            partial.write_all(&bytes?)?;
        }
        partial.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a request to its end, also where the caller itself runs in a runtime.
fn waited_for<T: Send>(request: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(request)
    };
    let joined = std::thread::scope(|scope| scope.spawn(run).join());
    joined.unwrap_or_else(|_| Err("the request was stopped".into()))
}

fn unreadable(name: &str, path: &str, reason: impl std::fmt::Display) -> OfflineStoreError {
    OfflineStoreError::Read {
        name: name.to_owned(),
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn cache_folder() -> PathBuf {
    let named = std::env::var_os("FORETELL_CACHE").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/foretell"));
    named
        .or_else(home)
        .unwrap_or_else(|| std::env::temp_dir().join("foretell-cache"))
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn under_prefix<S: ObjectStore>(url: &str, store: object_store::Result<S>) -> Result<Arc<dyn ObjectStore>> {
    let store = store.map_err(|error| unreadable("data root", url, error))?;
    let path = url.split_once("://").map_or("", |it| it.1);
    let prefix = path.split_once('/').map_or("", |it| it.1);
    Ok(Arc::new(object_store::prefix::PrefixStore::new(store, prefix)))
}

#[cfg(feature = "aws")]
fn s3(url: &str) -> Result<Arc<dyn ObjectStore>> {
    under_prefix(
        url,
        object_store::aws::AmazonS3Builder::from_env().with_url(url).build(),
    )
}

#[cfg(feature = "gcp")]
fn gs(url: &str) -> Result<Arc<dyn ObjectStore>> {
    under_prefix(
        url,
        object_store::gcp::GoogleCloudStorageBuilder::from_env()
            .with_url(url)
            .build(),
    )
}

#[cfg(feature = "azure")]
fn az(url: &str) -> Result<Arc<dyn ObjectStore>> {
    under_prefix(
        url,
        object_store::azure::MicrosoftAzureBuilder::from_env()
            .with_url(url)
            .build(),
    )
}

#[cfg(not(feature = "aws"))]
fn s3(url: &str) -> Result<Arc<dyn ObjectStore>> {
    Err(without("aws", url))
}

#[cfg(not(feature = "gcp"))]
fn gs(url: &str) -> Result<Arc<dyn ObjectStore>> {
    Err(without("gcp", url))
}

#[cfg(not(feature = "azure"))]
fn az(url: &str) -> Result<Arc<dyn ObjectStore>> {
    Err(without("azure", url))
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn without(feature: &str, url: &str) -> OfflineStoreError {
    unreadable(
        "data root",
        url,
        format!("this build lacks the cargo feature `{feature}`"),
    )
}

#[cfg(test)]
mod tests {
    use foretell_features::Definitions;
    use object_store::memory::InMemory;

    use super::*;

    fn source(path: &str) -> Source {
        let toml = format!("[source.orders]\npath = \"{path}\"\nformat = \"csv\"\n");
        let definitions = Definitions::parse(&[("test.toml".into(), toml)]).unwrap();
        definitions.sources["orders"].clone()
    }

    fn put(store: &InMemory, path: &str, text: &'static str) {
        waited_for(async { Ok(store.put(&path.into(), text.into()).await?) }).unwrap();
    }

    fn texts(objects: &Objects, path: &str) -> Vec<String> {
        let located = objects.locate(&source(path)).unwrap();
        located
            .iter()
            .map(|it| std::fs::read_to_string(&it.local).unwrap())
            .collect()
    }

    #[test]
    fn objects_are_found_by_name_pattern_and_folder_and_fetched_when_they_change() {
        let (store, cache) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
        put(&store, "orders/b.csv", "b");
        put(&store, "orders/2024/a.csv", "a");
        put(&store, "orders/readme.md", "no");
        let objects = Objects::new("memory://shop/", store.clone(), cache.path().to_owned());
        assert_eq!(texts(&objects, "orders/b.csv"), ["b"]);
        assert_eq!(texts(&objects, "orders/*.csv"), ["b"]);
        assert_eq!(texts(&objects, "orders/*/?.csv"), ["a"]);
        assert_eq!(texts(&objects, "orders"), ["a", "b"], "a folder with all in it");

        let before = objects.locate(&source("orders/b.csv")).unwrap();
        assert_eq!(before[0].path, Path::new("memory://shop/orders/b.csv"));
        put(&store, "orders/b.csv", "changed");
        assert_eq!(texts(&objects, "orders/b.csv"), ["changed"]);
        assert_eq!(
            std::fs::read_to_string(&before[0].local).unwrap(),
            "b",
            "an older reader goes on"
        );

        let error = objects.locate(&source("ordres/*.csv")).unwrap_err().to_string();
        assert!(error.contains("memory://shop/ordres/*.csv"), "{error}");
    }

    #[test]
    fn a_store_of_another_kind_or_build_is_refused_with_its_url() {
        for (url, expected) in [("ftp://x/y", "unknown kind of store `ftp`"), ("s3://b/p", "`aws`")] {
            let refused = Objects::open(url).map(|_| ()).map_err(|it| it.to_string());
            let said = refused.is_err_and(|it| it.contains(url) && it.contains(expected));
            assert!(said || (url.starts_with("s3") && cfg!(feature = "aws")), "{url}");
        }
    }
}
