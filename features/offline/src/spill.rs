//! Rows of a source parted by a hash of the entity key, in files of their own: a partition has all rows of its entities, in
//! file order. The folder is removed with the last owner, also when filling it failed.

use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, Entity, EntityKey};
use polars::prelude as pl;
use rustc_hash::FxBuildHasher;

use crate::error::{OfflineStoreError, Result, engine};
use crate::needs::Columns;
use crate::scan::{Reading, Rows, SourceFrame, SourceSchema, key_type};

mod block;

/// A source's rows on disk, by partition.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: tempfile::TempDir,
    partitions: usize,
    schema: Arc<SourceSchema>,
    /// Names and types of the columns kept.
    columns: Vec<(String, DataType)>,
    /// Types of the key's parts.
    key: Vec<DataType>,
}

/// Rows normalised and parted at once.
const BATCH_ROWS: usize = 1 << 18;

/// Bytes held back per partition before they are written.
const BUFFER: usize = 1 << 18;

impl Spill {
    /// Reads a source once and parts its rows into so many files in a folder of its own under `temporary`.
    pub(crate) fn fill(
        schema: Arc<SourceSchema>,
        entity: &Entity,
        columns: &Columns,
        (partitions, temporary): (usize, &Path),
    ) -> Result<Self> {
        let reading = Reading::of(&schema, columns)?;
        let folder = tempfile::Builder::new()
            .prefix("foretell-")
            .tempdir_in(temporary)
            .map_err(|error| unwritable(temporary, error))?;
        let mut files = (0..partitions)
            .map(|at| create(&path(folder.path(), at)))
            .collect::<Result<Vec<_>>>()?;
        let kept = reading.columns();
        let mut parting = Parting {
            entity,
            partitions,
            schema: schema.clone(),
        };
        reading.each(BATCH_ROWS, None, |rows| parting.write(rows, folder.path(), &mut files))?;
        for (at, file) in files.iter_mut().enumerate() {
            file.flush()
                .map_err(|error| unwritable(&path(folder.path(), at), error))?;
        }
        let key = entity.key.iter().map(|(_, it)| key_type(*it)).collect();
        Ok(Self {
            folder,
            partitions,
            columns: kept,
            key,
            schema,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.partitions
    }

    /// Whether it has all of these columns that the source has.
    pub(crate) fn has(&self, columns: &Columns) -> bool {
        let here = |name: &str| self.columns.iter().any(|(it, _)| it == name);
        columns.iter().all(|it| here(it) || self.schema.data_type(it).is_none())
    }

    /// Names of its columns.
    pub(crate) fn columns(&self) -> Columns {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The partition that has an entity's rows, if any has.
    pub(crate) fn of(&self, key: &EntityKey) -> Option<usize> {
        let mut hash = 0;
        for (part, wanted) in key.0.iter().zip(&self.key) {
            let part = match (part, wanted) {
                (KeyPart::Int(it), DataType::Int64) => hash_int(*it),
                (KeyPart::Str(it), DataType::Int64) => hash_int(it.trim().parse().ok()?),
                (KeyPart::Str(it), _) => hash_text(it),
                (KeyPart::Int(it), _) => hash_text(&it.to_string()),
            };
            hash = mixed(hash, part);
        }
        (key.0.len() == self.key.len()).then_some(of_hash(hash, self.partitions))
    }

    /// The rows of one partition.
    pub(crate) fn read(&self, at: usize) -> Result<SourceFrame> {
        let path = path(self.folder.path(), at);
        let refuse = |error: std::io::Error| OfflineStoreError::Read {
            name: self.schema.name().to_owned(),
            path: path.display().to_string(),
            reason: format!("a temporary file cannot be read back ({error})"),
        };
        let bytes = std::fs::read(&path).map_err(refuse)?;
        let (columns, file_rows) = block::read(&bytes, &self.columns).map_err(refuse)?;
        let frame = pl::DataFrame::new(file_rows.len(), columns).map_err(|error| engine(self.schema.name(), error))?;
        Ok(SourceFrame::new(self.schema.clone(), Rows { frame, file_rows }))
    }
}

struct Parting<'a> {
    entity: &'a Entity,
    partitions: usize,
    schema: Arc<SourceSchema>,
}

impl Parting<'_> {
    /// Appends each row to the file of its partition; rows without key belong to nobody.
    fn write(&mut self, rows: Rows, folder: &Path, files: &mut [BufWriter<File>]) -> Result<()> {
        let source = SourceFrame::new(self.schema.clone(), rows);
        let keys = source.key_columns(self.entity)?;
        let mut hashes: Vec<Option<u64>> = vec![Some(0); source.n_rows()];
        keys.iter().for_each(|column| add_hashes(column, &mut hashes));
        let mut chosen: Vec<Vec<u32>> = vec![Vec::new(); self.partitions];
        for (row, hash) in (0u32..).zip(&hashes) {
            if let Some(hash) = hash {
                chosen[of_hash(*hash, self.partitions)].push(row);
            }
        }
        for (at, rows) in chosen.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let written = block::write(&mut files[at], &source.frame, &source.file_rows, rows);
            written.map_err(|error| unwritable(&path(folder, at), error))?;
        }
        Ok(())
    }
}

fn add_hashes(column: &pl::Column, hashes: &mut [Option<u64>]) {
    let series = column.as_materialized_series();
    let add = |hash: &mut Option<u64>, part: Option<u64>| *hash = hash.zip(part).map(|(hash, part)| mixed(hash, part));
    if let Ok(integers) = series.i64() {
        hashes
            .iter_mut()
            .zip(integers.iter())
            .for_each(|(hash, it)| add(hash, it.map(hash_int)));
    } else {
        let texts = series.str().expect("a key column is integer or text");
        hashes
            .iter_mut()
            .zip(texts.iter())
            .for_each(|(hash, it)| add(hash, it.map(hash_text)));
    }
}

fn hash_int(it: i64) -> u64 {
    it as u64
}

fn hash_text(it: &str) -> u64 {
    FxBuildHasher.hash_one(it)
}

/// Every bit of both counts in every bit (splitmix64).
fn mixed(hash: u64, part: u64) -> u64 {
    let mut it = (hash ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
    it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    it ^ (it >> 31)
}

fn of_hash(hash: u64, partitions: usize) -> usize {
    (hash % partitions as u64) as usize
}

fn path(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("{at:04}"))
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).map_err(|error| unwritable(path, error))?;
    Ok(BufWriter::with_capacity(BUFFER, file))
}

fn unwritable(path: &Path, error: std::io::Error) -> OfflineStoreError {
    OfflineStoreError::Write {
        path: path.display().to_string(),
        reason: format!("{error}; partitions of a large source go there, set TMPDIR to a folder that has room"),
    }
}
