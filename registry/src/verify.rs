//! Checking everything: every digest, every chain, every alias. Reads the store, believes no hint and no cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::{StreamExt, stream};
use serde::Serialize;

use crate::digest::Digest;
use crate::error::{RegistryError, Result};
use crate::files::check_file;
use crate::head::{Fold, Head, record_key};
use crate::log::{HEAD, HeadHint, Log};
use crate::package::{Manifest, ManifestFile, blob_key, manifest_key};
use crate::registry::{Registry, model_folder};
use crate::seal::unseal;
use crate::state::{Catalog, ModelLog};

const AT_ONCE: usize = 8;

/// What was checked and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Models in the catalog.
    pub models: usize,
    /// Live versions.
    pub versions: usize,
    /// Deleted versions, whose files are not checked.
    pub deleted_versions: usize,
    /// Records of all logs, those of deleted models too.
    pub records: u64,
    /// Aliases.
    pub aliases: usize,
    /// Different files that live versions need.
    pub files: usize,
    /// Their size together.
    pub bytes: u64,
    /// Blobs and manifests that no live version needs: left by interrupted or deleted versions, harmless.
    pub orphans: usize,
    /// Model logs that never got a name: left by interrupted or outrun first versions, harmless.
    pub orphan_logs: usize,
    /// One sentence for each thing that is wrong.
    pub problems: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            models,
            versions,
            records,
            aliases,
            files,
            bytes,
            orphans,
            orphan_logs,
            ..
        } = self;
        writeln!(
            f,
            "checked {models} models, {versions} versions, {aliases} aliases, {records} records, {files} files ({bytes} bytes); \
             {orphans} unused objects, {orphan_logs} unnamed logs"
        )?;
        self.problems.iter().try_for_each(|it| writeln!(f, "problem: {it}"))
    }
}

impl Registry {
    /// Checks the hash chain of every log, where every alias points, and every byte of every live version, and its signature
    /// where keys are configured. An error is
    /// a store that cannot be read; what is wrong in what was read is in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let hint = self.storage().get(HEAD).await?.and_then(|it| unseal(&it).ok());
        let mut check = Check {
            hint: hint.map(|it| it.1),
            ..Check::default()
        };
        let catalog = check.log(self, self.catalog(), "catalog").await?;
        for (name, entry) in catalog.state.entries() {
            let head = check
                .log(self, &self.log_of(&entry.id), &model_folder(&entry.id))
                .await?;
            check.model(name, &head);
        }
        for id in catalog.state.deleted() {
            check.log(self, &self.log_of(id), &model_folder(id)).await?;
        }
        check.report.models = catalog.state.entries().count();
        check.packages(self).await?;
        check.orphans(self, &catalog.state).await?;
        if !self.trust().trusted.is_empty() {
            check.signatures(self).await?;
        }
        Ok(check.report)
    }
}

#[derive(Default)]
struct Check {
    report: VerifyReport,
    /// Package digests of live versions, with one version of each for messages.
    packages: BTreeMap<Digest, String>,
    /// Keys that live versions need.
    needed: BTreeSet<String>,
    /// The latest commit when the check began, as far as is known.
    hint: Option<HeadHint>,
}

impl Check {
    /// A damaged record ends its log early; what is before it is still checked.
    async fn log<F: Fold>(&mut self, registry: &Registry, log: &Log<F>, folder: &str) -> Result<Head<F>> {
        let (head, verdict) = log.replay(|_| ()).await;
        self.report.records += head.seq;
        match verdict {
            Ok(()) => self.end(registry, folder, &head).await?,
            Err(error @ RegistryError::Storage { .. }) => return Err(error),
            Err(error) => self.problem(error),
        }
        if head.seq == 0 && folder != "catalog" {
            self.problem(format!(
                "{folder} is in the catalog but its log is empty or unreadable."
            ));
        }
        Ok(head)
    }

