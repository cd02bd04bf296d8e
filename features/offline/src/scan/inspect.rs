//! What a source's files hold: columns, types, rows per file. Parquet says so in its footer, a CSV is gone through once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use foretell_features::{DataType, Expression, ExpressionError, Format, Source};
use polars::prelude as pl;

use crate::erase::Erased;
use crate::error::{OfflineStoreError, Result, definition, missing_column};
use crate::place::{Located, Place};
use crate::scan::csv::Csv;
use crate::scan::inferred::{Inferred, MixedColumn};
use crate::scan::parquet;

/// A source without its rows.
#[derive(Debug)]
pub(crate) struct SourceSchema {
    pub(crate) source: Source,
    pub(crate) files: Vec<FilePart>,
    /// Columns of the files, as they are read.
    pub(super) raw: Vec<RawColumn>,
    /// Names and types of its columns as views see them, file columns first.
    pub(crate) columns: Vec<(String, DataType)>,
    /// How many of them are file columns.
    pub(crate) n_file_columns: usize,
    /// Its columns of numbers with something amiss.
    mixed: Vec<MixedColumn>,
    /// Columns that some files have and others lack: a file with it, and one without.
    absent: BTreeMap<String, (PathBuf, PathBuf)>,
    /// Bytes of the files, unpacked.
    bytes: u64,
    /// Whose rows are not to be seen.
    pub(crate) erased: Erased,
}

/// One of the files.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    pub(crate) file: Located,
    /// Place of its first row among the rows of all files.
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    /// Rows of each row group of a Parquet file.
    pub(super) groups: Vec<usize>,
}

/// A column of the files.
#[derive(Debug, Clone)]
pub(super) struct RawColumn {
    /// Its name in the files.
    pub(super) file_name: String,
    /// Its name here, after `rename`.
    pub(super) name: String,
    /// What it is read as, before declared types.
    pub(super) data_type: DataType,
}

/// A source gone through, with the text of CSV files where it was small enough to keep.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) schema: SourceSchema,
    pub(crate) texts: Option<Texts>,
}

/// The text pieces of each CSV file.
pub(crate) type Texts = Vec<Vec<pl::DataFrame>>;

/// How many bytes of a CSV are parsed at once.
pub(super) const CSV_PIECE: usize = 32 << 20;

/// A gzip file unpacks to about so many times its size.
const GZIP_RATIO: u64 = 6;

/// Goes through a source's files; text of CSV files of up to `keep` bytes comes along.
pub(crate) fn inspect(source: &Source, place: &Place, keep: u64) -> Result<Inspected> {
    inspect_files(source, place.locate(source)?, keep)
}

pub(super) fn inspect_files(source: &Source, files: Vec<Located>, keep: u64) -> Result<Inspected> {
    let bytes = files.iter().map(|it| unpacked_size(&it.local)).sum();
    let found = match &source.format {
        Format::Parquet => from_footers(source, &files)?,
        Format::Csv { separator, null_values } => {
            let csv = Csv {
                source: &source.name,
                separator: *separator,
                piece: CSV_PIECE,
            };
            from_texts(source, &csv, null_values, &files, bytes <= keep)?
        }
    };
    let (columns, n_file_columns) = (Vec::new(), 0);
    let mut schema = SourceSchema {
        source: source.clone(),
        files: found.files,
        raw: found.raw,
        columns,
        n_file_columns,
        mixed: found.mixed,
        absent: found.absent,
        bytes,
        erased: Erased::default(),
    };
    schema.type_columns()?;
    Ok(Inspected {
        schema,
        texts: found.texts,
    })
}

/// Column names of the files, after `rename`, in file order.
pub(crate) fn header(source: &Source, place: &Place) -> Result<Vec<String>> {
    let files = place.locate(source)?;
    header_of(source, files.first().expect("a source has at least one file"))
}

pub(super) fn header_of(source: &Source, file: &Located) -> Result<Vec<String>> {
    let names: Vec<String> = match &source.format {
        Format::Parquet => parquet::header(&source.name, &file.local)?
            .columns
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        Format::Csv { separator, .. } => Csv {
            source: &source.name,
            separator: *separator,
            piece: CSV_PIECE,
        }
        .header(&file.local)?,
    };
    Ok(names.iter().map(|it| renamed(source, it)).collect())
}

