//! Packages of the registry as read-only folders among the artifacts: `foretell/models/<model>/<version>/<file>`.

use axum::body::{Body, Bytes};
use foretell_registry::{ManifestFile, ModelVersion, Registry, Result};
use futures::stream::BoxStream;

use super::path::ArtifactPath;
use super::store::Entry;
use crate::error::ApiError;
use crate::facts::PACKAGES;

/// A file or a folder of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackagePath<'a> {
    model: &'a str,
    version: u64,
    /// Empty: the package itself.
    inner: &'a str,
}

/// Whether a path is where packages are shown; nobody writes there.
pub(crate) fn is_reserved(path: &ArtifactPath) -> bool {
    let top = PACKAGES.split('/').next();
    path.as_str().split('/').next() == top
}

impl<'a> PackagePath<'a> {
    /// What the path means in the registry; `None` for what is no package's.
    pub(crate) fn of(path: &'a ArtifactPath) -> Option<Self> {
        let rest = path.as_str().strip_prefix(PACKAGES)?.strip_prefix('/')?;
        let (model, rest) = rest.split_once('/')?;
        let (version, inner) = rest.split_once('/').unwrap_or((rest, ""));
        let version = version.parse().ok()?;
        Some(Self { model, version, inner })
    }

    /// The folder's content, sorted by name; nothing for a file.
    pub(crate) async fn list(&self, registry: &Registry) -> Result<Vec<Entry>, ApiError> {
        let version = self.version(registry).await?;
        let manifest = registry.manifest(&version).await?;
        Ok(entries(&manifest.files, self.inner))
    }

    /// The file's size and its bytes, which end before the last of them if they are not what was published.
    pub(crate) async fn open(&self, registry: &Registry) -> Result<(u64, Body), ApiError> {
        let version = self.version(registry).await?;
        let opened: Result<(ManifestFile, BoxStream<'static, Result<Bytes>>)> =
            registry.open_file(&version, self.inner).await;
        match opened {
            Ok((file, chunks)) => Ok((file.size, Body::from_stream(chunks))),
            Err(error) if error.is_not_found() && !self.list(registry).await?.is_empty() => Err(ApiError::invalid(
                format!("Artifact path refers to a directory, not a file: '{}'", self.inner),
            )),
            Err(error) => Err(error.into()),
        }
    }

    async fn version(&self, registry: &Registry) -> Result<ModelVersion> {
        registry.model(self.model).await?.version(self.version)
    }
}

/// Files and folders directly under `folder`; the list is sorted by path.
fn entries(files: &[ManifestFile], folder: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in files {
        let Some(rest) = under(&file.path, folder) else {
            continue;
        };
        let (name, size) = match rest.split_once('/') {
            Some((name, _)) => (name, None),
            None => (rest, Some(file.size)),
        };
        entries.push(Entry {
            name: name.to_owned(),
            size,
        });
    }
    entries.sort();
    entries.dedup();
    entries
}

fn under<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    match folder {
        "" => Some(path),
        folder => path.strip_prefix(folder)?.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use foretell_registry::{Manifest, PackageFile};

    use super::*;

    #[test]
    fn a_path_under_the_folder_of_packages_means_a_version() {
        let check = |text: &str, expected: Option<(&str, u64, &str)>| {
            let path = ArtifactPath::parse(text).unwrap();
            let got = PackagePath::of(&path);
            assert_eq!(got.map(|it| (it.model, it.version, it.inner)), expected, "{text}");
        };
        check("foretell/models/churn/3", Some(("churn", 3, "")));
        check("foretell/models/a%20b/3/x/y.bin", Some(("a b", 3, "x/y.bin")));
        check("foretell/models/churn", None);
        check("foretell/models/churn/x", None);
        check("0/run/artifacts", None);
        for (text, reserved) in [
            ("foretell", true),
            ("foretell/x", true),
            ("foretell2", false),
            ("", false),
        ] {
            assert_eq!(is_reserved(&ArtifactPath::parse(text).unwrap()), reserved, "{text}");
        }
    }

    #[test]
    fn a_folder_is_listed_one_level_deep() {
        let files = ["MLmodel", "data/a", "data/b/c", "data.txt"].map(|it| PackageFile::new(it, it.as_bytes()));
        let manifest = Manifest::of(&files).unwrap();
        let check = |folder: &str, expected: &str| {
            let entries = entries(&manifest.files, folder);
            let said = entries.iter().map(|it| match it.size {
                Some(size) => format!("{} {size}", it.name),
                None => format!("{}/", it.name),
            });
            assert_eq!(said.collect::<Vec<_>>().join(", "), expected, "{folder}");
        };
        check("", "MLmodel 7, data/, data.txt 8");
        check("data", "a 6, b/");
        check("data/b", "c 8");
        check("data/a", "");
        check("nope", "");
    }
}
