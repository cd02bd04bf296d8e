//! A stored record: one entity in one view version.
//!
//! ```text
//! u8 format = 2 · i64 newest event time · u32 length of the latest row · latest row (see `codec`) · window section
//! ```
//! Little-endian. A view without latest values has a row of length 0, one without aggregates an empty window section.

use foretell_features::Timestamp;

const FORMAT: u8 = 2;
const HEADER: usize = 13;

/// The parts of a record, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The newest event that the record knows of: expiry looks at nothing else.
    pub newest: Timestamp,
    /// The latest row, where there is one.
    pub latest: Option<&'a [u8]>,
    /// The window section, where there is one.
    pub windows: Option<&'a [u8]>,
}

/// The bytes of a record.
pub fn encode(newest: Timestamp, latest: Option<&[u8]>, windows: Option<&[u8]>) -> Vec<u8> {
    let (latest, windows) = (latest.unwrap_or_default(), windows.unwrap_or_default());
    let length = u32::try_from(latest.len()).expect("a row is shorter than 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER + latest.len() + windows.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&newest.0.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(latest);
    bytes.extend_from_slice(windows);
    bytes
}

/// The parts of a record.
///
/// # Errors
/// In what way the bytes are not a record.
pub fn parts(bytes: &[u8]) -> Result<Parts<'_>, String> {
    let newest = newest(bytes).ok_or_else(|| match bytes.first() {
        Some(&format) if bytes.len() >= HEADER => format!("it has format {format}, this build reads {FORMAT}"),
        _ => format!("it has {} bytes, the header alone has {HEADER}", bytes.len()),
    })?;
    let length = u32::from_le_bytes(bytes[9..HEADER].try_into().expect("four bytes")) as usize;
    let (latest, windows) = bytes[HEADER..]
        .split_at_checked(length)
        .ok_or("it ends in the latest row")?;
    Ok(Parts {
        newest,
        latest: Some(latest).filter(|it| !it.is_empty()),
        windows: Some(windows).filter(|it| !it.is_empty()),
    })
}

/// The newest event time of a record, `None` where the bytes are none.
pub fn newest(bytes: &[u8]) -> Option<Timestamp> {
    let is_record = bytes.len() >= HEADER && bytes[0] == FORMAT;
    is_record.then(|| Timestamp(i64::from_le_bytes(bytes[1..9].try_into().expect("eight bytes"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_anything_else_is_refused() {
        let row: &[u8] = b"row";
        for (latest, windows) in [
            (None, None),
            (Some(row), None),
            (None, Some(row)),
            (Some(row), Some(row)),
        ] {
            let bytes = encode(Timestamp(-7), latest, windows);
            let newest = Timestamp(-7);
            assert_eq!(
                parts(&bytes),
                Ok(Parts {
                    newest,
                    latest,
                    windows
                })
            );
            for cut in 0..HEADER + latest.map_or(0, <[u8]>::len) {
                assert!(parts(&bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(parts(&[9; 40]).unwrap_err().contains("format 9"));
    }
}
