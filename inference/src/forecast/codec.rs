//! `states.bin` and `future.bin`: the states of all series and what is known of their future, as checked bytes.
//!
//! Little-endian; a list of numbers is a tag, a length and the numbers, as `f32` where that loses nothing. The file ends with
//! the SHA-256 of what comes before it. A reader never allocates more than the bytes it has.

use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{EntityKey, Timestamp};
use sha2::{Digest, Sha256};

use super::{ForecastState, Future};
use crate::error::InferenceError;

/// File of the states of all series.
pub const STATES_FILE: &str = "states.bin";
/// File of the known covariates after the last observation, in the order of the states.
pub const FUTURE_FILE: &str = "future.bin";

const STATES_MAGIC: &[u8; 8] = b"FTSTATE1";
const FUTURE_MAGIC: &[u8; 8] = b"FTKNOWN1";
const DIGEST: usize = 32;

impl ForecastState {
    /// The state as a value of the online store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_state(&mut bytes, self);
        bytes
    }

    /// From [`ForecastState::to_bytes`].
    ///
    /// # Errors
    /// The bytes are not a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        let mut reader = Reader { bytes };
        let state = reader.state().filter(|_| reader.bytes.is_empty());
        state.ok_or_else(|| damaged(STATES_FILE, "not a series state"))
    }
}

/// The bytes of `states.bin`.
pub fn write_states(states: &[ForecastState]) -> Vec<u8> {
    let mut bytes = STATES_MAGIC.to_vec();
    write_len(&mut bytes, states.len());
    states.iter().for_each(|it| write_state(&mut bytes, it));
    seal(bytes)
}

/// Reads `states.bin`.
///
/// # Errors
/// `Damaged` where the checksum or the form is wrong.
pub fn read_states(bytes: &[u8]) -> Result<Vec<ForecastState>, InferenceError> {
    let mut reader = unseal(bytes, STATES_MAGIC, STATES_FILE)?;
    let states = reader.list(|reader| reader.state()).filter(|_| reader.bytes.is_empty());
    states.ok_or_else(|| damaged(STATES_FILE, "it does not hold whole states"))
}

/// The bytes of `future.bin`.
pub fn write_futures(futures: &[Future]) -> Vec<u8> {
    let mut bytes = FUTURE_MAGIC.to_vec();
    write_len(&mut bytes, futures.len());
    for future in futures {
        write_len(&mut bytes, future.n_columns);
        write_numbers(&mut bytes, &future.values);
    }
    seal(bytes)
}

/// Reads `future.bin`.
///
/// # Errors
/// `Damaged` where the checksum or the form is wrong.
pub fn read_futures(bytes: &[u8]) -> Result<Vec<Future>, InferenceError> {
    let mut reader = unseal(bytes, FUTURE_MAGIC, FUTURE_FILE)?;
    let future = |reader: &mut Reader<'_>| {
        Some(Future {
            n_columns: reader.len()?,
            values: reader.numbers()?,
        })
    };
    let futures = reader.list(future).filter(|_| reader.bytes.is_empty());
    futures.ok_or_else(|| damaged(FUTURE_FILE, "it does not hold whole rows"))
}

fn write_state(bytes: &mut Vec<u8>, state: &ForecastState) {
    write_len(bytes, state.key.0.len());
    for part in &state.key.0 {
        match part {
            KeyPart::Int(it) => {
                bytes.push(0);
                bytes.extend_from_slice(&it.to_le_bytes());
            }
            KeyPart::Str(it) => {
                bytes.push(1);
                write_len(bytes, it.len());
                bytes.extend_from_slice(it.as_bytes());
            }
        }
    }
    bytes.extend_from_slice(&state.last_time.0.to_le_bytes());
    for numbers in [&state.recent, &state.recent_known, &state.statics, &state.numbers] {
        write_numbers(bytes, numbers);
    }
    bytes.extend_from_slice(&state.spread.to_le_bytes());
}

fn write_len(bytes: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("a package holds fewer than 2^32 of anything");
    bytes.extend_from_slice(&len.to_le_bytes());
}

