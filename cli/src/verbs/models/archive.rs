//! `models export` and `import`: one version as one file.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use foretell_inference::{Model, onnx};
use foretell_registry::{ImportRequest, ModelVersion};
use serde_json::json;

use super::{Desk, stamp};
use crate::arguments::Import;

pub(super) async fn export(desk: &Desk, model: &str, to: &Path) -> Result<ExitCode> {
    let version = desk.version(model).await?;
    let file = place(&version, to, "tar")?;
    // Under another name until it is whole: an archive that is there can be taken along.
    let partial = file.with_extension("tar.partial");
    let cannot = || format!("cannot write `{}`", file.display());
    let mut out = BufWriter::new(File::create(&partial).with_context(cannot)?);
    let exported = desk.registry.export(&version, &mut out).await;
    let written = exported.map_err(anyhow::Error::from).and_then(|()| {
        out.into_inner().context("cannot flush")?.sync_all()?;
        Ok(std::fs::rename(&partial, &file)?)
    });
    if let Err(error) = written {
        let _ = std::fs::remove_file(&partial);
        return Err(error.context(cannot()));
    }
    let document =
        json!({ "model": version.model, "version": version.version, "digest": version.digest, "file": file });
    Ok(desk.say(&document, &format!("wrote {version} to {}", file.display())))
}

/// What the version predicts, as one ONNX file: inputs, predictor, calibration and intervals; no decisions and no reasons.
pub(super) async fn export_onnx(desk: &Desk, model: &str, to: &Path) -> Result<ExitCode> {
    let version = desk.version(model).await?;
    let loaded = Model::load(&desk.files(&version).await?).with_context(|| version.to_string())?;
    let bytes = onnx::export(&loaded).with_context(|| format!("{version} cannot be said in ONNX"))?;
    let file = place(&version, to, "onnx")?;
    std::fs::write(&file, bytes).with_context(|| format!("cannot write `{}`", file.display()))?;
    let document =
        json!({ "model": version.model, "version": version.version, "digest": version.digest, "file": file });
    Ok(desk.say(&document, &format!("wrote {version} to {}", file.display())))
}

/// The file itself, or one in the folder that is named as the version.
fn place(version: &ModelVersion, to: &Path, extension: &str) -> Result<PathBuf> {
    let (folder, file) = match to.extension().is_some_and(|it| it == extension) {
        true => (to.parent().unwrap_or(Path::new("")), to.to_owned()),
        false => (
            to,
            to.join(format!("{}-{}.{extension}", version.model, version.version)),
        ),
    };
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    Ok(file)
}

pub(super) async fn import(desk: &Desk, verb: Import) -> Result<ExitCode> {
    if verb.rows.is_some() || !verb.inputs.is_empty() || !verb.classes.is_empty() {
        bail!(
            "`{}` is an archive of a version; --rows, --inputs and --classes are for models of other libraries",
            verb.file.display()
        );
    }
    let cannot = || format!("cannot read `{}`", verb.file.display());
    let mut archive = BufReader::new(File::open(&verb.file).with_context(cannot)?);
    let request = ImportRequest {
        model: verb.model,
        aliases: verb.alias,
        stamp: stamp(verb.reason),
    };
    let version = desk.registry.import(&mut archive, request).await.with_context(cannot)?;
    let document = json!({
        "model": version.model, "version": version.version, "digest": version.digest, "aliases": version.aliases
    });
    Ok(desk.say(&document, &format!("registered as {version}, {}", version.digest)))
}
