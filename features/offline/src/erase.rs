//! Erasing an entity from every file of the project: sources, quarantined rows, the request log. The tombstone is written first,
//! so that a run that is cut off has already hidden the entity, and running it again does what is left.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use foretell_features::{
    ErasedFile, ErasedView, ErasurePattern, ErasureReceipt, ErasureRequest, Format, Source, Value,
};
use sha2::{Digest, Sha256};

use crate::column::to_column;
use crate::error::{OfflineStoreError, Result, definition};
use crate::file_table::read_table;
use crate::needs::Columns;
use crate::place::Place;
use crate::scan::{Reading, SourceSchema, inspect};
use crate::state::{file_name, write_whole};
use crate::store::OfflineStore;

mod csv;
mod parquet;
mod tombstones;

pub(crate) use tombstones::{Erased, Tombstones};

/// 0-based rows of one file that go.
pub(super) type Dropped = HashSet<u64>;

impl OfflineStore {
    /// Removes an entity from the files and writes a tombstone that hides rows which come back. Every file with rows of it is
    /// replaced by one without them, atomically; a file without such rows is not touched, one without any other row is removed
    /// where its source has others. The receipt is kept under `erasures/` of the project's state. What this store has read before
    /// stays in its memory: open another one afterwards. `online` is what was removed from the online store.
    ///
    /// # Errors
    /// No state folder, an unreadable or unwritable file. What was done before stays done, and another run does the rest.
    pub fn erase(&self, request: &ErasureRequest, online: Vec<ErasedView>) -> Result<ErasureReceipt> {
        let Some(state) = self.state() else {
            let reason = "there is no folder for tombstones; open the store with one";
            return Err(definition("erase", reason));
        };
        let mut tombstones = Tombstones::read(state)?;
        if !request.dry_run && tombstones.add(&request.pattern, request.at) {
            tombstones.write(state)?;
        }
        let mut erasing = Erasing {
            request,
            done: BTreeSet::new(),
            files: Vec::new(),
            passed_over: Vec::new(),
        };
        for source in self.definitions().sources.values() {
            erasing.source(source, self.place())?;
        }
        for (view, path) in parquet_files_in_folders(&state.join("quarantine")) {
            erasing.quarantine(&view, &path)?;
        }
        for path in parquet_files(&state.join("requests")) {
            erasing.requests(&path)?;
        }
        let key_digest = tombstones.digest(&request.pattern);
        let receipt = ErasureReceipt {
            id: receipt_id(state, request, &key_digest),
            columns: request.pattern.columns(),
            key_digest,
            at: request.at,
            dry_run: request.dry_run,
            online,
            files: erasing.files,
            passed_over: erasing.passed_over,
        };
        if !request.dry_run {
            keep_receipt(state, &receipt)?;
        }
        Ok(receipt)
    }
}

fn keep_receipt(state: &Path, receipt: &ErasureReceipt) -> Result<()> {
    let text = serde_json::to_vec_pretty(receipt).expect("texts and numbers are always JSON");
    write_whole(&receipt_file(state, &receipt.id), &text)
}

fn receipt_file(state: &Path, id: &str) -> PathBuf {
    state.join("erasures").join(format!("{id}.json"))
}

/// The instant and the beginning of the digest; a later run of the same has a number.
fn receipt_id(state: &Path, request: &ErasureRequest, key_digest: &str) -> String {
    let first = format!("{}-{}", file_name(request.at), &key_digest[..12]);
    let later = (2..).map(|it| format!("{first}-{it}"));
    let free = |it: &String| !receipt_file(state, it).exists();
    let id = std::iter::once(first.clone()).chain(later).find(free);
    id.expect("numbers do not end")
}

struct Erasing<'a> {
    request: &'a ErasureRequest,
    /// Files gone through: two sources may share one.
    done: BTreeSet<PathBuf>,
    files: Vec<ErasedFile>,
    passed_over: Vec<String>,
}

