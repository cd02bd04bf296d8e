//! Reading some columns of a source: declared types, times, computed columns, and the rows that `where` keeps.

use std::collections::BTreeSet;
use std::path::PathBuf;

use foretell_features::{DataType, Format};
use polars::prelude as pl;
use polars::prelude::{IntoColumn, IntoLazy};

use crate::column::{from_column, polars_type, to_column, to_frame, to_table, to_times};
use crate::error::{Result, engine};
use crate::lower::{lower, schema_of};
use crate::needs::{self, Columns};
use crate::scan::csv::Csv;
use crate::scan::inspect::{CSV_PIECE, FilePart, RawColumn, SourceSchema, Texts};
use crate::scan::parquet;
use crate::scan::types::{cast, declared, parsed};
use crate::scan::wide::unpivoted;

/// Which columns are read, computed and kept.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    schema: &'a SourceSchema,
    raw: Vec<&'a RawColumn>,
    computed: Columns,
    /// What comes out, in the order of the schema.
    keep: Vec<&'a str>,
    files: Vec<&'a FilePart>,
}

/// Some rows of a source.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) frame: pl::DataFrame,
    /// The 0-based file row of each.
    pub(crate) file_rows: Vec<u64>,
}

const FILE_ROW: &str = "__file_row";

impl<'a> Reading<'a> {
    /// Reads these columns and the times. Names that the source does not have are left to whoever uses them.
    pub(crate) fn of(schema: &'a SourceSchema, columns: &Columns) -> Result<Self> {
        let source = &schema.source;
        let mut telling = schema.erased.columns();
        telling.extend(columns.iter().cloned());
        let needed = needs::closed(source, &telling);
        let kept = |name: &String| {
            let time = [&source.event_time, &source.known_time]
                .into_iter()
                .flatten()
                .any(|it| it == name);
            time || columns.contains(name)
        };
        let all = source.wide.is_some();
        let mut raw: Vec<&RawColumn> = schema
            .raw
            .iter()
            .filter(|it| all || needed.contains(&it.name))
            .collect();
        if raw.is_empty() {
            // Rows are counted by their values.
            raw.extend(schema.raw.iter().min_by_key(|it| it.data_type == DataType::String));
        }
        raw.iter().try_for_each(|it| schema.check_everywhere(&it.name))?;
        Ok(Self {
            schema,
            raw,
            computed: source
                .columns
                .iter()
                .map(|(name, _)| name)
                .filter(|it| needed.contains(*it))
                .cloned()
                .collect(),
            keep: schema
                .columns
                .iter()
                .map(|(name, _)| name)
                .filter(|it| kept(it))
                .map(String::as_str)
                .collect(),
            files: schema.files.iter().collect(),
        })
    }

    /// Only rows of these files.
    pub(crate) fn in_files(mut self, files: &BTreeSet<PathBuf>) -> Self {
        self.files.retain(|it| files.contains(&it.file.path));
        self
    }

    /// Names and types of what comes out.
    pub(crate) fn columns(&self) -> Vec<(String, DataType)> {
        let kept = self
            .schema
            .columns
            .iter()
            .filter(|(name, _)| self.keep.contains(&name.as_str()));
        kept.cloned().collect()
    }

    /// All rows at once.
    pub(crate) fn whole(&self, texts: Option<Texts>) -> Result<Rows> {
        let mut all: Option<Rows> = None;
        self.each(usize::MAX, texts, |rows| {
            match &mut all {
                None => all = Some(rows),
                Some(all) => all.append(rows, self.schema.name())?,
            }
            Ok(())
        })?;
        let mut rows = match all {
            Some(rows) => rows,
            None => self.empty()?,
        };
        rows.frame.rechunk_mut_par();
        Ok(rows)
    }

