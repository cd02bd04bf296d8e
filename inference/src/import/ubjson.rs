//! UBJSON, the binary JSON of XGBoost's `.ubj` files, as a serde format: what is not asked for is skipped, not kept.
//!
//! Draft 12 of the specification, with the unsigned integers of BJData. Bounded: nesting is limited, and a count only says how
//! many elements are read at most, each of which needs bytes of its own.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Deeper nesting than any model has.
const MAX_DEPTH: u32 = 64;

/// Reads one value; bytes after it are refused.
pub(super) fn from_slice<'de, T: serde::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    let mut reader = Reader {
        bytes,
        at: 0,
        depth: 0,
        marker: None,
    };
    let value = T::deserialize(&mut reader)?;
    if reader.at == bytes.len() {
        Ok(value)
    } else {
        Err(reader.error("bytes after its end"))
    }
}

/// What is wrong and where.
#[derive(Debug)]
pub(super) struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error(message.to_string())
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: u32,
    /// The type of the next value where its container has said it once for all.
    marker: Option<u8>,
}

/// The head of a container: `$type` and `#count`, both optional.
struct Head {
    element: Option<u8>,
    left: Option<u64>,
}

impl<'de> Reader<'de> {
    fn error(&self, what: &str) -> Error {
        Error(format!("{what} at byte {}", self.at))
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or_else(|| Error(format!("it ends early, at byte {}", self.bytes.len())))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` gives as many bytes as asked for"))
    }

    fn peek(&self) -> Result<u8, Error> {
        let next = self.bytes.get(self.at).copied();
        next.ok_or_else(|| Error(format!("it ends early, at byte {}", self.at)))
    }

    fn next_marker(&mut self) -> Result<u8, Error> {
        if let Some(marker) = self.marker.take() {
            return Ok(marker);
        }
        self.skip_nothings()?;
        Ok(self.take(1)?[0])
    }

    /// `N` stands for nothing at all.
    fn skip_nothings(&mut self) -> Result<(), Error> {
        while self.peek()? == b'N' {
            self.at += 1;
        }
        Ok(())
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Error> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'u' => i64::from(u16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'm' => i64::from(u32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.error("no whole number where one belongs")),
        })
    }

    fn count(&mut self) -> Result<u64, Error> {
        let marker = self.take(1)?[0];
        let count = self.integer(marker)?;
        u64::try_from(count).map_err(|_| self.error("a count below 0"))
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        let length = self.count()?;
        let length = usize::try_from(length).map_err(|_| self.error("a count too great"))?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("text that is not UTF-8"))
    }

    fn head(&mut self) -> Result<Head, Error> {
        let element = if self.peek()? == b'$' {
            self.at += 1;
            Some(self.take(1)?[0])
        } else {
            None
        };
        if self.peek()? != b'#' {
            return match element {
                None => Ok(Head { element, left: None }),
                Some(_) => Err(self.error("a type without a count")),
            };
        }
        self.at += 1;
        let left = Some(self.count()?);
        // Elements of no bytes would let a count stand for any work.
        if element.is_some_and(|it| !b"iUIulmLdDCSH[{".contains(&it)) {
            return Err(self.error("an element type that cannot be counted"));
        }
        Ok(Head { element, left })
    }

    /// Reads a container by `read`, one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nesting too deep"));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let marker = self.next_marker()?;
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'M' => visitor.visit_u64(u64::from_be_bytes(self.array()?)),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'S' | b'H' => visitor.visit_borrowed_str(self.text()?),
            b'C' => visitor.visit_char(char::from(self.take(1)?[0])),
            b'[' => self.nested(|it| {
                let mut elements = Elements::open(it, b']')?;
                let value = visitor.visit_seq(&mut elements)?;
                elements.close().map(|()| value)
            }),
            b'{' => self.nested(|it| {
                let mut elements = Elements::open(it, b'}')?;
                let value = visitor.visit_map(&mut elements)?;
                elements.close().map(|()| value)
            }),
            _ => visitor.visit_i64(self.integer(marker)?),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.marker.is_none() && self.peek()? == b'Z' {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// What is inside a container.
struct Elements<'a, 'de> {
    head: Head,
    reader: &'a mut Reader<'de>,
    /// The marker after the last element where none were counted.
    end: u8,
    ended: bool,
}

impl<'a, 'de> Elements<'a, 'de> {
    fn open(reader: &'a mut Reader<'de>, end: u8) -> Result<Self, Error> {
        Ok(Self {
            head: reader.head()?,
            reader,
            end,
            ended: false,
        })
    }

    /// Whether another element follows; eats the end marker.
    fn advance(&mut self) -> Result<bool, Error> {
        if let Some(left) = &mut self.head.left {
            self.ended = *left == 0;
            *left = left.saturating_sub(1);
        } else if !self.ended {
            self.reader.skip_nothings()?;
            self.ended = self.reader.peek()? == self.end;
            self.reader.at += usize::from(self.ended);
        }
        Ok(!self.ended)
    }

    /// A list of fixed length was asked for: there must be no more.
    fn close(mut self) -> Result<(), Error> {
        if self.advance()? {
            return Err(self.reader.error("more elements than belong"));
        }
        Ok(())
    }

    /// No more than what bytes are there for.
    fn hint(&self) -> Option<usize> {
        let left = usize::try_from(self.head.left?).ok()?;
        Some(left.min(self.reader.bytes.len() - self.reader.at))
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if !self.advance()? {
            return Ok(None);
        }
        self.reader.marker = self.head.element;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.advance()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.marker = self.head.element;
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check<'de, T: serde::Deserialize<'de> + PartialEq + fmt::Debug>(bytes: &'de [u8], expected: T) {
        assert_eq!(from_slice::<T>(bytes).unwrap(), expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn every_type_is_read() {
        check(b"i\xff", -1_i64);
        check(b"U\xff", 255_i64);
        check(b"I\xff\xff", -1_i64);
        check(b"u\xff\xff", 65_535_i64);
        check(b"l\xff\xff\xff\xfe", -2_i64);
        check(b"m\xff\xff\xff\xff", u64::from(u32::MAX));
        check(b"L\x00\x00\x00\x01\x00\x00\x00\x00", 1_i64 << 32);
        check(b"M\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX);
        check(b"d\x3f\x80\x00\x00", 1.0_f32);
        check(b"D\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0_f64);
        check(b"NNSi\x02hi", "hi");
        check(b"Ca", 'a');
        check(b"[TFZ]", [Some(true), Some(false), None]);
        check(b"[$i#U\x03\x01\x02\xff", vec![1, 2, -1]);
        check(b"[#i\x02i\x01i\x02", vec![1, 2]);
        check(b"[$[#i\x02i\x01]$U#i\x02\x03\x04", vec![vec![1], vec![3, 4]]);
        let map = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        check(b"{i\x01ai\x01U\x01bi\x02}", map.clone());
        check(b"{$i#i\x02i\x01a\x01i\x01b\x02", map);
    }

    #[test]
    fn what_bytes_do_not_pay_for_is_refused() {
        let deep = [b"[".repeat(2_000_000), b"]".repeat(2_000_000)].concat();
        let cases: [(&[u8], &str); 10] = [
            (&deep, "nesting too deep at byte 65"),
            (b"[$i#L\x7f\xff\xff\xff\xff\xff\xff\xff", "it ends early, at byte 13"),
            (
                b"[$T#L\x7f\xff\xff\xff\xff\xff\xff\xff",
                "an element type that cannot be counted at byte 13",
            ),
            (b"[#i\xff", "a count below 0 at byte 4"),
            (b"[$i", "it ends early, at byte 3"),
            (b"[$i]", "a type without a count at byte 3"),
            (b"SL\x7f\xff\xff\xff\xff\xff\xff\xffhi", "it ends early, at byte 12"),
            (b"Si\x01\xff", "text that is not UTF-8 at byte 4"),
            (b"ZZ", "bytes after its end at byte 1"),
            (b"?", "no whole number where one belongs at byte 1"),
        ];
        for (bytes, reason) in cases {
            let error = from_slice::<serde::de::IgnoredAny>(bytes).unwrap_err();
            assert_eq!(
                error.to_string(),
                reason,
                "{}",
                bytes[..bytes.len().min(20)].escape_ascii()
            );
        }
    }
}
