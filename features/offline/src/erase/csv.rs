//! A CSV file without some of its records: the bytes of all others stay as they are.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Error, ErrorKind, Read, Result, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Dropped;

/// Writes `from`, whose rows are `rows`, without the dropped ones to `to`; how many rows are left.
pub(super) fn rewrite(from: &Path, to: &Path, rows: u64, dropped: &Dropped) -> Result<u64> {
    let blank_counts = blank_lines_count(from, rows)?;
    let zipped = is_zipped(from)?;
    let file = File::create(to)?;
    match zipped {
        true => {
            let mut out = GzEncoder::new(BufWriter::new(&file), Compression::default());
            let left = copied(from, &mut out, blank_counts, dropped)?;
            out.finish()?.flush()?;
            file.sync_all()?;
            Ok(left)
        }
        false => {
            let mut out = BufWriter::new(&file);
            let left = copied(from, &mut out, blank_counts, dropped)?;
            out.flush()?;
            file.sync_all()?;
            Ok(left)
        }
    }
}

fn copied(from: &Path, out: &mut impl Write, blank_counts: bool, dropped: &Dropped) -> Result<u64> {
    let mut records = Records::of(from)?;
    let header = records.next()?.unwrap_or_default();
    out.write_all(&header)?;
    let (mut row, mut left) = (0, 0);
    while let Some(record) = records.next()? {
        let is_row = blank_counts || !is_blank(&record);
        if is_row && dropped.contains(&row) {
            row += 1;
            continue;
        }
        out.write_all(&record)?;
        row += u64::from(is_row);
        left += u64::from(is_row);
    }
    Ok(left)
}

/// Whether a blank line is a row to whoever counted `rows`. Rows that cannot be told apart must not be guessed at.
fn blank_lines_count(from: &Path, rows: u64) -> Result<bool> {
    let mut records = Records::of(from)?;
    records.next()?;
    let (mut all, mut blank) = (0, 0);
    while let Some(record) = records.next()? {
        all += 1;
        blank += u64::from(is_blank(&record));
    }
    match () {
        () if all - blank == rows => Ok(false),
        () if all == rows => Ok(true),
        () => Err(Error::new(
            ErrorKind::InvalidData,
            format!(
                "it has {} records where {rows} rows were read; check its quotes",
                all - blank
            ),
        )),
    }
}

fn is_blank(record: &[u8]) -> bool {
    record.iter().all(|it| matches!(it, b'\n' | b'\r'))
}

fn is_zipped(path: &Path) -> Result<bool> {
    let mut magic = [0; 2];
    Ok(File::open(path)?.read(&mut magic)? == 2 && magic == [0x1f, 0x8b])
}

/// Lines, joined while a quote is open.
struct Records(Box<dyn BufRead>);

impl Records {
    fn of(path: &Path) -> Result<Self> {
        let file = BufReader::new(File::open(path)?);
        Ok(Self(match is_zipped(path)? {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        }))
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut record = Vec::new();
        loop {
            let read = self.0.read_until(b'\n', &mut record)?;
            let open = record.iter().filter(|it| **it == b'"').count() % 2 == 1;
            if read == 0 || !open {
                return Ok((!record.is_empty()).then_some(record));
            }
        }
    }
}