    /// Rows in file order, about `size` at a time.
    pub(crate) fn each(
        &self,
        size: usize,
        texts: Option<Texts>,
        mut see: impl FnMut(Rows) -> Result<()>,
    ) -> Result<()> {
        let mut take = |frame: pl::DataFrame, first_row: u64| see(self.processed(frame, first_row)?);
        match (&self.schema.source.format, texts) {
            (Format::Parquet, _) => self
                .files
                .iter()
                .try_for_each(|file| self.each_of_parquet(file, size, &mut take)),
            (Format::Csv { null_values, .. }, Some(texts)) => {
                for (file, pieces) in self.files.iter().zip(texts) {
                    let mut row = file.first_row;
                    for piece in pieces {
                        let rows = piece.height() as u64;
                        take(self.typed(&piece, null_values, row)?, row)?;
                        row += rows;
                    }
                }
                Ok(())
            }
            (Format::Csv { separator, null_values }, None) => {
                let csv = Csv {
                    source: self.schema.name(),
                    separator: *separator,
                    piece: CSV_PIECE,
                };
                let names: Vec<String> = self.raw.iter().map(|it| it.file_name.clone()).collect();
                for file in &self.files {
                    let mut row = file.first_row;
                    csv.each(&file.file.local, Some(&names), |piece| {
                        let rows = piece.height() as u64;
                        take(self.typed(&piece, null_values, row)?, row)?;
                        row += rows;
                        Ok(())
                    })?;
                }
                Ok(())
            }
        }
    }

    fn each_of_parquet(
        &self,
        file: &FilePart,
        size: usize,
        take: &mut impl FnMut(pl::DataFrame, u64) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<String> = self.raw.iter().map(|it| it.file_name.clone()).collect();
        for (start, rows) in slices(&file.groups, size) {
            let mut frame = parquet::read(self.schema.name(), &file.file.local, &names, (start, rows))?;
            self.name_and_widen(&mut frame)?;
            take(frame, file.first_row + start as u64)?;
        }
        Ok(())
    }

    /// The columns under their names here, integers widened where another file has doubles.
    fn name_and_widen(&self, frame: &mut pl::DataFrame) -> Result<()> {
        let mut columns = Vec::with_capacity(self.raw.len());
        for it in &self.raw {
            let refuse = |error| engine(self.schema.name(), error);
            let mut column = frame.column(&it.file_name).map_err(refuse)?.clone();
            if it.data_type == DataType::Double && *column.dtype() == pl::DataType::Int64 {
                column = column.cast(&pl::DataType::Float64).map_err(refuse)?;
            }
            columns.push(column.with_name(it.name.as_str().into()));
        }
        *frame = pl::DataFrame::new(frame.height(), columns).map_err(|error| engine(self.schema.name(), error))?;
        Ok(())
    }

    /// The columns of a CSV as their types.
    fn typed(&self, texts: &pl::DataFrame, null_values: &[String], first_row: u64) -> Result<pl::DataFrame> {
        let name = self.schema.name();
        let columns = self.raw.iter().map(|it| {
            let texts = texts.column(&it.file_name).and_then(pl::Column::str);
            let texts = texts
                .map_err(|error| engine(name, error))?
                .clone()
                .with_name(it.name.as_str().into());
            parsed(name, &texts, null_values, it.data_type, first_row)
        });
        pl::DataFrame::new(texts.height(), columns.collect::<Result<_>>()?).map_err(|error| engine(name, error))
    }

    fn processed(&self, frame: pl::DataFrame, first_row: u64) -> Result<Rows> {
        let (mut frame, source) = (frame, &self.schema.source);
        declared(&source.name, &mut frame, &source.types, first_row)?;
        let mut file_rows: Vec<u64> = (first_row..first_row + frame.height() as u64).collect();
        if let Some(wide) = &source.wide {
            let (table, rows) = unpivoted(source, wide, &to_table(&frame))?;
            frame = to_frame(&table).map_err(|error| engine(&source.name, error))?;
            file_rows = rows.into_iter().map(|row| row + first_row).collect();
        }
        self.read_times(&mut frame, first_row)?;
        self.compute(&mut frame)?;
        self.read_times(&mut frame, first_row)?;
        let rows = self.visible(self.filtered(Rows { frame, file_rows })?)?;
        let frame = rows
            .frame
            .select(self.keep.iter().copied())
            .map_err(|error| engine(&source.name, error))?;
        Ok(Rows { frame, ..rows })
    }

    /// Times that are still text become times.
    fn read_times(&self, frame: &mut pl::DataFrame, first_row: u64) -> Result<()> {
        let source = &self.schema.source;
        for name in [&source.event_time, &source.known_time].into_iter().flatten() {
            let Ok(column) = frame.column(name) else { continue };
            if *column.dtype() != pl::DataType::String {
                continue;
            }
            let times = cast(&source.name, name, &to_column(column), DataType::Timestamp, first_row)?;
            frame
                .with_column(from_column(name, &times))
                .map_err(|error| engine(&source.name, error))?;
        }
        Ok(())
    }

