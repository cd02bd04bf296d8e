//! `models reproduce`: the version trained again, registered nowhere, compared byte for byte.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use foretell_registry::ModelVersion;
use foretell_training::{ComparedFile, Progress as TrainingProgress, ReproduceRequest, Reproduction, reproduce};
use serde_json::json;

use super::Desk;
use crate::output::{self, Progress};

pub(super) async fn run(desk: &Desk, model: &str) -> Result<ExitCode> {
    let version = desk.version(model).await?;
    let files = desk.files(&version).await?;
    let progress = Bar {
        version: version.to_string(),
        progress: Progress::new(),
    };
    let request = ReproduceRequest {
        model: &version.model,
        files: &files,
        data: &desk.project.settings.data,
        progress: &progress,
    };
    let said = reproduce(request).await;
    progress.progress.finish();
    let said = said.with_context(|| format!("{version} cannot be trained again"))?;
    match desk.json {
        true => {
            let mut document = json!(said);
            document["model"] = json!(version.model);
            document["version"] = json!(version.version);
            output::print_json(&document);
        }
        false => output::print_text(&describe(&version, &said)),
    }
    Ok(if said.equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Bar {
    version: String,
    progress: Progress,
}

impl TrainingProgress for Bar {
    fn stage(&self, what: &str, done: u64, total: u64) {
        self.progress.set(&format!("{}: {what}", self.version), done, total);
    }
}

fn describe(version: &ModelVersion, said: &Reproduction) -> String {
    let n = said.files.len();
    if said.equal {
        return format!(
            "{version} is reproduced: {n} files, every byte the same, {}\n",
            said.digest
        );
    }
    let different: Vec<&ComparedFile> = said.files.iter().filter(|it| !it.equal).collect();
    let mut text = format!(
        "{version} is not reproduced: {} of {n} files differ\n  recorded {}\n  now      {}\n",
        different.len(),
        said.digest,
        said.again
    );
    let heading = ["file", "recorded", "now"].map(str::to_owned).to_vec();
    let sha256 =
        |it: &Option<foretell_registry::Digest>| it.map_or_else(|| "-".to_owned(), |it| it.hex()[..16].to_owned());
    let row = |it: &&ComparedFile| vec![it.path.clone(), sha256(&it.recorded), sha256(&it.again)];
    let rows: Vec<_> = std::iter::once(heading).chain(different.iter().map(row)).collect();
    text.push_str(&output::table(&rows));
    for note in &said.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
