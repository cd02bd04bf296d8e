//! JSON that carries its own checksum: `{"sha256":"<64 hex>","body":<json>}`.
//!
//! The checksum is over the exact bytes of the body, so no re-serialization can change it. It finds damage; what makes a
//! log hard to rewrite is that every record names the checksum of the one before.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;

const BEFORE_HASH: &[u8] = b"{\"sha256\":\"";
const BEFORE_BODY: &[u8] = b"\",\"body\":";
const BODY_AT: usize = BEFORE_HASH.len() + 64 + BEFORE_BODY.len();

/// The sealed bytes and the checksum in them.
pub(crate) fn seal<T: Serialize>(value: &T) -> (Digest, Bytes) {
    let body = serde_json::to_vec(value).expect("records and states have string keys and no fallible serializers");
    let digest = Digest::of(&body);
    let sealed = [BEFORE_HASH, digest.hex().as_bytes(), BEFORE_BODY, &body, b"}"].concat();
    (digest, sealed.into())
}

/// The checked value and its checksum; the error says what was expected and what was found.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Digest, T), Broken> {
    let (claimed, body) =
        split(bytes).ok_or_else(|| Broken::new("sealed JSON", format!("{} other bytes", bytes.len())))?;
    let found = Digest::of(body);
    if claimed != found {
        return Err(Broken::new(claimed, found));
    }
    let value = serde_json::from_slice(body).map_err(|it| Broken::new("a known format", it))?;
    Ok((found, value))
}

/// Why bytes could not be unsealed.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl Broken {
    pub(crate) fn new(expected: impl ToString, got: impl ToString) -> Self {
        Self {
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(Digest, &[u8])> {
    let (head, rest) = bytes.split_at_checked(BODY_AT)?;
    let hash = head.strip_prefix(BEFORE_HASH)?.strip_suffix(BEFORE_BODY)?;
    let claimed = Digest::from_hex(std::str::from_utf8(hash).ok()?)?;
    Some((claimed, rest.strip_suffix(b"}")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn a_sealed_value_is_plain_json_and_reads_back() {
        let value = json!({"b": 0.1, "a": [1, "x"]});
        let (digest, bytes) = seal(&value);
        assert_eq!(unseal::<Value>(&bytes).unwrap(), (digest, value.clone()));
        let plain: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(plain, json!({"sha256": digest.hex(), "body": value}));
    }

    proptest! {
        #[test]
        fn any_changed_or_missing_byte_is_noticed(text in ".{0,40}", at in any::<prop::sample::Index>(), flip in 1u8..) {
            let (_, sealed) = seal(&text);
            let mut changed = sealed.to_vec();
            let at = at.index(changed.len());
            changed[at] ^= flip;
            prop_assert!(unseal::<String>(&changed).is_err());
            prop_assert!(unseal::<String>(&sealed[..at]).is_err());
        }
    }
}
