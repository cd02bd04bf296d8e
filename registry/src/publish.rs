//! Publishing: files by content, then one record that makes the version.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::digest::{Digest, TxId};
use crate::error::{RegistryError, Result};
use crate::log::Draft;
use crate::names::{check_alias, check_model_name, check_tag};
use crate::package::{Manifest, PackageFile};
use crate::record::{ModelOp, Stamp};
use crate::registry::Registry;
use crate::sign::Signature;
use crate::state::ModelLog;
use crate::streams::StreamedFile;
use crate::view::{ModelState, ModelVersion};

/// A new version to be.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// The model's name; the model is created if there is none.
    pub model: String,
    /// The package. May be empty: a version that only refers to something elsewhere.
    pub files: Vec<PackageFile>,
    /// Further files of the package, whose bytes are not in memory.
    pub streamed: Vec<StreamedFile>,
    /// Task, algorithm, metrics, lineage: kept and shown, not interpreted.
    pub metadata: Value,
    /// Tags of the version.
    pub tags: BTreeMap<String, String>,
    /// Aliases that point to the version from the same commit on, e.g. `challenger`.
    pub aliases: Vec<String>,
    /// Free text.
    pub description: String,
    /// Signatures that the package has already; a registry that signs adds its own.
    pub signatures: Vec<Signature>,
    /// Who, when, why.
    pub stamp: Stamp,
    /// Set by callers that may repeat the request: the same id publishes once and then answers with that version.
    pub txid: Option<TxId>,
}

impl PublishRequest {
    /// A request without tags, aliases and metadata.
    pub fn new(model: impl Into<String>, files: Vec<PackageFile>, stamp: Stamp) -> Self {
        Self {
            model: model.into(),
            files,
            streamed: Vec::new(),
            metadata: Value::Null,
            tags: BTreeMap::new(),
            aliases: Vec::new(),
            description: String::new(),
            signatures: Vec::new(),
            stamp,
            txid: None,
        }
    }

    fn check(&self) -> Result<()> {
        check_model_name(&self.model)?;
        self.aliases.iter().try_for_each(|it| check_alias(it))?;
        self.tags.iter().try_for_each(|(key, value)| check_tag(key, value))
    }

    fn ops(&self, version: u64, manifest: Digest) -> Vec<ModelOp> {
        let create = ModelOp::CreateVersion {
            version,
            manifest,
            description: self.description.clone(),
            tags: self.tags.clone(),
            metadata: self.metadata.clone(),
            signatures: self.signatures.clone(),
        };
        let point = |alias: &String| ModelOp::SetAlias {
            alias: alias.clone(),
            version,
        };
        std::iter::once(create).chain(self.aliases.iter().map(point)).collect()
    }

    /// Nothing if this very request was committed before.
    fn plan(&self, manifest: Digest, log: &ModelLog) -> Vec<ModelOp> {
        match self.txid.as_ref().and_then(|it| log.created_by(it)) {
            Some(_) => Vec::new(),
            None => self.ops(log.next_version(), manifest),
        }
    }
}

impl Registry {
    /// Publishes a version and creates the model with it if need be. After an error nothing is visible, or (a lost
    /// answer that could not be looked up) the whole version is; repeating with the same `txid` is safe either way.
    pub async fn publish(&self, mut request: PublishRequest) -> Result<ModelVersion> {
        request.check()?;
        let manifest = Manifest::listing(&request.files, request.streamed.iter().map(StreamedFile::listed))?;
        if let Some(key) = &self.trust().signer {
            let ours = key.sign(&manifest.encode().1);
            request.signatures.retain(|it| it.key_id != ours.key_id);
            request.signatures.push(ours);
        }
        if manifest.files.is_empty() {
            self.store_nothing(&manifest).await?;
            return self.commit_version(&request, &manifest).await;
        }
        let upload = self.begin_upload(&manifest, &request.stamp).await?;
        let published = async {
            self.store(&request.files, &request.streamed, &manifest).await?;
            upload.check()?;
            self.commit_version(&request, &manifest).await
        };
        let published = published.await;
        upload.end().await;
        published
    }

    /// The record that makes the version, of a package that is stored.
    async fn commit_version(&self, request: &PublishRequest, manifest: &Manifest) -> Result<ModelVersion> {
        let manifest = manifest.encode().0;
        let txid = request.txid.clone().unwrap_or_else(TxId::random);
        let draft = Draft {
            txid: txid.clone(),
            ..Draft::new(&request.model, &request.stamp)
        };
        let known = self.catalog().refresh().await?.state.find(&request.model).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => match self.found(&request.model, &draft, &request.ops(1, manifest)).await {
                Ok(model) => return model.version(1),
                // Somebody else founded it meanwhile: ours is a further version.
                Err(RegistryError::AlreadyExists { .. }) => self.entry(&request.model).await?,
                Err(error) => return Err(error),
            },
        };
        let plan = |log: &ModelLog| Ok(request.plan(manifest, log));
        let head = self.log_of(&entry.id).commit(&draft, plan).await?;
        let version = head
            .state
            .created_by(&txid)
            .expect("the plan made it, or found it made");
        ModelState::new(&request.model, &entry, head).version(version)
    }
}
