//! The TOML that a version was trained by, kept in its package, so that it can be trained again when the project has moved on.

use std::path::PathBuf;

use foretell_features::Definitions;
use foretell_inference::PackageFiles;
use foretell_models::ModelSpec;

use crate::error::TrainError;

/// Folder of the definitions in a package.
const FOLDER: &str = "definitions/";

/// TOML texts by their path in the project.
pub type DefinitionTexts = [(PathBuf, String)];

/// Puts the texts of the features and of the model into its package.
pub fn add_definitions(files: &mut PackageFiles, texts: &DefinitionTexts) {
    let named = |path: &PathBuf| {
        let path = path.to_string_lossy();
        let part = |it: &str| it.replace(|c: char| c.is_control() || c == ':', "_");
        let parts: Vec<String> = path.split(['/', '\\']).filter(|it| !it.is_empty()).map(part).collect();
        format!("{FOLDER}{}", parts.join("/"))
    };
    files.extend(
        texts
            .iter()
            .map(|(path, text)| (named(path), text.clone().into_bytes())),
    );
}

/// What a package was trained by: the texts, the features they define, and the model.
#[derive(Debug)]
pub struct Recorded {
    /// The texts, as [`add_definitions`] got them.
    pub texts: Vec<(PathBuf, String)>,
    /// Entities, sources, views.
    pub definitions: Definitions,
    /// The model.
    pub spec: ModelSpec,
}

/// Reads back what [`add_definitions`] wrote.
///
/// # Errors
/// The package has no definitions, or this build does not understand them.
pub fn recorded_definitions(model: &str, files: &PackageFiles) -> Result<Recorded, TrainError> {
    let refuse = |reason: String| TrainError::Request {
        model: model.to_owned(),
        reason,
    };
    let texts = texts(files).map_err(refuse)?;
    let (models, features): (Vec<_>, Vec<_>) = texts.iter().cloned().partition(|it| it.0.starts_with("models"));
    let [(file, text)] = &models[..] else {
        let reason = "its package does not hold the definitions it was trained by; it was made by an earlier release, train it anew";
        return Err(refuse(reason.to_owned()));
    };
    let unread = |problems: foretell_features::Problems| {
        refuse(format!(
            "this build does not understand the definitions in its package: {problems}"
        ))
    };
    let definitions = Definitions::parse(&features).map_err(unread)?;
    let spec = ModelSpec::parse(file.clone(), text, &definitions).map_err(unread)?;
    Ok(Recorded {
        texts,
        definitions,
        spec,
    })
}

fn texts(files: &PackageFiles) -> Result<Vec<(PathBuf, String)>, String> {
    let mut texts = Vec::new();
    for (path, bytes) in files {
        let Some(name) = path.strip_prefix(FOLDER) else {
            continue;
        };
        let text = String::from_utf8(bytes.clone()).map_err(|_| format!("`{path}` of its package is no text"))?;
        texts.push((PathBuf::from(name), text));
    }
    Ok(texts)
}
