//! Paths with `*` (any run of letters) and `?` (any one), folder by folder.

use std::path::{Path, PathBuf};

use super::file_names;

/// A path of which some part is a pattern.
#[derive(Debug)]
pub(super) struct Pattern<'a>(Vec<&'a str>);

impl<'a> Pattern<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        path.contains(['*', '?']).then(|| Self(path.split('/').collect()))
    }

    /// The paths under a folder that fit, in no order.
    pub(super) fn under(&self, root: &Path) -> Vec<PathBuf> {
        let mut found = vec![root.to_path_buf()];
        for part in &self.0 {
            found = found.iter().flat_map(|folder| fitting(folder, part)).collect();
        }
        found
    }

    /// Whether a path fits, part by part.
    pub(super) fn fits(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        parts.len() == self.0.len()
            && self
                .0
                .iter()
                .zip(parts)
                .all(|(pattern, part)| visible_match(pattern, part))
    }

    /// The folder that all fitting paths are in.
    pub(super) fn fixed_part(&self) -> String {
        let fixed = self.0.iter().take_while(|it| !it.contains(['*', '?']));
        fixed.copied().collect::<Vec<_>>().join("/")
    }
}

fn fitting(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?']) {
        return vec![folder.join(pattern)];
    }
    let names = file_names(folder).into_iter();
    names
        .filter(|it| visible_match(pattern, it))
        .map(|it| folder.join(it))
        .collect()
}

/// A pattern never means a hidden file.
fn visible_match(pattern: &str, name: &str) -> bool {
    let letters = |it: &str| it.chars().collect::<Vec<_>>();
    let hidden = name.starts_with('.') && !pattern.starts_with('.');
    !hidden && matches(&letters(pattern), &letters(name))
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => (0..=name.len()).any(|skip| matches(&pattern[1..], &name[skip..])),
        (Some('?'), Some(_)) => matches(&pattern[1..], &name[1..]),
        (Some(wanted), Some(got)) => wanted == got && matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_runs_and_single_letters_within_a_folder() {
        let cases = [
            ("*.parquet", "a.parquet", true),
            ("*.parquet", "a.csv", false),
            ("*.parquet", ".a.parquet", false),
            ("part-?.csv", "part-1.csv", true),
            ("part-?.csv", "part-12.csv", false),
            ("a*b*c", "a-b-b-c", true),
            ("*", "anything", true),
            ("*/x.csv", "a/x.csv", true),
            ("*/x.csv", "a/b/x.csv", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(Pattern::of(pattern).unwrap().fits(path), expected, "{pattern} {path}");
        }
    }
}
