//! `foretell check`: every definition parsed and checked, all errors at once.

use std::process::ExitCode;

use anyhow::Result;
use foretell_features::Problems;
use foretell_features_offline::OfflineStore;
use serde_json::json;

use crate::arguments::Common;
use crate::output;
use crate::project::{Checked, Project};

pub(crate) fn run(common: &Common) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let checked = match project.check() {
        Ok(checked) => checked,
        Err(error) => return report(error, common.json),
    };
    // The files may be elsewhere (`--data` is for them), so what is wrong with them is said, but is no wrong definition.
    let data = OfflineStore::open(checked.definitions.clone(), &project.settings.data).map(drop);
    let warning = data.err().map(|error| output::sentence(&error.into()));
    let counts = counts(&checked);
    if common.json {
        let models: Vec<&str> = checked.models.iter().map(|it| it.name.as_str()).collect();
        output::print_json(&json!({ "ok": true, "problems": [], "data": warning, "models": models, "found": counts }));
    } else {
        let found: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        output::print_text(&format!("{}: all well; {}\n", project.settings.name, found.join(", ")));
        if let Some(warning) = warning {
            output::print_text(&format!("data: {warning}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
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
