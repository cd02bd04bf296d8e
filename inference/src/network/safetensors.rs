//! A bounded reader of safetensors: eight bytes of length, a JSON header, then the numbers.
//!
//! The format allows little and this reader no more: offsets that tile the data without a gap or an overlap, sizes that agree
//! with shapes, each name once. Nothing is allocated from a count that bytes do not pay for.

use std::fmt;

use foretell_features::spelling::hint;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::listing::push;

/// Weights of tables' networks are matrices; more dimensions are read but never used.
const MAX_DIMENSIONS: usize = 4;

/// Comparing spellings costs the product of both lengths: hints are for names that people write.
const LONG_NAME: usize = 120;
const MANY_NAMES: usize = 1000;

/// The tensors of a file, by name.
#[derive(Debug)]
pub(super) struct Tensors<'a> {
    /// In order of name.
    entries: Vec<Entry>,
    data: &'a [u8],
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    head: Head,
    used: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the format's own names")]
enum Dtype {
    BOOL,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    I64,
    U64,
    F64,
}

/// Sizes, outermost first.
#[derive(Debug, Clone, Copy)]
struct Shape {
    sizes: [usize; MAX_DIMENSIONS],
    n: usize,
}

impl<'a> Tensors<'a> {
    /// Reads the header and checks that it describes the data.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it ends before its header")?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (header, data) = rest.split_at_checked(length).ok_or_else(|| {
            format!(
                "its header is said to have {length} bytes, the file has {}",
                bytes.len()
            )
        })?;
        let Header(mut entries) = serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
        check_tiling(&mut entries, data.len())?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        match entries.windows(2).find(|it| it[0].name == it[1].name) {
            Some(twice) => Err(format!("tensor `{}` is there twice", twice[0].name)),
            None => Ok(Self { entries, data }),
        }
    }

    /// Sizes of a tensor, outermost first.
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, String> {
        self.find(name).map(|at| self.entries[at].head.shape.sizes().to_vec())
    }

    /// The numbers of a tensor of this shape, all finite.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>, String> {
        let at = self.find(name)?;
        let entry = &mut self.entries[at];
        if entry.head.shape.sizes() != shape {
            let got = entry.head.shape.sizes();
            return Err(format!(
                "tensor `{name}` has shape {got:?}, the architecture asks for {shape:?}"
            ));
        }
        entry.used = true;
        let (from, to) = entry.head.data_offsets;
        let numbers = entry.head.dtype.numbers(&self.data[from..to]);
        let numbers = numbers.ok_or_else(|| format!("tensor `{name}` holds {:?}, not floats", entry.head.dtype))?;
        match numbers.iter().position(|it| !it.is_finite()) {
            Some(at) => Err(format!("tensor `{name}` holds {} at {at}", numbers[at])),
            None => Ok(numbers),
        }
    }

    /// A tensor that no layer asked for: most likely a layer that the architecture forgot. Counters of batches do not matter.
    pub(super) fn unused(&self) -> Option<&str> {
        let forgotten = |it: &&Entry| !it.used && !it.name.ends_with("num_batches_tracked");
        self.entries.iter().find(forgotten).map(|it| &*it.name)
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.entries.binary_search_by(|it| (*it.name).cmp(name)).map_err(|_| {
            let near = self.entries.iter().map(|it| &*it.name);
            let near = near.filter(|it| it.len() <= LONG_NAME).take(MANY_NAMES);
            let hint = if name.len() <= LONG_NAME {
                hint(name, near)
            } else {
                String::new()
            };
            format!("the weights have no tensor `{name}`{hint}")
        })
    }
}

/// Offsets in order must go from 0 to the end, each beginning where the last one ended.
fn check_tiling(entries: &mut [Entry], length: usize) -> Result<(), String> {
    entries.sort_unstable_by_key(|it| it.head.data_offsets);
    let mut end = 0;
    for Entry { name, head, .. } in entries.iter() {
        let (from, to) = head.data_offsets;
        if from != end || to < from || to > length {
            return Err(format!(
                "tensor `{name}` lies at {from}..{to}, expected from {end} up to at most {length}"
            ));
        }
        if head.bytes() != Some(to - from) {
            let shape = head.shape.sizes();
            return Err(format!(
                "tensor `{name}` of shape {shape:?} does not fill its {} bytes",
                to - from
            ));
        }
        end = to;
    }
    if end == length {
        Ok(())
    } else {
        Err(format!("{} bytes at its end belong to no tensor", length - end))
    }
}

impl Head {
    fn bytes(&self) -> Option<usize> {
        let sizes = self.shape.sizes().iter();
        sizes.copied().try_fold(self.dtype.size(), usize::checked_mul)
    }
}

impl Shape {
    fn sizes(&self) -> &[usize] {
        &self.sizes[..self.n]
    }
}

impl Dtype {
    fn size(self) -> usize {
        match self {
            Dtype::BOOL | Dtype::U8 | Dtype::I8 | Dtype::F8_E5M2 | Dtype::F8_E4M3 => 1,
            Dtype::I16 | Dtype::U16 | Dtype::F16 | Dtype::BF16 => 2,
            Dtype::I32 | Dtype::U32 | Dtype::F32 => 4,
            Dtype::I64 | Dtype::U64 | Dtype::F64 => 8,
        }
    }

    /// Little-endian floats, widened exactly; `None` for what holds no weights.
    fn numbers(self, bytes: &[u8]) -> Option<Vec<f64>> {
        let (pairs, fours, eights) = (bytes.as_chunks().0, bytes.as_chunks().0, bytes.as_chunks().0);
        match self {
            Dtype::F16 => Some(pairs.iter().map(|it| half(u16::from_le_bytes(*it))).collect()),
            Dtype::BF16 => Some(pairs.iter().map(|it| brain(u16::from_le_bytes(*it))).collect()),
            Dtype::F32 => Some(fours.iter().map(|it| f64::from(f32::from_le_bytes(*it))).collect()),
            Dtype::F64 => Some(eights.iter().map(|it| f64::from_le_bytes(*it)).collect()),
            _ => None,
        }
    }
}

/// IEEE 754 binary16: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2.0_f64.powi(-14),
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (1.0 + fraction) * 2.0_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// bfloat16: the upper half of a float32.
fn brain(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// The header's tensors in the order of the file.
struct Header(Vec<Entry>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<Box<str>>()? {
                    if &*name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let (head, used) = (map.next_value()?, false);
                    push(&mut entries, Entry { name, head, used });
                }
                Ok(Header(entries))
            }
        }
        from.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_DIMENSIONS} sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Shape, A::Error> {
                let mut shape = Shape {
                    sizes: [0; MAX_DIMENSIONS],
                    n: 0,
                };
                while let Some(size) = sizes.next_element()? {
                    let slot = shape.sizes.get_mut(shape.n);
                    *slot.ok_or_else(|| serde::de::Error::invalid_length(shape.n + 1, &self))? = size;
                    shape.n += 1;
                }
                Ok(shape)
            }
        }
        from.deserialize_seq(Sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_and_brain_floats_are_widened_exactly() {
        let halves = [
            (0x0000, 0.0),
            (0x8001, -(2.0_f64.powi(-24))),
            (0x03ff, 1023.0 * 2.0_f64.powi(-24)),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (bits, expected) in halves {
            assert_eq!(half(bits), expected, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!((brain(0x3f80), brain(0xc040)), (1.0, -3.0));
    }
}
