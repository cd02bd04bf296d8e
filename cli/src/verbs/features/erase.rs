//! `foretell features erase`: an entity leaves the online store and every file of the project and does not come back.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use foretell_features::{ErasurePattern, ErasureReceipt, ErasureRequest, Offline as _};
use foretell_features_offline::OfflineEngine;
use serde_json::json;

use crate::arguments::{Common, Erase};
use crate::online::{self, Online};
use crate::output;
use crate::project::{Checked, Project};

pub(super) async fn run(common: &Common, project: &Project, checked: Checked, verb: &Erase) -> Result<ExitCode> {
    let given = verb
        .entity
        .iter()
        .map(|(column, value)| (column.as_str(), value.as_str()));
    let request = ErasureRequest {
        pattern: ErasurePattern::parse(given, &checked.definitions).map_err(|message| anyhow!("{message}"))?,
        at: project.now(),
        dry_run: verb.dry_run,
    };
    let receipt = match Online::open(project).await? {
        Online::Server(address) => {
            let entity: serde_json::Map<_, _> = verb.entity.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            let body = json!({ "entity": entity, "dry_run": verb.dry_run });
            let answer = online::post(address, "/v1/erase", &body).await?;
            serde_json::from_value(answer).context("the server's receipt cannot be read")?
        }
        Online::Store(store) => {
            let offline = project.offline(checked.definitions)?;
            OfflineEngine::new(&offline, store).erase(&request).await?
        }
    };
    if common.json {
        output::print_json(&receipt);
    } else {
        output::print_text(&describe(project, &receipt));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(project: &Project, receipt: &ErasureReceipt) -> String {
    let verb = if receipt.dry_run { "would remove" } else { "removed" };
    let mut text = format!(
        "{verb} {} rows of the entity with {} up to {}\n",
        receipt.rows(),
        receipt.columns.join(", "),
        receipt.at
    );
    for it in receipt.online.iter().filter(|it| it.entities > 0) {
        text.push_str(&format!("online store, {}: {} entities\n", it.view, it.entities));
    }
    if !receipt.files.is_empty() {
        let mut rows = vec![["place", "file", "rows", "before", "now"].map(str::to_owned).to_vec()];
        for it in &receipt.files {
            let path = it.path.strip_prefix(&project.root).unwrap_or(&it.path);
            let short = |digest: &str| digest[..12].to_owned();
            let now = match (&it.after, receipt.dry_run) {
                (Some(digest), _) => short(digest),
                (None, true) => "unchanged".to_owned(),
                (None, false) => "file removed".to_owned(),
            };
            rows.push(vec![
                it.place.clone(),
                path.display().to_string(),
                it.rows.to_string(),
                short(&it.before),
                now,
            ]);
        }
        text.push_str(&output::table(&rows));
    }
    for it in &receipt.passed_over {
        text.push_str(&format!("not searched: {it}\n"));
    }
    match receipt.dry_run {
        true => text.push_str("nothing was changed; leave --dry-run out to erase\n"),
        false => text.push_str(&format!(
            "receipt {} (key digest {}) in .foretell/erasures; rows of the entity up to that instant stay hidden if they come back\n",
            receipt.id,
            &receipt.key_digest[..12]
        )),
    }
    text
}
