//! From the `[registry] url` of a project to a store.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use crate::error::{RegistryError, Result};
use crate::registry::Registry;
use crate::storage::failure;

impl Registry {
    /// Opens a registry that exists: a folder (a path or `file://`), `memory:` (a new, empty one), or, in a build with
    /// cloud stores, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` with credentials from the environment.
    pub fn open(url: &str) -> Result<Self> {
        match Place::parse(url) {
            Place::Folder(path) if !path.is_dir() => Err(RegistryError::NoRegistry { url: url.to_owned() }),
            place => place.connect(url).map(|it| Self::with_hints(it.durable, it.quick)),
        }
    }

    /// The same, but a folder that does not exist is made: what training does.
    pub fn open_or_create(url: &str) -> Result<Self> {
        make_folder(url)?;
        Self::open(url)
    }
}

/// The store behind a URL of the same kinds as a registry's, for what lies beside one; a folder that does not exist is
/// made, and what is written to a folder is on the disk when the call returns.
pub fn open_store(url: &str) -> Result<Arc<dyn ObjectStore>> {
    make_folder(url)?;
    match Place::parse(url) {
        // As in a bucket, a folder without a file is none: it is not listed, and a file may take its name.
        Place::Folder(path) => Ok(Arc::new(
            folder(path, url)?.with_fsync(true).with_automatic_cleanup(true),
        )),
        place => Ok(place.connect(url)?.durable),
    }
}

fn folder(path: &Path, url: &str) -> Result<LocalFileSystem> {
    LocalFileSystem::new_with_prefix(path).map_err(|it| failure("open", url, it))
}

fn make_folder(url: &str) -> Result<()> {
    match Place::parse(url) {
        Place::Folder(path) => std::fs::create_dir_all(path).map_err(|it| unusable(url, it)),
        Place::Memory | Place::Cloud(_) => Ok(()),
    }
}

/// Two ways to the same objects: `durable` writes wait for the disk.
struct Connection {
    durable: Arc<dyn ObjectStore>,
    quick: Arc<dyn ObjectStore>,
}

impl Connection {
    fn only(store: Arc<dyn ObjectStore>) -> Self {
        let (durable, quick) = (store.clone(), store);
        Self { durable, quick }
    }
}

enum Place<'a> {
    Folder(&'a Path),
    Memory,
    Cloud(&'a str),
}

impl<'a> Place<'a> {
    fn parse(url: &'a str) -> Self {
        match url.split_once(':') {
            Some(("memory", _)) => Self::Memory,
            Some(("file", rest)) => Self::Folder(Path::new(rest.strip_prefix("//").unwrap_or(rest))),
            Some((scheme, rest)) if rest.starts_with("//") => Self::Cloud(scheme),
            _ => Self::Folder(Path::new(url)),
        }
    }

    fn connect(self, url: &str) -> Result<Connection> {
        match self {
            Self::Memory => Ok(Connection::only(Arc::new(InMemory::new()))),
            Self::Folder(path) => {
                let durable = Arc::new(folder(path, url)?.with_fsync(true));
                let quick = Arc::new(folder(path, url)?);
                Ok(Connection { durable, quick })
            }
            Self::Cloud("s3" | "s3a") => s3(url).map(Connection::only),
            Self::Cloud("gs") => gs(url).map(Connection::only),
            Self::Cloud("az" | "azure" | "abfs" | "abfss" | "adl") => az(url).map(Connection::only),
            Self::Cloud(scheme) => Err(RegistryError::Unsupported {
                what: format!(
                    "unknown kind of registry `{scheme}` in `{url}`; use a folder, memory:, s3://, gs:// or az://"
                ),
            }),
        }
    }
}

fn unusable(url: &str, source: std::io::Error) -> RegistryError {
    let source = match source.kind() {
        ErrorKind::PermissionDenied => object_store::Error::PermissionDenied {
            path: url.to_owned(),
            source: source.into(),
        },
        _ => object_store::Error::Generic {
            store: "LocalFileSystem",
            source: source.into(),
        },
    };
    failure("create the folder", url, source)
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
fn under_prefix<S: ObjectStore>(store: S, url: &str) -> Arc<dyn ObjectStore> {
    let path = url.split_once("://").map_or("", |it| it.1);
    let prefix = path.split_once('/').map_or("", |it| it.1);
    Arc::new(object_store::prefix::PrefixStore::new(store, prefix))
}

#[cfg(feature = "aws")]
fn s3(url: &str) -> Result<Arc<dyn ObjectStore>> {
    let store = object_store::aws::AmazonS3Builder::from_env().with_url(url).build();
    store
        .map(|it| under_prefix(it, url))
        .map_err(|it| failure("open", url, it))
}

#[cfg(feature = "gcp")]
fn gs(url: &str) -> Result<Arc<dyn ObjectStore>> {
    let store = object_store::gcp::GoogleCloudStorageBuilder::from_env()
        .with_url(url)
        .build();
    store
        .map(|it| under_prefix(it, url))
        .map_err(|it| failure("open", url, it))
}

#[cfg(feature = "azure")]
fn az(url: &str) -> Result<Arc<dyn ObjectStore>> {
    let store = object_store::azure::MicrosoftAzureBuilder::from_env()
        .with_url(url)
        .build();
    store
        .map(|it| under_prefix(it, url))
        .map_err(|it| failure("open", url, it))
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
fn without(feature: &str, url: &str) -> RegistryError {
    let what = format!("cannot open `{url}`: built without cloud stores, enable feature `{feature}`");
    RegistryError::Unsupported { what }
}
