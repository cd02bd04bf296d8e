//! `foretell models`: what is registered, what happened to it, and who is champion.

mod archive;
mod bring;
mod card;
mod check_rows;
mod compare;
mod delete;
mod history;
mod list;
mod notes;
mod promote;
mod reproduce;
mod show;
mod upkeep;

use std::process::ExitCode;

use anyhow::{Result, bail};
use foretell_inference::PackageFiles;
use foretell_registry::{
    ModelRef, ModelState, ModelVersion, Registry, RegistryError, RollbackRequest, Stamp, VerifyReport,
};
use foretell_serving::Clock;
use serde_json::{Value, json};

use crate::arguments::{Common, ExportFormat, Import, Models};
use crate::output;
use crate::project::Project;

/// The alias of the version that serves.
const CHAMPION: &str = "champion";

/// What every verb works on.
struct Desk {
    project: Project,
    registry: Registry,
    json: bool,
}

pub(crate) async fn run(common: &Common, verb: Models) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let desk = Desk {
        // An archive may be the first thing that a registry gets.
        registry: match &verb {
            Models::Import(_) => project.registry_or_create()?,
            _ => project.registry()?,
        },
        project,
        json: common.json,
    };
    match verb {
        Models::List(verb) => list::run(&desk, &verb).await,
        Models::Show { model } => show::run(&desk, &model).await,
        Models::Card(verb) => card::run(&desk, &verb).await,
        Models::History(verb) => history::run(&desk, &verb).await,
        Models::Describe { model, text } => notes::describe(&desk, &model, text).await,
        Models::Tag(verb) => notes::tag(&desk, verb).await,
        Models::Alias(verb) => notes::alias(&desk, verb).await,
        Models::Promote(verb) => promote::run(&desk, verb).await,
        Models::Rollback { model, alias, reason } => {
            let request = RollbackRequest::new(model, &alias, stamp(reason));
            moved(&desk.registry.rollback(request).await?, &alias, desk.json)
        }
        Models::Delete(verb) => delete::run(&desk, verb).await,
        Models::Compare { a, b } => compare::run(&desk, &a, &b).await,
        Models::Reproduce { model } => reproduce::run(&desk, &model).await,
        Models::Export { model, to, format } => match format {
            ExportFormat::Archive => archive::export(&desk, &model, &to).await,
            ExportFormat::Onnx => archive::export_onnx(&desk, &model, &to).await,
        },
        Models::Import(verb) => import(&desk, verb).await,
        Models::Sign { model } => upkeep::sign(&desk, &model).await,
        Models::Gc(verb) => upkeep::gc(&desk, verb).await,
        Models::Verify => verify(&desk.registry.verify().await?, desk.json),
    }
}

async fn import(desk: &Desk, verb: Import) -> Result<ExitCode> {
    if verb.alias.iter().any(|it| it == CHAMPION) {
        bail!("`{CHAMPION}` moves by `foretell models promote`, which asks the gates; import first, then promote");
    }
    match bring::is_archive(&verb.file)? {
        true => archive::import(desk, verb).await,
        false => bring::run(desk, verb).await,
    }
}

impl Desk {
    /// The version that is named; without `@` the champion, or the newest where nobody is champion.
    async fn version(&self, model: &str) -> Result<ModelVersion> {
        let asked: ModelRef = model.parse()?;
        let state = self.registry.model(&asked.name).await?;
        let meant = match (&asked.version, state.alias(CHAMPION)) {
            (None, Err(_)) => state.latest().ok_or(RegistryError::NoVersion { model: asked.name })?,
            _ => state.resolve(&asked.version_or_champion())?,
        };
        Ok(meant)
    }

    /// The same registry for looking only: what nobody vouches for may be seen, not loaded.
    fn looking(&self) -> Registry {
        self.registry.clone().trusting(Vec::new())
    }

    async fn files(&self, version: &ModelVersion) -> Result<PackageFiles> {
        let files = self.registry.fetch(version).await?;
        Ok(files.into_iter().map(|it| (it.path, it.bytes.to_vec())).collect())
    }

    /// The package's own manifest, null where it is damaged; a version from elsewhere has none.
    async fn manifest(&self, version: &ModelVersion) -> Result<Option<Value>> {
        match self.looking().fetch_file(version, "manifest.json").await {
            Ok(file) => Ok(Some(serde_json::from_slice(&file.bytes).unwrap_or_default())),
            Err(RegistryError::UnknownFile { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One JSON document, or a line.
    fn say(&self, document: &Value, line: &str) -> ExitCode {
        match self.json {
            true => output::print_json(document),
            false => output::print_text(&format!("{line}\n")),
        }
        ExitCode::SUCCESS
    }
}

fn moved(version: &ModelVersion, alias: &str, as_json: bool) -> Result<ExitCode> {
    if as_json {
        output::print_json(&json!({ "model": version.model, "alias": alias, "version": version.version }));
    } else {
        output::print_text(&format!(
            "{}: {alias} is now version {}\n",
            version.model, version.version
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(report: &VerifyReport, as_json: bool) -> Result<ExitCode> {
    if as_json {
        output::print_json(report);
    } else {
        output::print_text(&report.to_string());
    }
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// DESIGN §3's shape of a version, with its aliases.
fn summary(state: &ModelState, version: &ModelVersion) -> Value {
    let mut document = match &version.metadata["report"] {
        Value::Object(fields) => Value::Object(fields.clone()),
        _ => json!({}),
    };
    document["model"] = json!(state.name);
    document["version"] = json!(version.version);
    document["digest"] = json!(version.digest.to_string());
    document["aliases"] = json!(version.aliases);
    document["tags"] = json!(version.tags);
    document["description"] = json!(version.description);
    document["created_at"] = json!(time(version.created_at));
    document["actor"] = json!(version.actor);
    document["signatures"] = json!(version.signatures);
    if let Some(said) = version.metadata.get("mlflow") {
        document["mlflow"] = said.clone();
    }
    document
}

/// Microseconds since 1970 as a date and a time, to the second.
pub(crate) fn time(micros: i64) -> String {
    foretell_features::Timestamp(micros - micros.rem_euclid(1_000_000)).to_string()
}

/// Who moves aliases from the command line: the user's name.
pub(crate) fn actor() -> String {
    std::env::var("USER")
        .ok()
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| "foretell".to_owned())
}

pub(crate) fn stamp(reason: Option<String>) -> Stamp {
    let stamp = Stamp::new(actor(), Clock::Real.now().0);
    match reason {
        Some(reason) => stamp.because(reason),
        None => stamp,
    }
}