    /// Records after a gap are unreachable, and the hint is written after its record: either shows that some are lost.
    async fn end<F>(&mut self, registry: &Registry, folder: &str, head: &Head<F>) -> Result<()> {
        let (last, next) = (record_key(folder, head.seq), record_key(folder, head.seq + 1));
        let keys = registry.storage().list(&format!("{folder}/log")).await?;
        let beyond: Vec<_> = keys.into_iter().filter(|it| *it > last).collect();
        if !beyond.is_empty() && !beyond.contains(&next) {
            self.problem(format!(
                "{folder} lacks record {}, yet later ones are there: {}.",
                head.seq + 1,
                beyond.join(", ")
            ));
        }
        let Some(hint) = self.hint.as_ref().filter(|it| it.log == folder) else {
            return Ok(());
        };
        let replaced = head.seq == hint.seq && head.hash != hint.sha256;
        if head.seq < hint.seq || replaced {
            let (seq, end) = (hint.seq, head.seq);
            self.problem(format!(
                "{folder} ends with another record {end} than when record {seq} was committed to it."
            ));
        }
        Ok(())
    }

    fn model(&mut self, name: &str, head: &Head<ModelLog>) {
        let log = &head.state;
        for (version, entry) in log.live() {
            self.report.versions += 1;
            self.packages
                .entry(entry.manifest)
                .or_insert_with(|| format!("{name}@{version}"));
        }
        self.report.deleted_versions += log.n_deleted();
        for (alias, version) in &log.aliases {
            self.report.aliases += 1;
            if log.version(name, *version).is_err() {
                self.problem(format!(
                    "alias `{alias}` of model `{name}` points to version {version}, which is not there."
                ));
            }
        }
    }

    async fn packages(&mut self, registry: &Registry) -> Result<()> {
        let mut files = BTreeMap::new();
        for (digest, owner) in std::mem::take(&mut self.packages) {
            self.needed.insert(manifest_key(&digest));
            match registry.manifest_of(&owner, digest).await {
                Ok(Manifest { files: listed, .. }) => {
                    files.extend(listed.into_iter().map(|it| (it.sha256, (owner.clone(), it))));
                }
                Err(error @ RegistryError::Corrupt { .. }) => self.problem(error),
                Err(error) => return Err(error),
            }
        }
        self.files(registry, files).await
    }

    async fn files(&mut self, registry: &Registry, files: BTreeMap<Digest, (String, ManifestFile)>) -> Result<()> {
        let checks = stream::iter(files.into_values()).map(|(owner, file)| async move {
            let found = registry.storage().digest(&blob_key(&file.sha256)).await?;
            Ok::<_, RegistryError>((check_file(&owner, &file, found), file))
        });
        let mut checks = checks.buffered(AT_ONCE);
        while let Some(done) = checks.next().await {
            let (verdict, file) = done?;
            self.report.files += 1;
            self.report.bytes += file.size;
            self.needed.insert(blob_key(&file.sha256));
            if let Err(error) = verdict {
                self.problem(error);
            }
        }
        Ok(())
    }

    /// Every live version is vouched for.
    async fn signatures(&mut self, registry: &Registry) -> Result<()> {
        for state in registry.list_models().await? {
            for version in state.versions() {
                match registry.check_trust(&version).await {
                    Err(error @ RegistryError::Untrusted { .. }) => self.problem(error),
                    Err(error @ RegistryError::Storage { .. }) => return Err(error),
                    _ => {} // good, or a damaged manifest, which was reported with the packages
                }
            }
        }
        Ok(())
    }

    async fn orphans(&mut self, registry: &Registry, catalog: &Catalog) -> Result<()> {
        for folder in ["blobs", "manifests"] {
            let keys = registry.storage().list(folder).await?;
            self.report.orphans += keys.iter().filter(|it| !self.needed.contains(*it)).count();
        }
        let named = catalog
            .entries()
            .map(|it| &it.1.id)
            .chain(catalog.deleted())
            .map(String::as_str);
        let named: BTreeSet<_> = named.collect();
        let keys = registry.storage().list("models").await?;
        let logs: BTreeSet<_> = keys.iter().filter_map(|it| it.split('/').nth(1)).collect();
        self.report.orphan_logs = logs.difference(&named).count();
        Ok(())
    }

    fn problem(&mut self, problem: impl ToString) {
        self.report.problems.push(problem.to_string());
    }
}
