//! What the definitions would change against what the online store holds: which views are new, changed or gone, feature by
//! feature, and which model versions read what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use foretell_features::{FeatureChange, ViewDefinition, ViewId};
use foretell_features_offline::OfflineStore;
use foretell_registry::{Registry, RegistryError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::online::{self, Online};
use crate::output;
use crate::project::Project;

/// A view version as a store or a server tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AppliedView {
    pub id: String,
    pub current: bool,
    pub definition: ViewDefinition,
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ViewChange {
    pub view: String,
    /// `added`, `changed`, `removed`, `old` (a version that models still read) or `unchanged`.
    pub change: &'static str,
    /// The version that is there; absent for a new view.
    pub applied: Option<String>,
    /// The version that the definitions mean; absent where they have none.
    pub defined: Option<String>,
    pub features: Vec<FeatureChange>,
    /// Model versions that read what is there, `churn@3 (champion)`.
    pub used_by: Vec<String>,
}

/// The plan for a project; views whose files are not there are left out.
pub(crate) async fn plan(project: &Project, offline: &OfflineStore) -> Result<Vec<ViewChange>> {
    let applied = applied(project).await?;
    let users = users(project).await?;
    let mut changes = Vec::new();
    for name in offline.definitions().views.keys() {
        let Ok(defined) = offline.view_definition(name) else {
            continue;
        };
        changes.push(of_view(&defined, &applied, &users));
    }
    let known: BTreeSet<&str> = changes.iter().filter_map(|it| it.applied.as_deref()).collect();
    let left = applied.iter().filter(|it| !known.contains(it.id.as_str()));
    let left: Vec<ViewChange> = left.map(|it| left_over(it, offline, &users)).collect();
    changes.extend(left);
    Ok(changes)
}

/// As lines for a person: only what changes, and old versions that are still there.
pub(crate) fn describe(changes: &[ViewChange]) -> String {
    let mut text = String::new();
    for it in changes.iter().filter(|it| it.change != "unchanged") {
        let sign = match it.change {
            "added" => "+",
            "removed" => "-",
            "old" => " ",
            _ => "~",
        };
        let users = match it.used_by.as_slice() {
            [] => String::new(),
            users => format!("; read by {}", users.join(", ")),
        };
        let version = it.applied.as_deref().unwrap_or(&it.view);
        text += &format!("{sign} {} {version}{users}\n", it.change);
        for feature in &it.features {
            text += &match (&feature.was, &feature.is) {
                (None, Some(is)) => format!("    + {} = {is}\n", feature.feature),
                (Some(was), None) => format!("    - {} = {was}\n", feature.feature),
                (was, is) => format!(
                    "    ~ {} = {} (was {})\n",
                    feature.feature,
                    is.as_deref().unwrap_or_default(),
                    was.as_deref().unwrap_or_default()
                ),
            };
        }
        if it.change == "changed" && it.features.is_empty() {
            text += "    ~ its source or its entity\n";
        }
    }
    text
}

fn of_view(defined: &ViewDefinition, applied: &[AppliedView], users: &BTreeMap<String, Vec<String>>) -> ViewChange {
    let id = defined.id();
    let before = applied
        .iter()
        .find(|it| it.current && it.definition.view.name == id.view);
    let (change, features) = match before {
        None => ("added", Vec::new()),
        Some(before) if before.id == id.to_string() => ("unchanged", Vec::new()),
        Some(before) => ("changed", defined.changes_from(&before.definition)),
    };
    let applied = before.map(|it| it.id.clone());
    ViewChange {
        view: id.view.clone(),
        change,
        used_by: applied.as_ref().map(|it| used_by(it, users)).unwrap_or_default(),
        applied,
        defined: Some(id.to_string()),
        features,
    }
}

fn left_over(it: &AppliedView, offline: &OfflineStore, users: &BTreeMap<String, Vec<String>>) -> ViewChange {
    let view = it.definition.view.name.clone();
    let defined = offline.definitions().views.contains_key(&view);
    ViewChange {
        change: if defined { "old" } else { "removed" },
        view,
        applied: Some(it.id.clone()),
        defined: None,
        features: Vec::new(),
        used_by: used_by(&it.id, users),
    }
}

fn used_by(id: &str, users: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    users.get(id).cloned().unwrap_or_default()
}

/// What the online store holds; nothing where there is no store yet.
async fn applied(project: &Project) -> Result<Vec<AppliedView>> {
    let place = &project.settings.online;
    if !place.is_shared()
        && let Some(address) = online::running_server(project).await
    {
        return Ok(serde_json::from_value(online::get(address, "/v1/views").await?)?);
    }
    if !place.is_there() {
        return Ok(Vec::new());
    }
    let Online::Store(store) = Online::open(project).await? else {
        return Ok(Vec::new());
    };
    let view = |it: &std::sync::Arc<foretell_features_online::OnlineView>| AppliedView {
        id: it.id.to_string(),
        current: store.current(&it.id.view).is_some_and(|current| current.id == it.id),
        definition: it.definition.clone(),
    };
    Ok(store.views().iter().map(view).collect())
}

/// The view versions that some model version reads, and which.
pub(crate) async fn users(project: &Project) -> Result<BTreeMap<String, Vec<String>>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let registry = match Registry::open(&project.settings.registry.url) {
        Ok(registry) => registry,
        // A project of features alone, or one that has not trained yet: no model reads anything.
        Err(RegistryError::NoRegistry { .. }) => return Ok(users),
        Err(error) => return Err(error.into()),
    };
    for state in registry.list_models().await? {
        for version in state.versions() {
            let manifest = registry.fetch_file(&version, "manifest.json").await?;
            let manifest: Value = serde_json::from_slice(&manifest.bytes)?;
            let aliases: Vec<&str> = state
                .aliases()
                .iter()
                .filter(|it| *it.1 == version.version)
                .map(|it| it.0.as_str())
                .collect();
            let name = match aliases.as_slice() {
                [] => format!("{}@{}", state.name, version.version),
                _ => format!("{}@{} ({})", state.name, version.version, aliases.join(", ")),
            };
            for id in views_of(&manifest) {
                users.entry(id.to_string()).or_default().push(name.clone());
            }
        }
    }
    Ok(users)
}

