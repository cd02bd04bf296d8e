//! `models card`: the card that training wrote, shown or taken along.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_registry::{ModelVersion, RegistryError};
use serde_json::json;

use super::Desk;
use crate::arguments::Card;
use crate::output;

pub(super) async fn run(desk: &Desk, verb: &Card) -> Result<ExitCode> {
    let version = desk.version(&verb.model).await?;
    let Some(card) = card(desk, &version).await? else {
        bail!(
            "{version} has no card: training writes one, and it was registered from elsewhere; `foretell models show {version}` says what is known"
        );
    };
    match &verb.out {
        Some(out) => {
            std::fs::write(out, card).with_context(|| format!("cannot write `{}`", out.display()))?;
            let line = format!("wrote the card of {version} to {}", out.display());
            return Ok(desk.say(
                &json!({ "model": version.model, "version": version.version, "file": out }),
                &line,
            ));
        }
        None if desk.json => {
            output::print_json(&json!({ "model": version.model, "version": version.version, "card": card }));
        }
        None => output::print_text(&card),
    }
    Ok(ExitCode::SUCCESS)
}

/// The text of the card, where the package has one.
pub(super) async fn card(desk: &Desk, version: &ModelVersion) -> Result<Option<String>> {
    match desk.looking().fetch_file(version, "card.md").await {
        Ok(file) => Ok(Some(String::from_utf8_lossy(&file.bytes).into_owned())),
        Err(RegistryError::UnknownFile { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