/// Columns of a Parquet source's first file: as the file names them, as the source does, and their types in the file.
pub(crate) fn file_columns(source: &Source, place: &Place) -> Result<Vec<(String, String, DataType)>> {
    let files = place.locate(source)?;
    let first = files.first().expect("a source has at least one file");
    let header = parquet::header(&source.name, &first.local)?;
    let named = |(file_name, data_type): (String, DataType)| {
        let name = renamed(source, &file_name);
        (file_name, name, data_type)
    };
    Ok(header.columns.into_iter().map(named).collect())
}

fn renamed(source: &Source, file_name: &str) -> String {
    let renamed = source.rename.iter().find(|(from, _)| from == file_name);
    renamed.map_or(file_name, |(_, to)| to).to_owned()
}

fn unpacked_size(path: &Path) -> u64 {
    let size = std::fs::metadata(path).map_or(0, |it| it.len());
    let zipped = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("gz"));
    if zipped { size * GZIP_RATIO } else { size }
}

#[derive(Default)]
struct Found {
    files: Vec<FilePart>,
    raw: Vec<RawColumn>,
    mixed: Vec<MixedColumn>,
    absent: BTreeMap<String, (PathBuf, PathBuf)>,
    texts: Option<Texts>,
}

impl Found {
    fn add_file(&mut self, file: &Located, rows: u64, groups: Vec<usize>) {
        let first_row = self.files.last().map_or(0, |it| it.first_row + it.rows);
        let file = file.clone();
        self.files.push(FilePart {
            file,
            first_row,
            rows,
            groups,
        });
    }

    fn first_row(&self) -> u64 {
        self.files.last().map_or(0, |it| it.first_row + it.rows)
    }

    /// Takes in a file's columns; one of a type of its own is refused, but integers among doubles are doubles.
    fn add_columns(&mut self, source: &Source, path: &Path, columns: &[(String, DataType)]) -> Result<()> {
        for (file_name, data_type) in columns {
            match self.raw.iter_mut().find(|it| it.file_name == *file_name) {
                Some(known) => {
                    known.data_type = common_type(known.data_type, *data_type)
                        .ok_or_else(|| other_type(source, path, file_name, known.data_type, *data_type))?;
                }
                None => {
                    let name = renamed(source, file_name);
                    if let Some(before) = self.files.first() {
                        self.absent
                            .insert(name.clone(), (path.to_owned(), before.file.path.clone()));
                    }
                    self.raw.push(RawColumn {
                        file_name: file_name.clone(),
                        name,
                        data_type: *data_type,
                    });
                }
            }
        }
        for it in &self.raw {
            let here = columns.iter().any(|(name, _)| *name == it.file_name);
            if let (false, Some(before)) = (here, self.files.first()) {
                let pair = (before.file.path.clone(), path.to_owned());
                self.absent.entry(it.name.clone()).or_insert(pair);
            }
        }
        Ok(())
    }
}

fn from_footers(source: &Source, files: &[Located]) -> Result<Found> {
    let mut found = Found::default();
    for file in files {
        let header = parquet::header(&source.name, &file.local)?;
        found.add_columns(source, &file.path, &header.columns)?;
        let rows = header.groups.iter().map(|it| *it as u64).sum();
        found.add_file(file, rows, header.groups);
    }
    Ok(found)
}

