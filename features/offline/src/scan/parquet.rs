//! Parquet files.
//!
//! polars knows 8- and 16-bit integers, dictionaries and decimals only with cargo features that make it markedly heavier to
//! build. All of them become Int64, String or Double here anyway, so their columns are read as the wide type that they are
//! stored as, by taking the annotation off the schema. Nested columns and raw bytes are left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use foretell_features::DataType;
use polars::prelude as pl;
use polars::prelude::{FileMetadata, IntoColumn, SerReader};
use polars_parquet::arrow::read::infer_schema;
use polars_parquet::parquet::metadata::SchemaDescriptor;
use polars_parquet::parquet::schema::Repetition;
use polars_parquet::parquet::schema::types::{
    IntegerType, ParquetType, PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType, PrimitiveType,
};

use crate::error::{OfflineStoreError, Result};
use crate::scan::types::{normal_type, normalised};

/// Decimal places of the columns that were decimals.
type Scales = BTreeMap<String, usize>;

/// What a file says of itself, without its rows.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Flat columns and the types that they are read as.
    pub(super) columns: Vec<(String, DataType)>,
    /// Rows of each row group.
    pub(super) groups: Vec<usize>,
}

pub(super) fn header(source: &str, path: &Path) -> Result<Header> {
    let mut reader = pl::ParquetReader::new(open(source, path)?);
    let (metadata, scales) = flat_metadata(&mut reader).map_err(|error| unreadable(source, path, &error))?;
    let groups = metadata.row_groups.iter().map(|it| it.num_rows()).collect();
    let schema = infer_schema(&metadata).map_err(|error| unreadable(source, path, &error))?;
    let columns = schema.iter_values().map(|field| {
        let data_type = match scales.contains_key(field.name.as_str()) {
            true => DataType::Double,
            false => normal_type(&pl::DataType::from_arrow_field(field)),
        };
        (field.name.to_string(), data_type)
    });
    Ok(Header {
        columns: columns.collect(),
        groups,
    })
}

/// Reads some columns of some rows, `start` and how many; with `names` these only.
pub(super) fn read(
    source: &str,
    path: &Path,
    names: &[String],
    (start, rows): (usize, usize),
) -> Result<pl::DataFrame> {
    let mut reader = pl::ParquetReader::new(open(source, path)?);
    let (metadata, scales) = flat_metadata(&mut reader).map_err(|error| unreadable(source, path, &error))?;
    reader.set_metadata(Arc::new(metadata));
    let frame = reader
        .with_columns(Some(names.to_vec()))
        .with_slice(Some((start, rows)))
        .finish()
        .map_err(|error| unreadable(source, path, &error))?;
    let columns = frame
        .columns()
        .iter()
        .map(|column| match scales.get(column.name().as_str()) {
            Some(&scale) => descaled(column, scale).map_err(|error| unreadable(source, path, &error)),
            None => normalised(column).map_err(|unfit| unfit.explained(source, path, column.name(), start)),
        })
        .collect::<Result<Vec<_>>>()?;
    pl::DataFrame::new(frame.height(), columns).map_err(|error| unreadable(source, path, &error))
}

/// A file's metadata as if it had flat columns of the wide types only.
fn flat_metadata(reader: &mut pl::ParquetReader<File>) -> pl::PolarsResult<(FileMetadata, Scales)> {
    let mut metadata: FileMetadata = reader.get_metadata()?.as_ref().clone();
    let (schema, scales) = widened(&metadata);
    metadata.schema_descr = schema;
    metadata.key_value_metadata = None;
    Ok((metadata, scales))
}

fn open(source: &str, path: &Path) -> Result<File> {
    let refuse = |reason: String| OfflineStoreError::Read {
        name: source.to_owned(),
        path: path.display().to_string(),
        reason,
    };
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let length = file.metadata().map_err(|error| refuse(error.to_string()))?.len();
    if length == 0 {
        return Err(OfflineStoreError::EmptyFile {
            name: source.to_owned(),
            path: path.display().to_string(),
        });
    }
    Ok(file)
}