/// Counts and flags are whole numbers, so most lists halve.
fn write_numbers(bytes: &mut Vec<u8>, numbers: &[f64]) {
    let narrow = numbers
        .iter()
        .all(|it| it.is_nan() || f64::from(*it as f32).to_bits() == it.to_bits());
    bytes.push(u8::from(narrow));
    write_len(bytes, numbers.len());
    if narrow {
        numbers
            .iter()
            .for_each(|it| bytes.extend_from_slice(&(*it as f32).to_le_bytes()));
    } else {
        numbers.iter().for_each(|it| bytes.extend_from_slice(&it.to_le_bytes()));
    }
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

fn unseal<'a>(bytes: &'a [u8], magic: &[u8; 8], file: &str) -> Result<Reader<'a>, InferenceError> {
    let at = bytes
        .len()
        .checked_sub(DIGEST)
        .ok_or_else(|| damaged(file, "it is too short"))?;
    let (body, digest) = bytes.split_at(at);
    if Sha256::digest(body).as_slice() != digest {
        return Err(damaged(file, "its checksum is wrong"));
    }
    let bytes = body
        .strip_prefix(magic.as_slice())
        .ok_or_else(|| damaged(file, "it is of another kind"))?;
    Ok(Reader { bytes })
}

fn damaged(file: &str, reason: &str) -> InferenceError {
    InferenceError::Damaged {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}

/// `None` once the bytes do not suffice.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn len(&mut self) -> Option<usize> {
        self.array().map(|it| u32::from_le_bytes(it) as usize)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let n = self.len()?;
        let mut items = Vec::new();
        for _ in 0..n {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn numbers(&mut self) -> Option<Vec<f64>> {
        let [narrow] = self.array()?;
        let n = self.len()?;
        match narrow {
            1 => Some(
                chunks(self.take(n.checked_mul(4)?)?)
                    .map(|it| f64::from(f32::from_le_bytes(it)))
                    .collect(),
            ),
            0 => Some(chunks(self.take(n.checked_mul(8)?)?).map(f64::from_le_bytes).collect()),
            _ => None,
        }
    }

    fn key_part(&mut self) -> Option<KeyPart> {
        match self.array()? {
            [0] => self.array().map(|it| KeyPart::Int(i64::from_le_bytes(it))),
            [1] => {
                let n = self.len()?;
                let text = std::str::from_utf8(self.take(n)?).ok()?;
                Some(KeyPart::Str(Arc::from(text)))
            }
            _ => None,
        }
    }

    fn state(&mut self) -> Option<ForecastState> {
        Some(ForecastState {
            key: EntityKey(self.list(Self::key_part)?),
            last_time: Timestamp(i64::from_le_bytes(self.array()?)),
            recent: self.numbers()?,
            recent_known: self.numbers()?,
            statics: self.numbers()?,
            numbers: self.numbers()?,
            spread: f64::from_le_bytes(self.array()?),
        })
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|it| it.try_into().expect("a chunk is exact"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::fixture::state;

    fn states() -> Vec<ForecastState> {
        let mut odd = state("b", &[0.1, -2.5]);
        odd.key.0.push(KeyPart::Int(-7));
        odd.recent_known = vec![1.0, 0.0];
        odd.spread = 1.25;
        vec![state("ä", &[1.0, 2.0, 3.5]), odd]
    }

    #[test]
    fn states_read_back_as_they_were_written_and_missing_stays_missing() {
        assert_eq!(read_states(&write_states(&states())).unwrap(), states());
        let gap = state("a", &[1.0, f64::NAN]);
        let back = ForecastState::from_bytes(&gap.to_bytes()).unwrap();
        assert!(back.recent[0] == 1.0 && back.recent[1].is_nan());
        let futures = [
            Future {
                n_columns: 2,
                values: vec![0.0, 1.0],
            },
            Future::unknown(2),
        ];
        assert_eq!(read_futures(&write_futures(&futures)).unwrap(), futures);
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_found() {
        let bytes = write_states(&states());
        for end in 0..bytes.len() {
            assert!(read_states(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            assert!(read_states(&bytes).is_err(), "{at}");
        }
        let bytes = states()[1].to_bytes();
        for end in 0..bytes.len() {
            assert!(ForecastState::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
    }
}
