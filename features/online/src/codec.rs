//! A stored row as bytes.
//!
//! ```text
//! u8 format = 1 · u8 flags (1: has known_time) · u16 columns · i64 event_time · i64 known_time (0 where absent)
//! null bitmap, one bit per column, lowest bit first
//! one 8-byte slot per column: bool, int, float, time as they are; text as u32 offset, u32 length in the heap
//! heap: the texts of the row in column order, without gaps
//! ```
//! All little-endian. Equal rows have equal bytes; any other bytes are refused with a reason, never a panic.

use foretell_features::{DataType, FeatureRow, Timestamp, Value};

const FORMAT: u8 = 1;
const HAS_KNOWN_TIME: u8 = 1;
const HEADER: usize = 20;
const SLOT: usize = 8;

/// The bytes of a row that fits its view's columns.
pub fn encode(row: &FeatureRow) -> Vec<u8> {
    let n = row.values.len();
    let bitmap = HEADER;
    let slots = bitmap + n.div_ceil(8);
    let mut bytes = vec![0; slots + n * SLOT];
    let columns = u16::try_from(n).expect("a view has fewer than 65536 features");
    bytes[0] = FORMAT;
    bytes[1] = if row.known_time.is_some() { HAS_KNOWN_TIME } else { 0 };
    bytes[2..4].copy_from_slice(&columns.to_le_bytes());
    bytes[4..12].copy_from_slice(&row.event_time.0.to_le_bytes());
    bytes[12..20].copy_from_slice(&row.known_time.unwrap_or_default().0.to_le_bytes());
    let mut heap = 0u32;
    for (at, value) in row.values.iter().enumerate() {
        if value.is_null() {
            bytes[bitmap + at / 8] |= 1 << (at % 8);
        }
        let slot = slot_of(value, &mut heap, &mut bytes);
        bytes[slots + at * SLOT..][..SLOT].copy_from_slice(&slot);
    }
    bytes
}

/// The row in the bytes.
///
/// # Errors
/// In what way the bytes are not a row of these columns.
pub fn decode(columns: &[(String, DataType)], bytes: &[u8]) -> Result<FeatureRow, String> {
    let (event_time, known_time) = decode_time(bytes)?;
    let n = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    if n != columns.len() {
        return Err(format!("it has {n} columns, the view has {}", columns.len()));
    }
    let body = &bytes[HEADER..];
    let (bitmap, body) = body
        .split_at_checked(n.div_ceil(8))
        .ok_or("it ends in the null bitmap")?;
    let (slots, heap) = body.split_at_checked(n * SLOT).ok_or("it ends in the slots")?;
    if n % 8 != 0 && bitmap[n / 8] >> (n % 8) != 0 {
        return Err("the null bitmap has bits past the last column".to_owned());
    }
    let mut heap = Heap { bytes: heap, used: 0 };
    let mut values = Vec::with_capacity(n);
    for (at, (name, data_type)) in columns.iter().enumerate() {
        let slot: [u8; SLOT] = slots[at * SLOT..][..SLOT].try_into().expect("a slot has 8 bytes");
        let null = bitmap[at / 8] >> (at % 8) & 1 == 1;
        let value = if null {
            null_of(slot)
        } else {
            value_of(*data_type, slot, &mut heap)
        };
        values.push(value.map_err(|reason| format!("column `{name}`: {reason}"))?);
    }
    if heap.used != heap.bytes.len() {
        return Err(format!("{} bytes are left over", heap.bytes.len() - heap.used));
    }
    Ok(FeatureRow {
        event_time,
        known_time,
        values,
    })
}

