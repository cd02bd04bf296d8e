//! Garbage collection: versions that a retention rule gives up, then files that nothing needs.
//!
//! What an alias points to, what a live server has loaded and what a writer is about to commit stay, whatever the rule
//! says. A version is given up by a record as any deletion is; files go only after that, in two steps: a mark names them,
//! and what is still unneeded after the mark was made is deleted. An interrupted collection leaves the mark; the next one
//! takes over.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use serde::Serialize;

use crate::digest::{Digest, random_id};
use crate::error::{RegistryError, Result};
use crate::head::{Fold, Snapshot, part_key};
use crate::lease::{Held, STALE, SWEEPS, Sweep, micros, modified};
use crate::log::Draft;
use crate::package::{Manifest, blob_key, manifest_key};
use crate::record::{ModelOp, Stamp};
use crate::registry::{Registry, model_folder};
use crate::seal::{seal, unseal};
use crate::state::ModelLog;
use crate::storage::{failure, is_taken};

const AT_ONCE: usize = 8;
/// A collection stops deleting this long after it made its mark, well before another may take over.
const PATIENCE: Duration = Duration::from_secs(300);
/// Snapshots kept of each log: the newest, and one in case it is damaged.
const SNAPSHOTS: usize = 2;

/// What may go.
#[derive(Clone, Debug)]
pub struct GcRequest {
    /// Give up versions that are none of a model's newest so many, are older than `older_than`, have no alias, and are
    /// loaded by no server. `None`: only what was deleted before is cleared away.
    pub keep_last: Option<u32>,
    /// Nothing younger than this goes.
    pub older_than: Duration,
    /// The models whose versions may be given up; empty: all.
    pub models: Vec<String>,
    /// Say what would go, and leave it.
    pub dry_run: bool,
    /// Who, when, why. The time is compared with the store's.
    pub stamp: Stamp,
}

impl GcRequest {
    /// Clears away files that nothing needs for a day.
    pub fn new(stamp: Stamp) -> Self {
        Self {
            keep_last: None,
            older_than: Duration::from_secs(24 * 3600),
            models: Vec::new(),
            dry_run: false,
            stamp,
        }
    }
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Versions given up by the retention rule.
    pub deleted_versions: Vec<(String, u64)>,
    /// Versions that the rule would give up but that a live server has loaded.
    pub kept_by_lease: Vec<(String, u64)>,
    /// Objects removed.
    pub objects: u64,
    /// Their size together.
    pub bytes: u64,
    /// Nothing was removed, this is what would be.
    pub dry_run: bool,
}

impl fmt::Display for GcReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |versions: &[(String, u64)]| {
            let names: Vec<_> = versions
                .iter()
                .map(|(model, version)| format!("{model}@{version}"))
                .collect();
            names.join(", ")
        };
        let did = if self.dry_run { "would delete" } else { "deleted" };
        let Self { objects, bytes, .. } = self;
        write!(
            f,
            "{did} {} versions and {objects} unused objects ({bytes} bytes)",
            self.deleted_versions.len()
        )?;
        if !self.deleted_versions.is_empty() {
            write!(f, "\nversions: {}", names(&self.deleted_versions))?;
        }
        if !self.kept_by_lease.is_empty() {
            write!(
                f,
                "\nkept because a server has loaded them: {}",
                names(&self.kept_by_lease)
            )?;
        }
        Ok(())
    }
}

impl Registry {
    /// Gives up versions by the rule of the request and removes files that nothing needs. Safe beside any number of
    /// writers, readers and servers, and safe to interrupt and to repeat.
    pub async fn gc(&self, request: GcRequest) -> Result<GcReport> {
        let mut report = GcReport {
            dry_run: request.dry_run,
            ..GcReport::default()
        };
        let given_up = self.retire(&request, &mut report).await?;
        let unneeded = self.unneeded(&request, &given_up).await?;
        let swept = if request.dry_run {
            unneeded
        } else {
            self.sweep(unneeded, &request).await?
        };
        report.objects = swept.len() as u64;
        report.bytes = swept.iter().map(|it| it.size).sum();
        Ok(report)
    }

