//! XGBoost writes `NaN` and `Infinity` into its JSON, which JSON does not know.

use std::borrow::Cow;

/// What stands for each of them in JSON that can be read: 1e39 is past the greatest float32.
const REPLACED: [(&[u8], &[u8]); 2] = [(b"NaN", b"null"), (b"Infinity", b"1e39")];

/// The same file as JSON.
pub(super) fn standard(bytes: &[u8]) -> Cow<'_, [u8]> {
    let first = |it: &[u8]| it.first().copied();
    let starts: Vec<u8> = REPLACED.iter().filter_map(|(from, _)| first(from)).collect();
    let mut written: Option<Vec<u8>> = None;
    let (mut copied, mut at, mut in_text) = (0, 0, false);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => at += 1,
            byte if !in_text && starts.contains(&byte) => {
                let found = REPLACED.iter().find(|(from, _)| bytes[at - 1..].starts_with(from));
                let Some((from, to)) = found else { continue };
                let written = written.get_or_insert_default();
                written.extend_from_slice(&bytes[copied..at - 1]);
                written.extend_from_slice(to);
                at += from.len() - 1;
                copied = at;
            }
            _ => {}
        }
    }
    match written {
        None => Cow::Borrowed(bytes),
        Some(mut written) => {
            written.extend_from_slice(&bytes[copied..]);
            Cow::Owned(written)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_number_is_replaced_outside_of_text() {
        let cases = [
            ("[NaN,-Infinity,Infinity]", "[null,-1e39,1e39]"),
            (
                "{\"NaN\":\"Infinity \\\" NaN\",\"a\":NaN}",
                "{\"NaN\":\"Infinity \\\" NaN\",\"a\":null}",
            ),
            ("[1,2,null,\"N\"]", "[1,2,null,\"N\"]"),
            ("Na", "Na"),
            ("\"\\", "\"\\"),
        ];
        for (from, to) in cases {
            assert_eq!(String::from_utf8_lossy(&standard(from.as_bytes())), to);
        }
    }
}
