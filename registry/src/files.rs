//! Package files in and out: written by content before the commit, checked on every read.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::digest::Digest;
use crate::error::{Nearest, RegistryError, Result};
use crate::package::{Manifest, ManifestFile, PackageFile, blob_key, manifest_key};
use crate::registry::Registry;
use crate::streams::StreamedFile;
use crate::view::ModelVersion;

/// Files moved at a time.
const AT_ONCE: usize = 8;

impl Registry {
    /// Every file of a version, sorted by path, each checked against the manifest and the manifest against the log.
    pub async fn fetch(&self, version: &ModelVersion) -> Result<Vec<PackageFile>> {
        let manifest = self.manifest(version).await?;
        let files = stream::iter(manifest.files).map(|it| self.fetch_listed(version, it));
        files.buffered(AT_ONCE).try_collect().await
    }

    /// One file of a version, checked.
    pub async fn fetch_file(&self, version: &ModelVersion, path: &str) -> Result<PackageFile> {
        let file = self.listed_file(version, path).await?;
        self.fetch_listed(version, file).await
    }

    /// What the manifest of a version says of one file.
    pub(crate) async fn listed_file(&self, version: &ModelVersion, path: &str) -> Result<ManifestFile> {
        let manifest = self.manifest(version).await?;
        let found = manifest.files.iter().find(|it| it.path == path).cloned();
        found.ok_or_else(|| RegistryError::UnknownFile {
            package: version.to_string(),
            path: path.to_owned(),
            nearest: Nearest::to(path, manifest.files.iter().map(|it| &it.path)),
        })
    }

    /// The file list of a version, checked, and its signature where keys are configured.
    pub async fn manifest(&self, version: &ModelVersion) -> Result<Manifest> {
        let (bytes, manifest) = self.manifest_bytes(&version.to_string(), version.digest).await?;
        self.trust().check(version, &bytes)?;
        Ok(manifest)
    }

    pub(crate) async fn manifest_of(&self, owner: &str, digest: Digest) -> Result<Manifest> {
        self.manifest_bytes(owner, digest).await.map(|it| it.1)
    }

    /// The manifest as it was stored, which is what is signed, and as it reads.
    pub(crate) async fn manifest_bytes(&self, owner: &str, digest: Digest) -> Result<(Bytes, Manifest)> {
        let key = manifest_key(&digest);
        let damaged = |expected: String, got: String| {
            let what = format!("manifest of {owner}");
            RegistryError::Corrupt {
                what,
                at: key.clone(),
                expected,
                got,
            }
        };
        let bytes = self.storage().get(&key).await?;
        let bytes = bytes.ok_or_else(|| damaged(digest.to_string(), "no object".to_owned()))?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(damaged(digest.to_string(), found.to_string()));
        }
        let manifest = Manifest::decode(&bytes).map_err(|it| damaged("a manifest".to_owned(), it))?;
        Ok((bytes, manifest))
    }

    /// Stores the files, then the manifest that lists them. Invisible until a record names the digest.
    pub(crate) async fn store(
        &self,
        files: &[PackageFile],
        streamed: &[StreamedFile],
        manifest: &Manifest,
    ) -> Result<Digest> {
        let uploads = files.iter().map(|file| async move {
            let key = blob_key(&Digest::of(&file.bytes));
            self.storage().ensure(&key, &file.bytes).await
        });
        let uploads: Vec<_> = uploads.collect();
        stream::iter(uploads)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let copies: Vec<_> = streamed.iter().map(|it| self.bring(it)).collect();
        stream::iter(copies)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let (digest, bytes) = manifest.encode();
        self.storage().ensure(&manifest_key(&digest), &bytes).await?;
        Ok(digest)
    }

    pub(crate) async fn fetch_listed(&self, version: &ModelVersion, file: ManifestFile) -> Result<PackageFile> {
        let bytes = self.storage().get(&blob_key(&file.sha256)).await?;
        let found = bytes.as_ref().map(|it| (it.len() as u64, Digest::of(it)));
        check_file(&version.to_string(), &file, found)?;
        let bytes = bytes.expect("an absent object was refused in the line above");
        Ok(PackageFile { path: file.path, bytes })
    }
}

/// Refuses a file whose stored object has another size or digest, or is gone.
pub(crate) fn check_file(owner: &str, file: &ManifestFile, found: Option<(u64, Digest)>) -> Result<()> {
    let (expected, got) = match found {
        Some((size, digest)) if size == file.size && digest == file.sha256 => return Ok(()),
        Some((size, _)) if size != file.size => (format!("{} bytes", file.size), format!("{size} bytes")),
        Some((_, digest)) => (file.sha256.to_string(), digest.to_string()),
        None => (file.sha256.to_string(), "no object".to_owned()),
    };
    let what = format!("file `{}` of {owner}", file.path);
    Err(RegistryError::Corrupt {
        what,
        at: blob_key(&file.sha256),
        expected,
        got,
    })
}
