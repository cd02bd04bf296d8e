//! Where the files of all sources lie: a folder, or an object store whose objects are fetched into a local cache.

use std::path::{Path, PathBuf};

use foretell_features::spelling::nearest;
use foretell_features::{Format, Source, Timestamp};

use crate::error::{OfflineStoreError, Result};

mod objects;
mod pattern;

use objects::Objects;
use pattern::Pattern;

/// The data root of a project.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Folder(PathBuf),
    Objects(Objects),
}

/// A file of a source as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Where it is: a path, or the URL of an object.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

/// A file that can be opened.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// As people know it.
    pub(crate) path: PathBuf,
    /// Where its bytes are.
    pub(crate) local: PathBuf,
}

impl Place {
    /// A folder (a path or `file://`), or, in a build with cloud stores, `s3://bucket/prefix`, `gs://..`, `az://..`.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        match root.to_str().and_then(|it| it.split_once("://")) {
            None => Ok(Place::Folder(root.to_owned())),
            Some(("file", path)) => Ok(Place::Folder(path.into())),
            Some(_) => Ok(Place::Objects(Objects::open(&root.to_string_lossy())?)),
        }
    }

    /// The files of a source, in order of their paths; at least one.
    pub(crate) fn describe(&self, source: &Source) -> Result<Vec<SourceFile>> {
        match self {
            Place::Folder(root) => paths(source, root)?
                .into_iter()
                .map(|it| described(source, it))
                .collect(),
            Place::Objects(objects) => objects.describe(source),
        }
    }

    /// The same, ready to be opened.
    pub(crate) fn locate(&self, source: &Source) -> Result<Vec<Located>> {
        let here = |path: PathBuf| Located {
            local: path.clone(),
            path,
        };
        match self {
            Place::Folder(root) => Ok(paths(source, root)?.into_iter().map(here).collect()),
            Place::Objects(objects) => objects.locate(source),
        }
    }
}

fn described(source: &Source, path: PathBuf) -> Result<SourceFile> {
    let refuse = |reason: std::io::Error| OfflineStoreError::Read {
        name: source.name.clone(),
        path: path.display().to_string(),
        reason: reason.to_string(),
    };
    let metadata = std::fs::metadata(&path).map_err(refuse)?;
    let modified = metadata.modified().map_err(refuse)?;
    let since_1970 = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(SourceFile {
        size: metadata.len(),
        modified: Timestamp(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX)),
        path,
    })
}

/// The files of a source under a folder: the one named, those that fit a pattern, or all of the format inside a folder.
fn paths(source: &Source, root: &Path) -> Result<Vec<PathBuf>> {
    let path = root.join(&source.path);
    if path.is_file() {
        return Ok(vec![path]);
    }
    let mut found = match Pattern::of(&source.path) {
        Some(pattern) => pattern.under(root),
        None => inside(&path, &source.format),
    };
    found.retain(|it| it.is_file());
    found.sort();
    if found.is_empty() {
        Err(missing(source, &path))
    } else {
        Ok(found)
    }
}

/// Files of a format in a folder and the folders in it; hidden ones are no data.
fn inside(folder: &Path, format: &Format) -> Vec<PathBuf> {
    let visible = file_names(folder).into_iter().filter(|it| !it.starts_with(['.', '_']));
    let mut found = Vec::new();
    for name in visible {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(inside(&path, format));
        } else if has_format(&name, format) {
            found.push(path);
        }
    }
    found
}

fn has_format(name: &str, format: &Format) -> bool {
    let name = name.to_lowercase();
    match format {
        Format::Parquet => name.ends_with(".parquet"),
        Format::Csv { .. } => name.ends_with(".csv") || name.ends_with(".csv.gz"),
    }
}

fn missing(source: &Source, path: &Path) -> OfflineStoreError {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = path
        .file_name()
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_default();
    let there = file_names(folder);
    let hint = match nearest(&file, there.iter().map(String::as_str)) {
        _ if path.is_dir() => "; the folder is there, but no file of the source's format is in it".to_owned(),
        Some(near) => format!("; did you mean `{near}`?"),
        None if folder.is_dir() => "; put the file there, or name its folder with `--data`".to_owned(),
        None => format!(
            "; the folder `{}` does not exist, name the data folder with `--data`",
            folder.display()
        ),
    };
    OfflineStoreError::MissingFile {
        name: source.name.clone(),
        path: path.display().to_string(),
        hint,
    }
}

fn file_names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|it| it.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}
