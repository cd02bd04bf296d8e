//! One Parquet file of the request log.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foretell_features::Value;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde::Serialize;

use super::{LoggedRequest, LoggedRow};
use crate::clock::real_now;
use crate::plan::{Frame, RowPlan};

const SCHEMA: &str = "message request {
    required binary request_id (STRING);
    required int64 row;
    required int64 time (TIMESTAMP(MICROS,true));
    required int64 as_of (TIMESTAMP(MICROS,true));
    required binary model (STRING);
    required int64 version;
    required binary digest (STRING);
    optional binary entity (STRING);
    optional binary inputs (STRING);
    required binary output (STRING);
    required int64 latency_us;
}";

/// Rows of a file to be, by column.
#[derive(Default)]
pub(super) struct Segment {
    request_id: Vec<ByteArray>,
    row: Vec<i64>,
    time: Vec<i64>,
    as_of: Vec<i64>,
    model: Vec<ByteArray>,
    version: Vec<i64>,
    digest: Vec<ByteArray>,
    entity: Vec<Option<ByteArray>>,
    inputs: Vec<Option<ByteArray>>,
    output: Vec<ByteArray>,
    latency_us: Vec<i64>,
}

/// One input as logged.
#[derive(Serialize)]
struct LoggedInput<'a> {
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<foretell_features::Status>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<f64>,
}

impl Segment {
    pub(super) fn n_rows(&self) -> usize {
        self.row.len()
    }

    pub(super) fn add(&mut self, request: &LoggedRequest) {
        let servable = &request.servable;
        for (at, row) in (0..).zip(&request.rows) {
            self.request_id.push(request.id.as_str().into());
            self.row.push(at);
            self.time.push(request.time.0);
            self.as_of.push(request.as_of.0);
            self.model.push(servable.name.as_str().into());
            self.version.push(i64::try_from(servable.version).unwrap_or(i64::MAX));
            self.digest.push(servable.digest.as_str().into());
            self.entity.push(row.key.as_ref().map(json));
            self.inputs.push(inputs(request, row));
            self.output.push(json(&row.answer));
            self.latency_us
                .push(i64::try_from(request.took.as_micros()).unwrap_or(i64::MAX));
        }
    }

    /// Writes the file under another name and renames it into place.
    pub(super) fn write(self, folder: &Path) -> Result<(), ParquetError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("requests-{:020}-{}-{number:06}", real_now().0, std::process::id());
        let unfinished = folder.join(format!("{name}.tmp"));
        let written = self.write_file(&unfinished).and_then(|file| Ok(file.sync_all()?));
        let placed = written.and_then(|()| Ok(std::fs::rename(&unfinished, folder.join(format!("{name}.parquet")))?));
        placed.inspect_err(|_| {
            // The error to tell is the first one.
            let _ = std::fs::remove_file(&unfinished);
        })
    }

    fn write_file(self, path: &Path) -> Result<File, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut file = SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties))?;
        let mut rows = file.next_row_group()?;
        texts(&mut rows, &self.request_id)?;
        numbers(&mut rows, &self.row)?;
        numbers(&mut rows, &self.time)?;
        numbers(&mut rows, &self.as_of)?;
        texts(&mut rows, &self.model)?;
        numbers(&mut rows, &self.version)?;
        texts(&mut rows, &self.digest)?;
        optional_texts(&mut rows, self.entity)?;
        optional_texts(&mut rows, self.inputs)?;
        texts(&mut rows, &self.output)?;
        numbers(&mut rows, &self.latency_us)?;
        rows.close()?;
        file.into_inner()
    }
}

type Rows<'a> = SerializedRowGroupWriter<'a, File>;

fn numbers(rows: &mut Rows<'_>, values: &[i64]) -> Result<(), ParquetError> {
    let mut column = rows
        .next_column()?
        .expect("the schema has as many columns as are written");
    column.typed::<Int64Type>().write_batch(values, None, None)?;
    column.close()
}

fn texts(rows: &mut Rows<'_>, values: &[ByteArray]) -> Result<(), ParquetError> {
    let mut column = rows
        .next_column()?
        .expect("the schema has as many columns as are written");
    column.typed::<ByteArrayType>().write_batch(values, None, None)?;
    column.close()
}

fn optional_texts(rows: &mut Rows<'_>, values: Vec<Option<ByteArray>>) -> Result<(), ParquetError> {
    let mut column = rows
        .next_column()?
        .expect("the schema has as many columns as are written");
    let levels: Vec<i16> = values.iter().map(|it| i16::from(it.is_some())).collect();
    let values: Vec<ByteArray> = values.into_iter().flatten().collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&levels), None)?;
    column.close()
}

fn inputs(request: &LoggedRequest, row: &LoggedRow) -> Option<ByteArray> {
    let (rows, frame) = (request.servable.rows.as_ref()?, row.frame.as_ref()?);
    let logged: std::collections::BTreeMap<&str, LoggedInput<'_>> = rows
        .plan
        .inputs
        .iter()
        .map(|&slot| input(request, &rows.plan, frame, slot))
        .collect();
    Some(json(&logged))
}

fn input<'a>(request: &LoggedRequest, plan: &'a RowPlan, frame: &'a Frame, slot: usize) -> (&'a str, LoggedInput<'a>) {
    let found = frame.found.get(slot);
    let age = found
        .and_then(|it| it.event_time)
        .map(|it| request.as_of.since(it).as_seconds());
    (
        &plan.slot(slot).0,
        LoggedInput {
            value: &frame.values[slot],
            status: found.map(|it| it.status),
            age,
        },
    )
}

fn json(value: &impl Serialize) -> ByteArray {
    serde_json::to_vec(value)
        .expect("values, statuses and numbers are always JSON")
        .into()
}
