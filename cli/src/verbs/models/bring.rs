//! `models import` of a model that another library trained: a file or an MLflow folder becomes a registered version.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_inference::import::{Source, import, sniff};
use foretell_inference::mlflow::{MLMODEL, MlflowModel, only_model};
use foretell_inference::packaging::{Arrival, package, rename_classes, rename_inputs, sha256};
use foretell_inference::{Imported, Manifest, Model, PackageFiles};
use foretell_registry::{PackageFile, PublishRequest};
use foretell_serving::Clock;
use serde_json::json;

use super::check_rows::{Checked, check};
use super::{Desk, stamp};
use crate::arguments::Import;

/// Bytes of a file that say what it is.
const HEAD: usize = 8192;
/// What lies beside a model's file and may belong to it: architectures are small.
const BESIDE: u64 = 4 << 20;
/// Made-up golden rows are the same for the same file.
const SEED: u64 = 1;

/// The files of a model, and which of them it is in.
struct Brought {
    files: BTreeMap<String, Vec<u8>>,
    main: String,
    mlflow: Option<MlflowModel>,
}

/// Whether it is an archive that `export` wrote.
pub(super) fn is_archive(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let head = head(path)?;
    let is_tar = head.get(257..262).is_some_and(|it| it == b"ustar");
    Ok(is_tar || path.extension().is_some_and(|it| it == "tar"))
}

pub(super) async fn run(desk: &Desk, verb: Import) -> Result<ExitCode> {
    let brought = read(&verb.file)?;
    let mut imported = import(&brought.files, &brought.main)?;
    let Some(model) = verb.model.clone() else {
        bail!("`{}` has no name here yet; name it with --model NAME", brought.main);
    };
    if let Some(said) = &brought.mlflow {
        said.name_inputs(&mut imported)?;
    }
    name(&mut imported, &verb)?;
    let arrival = Arrival {
        model: model.clone(),
        sha256: sha256(&brought.files[&brought.main]),
        file: brought.main,
        at: Clock::of(desk.project.settings.as_of).now(),
        seed: SEED,
    };
    let files = package(imported, &arrival)?;
    // What a server will do: a package that it would refuse is not registered.
    let loaded = Model::load(&files)?;
    let checked = match &verb.rows {
        Some(rows) => Some(check(&loaded, rows, &verb.expect)?),
        None => None,
    };
    register(desk, verb, &model, files, loaded.manifest(), checked).await
}

fn name(imported: &mut Imported, verb: &Import) -> Result<()> {
    if !verb.inputs.is_empty() {
        rename_inputs(imported, &verb.inputs).context("--inputs")?;
    }
    if !verb.classes.is_empty() {
        rename_classes(imported, &verb.classes).context("--classes")?;
    }
    Ok(())
}

async fn register(
    desk: &Desk,
    verb: Import,
    model: &str,
    files: PackageFiles,
    manifest: &Manifest,
    checked: Option<Checked>,
) -> Result<ExitCode> {
    let files = files
        .into_iter()
        .map(|(path, bytes)| PackageFile::new(path, bytes))
        .collect();
    let mut request = PublishRequest::new(model, files, stamp(verb.reason));
    request.aliases = verb.alias;
    request.metadata = json!({ "report": {
        "task": manifest.task, "algorithm": manifest.algorithm, "imported": manifest.lineage.imported, "checked": checked
    } });
    let version = desk.registry.publish(request).await?;
    let inputs: Vec<&str> = manifest.inputs.iter().map(|it| it.name.as_str()).collect();
    let from = manifest.lineage.imported.as_ref();
    let origin = from.map(|it| it.origin.as_str()).unwrap_or_default();
    let document = json!({
        "model": version.model, "version": version.version, "digest": version.digest, "aliases": version.aliases,
        "origin": origin, "task": manifest.task, "algorithm": manifest.algorithm,
        "inputs": inputs, "classes": manifest.classes, "checked": checked
    });
    let mut line = format!(
        "registered as {version}: {} of {origin}, {} inputs\n{}",
        manifest.task,
        inputs.len(),
        version.digest
    );
    if let Some(checked) = &checked {
        line.push_str(&format!("\n{checked}"));
    }
    line.push_str(&format!(
        "\nto serve it: foretell models promote {} {}",
        version.model, version.version
    ));
    Ok(desk.say(&document, &line))
}

fn read(path: &Path) -> Result<Brought> {
    if path.is_dir() {
        return read_folder(path);
    }
    let main = file_name(path)?;
    let mut files = BTreeMap::from([(main.clone(), whole(path)?)]);
    if sniff(&main, &files[&main]) == Some(Source::Safetensors) {
        files.extend(beside(path.parent().unwrap_or(Path::new("")), &main)?);
    }
    Ok(Brought {
        files,
        main,
        mlflow: None,
    })
}

fn read_folder(folder: &Path) -> Result<Brought> {
    let said = folder.join(MLMODEL);
    if said.is_file() {
        let mlflow = MlflowModel::parse(&whole(&said)?)?;
        let main = mlflow.file()?.to_owned();
        // A name with `..` in it would leave the folder.
        if Path::new(&main)
            .components()
            .any(|it| !matches!(it, std::path::Component::Normal(_)))
        {
            bail!("{MLMODEL} names `{main}`, which is not a file of the folder");
        }
        return Ok(Brought {
            files: BTreeMap::from([(main.clone(), whole(&folder.join(&main))?)]),
            main,
            mlflow: Some(mlflow),
        });
    }
    let mut heads = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            heads.push((file_name(&path)?, head(&path)?));
        }
    }
    heads.sort();
    let known = heads.iter().map(|(name, head)| (name.as_str(), head.as_slice()));
    let main = only_model(known).with_context(|| format!("`{}`", folder.display()))?;
    read(&folder.join(main))
}

/// Small text files of the same folder.
fn beside(folder: &Path, main: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        let is_text = path.extension().is_some_and(|it| it == "json" || it == "toml");
        if is_text && path.is_file() && path.metadata()?.len() <= BESIDE && file_name(&path)? != main {
            files.insert(file_name(&path)?, whole(&path)?);
        }
    }
    Ok(files)
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|it| it.to_str());
    name.map(str::to_owned)
        .with_context(|| format!("`{}` is not the name of a file in UTF-8", path.display()))
}

fn whole(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    file.take(HEAD as u64)
        .read_to_end(&mut head)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(head)
}
