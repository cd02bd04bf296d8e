//! `models show`: one version, wherever it came from.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use foretell_registry::{ManifestFile, ModelState, ModelVersion};
use serde_json::{Value, json};

use super::card::card;
use super::{Desk, summary, time};
use crate::output;

pub(super) async fn run(desk: &Desk, model: &str) -> Result<ExitCode> {
    let version = desk.version(model).await?;
    let state = desk.registry.model(&version.model).await?;
    let files = desk.looking().manifest(&version).await?.files;
    if desk.json {
        let mut document = summary(&state, &version);
        document["manifest"] = json!(desk.manifest(&version).await?);
        document["files"] = json!(files);
        document["gates"] = version.metadata["gates"].clone();
        document["hyperparameters"] = version.metadata["hyperparameters"].clone();
        output::print_json(&document);
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = head(&state, &version);
    text.push_str(&trust(desk, &version).await);
    match card(desk, &version).await? {
        Some(card) => text.push_str(&format!("\n{card}")),
        None => text.push_str(&format!("\n{}", table(&files))),
    }
    output::print_text(&text);
    Ok(ExitCode::SUCCESS)
}

fn head(state: &ModelState, version: &ModelVersion) -> String {
    let mut text = format!("{version}  {}  {}\n", version.aliases.join(", "), version.digest);
    let _ = writeln!(text, "published {} by {}", time(version.created_at), version.actor);
    for description in [state.description(), &version.description] {
        if !description.is_empty() {
            let _ = writeln!(text, "{description}");
        }
    }
    let tags = state.tags().iter().chain(&version.tags);
    let tags: Vec<String> = tags.map(|(key, value)| format!("{key}={value}")).collect();
    if !tags.is_empty() {
        let _ = writeln!(text, "tags: {}", tags.join(", "));
    }
    if let Some(Value::Object(said)) = version.metadata.get("mlflow") {
        let said = said
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_str()?)));
        let _ = writeln!(text, "from MLflow: {}", said.collect::<Vec<_>>().join(", "));
    }
    if let Some(run) = version.metadata["run_id"].as_str() {
        let _ = writeln!(text, "run: {run}");
    }
    text
}

/// Who vouches for the package, where anybody does or has to.
async fn trust(desk: &Desk, version: &ModelVersion) -> String {
    let keys: Vec<&str> = version.signatures.iter().map(|it| it.key_id.as_str()).collect();
    let signed = match keys.is_empty() {
        true => String::new(),
        false => format!("signed by {}\n", keys.join(", ")),
    };
    match desk.registry.check_trust(version).await {
        Ok(()) => signed,
        Err(error) => format!("{signed}not trusted: {error}\n"),
    }
}

fn table(files: &[ManifestFile]) -> String {
    if files.is_empty() {
        return "no files: it only refers to something elsewhere\n".to_owned();
    }
    let heading = ["file", "bytes", "sha256"].map(str::to_owned).to_vec();
    let row = |it: &ManifestFile| vec![it.path.clone(), it.size.to_string(), it.sha256.hex()[..16].to_owned()];
    let rows: Vec<_> = std::iter::once(heading).chain(files.iter().map(row)).collect();
    output::table(&rows)
}