    /// Deletes versions by the retention rule. Returns those that a dry run would delete.
    async fn retire(&self, request: &GcRequest, report: &mut GcReport) -> Result<BTreeSet<(String, u64)>> {
        let Some(keep) = request.keep_last else {
            return Ok(BTreeSet::new());
        };
        for name in &request.models {
            self.model(name).await?;
        }
        let held = self.held(request.stamp.time).await?;
        let held = |model: &str, version: u64| held.iter().any(|it| it.model == model && it.version == version);
        let born_before = request.stamp.time - micros(request.older_than);
        for state in self.list_models().await? {
            if !request.models.is_empty() && !request.models.contains(&state.name) {
                continue;
            }
            let past = state.versions().rev().skip(keep as usize);
            for version in past.filter(|it| it.aliases.is_empty() && it.created_at <= born_before) {
                let it = (version.model.clone(), version.version);
                if held(&it.0, it.1) {
                    report.kept_by_lease.push(it);
                } else if request.dry_run || self.give_up(&it.0, it.1, &request.stamp).await? {
                    report.deleted_versions.push(it);
                }
            }
        }
        let given_up = report.deleted_versions.iter().cloned();
        Ok(if request.dry_run {
            given_up.collect()
        } else {
            BTreeSet::new()
        })
    }

    /// Whether the version was deleted: not if an alias has come to point to it.
    async fn give_up(&self, model: &str, version: u64, stamp: &Stamp) -> Result<bool> {
        let entry = self.entry(model).await?;
        let plan = |log: &ModelLog| {
            let free = log.version(model, version).is_ok() && !log.aliases.values().any(|it| *it == version);
            Ok(free.then_some(ModelOp::DeleteVersion { version }).into_iter().collect())
        };
        let head = self.log_of(&entry.id).commit(&Draft::new(model, stamp), plan).await?;
        Ok(head.state.version(model, version).is_err())
    }

    /// Old objects that no live version, server or upload needs, nor the given-up versions of a dry run.
    async fn unneeded(&self, request: &GcRequest, given_up: &BTreeSet<(String, u64)>) -> Result<Vec<ObjectMeta>> {
        let needed = self.needed(request.stamp.time, given_up).await?;
        let before = request.stamp.time - micros(request.older_than);
        let mut unneeded = Vec::new();
        for folder in ["blobs", "manifests"] {
            let listed = self.storage().list_objects(folder).await?;
            let unused = listed.into_iter().filter(|it| !needed.contains(it.location.as_ref()));
            unneeded.extend(unused.filter(|it| modified(it) <= before));
        }
        for folder in std::iter::once("catalog".to_owned()).chain(self.model_folders().await?) {
            unneeded.extend(self.old_snapshots(&folder, before).await?);
        }
        Ok(unneeded)
    }

    /// Keys of files that must stay.
    async fn needed(&self, now: i64, given_up: &BTreeSet<(String, u64)>) -> Result<BTreeSet<String>> {
        let mut packages = BTreeSet::from([Manifest::empty_digest()]);
        for state in self.list_models().await? {
            let live = state
                .versions()
                .filter(|it| !given_up.contains(&(it.model.clone(), it.version)));
            packages.extend(live.map(|it| it.digest));
        }
        packages.extend(self.held(now).await?.into_iter().map(|Held { manifest, .. }| manifest));
        let mut needed = self.uploading(now).await?;
        let files = stream::iter(packages)
            .map(|it| self.files_of(it))
            .buffer_unordered(AT_ONCE);
        needed.extend(files.try_concat().await?);
        Ok(needed)
    }

    /// Keys of a package's files and of its manifest. Without a readable manifest nobody can tell which files it has, so
    /// nothing may be removed.
    async fn files_of(&self, package: Digest) -> Result<Vec<String>> {
        let mut keys = vec![manifest_key(&package)];
        if package != Manifest::empty_digest() {
            let manifest = self.manifest_of("a package in use", package).await?;
            keys.extend(manifest.files.iter().map(|it| blob_key(&it.sha256)));
        }
        Ok(keys)
    }

    async fn model_folders(&self) -> Result<Vec<String>> {
        let catalog = self.catalog().refresh().await?;
        let ids = catalog.state.entries().map(|it| model_folder(&it.1.id));
        Ok(ids.collect())
    }

