//! `foretell registry`: the log as an auditor reads it, and keys.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use foretell_registry::{AuditEntry, AuditReport, SigningKey};
use serde_json::json;

use super::models::time;
use crate::arguments::{Common, Registry};
use crate::output;
use crate::project::{FILE, Project};

pub(crate) async fn run(common: &Common, verb: &Registry) -> Result<ExitCode> {
    match verb {
        Registry::Audit => audit(common).await,
        Registry::Keygen { file } => keygen(common, file),
    }
}

async fn audit(common: &Common) -> Result<ExitCode> {
    let report = Project::find(common)?.registry()?.audit().await?;
    match common.json {
        true => output::print_json(&json!({
            "ok": report.is_ok(), "entries": report.entries, "problems": report.problems
        })),
        false => output::print_text(&describe(&report)),
    }
    report.problems.iter().for_each(|it| eprintln!("problem: {it}"));
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn describe(report: &AuditReport) -> String {
    let heading = ["time", "log", "seq", "who", "what", "why"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(heading).chain(report.entries.iter().map(row)).collect();
    let mut text = output::table(&rows);
    let n = report.entries.len();
    let _ = match report.problems.len() {
        0 => writeln!(text, "{n} records, every chain holds"),
        1 => writeln!(text, "{n} records, 1 problem"),
        problems => writeln!(text, "{n} records, {problems} problems"),
    };
    text
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let evidence = if entry.evidence { "; with evidence" } else { "" };
    vec![
        time(entry.time),
        entry.log.clone(),
        entry.seq.to_string(),
        entry.actor.clone(),
        entry.what.join("; ") + evidence,
        entry.reason.clone().unwrap_or_default(),
    ]
}

fn keygen(common: &Common, file: &Path) -> Result<ExitCode> {
    let key = SigningKey::generate()?;
    let public = key.public();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut it| it.write_all(key.to_pem().as_bytes()));
    written.with_context(|| format!("cannot write `{}`; name a file that does not exist yet", file.display()))?;
    if common.json {
        output::print_json(&json!({ "file": file, "public": public.to_string(), "id": public.id() }));
        return Ok(ExitCode::SUCCESS);
    }
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    output::print_text(&format!(
        "wrote {}, keep it secret; its public half is {public} (id {})\n\nunder [registry] in {FILE}:\n\n\
         signing_key = \"{}\"     # where models are trained; \"env:NAME\" reads a variable\n\
         trusted_keys = [\"{public}\"]     # where they are loaded\n",
        file.display(),
        public.id(),
        path.display(),
    ));
    Ok(ExitCode::SUCCESS)
}