/// The values of some columns, the others undecoded; with the row's event time. What is read on the way is checked, the rest
/// is not looked at.
///
/// # Errors
/// In what way the bytes are not a row of these columns.
pub fn decode_some(
    columns: &[(String, DataType)],
    bytes: &[u8],
    wanted: &[usize],
    mut see: impl FnMut(usize, Value),
) -> Result<Timestamp, String> {
    let (event_time, _) = decode_time(bytes)?;
    let n = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
    if n != columns.len() {
        return Err(format!("it has {n} columns, the view has {}", columns.len()));
    }
    let (bitmap, body) = bytes[HEADER..]
        .split_at_checked(n.div_ceil(8))
        .ok_or("it ends in the null bitmap")?;
    let (slots, heap) = body.split_at_checked(n * SLOT).ok_or("it ends in the slots")?;
    for (position, &at) in wanted.iter().enumerate() {
        if bitmap[at / 8] >> (at % 8) & 1 == 1 {
            see(position, Value::Null);
            continue;
        }
        let slot: [u8; SLOT] = slots[at * SLOT..][..SLOT].try_into().expect("a slot has 8 bytes");
        let value = match columns[at].1 {
            DataType::String => text_of(slot, heap),
            other => value_of(other, slot, &mut Heap { bytes: heap, used: 0 }),
        };
        see(
            position,
            value.map_err(|reason| format!("column `{}`: {reason}", columns[at].0))?,
        );
    }
    Ok(event_time)
}

fn text_of(slot: [u8; SLOT], heap: &[u8]) -> Result<Value, String> {
    let number = u64::from_le_bytes(slot);
    let (offset, len) = (number as u32 as usize, (number >> 32) as usize);
    let text = heap.get(offset..offset + len).ok_or("its text ends after the row")?;
    Ok(Value::text(std::str::from_utf8(text).map_err(|it| it.to_string())?))
}

/// The times in the header alone: what a writer compares.
///
/// # Errors
/// In what way the bytes are not the header of a row.
pub fn decode_time(bytes: &[u8]) -> Result<(Timestamp, Option<Timestamp>), String> {
    let header = bytes
        .get(..HEADER)
        .ok_or_else(|| format!("it has {} bytes, the header alone has {HEADER}", bytes.len()))?;
    let time = |at: usize| i64::from_le_bytes(header[at..at + 8].try_into().expect("a time has 8 bytes"));
    match (header[0], header[1], time(12)) {
        (FORMAT, 0, 0) => Ok((Timestamp(time(4)), None)),
        (FORMAT, HAS_KNOWN_TIME, known) => Ok((Timestamp(time(4)), Some(Timestamp(known)))),
        (FORMAT, flags, _) => Err(format!("its header flags are {flags}")),
        (format, ..) => Err(format!("it has format {format}, this build reads {FORMAT}")),
    }
}

struct Heap<'a> {
    bytes: &'a [u8],
    used: usize,
}

fn slot_of(value: &Value, heap: &mut u32, bytes: &mut Vec<u8>) -> [u8; SLOT] {
    match value {
        Value::Null => [0; SLOT],
        Value::Bool(it) => u64::from(*it).to_le_bytes(),
        Value::Int(it) => it.to_le_bytes(),
        Value::Float(it) => it.to_le_bytes(),
        Value::Time(it) => it.0.to_le_bytes(),
        Value::Str(it) => {
            let len = u32::try_from(it.len()).expect("a text is shorter than 4 GiB");
            let slot = u64::from(*heap) | u64::from(len) << 32;
            bytes.extend_from_slice(it.as_bytes());
            *heap = heap
                .checked_add(len)
                .expect("the texts of a row are shorter than 4 GiB");
            slot.to_le_bytes()
        }
    }
}

fn null_of(slot: [u8; SLOT]) -> Result<Value, String> {
    let empty = slot == [0; SLOT];
    if empty {
        Ok(Value::Null)
    } else {
        Err("null with a value".to_owned())
    }
}

