//! `foretell init DIR`: a commented project to start from.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::arguments::{Common, Init};
use crate::demo::project_files;
use crate::output;

pub(crate) fn run(common: &Common, verb: &Init) -> Result<ExitCode> {
    let used = std::fs::read_dir(&verb.dir).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        bail!("`{}` is not empty; name a new folder", verb.dir.display());
    }
    let written = project_files::write(&verb.dir).with_context(|| format!("cannot write `{}`", verb.dir.display()))?;
    if common.json {
        output::print_json(&json!({ "dir": verb.dir, "files": written }));
        return Ok(ExitCode::SUCCESS);
    }
    let dir = verb.dir.display();
    let mut text = format!("wrote a project to {dir}\n");
    for file in &written {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str("next: put your files into its data/ folder, change features/ and models/ to match them, then\n");
    text.push_str(&format!(
        "  foretell check --project {dir}\n  foretell train churn --project {dir}\n"
    ));
    output::print_text(&text);
    Ok(ExitCode::SUCCESS)
}
