//! One version as one file, for another registry or across an air gap: a tar archive that any tool can open.
//!
//! ```text
//! version.json            what the registry knows of the version
//! manifest.json           the package's file list; its digest is the package digest
//! files/<path>            the files
//! signature.dsse.json     if it is signed: the DSSE envelope around the manifest
//! ```
//!
//! The same version gives the same bytes. Import checks every digest, and importing once more finds the version there.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, TxId};
use crate::error::{RegistryError, Result};
use crate::files::check_file;
use crate::package::{Manifest, PackageFile};
use crate::publish::PublishRequest;
use crate::record::Stamp;
use crate::registry::Registry;
use crate::sign::{Signature, envelope};
use crate::view::ModelVersion;

const FORMAT: u32 = 1;
/// Tags of an imported version: where it comes from.
const FROM: &str = "foretell.imported.version";
const FROM_TXID: &str = "foretell.imported.txid";
const FROM_ACTOR: &str = "foretell.imported.actor";
/// Larger documents than this are not ours; files are as large as the manifest says.
const LARGEST_DOCUMENT: u64 = 64 * 1024 * 1024;

/// How an archive becomes a version.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The model's name here; `None`: as in the archive.
    pub model: Option<String>,
    /// Aliases that point to it from the same commit on.
    pub aliases: Vec<String>,
    /// Who, when, why.
    pub stamp: Stamp,
}

/// What an archive says of its version.
#[derive(Debug, Serialize, Deserialize)]
struct Archived {
    format: u32,
    model: String,
    version: u64,
    digest: Digest,
    description: String,
    tags: BTreeMap<String, String>,
    metadata: Value,
    #[serde(default)]
    signatures: Vec<Signature>,
    actor: String,
    txid: TxId,
    created_at: i64,
}

/// The pieces of an archive, as read.
#[derive(Default)]
struct Pieces {
    version: Option<Archived>,
    manifest: Option<Bytes>,
    files: BTreeMap<String, Bytes>,
}

impl Registry {
    /// Writes a version as an archive.
    pub async fn export(&self, version: &ModelVersion, out: &mut (dyn Write + Send)) -> Result<()> {
        let written = |it: io::Error| unreadable("write", it);
        let (manifest, listed) = self.manifest_bytes(&version.to_string(), version.digest).await?;
        self.trust().check(version, &manifest)?;
        let mut tar = tar::Builder::new(out);
        append(&mut tar, "version.json", &document(&Archived::of(version))).map_err(written)?;
        append(&mut tar, "manifest.json", &manifest).map_err(written)?;
        if !version.signatures.is_empty() {
            let envelope = document(&envelope(&version.signatures, &manifest));
            append(&mut tar, "signature.dsse.json", &envelope).map_err(written)?;
        }
        for file in listed.files {
            let file = self.fetch_listed(version, file).await?;
            append(&mut tar, &format!("files/{}", file.path), &file.bytes).map_err(written)?;
        }
        tar.into_inner().and_then(|it| it.flush()).map_err(written)
    }

    /// Publishes the version in an archive, after checking every digest and, where keys are configured, its signature.
    /// Where a live version came from the same archive already, that one is the answer.
    pub async fn import(&self, archive: &mut (dyn Read + Send), request: ImportRequest) -> Result<ModelVersion> {
        let (archived, files, manifest) = Pieces::read(archive)?.check()?;
        let model = request.model.clone().unwrap_or_else(|| archived.model.clone());
        self.trust().check(&archived.as_version(), &manifest)?;
        if let Some(known) = self.imported(&model, &archived.txid).await? {
            return Ok(known);
        }
        let origin = [
            (FROM, format!("{}@{}", archived.model, archived.version)),
            (FROM_TXID, archived.txid.to_string()),
            (FROM_ACTOR, archived.actor.clone()),
        ];
        let origin = origin.map(|(key, value)| (key.to_owned(), value));
        let publish = PublishRequest {
            metadata: archived.metadata,
            tags: archived.tags.into_iter().chain(origin).collect(),
            aliases: request.aliases,
            description: archived.description,
            signatures: archived.signatures,
            ..PublishRequest::new(model, files, request.stamp)
        };
        self.publish(publish).await
    }