    /// Snapshots other than the newest, and chunks that those do not name.
    async fn old_snapshots(&self, folder: &str, before: i64) -> Result<Vec<ObjectMeta>> {
        let mut snapshots = self.storage().list_objects(&format!("{folder}/snap")).await?;
        let newest = snapshots.split_off(snapshots.len().saturating_sub(SNAPSHOTS));
        let mut named = BTreeSet::new();
        for snapshot in newest {
            let bytes = self
                .storage()
                .get(snapshot.location.as_ref())
                .await?
                .unwrap_or_default();
            if let Ok((_, Snapshot { state, .. })) = unseal::<Snapshot<<ModelLog as Fold>::Root>>(&bytes) {
                named.extend(ModelLog::parts(&state).iter().map(|it| part_key(folder, it)));
            }
        }
        let chunks = self.storage().list_objects(&format!("{folder}/chunks")).await?;
        let unnamed = chunks.into_iter().filter(|it| !named.contains(it.location.as_ref()));
        let old = snapshots.into_iter().chain(unnamed).filter(|it| modified(it) <= before);
        Ok(old.collect())
    }

    /// Deletes what is unneeded still, once a mark says that it is about to go.
    async fn sweep(&self, unneeded: Vec<ObjectMeta>, request: &GcRequest) -> Result<Vec<ObjectMeta>> {
        if unneeded.is_empty() {
            return Ok(Vec::new());
        }
        let keys = unneeded.iter().map(|it| it.location.to_string()).collect();
        let mark = self.mark(keys, request.stamp.time).await?;
        let until = tokio::time::Instant::now() + PATIENCE;
        let swept = self.delete_unneeded(unneeded, request, until).await;
        let unmarked = self.unmark(&mark).await;
        let swept = swept?;
        unmarked.map(|()| swept)
    }

    async fn delete_unneeded(
        &self,
        mut unneeded: Vec<ObjectMeta>,
        request: &GcRequest,
        until: tokio::time::Instant,
    ) -> Result<Vec<ObjectMeta>> {
        let needed = self.needed(request.stamp.time, &BTreeSet::new()).await?;
        unneeded.retain(|it| !needed.contains(it.location.as_ref()));
        let deletions = unneeded.into_iter().map(|it| async move {
            if tokio::time::Instant::now() > until {
                return Ok(None);
            }
            self.storage().delete(it.location.as_ref()).await.map(|()| Some(it))
        });
        let deletions: Vec<_> = deletions.collect();
        let swept: Vec<_> = stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(swept.into_iter().flatten().collect())
    }

    /// Leaves the mark of this collection, at the next free number: of two that follow an interrupted one, one gets it.
    /// Returns its key.
    async fn mark(&self, keys: BTreeSet<String>, now: i64) -> Result<String> {
        self.storage().prove().await?;
        let marks = self.storage().list_objects(SWEEPS).await?;
        if marks.iter().any(|it| now - modified(it) <= micros(STALE)) {
            return Err(another());
        }
        let last = marks
            .last()
            .and_then(|it| it.location.filename()?.strip_suffix(".json")?.parse::<u64>().ok());
        let key = format!("{SWEEPS}/{:020}.json", last.unwrap_or(0) + 1);
        let sweep = Sweep { id: random_id(), keys };
        let Err(cause) = self.storage().create(&key, seal(&sweep).1).await else {
            return Ok(key);
        };
        let found = self.storage().get(&key).await?;
        match found.and_then(|it| unseal::<Sweep>(&it).ok()) {
            Some((_, found)) if found.id == sweep.id => Ok(key), // the answer was lost, not the mark
            Some(_) => Err(another()),
            None if is_taken(&cause) => Err(another()),
            None => Err(failure("begin to collect", &key, cause)),
        }
    }

    /// Takes the mark away, after those of interrupted collections before it.
    async fn unmark(&self, mark: &str) -> Result<()> {
        for key in self.storage().list(SWEEPS).await? {
            if key.as_str() <= mark {
                self.storage().delete(&key).await?;
            }
        }
        Ok(())
    }
}

fn another() -> RegistryError {
    RegistryError::Conflict {
        reason: "another garbage collection is at work, or was interrupted less than ten minutes ago".to_owned(),
        log: SWEEPS.to_owned(),
        seq: 0,
    }
}
