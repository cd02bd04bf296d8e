//! `foretell check`: every definition parsed and checked, all errors at once.

use std::process::ExitCode;

use anyhow::Result;
use foretell_features::Problems;
use foretell_features_offline::OfflineStore;
use serde_json::json;

use crate::arguments::Common;
use crate::changes;
use crate::data;
use crate::output;
use crate::project::{Checked, Project};

pub(crate) async fn run(common: &Common) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let checked = match project.check() {
        Ok(checked) => checked,
        Err(error) => return report(error, common.json),
    };
    // A file may be elsewhere, `--data` is for that: it is said and no more. A definition that does not fit its file is wrong.
    let findings = data::findings(&checked.definitions, &project.settings.data);
    let ok = findings.iter().all(|it| it.missing);
    let counts = counts(&checked);
    let offline = OfflineStore::open(checked.definitions.clone(), &project.settings.data);
    let changes = match &offline {
        Ok(offline) => changes::plan(&project, offline).await?,
        Err(_) => Vec::new(),
    };
    if common.json {
        let models: Vec<&str> = checked.models.iter().map(|it| it.name.as_str()).collect();
        let data: Vec<&str> = findings.iter().map(|it| it.says.as_str()).collect();
        output::print_json(
            &json!({ "ok": ok, "problems": [], "data": data, "models": models, "found": counts, "changes": changes }),
        );
    } else {
        for finding in &findings {
            eprintln!(
                "{}: {}",
                if finding.missing { "not there" } else { "wrong" },
                finding.says
            );
        }
        let found: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let verdict = if ok {
            "definitions are well"
        } else {
            "definitions do not fit the files"
        };
        output::print_text(&format!("{}: {verdict}; {}\n", project.settings.name, found.join(", ")));
        changes::print(&changes);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(error: anyhow::Error, json: bool) -> Result<ExitCode> {
    let problems = error.downcast::<Problems>()?;
    if json {
        output::print_json(&json!({ "ok": false, "problems": problems.0 }));
    } else {
        eprintln!("{problems}");
        let count = problems.0.len();
        eprintln!("{count} {} found", if count == 1 { "problem" } else { "problems" });
    }
    Ok(ExitCode::FAILURE)
}

fn counts(checked: &Checked) -> Vec<(&'static str, usize)> {
    let it = &checked.definitions;
    vec![
        ("entities", it.entities.len()),
        ("sources", it.sources.len()),
        ("views", it.views.len()),
        ("models", checked.models.len()),
    ]
}
