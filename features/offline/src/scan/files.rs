//! Which files a source's path means.

use std::path::{Path, PathBuf};

use foretell_features::spelling::nearest;
use foretell_features::{Source, Timestamp};

use crate::error::{OfflineStoreError, Result};

/// A file of a source as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

/// The files of a source with size and age.
pub(crate) fn source_files(source: &Source, root: &Path) -> Result<Vec<SourceFile>> {
    paths(source, root)?
        .into_iter()
        .map(|it| described(source, it))
        .collect()
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

/// The files of a source under the data root, in order of their names; at least one.
pub(super) fn paths(source: &Source, root: &Path) -> Result<Vec<PathBuf>> {
    if !source.path.contains(['*', '?']) {
        let path = root.join(&source.path);
        return if path.is_file() {
            Ok(vec![path])
        } else {
            Err(missing(source, &path))
        };
    }
    let mut found = vec![root.to_path_buf()];
    for part in source.path.split('/') {
        found = found.iter().flat_map(|folder| matching(folder, part)).collect();
    }
    found.retain(|path| path.is_file());
    found.sort();
    if found.is_empty() {
        Err(missing(source, &root.join(&source.path)))
    } else {
        Ok(found)
    }
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?']) {
        return vec![folder.join(pattern)];
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let named = |name: &str| matches(&pattern, &name.chars().collect::<Vec<_>>());
    file_names(folder)
        .into_iter()
        .filter(|name| !name.starts_with('.') && named(name))
        .map(|name| folder.join(name))
        .collect()
}

/// Whether `name` fits a pattern of `*` (any run) and `?` (any one).
fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => (0..=name.len()).any(|skip| matches(&pattern[1..], &name[skip..])),
        (Some('?'), Some(_)) => matches(&pattern[1..], &name[1..]),
        (Some(wanted), Some(got)) => wanted == got && matches(&pattern[1..], &name[1..]),
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_runs_and_single_letters() {
        let cases = [
            ("*.parquet", "a.parquet", true),
            ("*.parquet", "a.csv", false),
            ("part-?.csv", "part-1.csv", true),
            ("part-?.csv", "part-12.csv", false),
            ("a*b*c", "a-b-b-c", true),
            ("*", "anything", true),
        ];
        for (pattern, name, expected) in cases {
            let pattern: Vec<char> = pattern.chars().collect();
            let name: Vec<char> = name.chars().collect();
            assert_eq!(matches(&pattern, &name), expected, "{pattern:?} {name:?}");
        }
    }
}
