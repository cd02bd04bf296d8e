//! Column types that other programs write.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use foretell_features::DataType;
use foretell_features_offline::read_table;
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::common::row_text;

const SCHEMA: &str = "message rows {
    required int32 tiny (INTEGER(8, true));
    required int32 small (INTEGER(16, false));
    required int32 price (DECIMAL(9, 2));
    required int64 fee (DECIMAL(18, 3));
    required fixed_len_byte_array(5) amount (DECIMAL(11, 1));
    required int32 day (DATE);
    required int64 nanos (TIMESTAMP(NANOS, true));
    required int64 millis (TIMESTAMP(MILLIS, false));
    required int64 plain;
    required binary text (STRING);
    required binary raw;
    optional group list (LIST) { repeated group list { required int64 element; } }
}";

/// Two rows, the second with negative numbers.
fn write(path: &Path, nanos: [i64; 2]) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut file = SerializedFileWriter::new(
        File::create(path).unwrap(),
        schema,
        Arc::new(WriterProperties::default()),
    )
    .unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut at = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        match at {
            0 => column.typed::<Int32Type>().write_batch(&[5, -5], None, None).unwrap(),
            1 => column
                .typed::<Int32Type>()
                .write_batch(&[65535, 0], None, None)
                .unwrap(),
            2 => column
                .typed::<Int32Type>()
                .write_batch(&[1999, -1], None, None)
                .unwrap(),
            3 => column
                .typed::<Int64Type>()
                .write_batch(&[1500, -2250], None, None)
                .unwrap(),
            4 => {
                let bytes = |it: i64| FixedLenByteArray::from(it.to_be_bytes()[3..].to_vec());
                column
                    .typed::<FixedLenByteArrayType>()
                    .write_batch(&[bytes(123), bytes(-45)], None, None)
                    .unwrap()
            }
            5 => column.typed::<Int32Type>().write_batch(&[0, -1], None, None).unwrap(),
            6 => column.typed::<Int64Type>().write_batch(&nanos, None, None).unwrap(),
            7 => column.typed::<Int64Type>().write_batch(&[1, -1], None, None).unwrap(),
            8 => column.typed::<Int64Type>().write_batch(&[1, 2], None, None).unwrap(),
            9 | 10 => {
                let text = |it: &str| ByteArray::from(it);
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&[text("a"), text("b")], None, None)
                    .unwrap()
            }
            _ => column
                .typed::<Int64Type>()
                .write_batch(&[7], Some(&[2, 0]), Some(&[0, 0]))
                .unwrap(),
        };
        column.close().unwrap();
        at += 1;
    }
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn narrow_integers_decimals_and_times_of_any_unit_become_the_five_types() {
    use DataType::{Double, Int64, String, Timestamp};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write(&path, [1_000, -2_000]);
    let table = read_table(&path).unwrap();
    let types: Vec<_> = table.iter().map(|(_, column)| column.data_type()).collect();
    assert_eq!(
        types,
        [
            Int64, Int64, Double, Double, Double, Timestamp, Timestamp, Timestamp, Int64, String
        ]
    );
    assert_eq!(table.names().last().unwrap(), "text", "bytes and lists are left out");
    let first = "5,65535,19.99,1.5,12.3,1970-01-01T00:00:00Z,1970-01-01T00:00:00.000001Z,1970-01-01T00:00:00.001Z,1,a";
    let second = "-5,0,-0.01,-2.25,-4.5,1969-12-31T00:00:00Z,1969-12-31T23:59:59.999998Z,1969-12-31T23:59:59.999Z,2,b";
    assert_eq!([row_text(&table, 0), row_text(&table, 1)], [first, second]);
}

#[test]
fn a_time_that_is_no_whole_microsecond_is_refused_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write(&path, [1_000, 1_500]);
    let message = read_table(&path).unwrap_err().to_string();
    for part in ["rows.parquet", "`nanos`", "row 1", "whole microsecond", "got=`1500`"] {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}