fn value_of(data_type: DataType, slot: [u8; SLOT], heap: &mut Heap<'_>) -> Result<Value, String> {
    let number = u64::from_le_bytes(slot);
    Ok(match data_type {
        DataType::Boolean if number > 1 => return Err(format!("{number} is not a boolean")),
        DataType::Boolean => Value::Bool(number == 1),
        DataType::Int64 => Value::Int(i64::from_le_bytes(slot)),
        DataType::Double => Value::Float(f64::from_le_bytes(slot)),
        DataType::Timestamp => Value::Time(Timestamp(i64::from_le_bytes(slot))),
        DataType::String => {
            let (offset, len) = (number as u32 as usize, (number >> 32) as usize);
            if offset != heap.used {
                return Err(format!("its text starts at {offset}, not at {}", heap.used));
            }
            let text = heap
                .bytes
                .get(offset..offset + len)
                .ok_or("its text ends after the row")?;
            heap.used += len;
            Value::text(std::str::from_utf8(text).map_err(|it| it.to_string())?)
        }
    })
}

#[cfg(test)]
mod tests {
    use foretell_features::FeatureRow;
    use proptest::prelude::*;

    use super::*;

    type ViewSchema = Vec<(String, DataType)>;

    fn cell() -> impl Strategy<Value = (DataType, Value)> {
        let finite = any::<f64>().prop_filter("NaN becomes null before it is stored", |it| !it.is_nan());
        let typed = prop_oneof![
            any::<bool>().prop_map(|it| (DataType::Boolean, Value::Bool(it))),
            any::<i64>().prop_map(|it| (DataType::Int64, Value::Int(it))),
            finite.prop_map(|it| (DataType::Double, Value::Float(it))),
            ".{0,12}".prop_map(|it| (DataType::String, Value::text(it))),
            any::<i64>().prop_map(|it| (DataType::Timestamp, Value::Time(Timestamp(it)))),
        ];
        (typed, prop::bool::weighted(0.3))
            .prop_map(|((kind, value), null)| (kind, if null { Value::Null } else { value }))
    }

    fn row() -> impl Strategy<Value = (ViewSchema, FeatureRow)> {
        (prop::collection::vec(cell(), 0..20), any::<i64>(), any::<Option<i64>>()).prop_map(|(cells, event, known)| {
            let columns = cells
                .iter()
                .enumerate()
                .map(|(at, it)| (format!("c{at}"), it.0))
                .collect();
            let values = cells.into_iter().map(|it| it.1).collect();
            let row = FeatureRow {
                event_time: Timestamp(event),
                known_time: known.map(Timestamp),
                values,
            };
            (columns, row)
        })
    }

    proptest! {
        #[test]
        fn a_row_reads_back_as_it_was_written((columns, row) in row()) {
            let bytes = encode(&row);
            prop_assert_eq!(decode(&columns, &bytes), Ok(row.clone()));
            prop_assert_eq!(decode_time(&bytes), Ok((row.event_time, row.known_time)));
            let wanted: Vec<usize> = (0..columns.len()).rev().step_by(2).collect();
            let mut some = Vec::new();
            prop_assert_eq!(decode_some(&columns, &bytes, &wanted, |_, it| some.push(it)), Ok(row.event_time));
            let expected: Vec<Value> = wanted.iter().map(|&at| row.values[at].clone()).collect();
            prop_assert_eq!(some, expected);
        }

        #[test]
        fn a_cut_row_is_refused((columns, row) in row(), at in any::<prop::sample::Index>()) {
            let bytes = encode(&row);
            prop_assert!(decode(&columns, &bytes[..at.index(bytes.len())]).is_err());
        }

        #[test]
        fn hostile_bytes_are_refused_or_are_the_only_bytes_of_a_row((columns, row) in row(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = encode(&row);
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(read) = decode(&columns, &bytes) {
                prop_assert_eq!(encode(&read), bytes);
            }
        }

        #[test]
        fn noise_never_panics(columns in row().prop_map(|it| it.0), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&columns, &bytes);
            let _ = decode_time(&bytes);
        }
    }
}
