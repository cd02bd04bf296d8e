//! What the last materialization of a view version saw, and how far a running one has come: kept beside its rows, so that the
//! two cannot part.
//!
//! The watermark is what was *read* (files by name, size and age), not the newest event: a late row in a new file is picked up
//! whatever its time.

use std::collections::BTreeSet;
use std::path::PathBuf;

use foretell_features::{MaterializeRequest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::SourceFile;

/// The journal of a view version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The last run that came to its end.
    last: Option<Last>,
    /// One that has not.
    running: Option<Running>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    to: Timestamp,
    files: Vec<File>,
}

/// A run that has not come to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Running {
    to: Timestamp,
    from: Option<Timestamp>,
    incremental: bool,
    files: Vec<File>,
    /// Batches written; they come in the same order every time.
    done: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct File {
    path: PathBuf,
    size: u64,
    modified: Timestamp,
}

/// What is left to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Work {
    /// Batches that an interrupted run has written.
    pub(super) done: u64,
    /// Files not seen before; `None` where all is to be written.
    pub(super) new_files: Option<BTreeSet<PathBuf>>,
    /// Up to when the files that were seen before are written.
    pub(super) since: Option<Timestamp>,
}

impl Journal {
    /// Anything that is no journal of this build counts as none: all is written again.
    pub(super) fn parse(text: Option<String>) -> Self {
        text.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("times, paths and numbers are always JSON")
    }

    pub(super) fn with(&self, running: Option<Running>) -> Self {
        Self {
            last: self.last.clone(),
            running,
        }
    }

    pub(super) fn done(request: &MaterializeRequest, files: Vec<SourceFile>) -> Self {
        let last = Last {
            to: request.to,
            files: described(&files),
        };
        Self {
            last: Some(last),
            running: None,
        }
    }

    /// What the request leaves to do, given the files as they stand.
    pub(super) fn work(&self, files: &[SourceFile], request: &MaterializeRequest) -> Work {
        let same = |it: &&Running| it.is(request, files);
        let done = self.running.as_ref().filter(same).map_or(0, |it| it.done);
        let everything = Work {
            done,
            new_files: None,
            since: None,
        };
        let Some(last) = self.last.as_ref().filter(|_| request.incremental) else {
            return everything;
        };
        let now = described(files);
        // A file that went or changed may have taken rows away: only all files together tell what is left.
        if last.files.iter().any(|it| !now.contains(it)) || last.to > request.to {
            return everything;
        }
        let new = now.into_iter().filter(|it| !last.files.contains(it)).map(|it| it.path);
        Work {
            done,
            new_files: Some(new.collect()),
            since: Some(last.to),
        }
    }
}

impl Running {
    pub(super) fn of(request: &MaterializeRequest, files: &[SourceFile], done: u64) -> Self {
        Self {
            to: request.to,
            from: request.from,
            incremental: request.incremental,
            files: described(files),
            done,
        }
    }

    fn is(&self, request: &MaterializeRequest, files: &[SourceFile]) -> bool {
        let asked = (self.to, self.from, self.incremental) == (request.to, request.from, request.incremental);
        asked && self.files == described(files)
    }
}

fn described(files: &[SourceFile]) -> Vec<File> {
    let file = |it: &SourceFile| File {
        path: it.path.clone(),
        size: it.size,
        modified: it.modified,
    };
    files.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[(&str, u64)]) -> Vec<SourceFile> {
        let file = |(path, size): &(&str, u64)| SourceFile {
            path: PathBuf::from(path),
            size: *size,
            modified: Timestamp(7),
        };
        sizes.iter().map(file).collect()
    }

    fn request(to: i64, incremental: bool) -> MaterializeRequest {
        MaterializeRequest {
            views: Vec::new(),
            from: None,
            to: Timestamp(to),
            now: Timestamp(100),
            incremental,
        }
    }

    #[test]
    fn only_new_files_are_looked_at_unless_an_old_one_changed() {
        let journal = Journal::done(&request(5, false), files(&[("a", 1), ("b", 1)]));
        let journal = Journal::parse(Some(journal.text()));
        for (to, incremental, now, new) in [
            (6, true, vec![("a", 1), ("b", 1)], Some(vec![])),
            (6, true, vec![("a", 1), ("b", 1), ("c", 9)], Some(vec!["c"])),
            (6, true, vec![("a", 2), ("b", 1)], None),
            (6, true, vec![("a", 1)], None),
            (4, true, vec![("a", 1), ("b", 1)], None),
            (6, false, vec![("a", 1), ("b", 1)], None),
        ] {
            let work = journal.work(&files(&now), &request(to, incremental));
            let expected = new.map(|it| it.into_iter().map(PathBuf::from).collect());
            assert_eq!(work.new_files, expected, "{to} {incremental} {now:?}");
        }
        assert_eq!(Journal::parse(Some("?".to_owned())), Journal::default());
    }

    #[test]
    fn a_run_goes_on_only_if_it_is_the_same_run() {
        let now = files(&[("a", 1)]);
        let journal = Journal::default().with(Some(Running::of(&request(5, false), &now, 3)));
        assert_eq!(journal.work(&now, &request(5, false)).done, 3);
        assert_eq!(journal.work(&now, &request(6, false)).done, 0);
        assert_eq!(journal.work(&files(&[("a", 2)]), &request(5, false)).done, 0);
    }
}
