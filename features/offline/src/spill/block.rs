//! A partition's file: blocks of rows, column by column. It lives as long as the store, on this machine alone, so it has no
//! version and no checksum.

use std::io::{self, Write};

use foretell_features::DataType;
use polars::prelude as pl;
use polars::prelude::{IntoColumn, IntoSeries, NewChunkedArray};

/// Appends the chosen rows of a frame.
pub(super) fn write(to: &mut impl Write, frame: &pl::DataFrame, file_rows: &[u64], rows: &[u32]) -> io::Result<()> {
    let count = u32::try_from(rows.len()).expect("a batch is small");
    to.write_all(&count.to_le_bytes())?;
    for row in rows {
        to.write_all(&file_rows[*row as usize].to_le_bytes())?;
    }
    frame.columns().iter().try_for_each(|it| write_column(to, it, rows))
}

fn write_column(to: &mut impl Write, column: &pl::Column, rows: &[u32]) -> io::Result<()> {
    let series = column.as_materialized_series().rechunk();
    let physical = series.to_physical_repr();
    write_presence(to, &series, rows)?;
    match physical.dtype() {
        pl::DataType::Boolean => {
            let values = physical.bool().expect("checked above");
            write_each(to, rows, |row| [u8::from(values.get(row).unwrap_or_default())])
        }
        pl::DataType::Int64 => {
            let values = physical.i64().expect("checked above");
            write_each(to, rows, |row| values.get(row).unwrap_or_default().to_le_bytes())
        }
        pl::DataType::Float64 => {
            let values = physical.f64().expect("checked above");
            write_each(to, rows, |row| values.get(row).unwrap_or_default().to_le_bytes())
        }
        _ => {
            let values = physical.str().expect("a normalised column of another type is text");
            let text = |row: usize| values.get(row).unwrap_or_default();
            write_each(to, rows, |row| (text(row).len() as u64).to_le_bytes())?;
            rows.iter()
                .try_for_each(|row| to.write_all(text(*row as usize).as_bytes()))
        }
    }
}

/// Whether any row has no value; if so, which do.
fn write_presence(to: &mut impl Write, series: &pl::Series, rows: &[u32]) -> io::Result<()> {
    let nulls = series.null_count() > 0;
    to.write_all(&[u8::from(nulls)])?;
    if nulls {
        let there = series.is_not_null();
        write_each(to, rows, |row| [u8::from(there.get(row) == Some(true))])?;
    }
    Ok(())
}

fn write_each<const N: usize>(to: &mut impl Write, rows: &[u32], bytes: impl Fn(usize) -> [u8; N]) -> io::Result<()> {
    rows.iter().try_for_each(|row| to.write_all(&bytes(*row as usize)))
}

/// The columns and file rows of all blocks.
pub(super) fn read(bytes: &[u8], columns: &[(String, DataType)]) -> io::Result<(Vec<pl::Column>, Vec<u64>)> {
    let mut from = Bytes(bytes);
    let mut file_rows = Vec::new();
    let mut read: Vec<Values> = columns.iter().map(|(_, it)| Values::new(*it)).collect();
    while !from.0.is_empty() {
        let rows = u32::from_le_bytes(from.array()?) as usize;
        file_rows.extend(from.each(rows)?.map(u64::from_le_bytes));
        read.iter_mut().try_for_each(|it| it.read(&mut from, rows))?;
    }
    let columns = columns
        .iter()
        .zip(read)
        .map(|((name, _), it)| it.finished(name.as_str().into()));
    Ok((columns.collect(), file_rows))
}

/// What is still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("it has this length"))
    }

    fn each<const N: usize>(&mut self, rows: usize) -> io::Result<impl Iterator<Item = [u8; N]> + use<'a, N>> {
        let bytes = self.take(rows * N)?;
        Ok(bytes
            .chunks_exact(N)
            .map(|it| it.try_into().expect("it has this length")))
    }
}

/// A column being read.
struct Values {
    values: Typed,
    /// Which rows have a value, once one has none.
    there: Option<Vec<bool>>,
}

enum Typed {
    Bool(Vec<bool>),
    Int(Vec<i64>, DataType),
    Float(Vec<f64>),
    Text(Vec<String>),
}

impl Values {
    fn new(data_type: DataType) -> Self {
        let values = match data_type {
            DataType::Boolean => Typed::Bool(Vec::new()),
            DataType::Int64 | DataType::Timestamp => Typed::Int(Vec::new(), data_type),
            DataType::Double => Typed::Float(Vec::new()),
            DataType::String => Typed::Text(Vec::new()),
        };
        Self { values, there: None }
    }

    fn len(&self) -> usize {
        match &self.values {
            Typed::Bool(it) => it.len(),
            Typed::Int(it, _) => it.len(),
            Typed::Float(it) => it.len(),
            Typed::Text(it) => it.len(),
        }
    }

    fn read(&mut self, from: &mut Bytes<'_>, rows: usize) -> io::Result<()> {
        let before = self.len();
        match from.array::<1>()? {
            [0] => {
                if let Some(there) = &mut self.there {
                    there.resize(before + rows, true);
                }
            }
            _ => {
                let there = self.there.get_or_insert_with(|| vec![true; before]);
                there.extend(from.take(rows)?.iter().map(|it| *it == 1));
            }
        }
        match &mut self.values {
            Typed::Bool(it) => it.extend(from.take(rows)?.iter().map(|it| *it == 1)),
            Typed::Int(it, _) => it.extend(from.each(rows)?.map(i64::from_le_bytes)),
            Typed::Float(it) => it.extend(from.each(rows)?.map(f64::from_le_bytes)),
            Typed::Text(it) => {
                for length in from.each(rows)?.map(u64::from_le_bytes).collect::<Vec<_>>() {
                    let text = from.take(usize::try_from(length).map_err(io::Error::other)?)?;
                    it.push(std::str::from_utf8(text).map_err(io::Error::other)?.to_owned());
                }
            }
        }
        Ok(())
    }

    fn finished(self, name: pl::PlSmallStr) -> pl::Column {
        let there = self.there;
        let is_there = |row: usize| there.as_ref().is_none_or(|it| it[row]);
        let series = match self.values {
            Typed::Int(it, data_type) => {
                let integers = match &there {
                    None => pl::Int64Chunked::from_vec(name, it),
                    Some(_) => pl::Int64Chunked::from_iter_options(name, optional(it, is_there)),
                };
                match data_type {
                    DataType::Timestamp => integers.into_datetime(pl::TimeUnit::Microseconds, None).into_series(),
                    _ => integers.into_series(),
                }
            }
            Typed::Float(it) => match &there {
                None => pl::Float64Chunked::from_vec(name, it).into_series(),
                Some(_) => pl::Float64Chunked::from_iter_options(name, optional(it, is_there)).into_series(),
            },
            Typed::Bool(it) => pl::BooleanChunked::from_iter_options(name, optional(it, is_there)).into_series(),
            Typed::Text(it) => pl::StringChunked::from_iter_options(name, optional(it, is_there)).into_series(),
        };
        series.into_column()
    }
}

fn optional<T>(values: Vec<T>, is_there: impl Fn(usize) -> bool) -> impl Iterator<Item = Option<T>> {
    values
        .into_iter()
        .enumerate()
        .map(move |(row, it)| is_there(row).then_some(it))
}