    async fn imported(&self, model: &str, txid: &TxId) -> Result<Option<ModelVersion>> {
        let state = match self.model(model).await {
            Ok(state) => state,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let same = |it: &ModelVersion| it.tags.get(FROM_TXID).is_some_and(|it| it == txid.as_str());
        let mut versions = state.versions().rev();
        Ok(versions.find(|it| it.txid == *txid || same(it)))
    }
}

impl Archived {
    fn of(version: &ModelVersion) -> Self {
        Self {
            format: FORMAT,
            model: version.model.clone(),
            version: version.version,
            digest: version.digest,
            description: version.description.clone(),
            tags: version.tags.clone(),
            metadata: version.metadata.as_ref().clone(),
            signatures: version.signatures.clone(),
            actor: version.actor.clone(),
            txid: version.txid.clone(),
            created_at: version.created_at,
        }
    }

    /// The version as it was where it comes from.
    fn as_version(&self) -> ModelVersion {
        ModelVersion {
            model: self.model.clone(),
            version: self.version,
            digest: self.digest,
            aliases: Vec::new(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            metadata: self.metadata.clone().into(),
            signatures: self.signatures.clone(),
            stage: None,
            actor: self.actor.clone(),
            txid: self.txid.clone(),
            created_at: self.created_at,
            updated_at: self.created_at,
        }
    }
}

impl Pieces {
    fn read(archive: &mut (dyn Read + Send)) -> Result<Self> {
        let mut pieces = Self::default();
        let mut tar = tar::Archive::new(archive);
        let entries = tar.entries().map_err(|it| unreadable("read", it))?;
        for entry in entries {
            let mut entry = entry.map_err(|it| unreadable("read", it))?;
            let path = entry.path_bytes();
            let path = String::from_utf8_lossy(&path).into_owned();
            pieces.take(&path, &mut entry)?;
        }
        Ok(pieces)
    }

    fn take(&mut self, path: &str, entry: &mut dyn Read) -> Result<()> {
        match path.strip_prefix("files/") {
            Some(file) => drop(self.files.insert(file.to_owned(), content(entry, u64::MAX)?)),
            None if path == "manifest.json" => self.manifest = Some(content(entry, LARGEST_DOCUMENT)?),
            None if path == "version.json" => {
                let version = serde_json::from_slice(&content(entry, LARGEST_DOCUMENT)?);
                let broken = |it: serde_json::Error| broken("version.json", "what an export writes", it);
                self.version = Some(version.map_err(broken)?);
            }
            None => {}
        }
        Ok(())
    }

    /// The version, its files and the manifest's bytes, all of which agree.
    fn check(mut self) -> Result<(Archived, Vec<PackageFile>, Bytes)> {
        let version = self.version.take();
        let version = version.ok_or_else(|| broken("archive", "version.json", "none: this is no exported version"))?;
        if version.format > FORMAT {
            let what = "the archive was written by a newer release; upgrade this one".to_owned();
            return Err(RegistryError::Unsupported { what });
        }
        let manifest = self.manifest.take();
        let manifest = manifest.ok_or_else(|| broken("archive", "manifest.json", "none"))?;
        let found = Digest::of(&manifest);
        if found != version.digest {
            return Err(broken("manifest.json", version.digest, found));
        }
        let listed = Manifest::decode(&manifest).map_err(|it| broken("manifest.json", "a manifest", it))?;
        let owner = format!("{}@{}", version.model, version.version);
        let files = listed.files.into_iter().map(|file| {
            let bytes = self.files.remove(&file.path);
            check_file(
                &owner,
                &file,
                bytes.as_ref().map(|it| (it.len() as u64, Digest::of(it))),
            )?;
            let bytes = bytes.expect("an absent file was refused in the line above");
            Ok(PackageFile { path: file.path, bytes })
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        Ok((version, files, manifest))
    }
}

fn document<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("it has string keys and no fallible serializers");
    text.push(b'\n');
    text
}

/// The same header whoever writes it, and whenever.
fn append(tar: &mut tar::Builder<&mut (dyn Write + Send)>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes)
}

fn content(entry: &mut dyn Read, most: u64) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let read = entry.take(most).read_to_end(&mut bytes);
    read.map_err(|it| unreadable("read", it)).map(|_| bytes.into())
}

fn unreadable(doing: &'static str, source: io::Error) -> RegistryError {
    RegistryError::Archive { doing, source }
}

fn broken(at: &str, expected: impl ToString, got: impl ToString) -> RegistryError {
    RegistryError::Corrupt {
        what: "archive".to_owned(),
        at: at.to_owned(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}
