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
            place => place.connect(url).map(Self::new),
        }
    }

    /// The same, but a folder that does not exist is made: what training does.
    pub fn open_or_create(url: &str) -> Result<Self> {
        if let Place::Folder(path) = Place::parse(url) {
            std::fs::create_dir_all(path).map_err(|it| unusable(url, it))?;
        }
        Self::open(url)
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

    fn connect(self, url: &str) -> Result<Arc<dyn ObjectStore>> {
        match self {
            Self::Memory => Ok(Arc::new(InMemory::new())),
            Self::Folder(path) => {
                let folder = LocalFileSystem::new_with_prefix(path).map_err(|it| failure("open", url, it))?;
                Ok(Arc::new(folder.with_fsync(true)))
            }
            Self::Cloud("s3" | "s3a") => s3(url),
            Self::Cloud("gs") => gs(url),
            Self::Cloud("az" | "azure" | "abfs" | "abfss" | "adl") => az(url),
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
