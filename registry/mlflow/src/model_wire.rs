//! Registered models and their versions as MLflow's JSON.

use std::collections::BTreeSet;

use foretell_registry::{ModelState, ModelVersion};
use serde_json::{Value, json};

use crate::facts::Facts;
use crate::stage::Stage;
use crate::wire::{Object, millis, pairs};

pub(crate) fn registered_model(model: &ModelState) -> Value {
    let mut out = Object::default();
    out.put("name", model.name.as_str());
    out.put("creation_timestamp", millis(model.created_at()));
    out.put("last_updated_timestamp", millis(model.updated_at()));
    out.put_text("description", model.description());
    let latest = latest_per_stage(model);
    out.put_list("latest_versions", latest.iter().map(model_version).collect());
    out.put_list("tags", pairs(model.tags()));
    let alias = |(alias, version): (&String, &u64)| json!({ "alias": alias, "version": version.to_string() });
    out.put_list("aliases", model.aliases().iter().map(alias).collect());
    out.done()
}

/// The newest version of each stage that has one, by number.
pub(crate) fn latest_per_stage(model: &ModelState) -> Vec<ModelVersion> {
    let mut missing = BTreeSet::from(Stage::ALL);
    let newest = model.newest_by_stage().into_iter().rev();
    let mut latest: Vec<_> = newest.filter(|it| missing.remove(&Stage::of(it))).collect();
    latest.reverse();
    latest
}

pub(crate) fn model_version(version: &ModelVersion) -> Value {
    let facts = Facts::of(version);
    let mut out = Object::default();
    out.put("name", version.model.as_str());
    out.put("version", version.version.to_string());
    out.put("creation_timestamp", millis(version.created_at));
    out.put("last_updated_timestamp", millis(version.updated_at));
    out.put_text("user_id", &version.actor);
    out.put("current_stage", Stage::of(version).as_str());
    out.put_text("description", &version.description);
    out.put("source", facts.source());
    out.put_text("run_id", facts.run_id().unwrap_or(""));
    out.put_text("run_link", facts.run_link().unwrap_or(""));
    out.put_text("model_id", facts.model_id().unwrap_or(""));
    out.put("status", "READY");
    out.put_list("tags", pairs(&version.tags));
    out.put_list("aliases", version.aliases.iter().map(|it| json!(it)).collect());
    out.done()
}