fn from_texts(source: &Source, csv: &Csv<'_>, null_values: &[String], files: &[Located], keep: bool) -> Result<Found> {
    let mut found = Found::default();
    let mut inferred: Vec<Inferred> = Vec::new();
    let mut texts = Texts::new();
    for file in files {
        let header = csv.header(&file.local)?;
        csv.check_separator(&file.local, &header)?;
        let columns: Vec<_> = header.into_iter().map(|it| (it, DataType::String)).collect();
        found.add_columns(source, &file.path, &columns)?;
        inferred.resize(found.raw.len(), Inferred::default());
        let (first_row, mut rows, mut pieces) = (found.first_row(), 0, Vec::new());
        csv.each(&file.local, None, |frame| {
            for (column, inferred) in found.raw.iter().zip(&mut inferred) {
                if let Ok(texts) = frame.column(&column.file_name).and_then(pl::Column::str) {
                    inferred.see(texts, null_values, first_row + rows);
                }
            }
            rows += frame.height() as u64;
            if keep {
                pieces.push(frame);
            }
            Ok(())
        })?;
        found.add_file(file, rows, Vec::new());
        texts.push(pieces);
    }
    for (column, inferred) in found.raw.iter_mut().zip(&inferred) {
        let declared = source.types.iter().find(|(it, _)| *it == column.name);
        column.data_type = declared.map_or_else(|| inferred.data_type(), |(_, it)| *it);
        found
            .mixed
            .extend(inferred.mixed(&column.name).filter(|_| declared.is_none()));
    }
    found.texts = keep.then_some(texts);
    Ok(found)
}

fn common_type(a: DataType, b: DataType) -> Option<DataType> {
    match (a, b) {
        _ if a == b => Some(a),
        (DataType::Int64, DataType::Double) | (DataType::Double, DataType::Int64) => Some(DataType::Double),
        _ => None,
    }
}

fn other_type(source: &Source, path: &Path, column: &str, there: DataType, here: DataType) -> OfflineStoreError {
    OfflineStoreError::Read {
        name: source.name.clone(),
        path: path.display().to_string(),
        reason: format!("its column `{column}` is {here}, in the files before it is {there}; write them alike"),
    }
}

impl SourceSchema {
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// Rows in the files, kept or not.
    pub(crate) fn rows(&self) -> u64 {
        self.files.last().map_or(0, |it| it.first_row + it.rows)
    }

    /// Rows in some of the files.
    pub(crate) fn rows_in(&self, files: &BTreeSet<PathBuf>) -> u64 {
        self.files
            .iter()
            .filter(|it| files.contains(&it.file.path))
            .map(|it| it.rows)
            .sum()
    }