pub(super) fn unreadable(source: &str, path: &Path, error: &pl::PolarsError) -> OfflineStoreError {
    OfflineStoreError::Read {
        name: source.to_owned(),
        path: path.display().to_string(),
        reason: format!("it is not a whole Parquet file ({error})"),
    }
}

/// The schema with the flat columns only, each as the wide type that it is stored as.
fn widened(metadata: &FileMetadata) -> (SchemaDescriptor, Scales) {
    let mut scales = Scales::new();
    let mut fields = Vec::new();
    for field in metadata.schema_descr.fields() {
        let ParquetType::PrimitiveType(primitive) = field else {
            continue;
        };
        if primitive.field_info.repetition == Repetition::Repeated {
            continue;
        }
        let mut wide = primitive.clone();
        if let Some(scale) = decimal_scale(primitive) {
            scales.insert(primitive.field_info.name.to_string(), scale);
            plain(&mut wide);
        } else if is_narrow(primitive) {
            plain(&mut wide);
        } else if is_bytes(primitive) {
            continue;
        }
        fields.push(ParquetType::PrimitiveType(wide));
    }
    (
        SchemaDescriptor::new(metadata.schema_descr.name().into(), fields),
        scales,
    )
}

fn plain(primitive: &mut PrimitiveType) {
    primitive.logical_type = None;
    primitive.converted_type = None;
}

fn decimal_scale(primitive: &PrimitiveType) -> Option<usize> {
    match (primitive.logical_type, primitive.converted_type) {
        (Some(PrimitiveLogicalType::Decimal(_, scale)), _) => Some(scale),
        (None, Some(PrimitiveConvertedType::Decimal(_, scale))) => Some(scale),
        _ => None,
    }
}

/// Whether it is an integer of fewer than 32 bits, or a time of day (microseconds or so, as a number).
fn is_narrow(primitive: &PrimitiveType) -> bool {
    use PrimitiveConvertedType as Converted;
    let by_logical = matches!(
        primitive.logical_type,
        Some(PrimitiveLogicalType::Integer(
            IntegerType::Int8 | IntegerType::Int16 | IntegerType::UInt8 | IntegerType::UInt16
        )) | Some(PrimitiveLogicalType::Time { .. })
    );
    let by_converted = matches!(
        primitive.converted_type,
        Some(
            Converted::Int8
                | Converted::Int16
                | Converted::Uint8
                | Converted::Uint16
                | Converted::TimeMillis
                | Converted::TimeMicros
        )
    );
    by_logical || by_converted
}

/// Whether it is bytes that are not text.
fn is_bytes(primitive: &PrimitiveType) -> bool {
    let text = matches!(
        primitive.logical_type,
        Some(PrimitiveLogicalType::String | PrimitiveLogicalType::Enum)
    ) || matches!(
        primitive.converted_type,
        Some(PrimitiveConvertedType::Utf8 | PrimitiveConvertedType::Enum)
    );
    match primitive.physical_type {
        PhysicalType::ByteArray => !text,
        PhysicalType::FixedLenByteArray(_) => true,
        _ => false,
    }
}

/// A decimal read as its unscaled integer (or the big-endian bytes of one), as a double.
fn descaled(column: &pl::Column, scale: usize) -> pl::PolarsResult<pl::Column> {
    let unit = 10f64.powi(i32::try_from(scale).unwrap_or(i32::MAX));
    let series = column.as_materialized_series();
    let doubles: pl::Float64Chunked = match series.dtype() {
        pl::DataType::Binary => {
            let bytes = series.binary()?;
            pl::NewChunkedArray::from_iter_options(
                series.name().clone(),
                bytes.iter().map(|it| it.map(|it| big_endian(it) as f64 / unit)),
            )
        }
        _ => {
            let integers = series.cast(&pl::DataType::Int64)?;
            let integers = integers.i64()?;
            pl::NewChunkedArray::from_iter_options(
                series.name().clone(),
                integers.iter().map(|it| it.map(|it| it as f64 / unit)),
            )
        }
    };
    Ok(pl::IntoSeries::into_series(doubles).into_column())
}

fn big_endian(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|it| it & 0x80 != 0) {
        -1
    } else {
        0
    };
    bytes.iter().fold(sign, |sum, &byte| (sum << 8) | i128::from(byte))
}