/// The view versions in a package's plan.
fn views_of(manifest: &Value) -> BTreeSet<ViewId> {
    let reads = manifest["plan"]["reads"].as_array().into_iter().flatten();
    let id = |read: &Value| {
        Some(ViewId {
            view: read["view"].as_str()?.to_owned(),
            version: read["version"].as_str()?.to_owned(),
        })
    };
    reads.filter_map(id).collect()
}

/// One line per version forgotten.
pub(crate) fn told_forgotten(forgotten: &[String]) -> String {
    let line = |it: &String| format!("forgotten: {it}, which no model version reads\n");
    let text: String = forgotten.iter().map(line).collect();
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// Forgets old view versions that no model version reads any more.
pub(crate) async fn forget_unread(
    project: &Project,
    store: &foretell_features_online::OnlineFeatures,
) -> Result<Vec<String>> {
    let users = users(project).await?;
    let mut forgotten = Vec::new();
    for view in store.views() {
        let current = store.current(&view.id.view).is_some_and(|it| it.id == view.id);
        if !current && !users.contains_key(&view.id.to_string()) {
            store.forget(&view.id).await?;
            forgotten.push(view.id.to_string());
        }
    }
    Ok(forgotten)
}

/// Prints the plan where something changes.
pub(crate) fn print(changes: &[ViewChange]) {
    let text = describe(changes);
    if !text.is_empty() {
        output::print_text(&format!("\nagainst the online store:\n{text}"));
        output::print_text("`foretell features materialize` applies it\n");
    }
}