    fn compute(&self, frame: &mut pl::DataFrame) -> Result<()> {
        let source = &self.schema.source;
        for (name, expression) in source.columns.iter().filter(|(name, _)| self.computed.contains(name)) {
            let place = format!("source `{}`, column `{name}`", source.name);
            let lowered = lower(expression, &schema_of(frame));
            let (lowered, _) = lowered.map_err(|error| self.schema.explained(&place, expression, error))?;
            let lazy = std::mem::take(frame)
                .lazy()
                .with_columns([lowered.alias(name.as_str())]);
            *frame = lazy.collect().map_err(|error| engine(place, error))?;
        }
        Ok(())
    }

    /// The rows for which `where` is true.
    fn filtered(&self, rows: Rows) -> Result<Rows> {
        let source = &self.schema.source;
        let Some(filter) = &source.filter else { return Ok(rows) };
        let place = format!("source `{}`, where", source.name);
        let refuse = |error| engine(&place, error);
        let numbers = rows.file_rows.iter().map(|it| *it as i64).collect();
        let mut frame = rows.frame;
        let (lowered, _) =
            lower(filter, &schema_of(&frame)).map_err(|error| self.schema.explained(&place, filter, error))?;
        frame
            .with_column(pl::Int64Chunked::from_vec(FILE_ROW.into(), numbers).into_column())
            .map_err(refuse)?;
        let mut frame = frame.lazy().filter(lowered).collect().map_err(refuse)?;
        let numbers = frame.drop_in_place(FILE_ROW).map_err(refuse)?;
        let numbers = numbers.i64().map_err(refuse)?.iter().flatten();
        Ok(Rows {
            file_rows: numbers.map(|it| it as u64).collect(),
            frame,
        })
    }

    /// The rows of entities that were not erased.
    fn visible(&self, rows: Rows) -> Result<Rows> {
        let (erased, source) = (&self.schema.erased, &self.schema.source);
        if erased.is_empty() {
            return Ok(rows);
        }
        let refuse = |error| engine(&source.name, error);
        let column = |name: &str| rows.frame.column(name).map(to_column).map_err(refuse);
        let times = source
            .event_time
            .as_deref()
            .map(|it| rows.frame.column(it).map(to_times));
        let times = times.transpose().map_err(refuse)?;
        let visible = erased.visible(rows.file_rows.len(), column, times.as_deref())?;
        let mask = visible.iter().copied().collect();
        let numbers = rows.file_rows.iter().zip(&visible).filter(|(_, visible)| **visible);
        Ok(Rows {
            file_rows: numbers.map(|(row, _)| *row).collect(),
            frame: rows.frame.filter(&mask).map_err(refuse)?,
        })
    }

    fn empty(&self) -> Result<Rows> {
        let columns = self.columns();
        let columns = columns
            .iter()
            .map(|(name, it)| pl::Column::new_empty(name.as_str().into(), &polars_type(*it)));
        let frame = pl::DataFrame::new(0, columns.collect()).map_err(|error| engine(self.schema.name(), error))?;
        Ok(Rows {
            frame,
            file_rows: Vec::new(),
        })
    }
}

impl Rows {
    fn append(&mut self, more: Rows, source: &str) -> Result<()> {
        self.frame
            .vstack_mut(&more.frame)
            .map_err(|error| engine(source, error))?;
        self.file_rows.extend(more.file_rows);
        Ok(())
    }
}

/// Cuts a file into slices of about `size` rows, at row groups where they are small enough.
fn slices(groups: &[usize], size: usize) -> Vec<(usize, usize)> {
    let total: usize = groups.iter().sum();
    if total <= size {
        return vec![(0, total)];
    }
    let mut slices: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for &group in groups {
        match slices.last_mut() {
            Some((_, rows)) if *rows + group <= size => *rows += group,
            _ => {
                let cuts = (start..start + group).step_by(size);
                slices.extend(cuts.map(|at| (at, size.min(start + group - at))));
            }
        }
        start += group;
    }
    slices
}
