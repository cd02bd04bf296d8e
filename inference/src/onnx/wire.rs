//! The protobuf wire format, read in place and written once: a message is its bytes, and reading one allocates nothing.
//!
//! An ONNX file is a protobuf message whose parts may be tiny and many (an empty node takes two bytes), so that any decoder
//! that makes a value per part takes far more memory than the file. Here a part is a slice of the file until it is used.
//! <https://protobuf.dev/programming-guides/encoding/>

/// What one field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// The fields of a message in file order: number and content. Ends early where the bytes are no message; see [`is_whole`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
}

/// The fields of these bytes.
pub(crate) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { bytes }
}

/// Whether the bytes are a message to their end.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut fields = fields(bytes);
    while fields.next().is_some() {}
    fields.bytes.is_empty()
}

impl<'a> Fields<'a> {
    fn read(mut self) -> Option<((u32, Field<'a>), Self)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|it| *it > 0)?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.array()?),
            2 => {
                let n = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.cut(n)?)
            }
            5 => Field::Fixed32(self.array()?),
            _ => return None,
        };
        Some(((number, field), self))
    }

    fn cut(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.cut(N)?.try_into().ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let (value, rest) = varint(self.bytes)?;
        self.bytes = rest;
        Some(value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (field, rest) = self.read()?;
        *self = rest;
        Some(field)
    }
}

/// Seven bits a byte, least first; at most ten bytes.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// A message being written. Fields come in the order of the calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn int(&mut self, number: u32, value: i64) {
        self.varint(u64::from(number) << 3);
        self.varint(value as u64);
    }

    pub(crate) fn float(&mut self, number: u32, value: f32) {
        self.varint(u64::from(number) << 3 | 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, number: u32, value: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, number: u32, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    pub(crate) fn message(&mut self, number: u32, value: Writer) {
        self.bytes(number, &value.bytes);
    }

    /// All fields of another message after those of this one.
    pub(crate) fn append(&mut self, other: Writer) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// A packed list of integers.
    pub(crate) fn ints(&mut self, number: u32, values: impl IntoIterator<Item = i64>) {
        let mut packed = Writer::default();
        values.into_iter().for_each(|it| packed.varint(it as u64));
        self.message(number, packed);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_every_truncation_is_seen() {
        let mut inner = Writer::default();
        inner.text(1, "ä");
        let mut message = Writer::default();
        message.int(1, -3);
        message.float(2, 1.5);
        message.message(300, inner);
        message.ints(4, [1, 300]);
        let bytes = message.into_bytes();
        let read: Vec<_> = fields(&bytes).collect();
        let expected = [
            (1, Field::Varint(-3_i64 as u64)),
            (2, Field::Fixed32(1.5_f32.to_le_bytes())),
            (300, Field::Bytes(&[0x0a, 2, 0xc3, 0xa4])),
            (4, Field::Bytes(&[1, 0xac, 2])),
        ];
        assert_eq!(read, expected);
        let ends: Vec<usize> = (0..=bytes.len()).filter(|&it| is_whole(&bytes[..it])).collect();
        assert_eq!(ends, [0, 11, 16, 23, 28], "whole only between fields");
    }

    #[test]
    fn bytes_that_are_no_message_are_seen() {
        let wrong: [&[u8]; 6] = [
            &[0x80; 11],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x0b],
            &[0x00, 0x00],
            &[0x0d, 0, 0, 0],
            &[0xff; 32],
        ];
        for bytes in wrong {
            assert!(!is_whole(bytes), "{bytes:?}");
        }
    }
}
