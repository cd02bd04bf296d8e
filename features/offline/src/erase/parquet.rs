//! A Parquet file without some of its rows: the others keep their order, every column its name, type and nesting, the file its
//! metadata and row groups. Values are copied column by column, so nothing is lost that polars would not know.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};

use super::Dropped;

/// Writes `from` without the dropped rows to `to`; how many rows are left.
pub(super) fn rewrite(from: &Path, to: &Path, dropped: &Dropped) -> Result<u64, ParquetError> {
    let reader = SerializedFileReader::new(File::open(from)?)?;
    let file = reader.metadata().file_metadata();
    let mut properties = WriterProperties::builder().set_key_value_metadata(file.key_value_metadata().cloned());
    if let Some(group) = reader.metadata().row_groups().first() {
        for column in group.columns() {
            properties = properties.set_column_compression(column.column_path().clone(), column.compression());
        }
    }
    let schema = file.schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(File::create(to)?, schema, Arc::new(properties.build()))?;
    let (mut first, mut left) = (0, 0);
    for at in 0..reader.num_row_groups() {
        let group = reader.get_row_group(at)?;
        let rows = group.metadata().num_rows() as u64;
        let keep: Vec<bool> = (first..first + rows).map(|row| !dropped.contains(&row)).collect();
        let kept = keep.iter().filter(|it| **it).count() as u64;
        if kept > 0 {
            let mut out = writer.next_row_group()?;
            for column in 0..group.num_columns() {
                let writer = out.next_column()?;
                copy_column(&*group, column, writer.expect("the schemas are the same"), &keep)?;
            }
            out.close()?;
        }
        (first, left) = (first + rows, left + kept);
    }
    writer.into_inner()?.sync_all()?;
    Ok(left)
}

fn copy_column(
    group: &dyn RowGroupReader,
    at: usize,
    writer: SerializedColumnWriter<'_>,
    keep: &[bool],
) -> Result<(), ParquetError> {
    let descriptor = group.metadata().column(at).column_descr_ptr();
    let levels = (descriptor.max_def_level(), descriptor.max_rep_level());
    let mut writer = writer;
    match group.get_column_reader(at)? {
        ColumnReader::BoolColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::Int32ColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::Int64ColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::Int96ColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::FloatColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::DoubleColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::ByteArrayColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
        ColumnReader::FixedLenByteArrayColumnReader(it) => copy(it, writer.typed(), levels, keep)?,
    }
    writer.close()
}

/// A row begins at repetition level 0; a value is there where the definition level is the greatest.
fn copy<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    writer: &mut ColumnWriterImpl<'_, T>,
    (max_def, max_rep): (i16, i16),
    keep: &[bool],
) -> Result<(), ParquetError> {
    let (mut defs, mut reps, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut levels = 0;
    loop {
        let wanted = (max_def > 0).then_some(&mut defs);
        let (records, _, read) =
            reader.read_records(keep.len(), wanted, (max_rep > 0).then_some(&mut reps), &mut values)?;
        levels += read;
        if records == 0 {
            break;
        }
    }
    let (mut kept_defs, mut kept_reps, mut kept_values) = (Vec::new(), Vec::new(), Vec::new());
    let mut values = values.into_iter();
    let mut next_row = 0;
    for level in 0..levels {
        next_row += usize::from(max_rep == 0 || reps[level] == 0);
        let there = max_def == 0 || defs[level] == max_def;
        let value = if there { values.next() } else { None };
        if keep[next_row - 1] {
            kept_values.extend(value);
            kept_defs.extend((max_def > 0).then(|| defs[level]));
            kept_reps.extend((max_rep > 0).then(|| reps[level]));
        }
    }
    writer.write_batch(
        &kept_values,
        (max_def > 0).then_some(&kept_defs),
        (max_rep > 0).then_some(&kept_reps),
    )?;
    Ok(())
}
