//! What is noted about models and versions: descriptions, tags, aliases. Each call is one record.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_registry::{ChangeRequest, ModelOp, ModelRef, ModelVersion};
use serde_json::json;

use super::{CHAMPION, Desk, stamp};
use crate::arguments::{Alias, Tag};

pub(super) async fn describe(desk: &Desk, model: &str, text: String) -> Result<ExitCode> {
    let (model, version) = subject(desk, model).await?;
    let op = ModelOp::SetDescription {
        version,
        description: text,
    };
    change(desk, &model, version, vec![op], "described").await
}

pub(super) async fn tag(desk: &Desk, verb: Tag) -> Result<ExitCode> {
    let (model, version) = subject(desk, &verb.model).await?;
    let set = verb
        .tags
        .into_iter()
        .map(|(key, value)| ModelOp::SetTag { version, key, value });
    let remove = verb.remove.into_iter().map(|key| ModelOp::DeleteTag { version, key });
    change(desk, &model, version, set.chain(remove).collect(), "tagged").await
}

pub(super) async fn alias(desk: &Desk, verb: Alias) -> Result<ExitCode> {
    let stamp = stamp(verb.reason);
    if let Some(alias) = verb.remove {
        // A name that is not there is an error here: it was probably misspelt.
        desk.registry.model(&verb.model).await?.alias(&alias)?;
        desk.registry.delete_alias(&verb.model, &alias, &stamp).await?;
        let line = format!("{}: {alias} points nowhere now", verb.model);
        return Ok(desk.say(&json!({ "model": verb.model, "alias": alias, "version": null }), &line));
    }
    let version = verb
        .version
        .context("which version? give its number, or --remove NAME")?;
    let alias = verb.name.context("which alias? name it behind the version")?;
    if alias == CHAMPION {
        bail!(
            "`champion` moves by `foretell models promote {} {version}`, which asks the gates",
            verb.model
        );
    }
    let version = named(desk, &verb.model, &version).await?;
    desk.registry
        .set_alias(&verb.model, &alias, version.version, &stamp)
        .await?;
    super::moved(&version, &alias, desk.json)
}

/// A version by its number, an alias, or `latest`.
pub(super) async fn named(desk: &Desk, model: &str, version: &str) -> Result<ModelVersion> {
    let state = desk.registry.model(model).await?;
    Ok(state.resolve(&version.parse()?)?)
}

/// The model alone, or one of its versions.
async fn subject(desk: &Desk, model: &str) -> Result<(String, Option<u64>)> {
    let asked: ModelRef = model.parse()?;
    let state = desk.registry.model(&asked.name).await?;
    let version = asked.version.map(|it| state.resolve(&it)).transpose()?;
    Ok((asked.name, version.map(|it| it.version)))
}

async fn change(desk: &Desk, model: &str, version: Option<u64>, ops: Vec<ModelOp>, did: &str) -> Result<ExitCode> {
    let state = desk
        .registry
        .change(ChangeRequest::new(model, ops, stamp(None)))
        .await?;
    let (description, tags) = match version {
        Some(version) => {
            let it = state.version(version)?;
            (it.description, it.tags)
        }
        None => (state.description().to_owned(), state.tags().clone()),
    };
    let name = version.map_or_else(|| model.to_owned(), |it| format!("{model}@{it}"));
    let document = json!({ "model": model, "version": version, "description": description, "tags": tags });
    Ok(desk.say(&document, &format!("{did} {name}")))
}