impl Erasing<'_> {
    fn source(&mut self, source: &Source, place: &Place) -> Result<()> {
        if let Place::Objects(_) = place {
            let reason = "its files lie in an object store, where they are not rewritten; remove the entity there";
            return Err(definition(format!("erase from source `{}`", source.name), reason));
        }
        // Rows that `where` leaves out are the entity's as well.
        let whole = Source {
            filter: None,
            ..source.clone()
        };
        let schema = match inspect(&whole, place, 0) {
            Ok(it) => it.schema,
            Err(error @ (OfflineStoreError::MissingFile { .. } | OfflineStoreError::EmptyFile { .. })) => {
                self.passed_over.push(error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let columns = self.request.pattern.columns();
        if let Some(missing) = columns.iter().find(|it| schema.data_type(it).is_none()) {
            let message = format!("source `{}` has no column `{missing}`", source.name);
            self.passed_over.push(message);
            return Ok(());
        }
        let rows = rows_of(&schema, &self.request.pattern)?;
        let mut files_left = schema.files.len();
        for file in &schema.files {
            let of_file = file.first_row..file.first_row + file.rows;
            let dropped: Dropped = rows
                .iter()
                .filter(|it| of_file.contains(it))
                .map(|it| it - file.first_row)
                .collect();
            let gone = dropped.len() as u64 == file.rows && files_left > 1;
            files_left -= usize::from(gone);
            let place = format!("source {}", source.name);
            self.file(&place, &file.file.path, file.rows, &dropped, gone, &source.format)?;
        }
        Ok(())
    }

    fn quarantine(&mut self, view: &str, path: &Path) -> Result<()> {
        let table = read_table(path)?;
        let pattern = &self.request.pattern;
        if pattern.parts().iter().any(|(name, ..)| table.column(name).is_none()) {
            return Ok(());
        }
        let of = |row: usize| move |name: &str| (row, name.to_owned());
        let value = |(row, name): (usize, String)| table.column(&name).map_or(Value::Null, |it| it.value(row));
        let rows = (0..table.n_rows()).filter(|row| pattern.matches(|name| value(of(*row)(name))));
        let dropped: Dropped = rows.map(|it| it as u64).collect();
        let (rows, gone) = (table.n_rows() as u64, dropped.len() == table.n_rows());
        self.file(
            &format!("quarantine {view}"),
            path,
            rows,
            &dropped,
            gone,
            &Format::Parquet,
        )
    }

    fn requests(&mut self, path: &Path) -> Result<()> {
        let table = read_table(path)?;
        let Some(entities) = table.column("entity") else {
            return Ok(());
        };
        let dropped: Dropped = (0..table.n_rows())
            .filter(|row| names_entity(&self.request.pattern, &entities.value(*row)))
            .map(|it| it as u64)
            .collect();
        let (rows, gone) = (table.n_rows() as u64, dropped.len() == table.n_rows());
        self.file("requests", path, rows, &dropped, gone, &Format::Parquet)
    }

    fn file(
        &mut self,
        place: &str,
        path: &Path,
        rows: u64,
        dropped: &Dropped,
        gone: bool,
        format: &Format,
    ) -> Result<()> {
        if dropped.is_empty() || !self.done.insert(path.to_owned()) {
            return Ok(());
        }
        let before = digest_of(path)?;
        let after = match (self.request.dry_run, gone) {
            (true, _) => None,
            (false, true) => {
                std::fs::remove_file(path).map_err(|error| refuse(path, &error.to_string()))?;
                None
            }
            (false, false) => {
                replace(path, rows, dropped, format)?;
                Some(digest_of(path)?)
            }
        };
        self.files.push(ErasedFile {
            place: place.to_owned(),
            path: path.to_owned(),
            rows: dropped.len() as u64,
            before,
            after,
        });
        Ok(())
    }
}

/// Rows of all files, counted on, that are the entity's.
fn rows_of(schema: &SourceSchema, pattern: &ErasurePattern) -> Result<BTreeSet<u64>> {
    const AT_ONCE: usize = 262_144;
    let columns: Columns = pattern.columns().into_iter().collect();
    let mut found = BTreeSet::new();
    Reading::of(schema, &columns)?.each(AT_ONCE, None, |rows| {
        let columns = pattern.parts().iter().map(|(name, ..)| {
            let column = rows.frame.column(name).map(to_column);
            column.map_err(|error| crate::error::engine(schema.name(), error))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let names = pattern.columns();
        let at = |name: &str| names.iter().position(|it| it == name).expect("it is of the pattern");
        let is_of = |row: &usize| pattern.matches(|name| columns[at(name)].value(*row));
        let of_entity = (0..rows.file_rows.len()).filter(is_of);
        found.extend(of_entity.map(|row| rows.file_rows[row]));
        Ok(())
    })?;
    Ok(found)
}

/// Whether a logged entity, `{"customer_id":"C1"}`, is the one.
fn names_entity(pattern: &ErasurePattern, logged: &Value) -> bool {
    let parsed = logged
        .as_str()
        .and_then(|it| serde_json::from_str::<serde_json::Value>(it).ok());
    let Some(entity) = parsed else { return false };
    pattern.matches(|name| serde_json::from_value(entity[name].clone()).unwrap_or_default())
}

/// The file without the dropped rows in its place: whole or not at all, on disk before the old one is gone.
fn replace(path: &Path, rows: u64, dropped: &Dropped, format: &Format) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A dot at the beginning keeps it out of every pattern of source paths.
    let fresh = path.with_file_name(format!(".{name}.erasing"));
    let written = match format {
        Format::Parquet => parquet::rewrite(path, &fresh, dropped).map_err(|error| error.to_string()),
        Format::Csv { .. } => csv::rewrite(path, &fresh, rows, dropped).map_err(|error| error.to_string()),
    };
    let expected = rows - dropped.len() as u64;
    let checked = written.and_then(|left| match left == expected {
        true => Ok(()),
        false => Err(format!(
            "{left} rows would be left where {expected} should be; it was not changed"
        )),
    });
    let published = checked.and_then(|()| publish(&fresh, path).map_err(|error| error.to_string()));
    published.map_err(|reason| {
        // The reason to tell is the first one.
        let _ = std::fs::remove_file(&fresh);
        refuse(path, &reason)
    })
}

fn publish(fresh: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(fresh, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(fresh, path)?;
    match path.parent().filter(|it| !it.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn digest_of(path: &Path) -> Result<String> {
    let refuse = |error: std::io::Error| refuse(path, &error.to_string());
    let mut hash = Sha256::new();
    let mut file = File::open(path).map_err(refuse)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(refuse)? {
            0 => return Ok(tombstones::hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn refuse(path: &Path, reason: &str) -> OfflineStoreError {
    OfflineStoreError::Write {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|it| it.path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == "parquet"));
    files.sort();
    files
}

/// The files of each folder in a folder, with its name.
fn parquet_files_in_folders(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|it| it.path()).collect();
    folders.sort();
    let named = |it: &PathBuf| it.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = folders
        .iter()
        .flat_map(|it| parquet_files(it).into_iter().map(move |file| (named(it), file)));
    files.collect()
}
