//! A package as the registry sees it: files, and a manifest that names them by content.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{RegistryError, Result};
use crate::names::check_file_path;

const FORMAT: u32 = 1;

/// One file of a package. Its bytes are not interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Relative path with `/` between its parts.
    pub path: String,
    /// Content.
    pub bytes: Bytes,
}

impl PackageFile {
    /// A file from anything that becomes bytes.
    pub fn new(path: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            path: path.into(),
            bytes: bytes.into(),
        }
    }
}

/// The file list of a package, sorted by path. The digest of its bytes is the package digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// The files.
    pub files: Vec<ManifestFile>,
}

/// What the manifest says of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Digest,
}

impl Manifest {
    /// The manifest of these files; the same files in any order have the same one.
    pub fn of(files: &[PackageFile]) -> Result<Self> {
        Self::listing(files, [])
    }

    /// The manifest of these files and of those listed already.
    pub(crate) fn listing<'a>(
        files: &[PackageFile],
        further: impl IntoIterator<Item = &'a ManifestFile>,
    ) -> Result<Self> {
        let mut listed: Vec<_> = files.iter().map(ManifestFile::of).collect();
        listed.extend(further.into_iter().cloned());
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self {
            format: FORMAT,
            files: listed,
        };
        manifest.check_paths().map(|()| manifest)
    }

    /// The digest of a package without files, which versions have that only refer to something elsewhere.
    pub(crate) fn empty_digest() -> Digest {
        let (format, files) = (FORMAT, Vec::new());
        Self { format, files }.encode().0
    }

    /// Total size of the files in bytes.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|it| it.size).sum()
    }

    /// The bytes that are stored, and their digest.
    pub(crate) fn encode(&self) -> (Digest, Bytes) {
        let bytes = serde_json::to_vec(self).expect("a manifest has only strings and numbers");
        (Digest::of(&bytes), bytes.into())
    }

    /// Reads what [`Manifest::encode`] wrote, from bytes whose digest was checked.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|it| it.to_string())?;
        if manifest.format > FORMAT {
            return Err(format!("format {} of a newer release", manifest.format));
        }
        manifest.check_paths().map_err(|it| it.to_string())?;
        Ok(manifest)
    }

    /// Paths are good, appear once, and none is a folder of another.
    fn check_paths(&self) -> Result<()> {
        let mut folders = BTreeSet::new();
        for file in &self.files {
            check_file_path(&file.path)?;
            folders.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
        }
        let mut seen = BTreeSet::new();
        for ManifestFile { path, .. } in &self.files {
            if !seen.insert(path.as_str()) {
                return Err(RegistryError::invalid(format!("Package path '{path}' appears twice.")));
            }
            if folders.contains(path.as_str()) {
                return Err(RegistryError::invalid(format!(
                    "Package path '{path}' is both a file and a folder."
                )));
            }
        }
        Ok(())
    }
}

impl ManifestFile {
    fn of(file: &PackageFile) -> Self {
        Self {
            path: file.path.clone(),
            size: file.bytes.len() as u64,
            sha256: Digest::of(&file.bytes),
        }
    }
}

pub(crate) fn blob_key(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/sha256/{}/{hex}", &hex[..2])
}

pub(crate) fn manifest_key(digest: &Digest) -> String {
    format!("manifests/sha256/{}.json", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<PackageFile> {
        paths
            .iter()
            .map(|it| PackageFile::new(*it, it.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn the_same_files_in_any_order_are_the_same_package() {
        let one = Manifest::of(&files(&["b", "a/x", "a/y"])).unwrap();
        let other = Manifest::of(&files(&["a/y", "b", "a/x"])).unwrap();
        assert_eq!(one.encode(), other.encode());
        assert_eq!(Manifest::decode(&one.encode().1), Ok(one));
    }

    #[test]
    fn a_package_that_could_not_be_written_to_a_folder_is_refused() {
        for bad in [&["a", "a"][..], &["a", "a/b"], &["a/b", "a/b/c"], &["../a"], &["/a"]] {
            assert!(Manifest::of(&files(bad)).is_err(), "{bad:?}");
        }
        assert!(Manifest::of(&files(&["a", "a.b", "a-b/c"])).is_ok());
    }
}
