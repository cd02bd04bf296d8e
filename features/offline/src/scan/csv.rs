//! CSV files, plain or gzip, in pieces of whole records. All fields are read as text; types come afterwards.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use polars::prelude as pl;
use polars::prelude::SerReader;

use crate::error::{OfflineStoreError, Result};

/// How a source's CSV files are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Csv<'a> {
    pub(super) source: &'a str,
    pub(super) separator: u8,
    /// Bytes of a piece.
    pub(super) piece: usize,
}

const HEADER_PIECE: usize = 64 * 1024;

impl Csv<'_> {
    pub(super) fn header(&self, path: &Path) -> Result<Vec<String>> {
        let first = Csv {
            piece: HEADER_PIECE,
            ..*self
        };
        let mut pieces = first.pieces(path)?;
        let bytes = pieces.next(self, path)?.ok_or_else(|| self.empty(path))?;
        let frame = self.texts(path, bytes, None, Some(1))?;
        Ok(frame.columns().iter().map(|it| it.name().to_string()).collect())
    }

    /// Hands out a file's rows as text, a piece at a time; an empty field is null. Only the columns named, or all.
    pub(super) fn each(
        &self,
        path: &Path,
        columns: Option<&[String]>,
        mut see: impl FnMut(pl::DataFrame) -> Result<()>,
    ) -> Result<()> {
        let mut pieces = self.pieces(path)?;
        let mut rows = 0;
        while let Some(bytes) = pieces.next(self, path)? {
            let frame = self.texts(path, bytes, columns, None)?;
            rows += frame.height();
            see(frame)?;
        }
        if rows == 0 { Err(self.empty(path)) } else { Ok(()) }
    }

    /// Refuses a header that another separator would part.
    pub(super) fn check_separator(&self, path: &Path, header: &[String]) -> Result<()> {
        match header {
            [one] if self.separator == b',' && one.contains([';', '\t', '|']) => {
                Err(self.refuse(path, format!("its header `{one}` has one column; set `separator`")))
            }
            _ => Ok(()),
        }
    }

    fn texts(
        &self,
        path: &Path,
        bytes: Vec<u8>,
        columns: Option<&[String]>,
        rows: Option<usize>,
    ) -> Result<pl::DataFrame> {
        let columns = columns.map(|it| {
            it.iter()
                .map(|it| it.as_str().into())
                .collect::<Arc<[pl::PlSmallStr]>>()
        });
        let options = pl::CsvReadOptions::default()
            .with_infer_schema_length(Some(0))
            .with_n_rows(rows)
            .with_columns(columns)
            .with_raise_if_empty(false)
            .map_parse_options(|options| options.with_separator(self.separator));
        let reader = options.into_reader_with_file_handle(Cursor::new(bytes));
        reader
            .finish()
            .map_err(|error| self.refuse(path, format!("row lengths or encoding are wrong ({error})")))
    }

    fn pieces(&self, path: &Path) -> Result<Pieces> {
        let refuse = |error: std::io::Error| self.refuse(path, error.to_string());
        let mut file = File::open(path).map_err(refuse)?;
        let mut magic = [0; 2];
        let zipped = file.read(&mut magic).map_err(refuse)? == 2 && magic == [0x1f, 0x8b];
        file.seek(SeekFrom::Start(0)).map_err(refuse)?;
        let bytes: Box<dyn Read> = match zipped {
            true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            false => Box::new(file),
        };
        Ok(Pieces {
            bytes,
            piece: self.piece,
            header: Vec::new(),
            rest: Vec::new(),
            ended: false,
        })
    }

    fn empty(&self, path: &Path) -> OfflineStoreError {
        OfflineStoreError::EmptyFile {
            name: self.source.to_owned(),
            path: path.display().to_string(),
        }
    }

    fn refuse(&self, path: &Path, reason: String) -> OfflineStoreError {
        OfflineStoreError::Read {
            name: self.source.to_owned(),
            path: path.display().to_string(),
            reason,
        }
    }
}

/// A file cut between records. Each piece begins with the header, so that each is a CSV file of its own.
struct Pieces {
    bytes: Box<dyn Read>,
    piece: usize,
    header: Vec<u8>,
    rest: Vec<u8>,
    ended: bool,
}

impl Pieces {
    fn next(&mut self, csv: &Csv<'_>, path: &Path) -> Result<Option<Vec<u8>>> {
        let mut bytes = std::mem::take(&mut self.rest);
        while !self.ended {
            let wanted = self.piece.max(1);
            let got = (&mut self.bytes).take(wanted as u64).read_to_end(&mut bytes);
            let got = got.map_err(|error| csv.refuse(path, error.to_string()))?;
            self.ended = got < wanted;
            let Some(end) = last_record_end(&bytes).filter(|_| !self.ended) else {
                continue;
            };
            self.rest = bytes.split_off(end);
            break;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.header.is_empty() {
            let end = first_record_end(&bytes).unwrap_or(bytes.len());
            self.header = bytes[..end].to_vec();
            return Ok(Some(bytes));
        }
        Ok(Some([self.header.as_slice(), &bytes].concat()))
    }
}

/// Where the last whole record ends. A line break between quotes belongs to a field.
fn last_record_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut end = None;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => end = Some(at + 1),
            _ => {}
        }
    }
    end
}

fn first_record_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    bytes
        .iter()
        .position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b'\n' && !quoted
        })
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of a file read in pieces of `piece` bytes, fields joined by `|`.
    fn rows(text: &str, piece: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        let csv = Csv {
            source: "rows",
            separator: b',',
            piece,
        };
        let mut rows = Vec::new();
        csv.each(&path, None, |frame| {
            for row in 0..frame.height() {
                let fields = frame
                    .columns()
                    .iter()
                    .map(|it| it.str().unwrap().get(row).unwrap_or("-").to_owned());
                rows.push(fields.collect::<Vec<_>>().join("|"));
            }
            Ok(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn a_file_read_in_pieces_has_the_same_rows() {
        let text = "a,\"b\nb\"\n1,x\n2,\"two\nlines, \"\"quoted\"\"\"\n3,\n4,last";
        let whole = rows(text, 1 << 20);
        assert_eq!(whole, ["1|x", "2|two\nlines, \"quoted\"", "3|-", "4|last"]);
        for piece in [1, 3, 7, 20] {
            assert_eq!(rows(text, piece), whole, "pieces of {piece} bytes");
        }
    }
}
