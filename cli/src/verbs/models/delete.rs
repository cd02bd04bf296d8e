//! `models delete`: a tombstone. Numbers are not used again, the log stays for the audit.

use std::process::ExitCode;

use anyhow::{Result, bail};
use foretell_registry::ModelRef;
use serde_json::json;

use super::{Desk, stamp};
use crate::arguments::Delete;

pub(super) async fn run(desk: &Desk, verb: Delete) -> Result<ExitCode> {
    let asked: ModelRef = verb.model.parse()?;
    let state = desk.registry.model(&asked.name).await?;
    let version = asked.version.as_ref().map(|it| state.resolve(it)).transpose()?;
    let aliases: Vec<String> = match &version {
        Some(version) => version.aliases.clone(),
        None => state.aliases().keys().cloned().collect(),
    };
    let name = version.as_ref().map_or_else(|| asked.name.clone(), ToString::to_string);
    if !aliases.is_empty() && !verb.force {
        bail!(
            "{name} is {}; move the alias first, or delete with --force",
            aliases.join(", ")
        );
    }
    let stamp = stamp(Some(verb.reason));
    match &version {
        Some(it) => drop(desk.registry.delete_version(&asked.name, it.version, &stamp).await?),
        None => desk.registry.delete_model(&asked.name, &stamp).await?,
    }
    let document = json!({ "model": asked.name, "version": version.map(|it| it.version), "deleted": true });
    let line = format!("deleted {name}; its files go with `foretell models gc`");
    Ok(desk.say(&document, &line))
}