    pub(crate) fn data_type(&self, column: &str) -> Option<DataType> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, it)| *it)
    }

    /// Bytes that some columns of all rows take in memory, about.
    pub(crate) fn size_of<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> u64 {
        let rows = self.rows();
        let text = 16 + self.bytes / rows.max(1) / self.raw.len().max(1) as u64;
        let width = |name: &str| match self.data_type(name) {
            None => 0,
            Some(DataType::Boolean) => 1,
            Some(DataType::String) => text,
            Some(_) => 9,
        };
        rows * (8 + columns.into_iter().map(width).sum::<u64>())
    }

    pub(crate) fn missing(&self, column: &str) -> OfflineStoreError {
        missing_column(self.name(), column, self.columns.iter().map(|(name, _)| name.as_str()))
    }

    /// Refuses a column that not every file has.
    pub(crate) fn check_everywhere(&self, column: &str) -> Result<()> {
        let Some((with, without)) = self.absent.get(column) else {
            return Ok(());
        };
        Err(OfflineStoreError::Read {
            name: self.source.name.clone(),
            path: without.display().to_string(),
            reason: format!(
                "it has no column `{column}`, which `{}` has; add the column to the file or leave the file out",
                with.file_name().unwrap_or_default().to_string_lossy()
            ),
        })
    }

    /// The type of an expression over the columns.
    pub(crate) fn typed(&self, place: &str, expression: &Expression) -> Result<DataType> {
        self.check_meant(expression)?;
        match expression.typed(&self.columns) {
            Ok((_, data_type)) => Ok(data_type),
            Err(error) => Err(self.explained(place, expression, error)),
        }
    }

    /// Refuses an expression that is one column of numbers mixed with text.
    pub(crate) fn check_meant(&self, expression: &Expression) -> Result<()> {
        let bare = expression
            .as_column()
            .and_then(|name| self.mixed.iter().find(|it| it.column == name));
        bare.map_or(Ok(()), |mixed| Err(self.refuse(mixed)))
    }

    /// An expression that does not fit may be over numbers with something amiss: then that is what to say.
    pub(super) fn explained(&self, place: &str, expression: &Expression, error: ExpressionError) -> OfflineStoreError {
        let used = expression.columns();
        match self.mixed.iter().find(|it| used.contains(&it.column.as_str())) {
            Some(mixed) => self.refuse(mixed),
            None => OfflineStoreError::Expression {
                place: place.to_owned(),
                error,
            },
        }
    }

    fn refuse(&self, mixed: &MixedColumn) -> OfflineStoreError {
        OfflineStoreError::MixedColumn {
            name: self.source.name.clone(),
            column: mixed.column.clone(),
            numbers: mixed.numbers,
            row: mixed.row,
            got: mixed.text.clone(),
        }
    }

    /// Names and types as views see them: declared types, the long form of a wide file, times, computed columns.
    fn type_columns(&mut self) -> Result<()> {
        let source = self.source.clone();
        self.columns = self.raw.iter().map(|it| (it.name.clone(), it.data_type)).collect();
        for (name, data_type) in &source.types {
            match self.columns.iter_mut().find(|(it, _)| it == name) {
                Some(column) => column.1 = *data_type,
                None => return Err(self.missing(name)),
            }
        }
        if let Some(wide) = &source.wide {
            let ids = wide
                .id
                .iter()
                .map(|it| Ok((it.clone(), self.data_type(it).ok_or_else(|| self.missing(it))?)));
            let mut long = ids.collect::<Result<Vec<_>>>()?;
            long.push((wide.step.clone(), DataType::Int64));
            long.push((wide.value.clone(), DataType::Double));
            self.columns = long;
        }
        self.n_file_columns = self.columns.len();
        let is_file_column = |name: &str, columns: &[(String, DataType)]| columns.iter().any(|(it, _)| it == name);
        let times = || [&source.event_time, &source.known_time].into_iter().flatten();
        let file_columns = self.columns.clone();
        for name in times() {
            if is_file_column(name, &file_columns) {
                self.type_time(name)?;
            } else if !source.columns.iter().any(|(it, _)| it == name) {
                let computed = source.columns.iter().map(|(it, _)| it.as_str());
                let there = self.columns.iter().map(|(it, _)| it.as_str()).chain(computed);
                return Err(missing_column(&source.name, name, there));
            }
        }
        for (name, expression) in &source.columns {
            let place = format!("source `{}`, column `{name}`", source.name);
            let typed = expression.typed(&self.columns);
            let (_, data_type) = typed.map_err(|error| self.explained(&place, expression, error))?;
            match self.columns.iter_mut().find(|(it, _)| it == name) {
                Some(column) => column.1 = data_type,
                None => self.columns.push((name.clone(), data_type)),
            }
        }
        for name in times().filter(|it| !is_file_column(it, &file_columns)) {
            self.type_time(name)?;
        }
        self.check_filter()
    }

    /// A time may be written as text; nothing else can be one.
    fn type_time(&mut self, name: &str) -> Result<()> {
        let place = format!("source `{}`", self.source.name);
        let column = self
            .columns
            .iter_mut()
            .find(|(it, _)| it == name)
            .expect("the caller looked it up");
        match column.1 {
            DataType::Timestamp => Ok(()),
            DataType::String => {
                column.1 = DataType::Timestamp;
                Ok(())
            }
            other => {
                let reason = format!("column `{name}` is {other}, not a time; compute one with `to_timestamp`");
                Err(definition(place, reason))
            }
        }
    }

    fn check_filter(&self) -> Result<()> {
        let Some(filter) = &self.source.filter else {
            return Ok(());
        };
        let place = format!("source `{}`, where", self.source.name);
        match filter.typed(&self.columns) {
            Ok((_, DataType::Boolean)) => Ok(()),
            Ok((_, other)) => Err(definition(place, format!("`{filter}` is {other}, not a condition"))),
            Err(error) => Err(OfflineStoreError::Expression { place, error }),
        }
    }
}
