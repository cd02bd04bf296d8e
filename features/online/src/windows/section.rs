//! Where things are in the bytes of a window section.
//!
//! ```text
//! u8 format = 1 · u8 flags (1: known times) · u16 streams · u32 checksum of what the streams keep
//! u32 events · u32 tiles · u32 bytes of text · u32 distinct keys
//! i64 through · i64 watermark · i64 known through · i64 dropped before            (i64::MIN: never)
//! events, column by column: i64 times · i64 known times (where flagged, i64::MIN: none) · u64 ids
//!     by stream: u8 states (0 not in the stream, 1 null, 2 value) · 8-byte slots (none for `*`)
//! tiles, row by row: i64 from · i64 length · i64 first · i64 last · u64 events
//!     by stream: u64 count · the parts kept, in the order of `Parts`
//! texts, without gaps · u64 distinct keys, ascending in each set
//! ```
//! All little-endian. A slot of text is u32 offset, u32 length; a set of keys is u32 position of the first, u32 how many.

use foretell_features::aggregate::{Parts, StreamPlan};
use foretell_features::{DataType, Span, Timestamp, Value, WindowPlan};

pub(super) const FORMAT: u8 = 1;
pub(super) const HAS_KNOWN: u8 = 1;
pub(super) const HEADER: usize = 56;
pub(super) const SLOT: usize = 8;
pub(super) const TILE_HEAD: usize = 40;

/// An event's standing in a stream.
pub(super) const ABSENT: u8 = 0;
pub(super) const NULL: u8 = 1;
pub(super) const VALUE: u8 = 2;

/// How many bytes each part takes, in the order in which they are written.
pub(super) const WIDTHS: [(Parts, usize); 11] = [
    (Parts::INTEGERS, 16),
    (Parts::FLOATS, 16),
    (Parts::MOMENTS, 32),
    (Parts::CO_MOMENTS, 64),
    (Parts::MIN, 8),
    (Parts::MAX, 8),
    (Parts::FIRST, 24),
    (Parts::LAST, 24),
    (Parts::FIRST_TIME, 8),
    (Parts::LAST_TIME, 8),
    (Parts::KEYS, 8),
];

/// The bytes cut up, lengths checked; nothing is decoded yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Section<'a> {
    pub(super) n_events: usize,
    pub(super) n_tiles: usize,
    pub(super) times: &'a [u8],
    /// Empty where no event has a known time.
    pub(super) known: &'a [u8],
    pub(super) ids: &'a [u8],
    /// The columns of all streams.
    streams: &'a [u8],
    tiles: &'a [u8],
    stride: usize,
    pub(super) texts: &'a [u8],
    pub(super) keys: &'a [u8],
    header: &'a [u8],
}

/// The fixed fields of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileHead {
    pub(super) from: Timestamp,
    pub(super) length: Span,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) events: u64,
}

impl<'a> Section<'a> {
    pub(super) fn of(plan: &WindowPlan, bytes: &'a [u8]) -> Result<Self, String> {
        let header = bytes.get(..HEADER).ok_or("it is shorter than its header")?;
        if header[0] != FORMAT {
            return Err(format!("it has format {}, this build reads {FORMAT}", header[0]));
        }
        let [low, high] = [header[2], header[3]];
        let streams = usize::from(u16::from_le_bytes([low, high]));
        if streams != plan.streams().len() || u32_at(header, 4) != checksum(plan) || header[1] > HAS_KNOWN {
            return Err("it was written for other streams".to_owned());
        }
        let size = |at: usize| u32_at(header, at) as usize;
        let (n_events, n_tiles, stride) = (size(8), size(12), stride(plan));
        let known = if header[1] == HAS_KNOWN { n_events * 8 } else { 0 };
        let mut rest = &bytes[HEADER..];
        let mut cut = |length: usize| -> Result<&'a [u8], String> {
            let (head, tail) = rest.split_at_checked(length).ok_or("it ends too early")?;
            rest = tail;
            Ok(head)
        };
        let section = Self {
            n_events,
            n_tiles,
            times: cut(n_events * 8)?,
            known: cut(known)?,
            ids: cut(n_events * 8)?,
            streams: cut(plan.streams().iter().map(|it| column_width(it) * n_events).sum())?,
            tiles: cut(n_tiles * stride)?,
            stride,
            texts: cut(size(16))?,
            keys: cut(size(20) * 8)?,
            header,
        };
        if rest.is_empty() {
            Ok(section)
        } else {
            Err(format!("{} bytes are left over", rest.len()))
        }
    }

    pub(super) fn through(&self) -> Option<Timestamp> {
        Some(self.header_time(24)).filter(|it| it.0 != i64::MIN)
    }

    pub(super) fn watermark(&self) -> Timestamp {
        self.header_time(32)
    }

    pub(super) fn known_through(&self) -> Timestamp {
        self.header_time(40)
    }

    pub(super) fn dropped_before(&self) -> Timestamp {
        self.header_time(48)
    }

    fn header_time(&self, at: usize) -> Timestamp {
        if self.header.is_empty() {
            Timestamp(i64::MIN)
        } else {
            time_at(self.header, at)
        }
    }

    pub(super) fn time(&self, event: usize) -> Timestamp {
        time_at(self.times, event * 8)
    }

    pub(super) fn known(&self, event: usize) -> Option<Timestamp> {
        if self.known.is_empty() {
            return None;
        }
        Some(time_at(self.known, event * 8)).filter(|it| it.0 != i64::MIN)
    }

    /// How the events stand in a stream, and their slots.
    pub(super) fn column(&self, plan: &WindowPlan, stream: usize) -> (&'a [u8], &'a [u8]) {
        let before: usize = plan.streams()[..stream].iter().map(column_width).sum();
        let column = &self.streams[before * self.n_events..];
        let (states, rest) = column.split_at(self.n_events);
        let slots = (column_width(&plan.streams()[stream]) - 1) * self.n_events;
        (states, &rest[..slots])
    }

    pub(super) fn tile(&self, tile: usize) -> TileHead {
        let row = &self.tiles[tile * self.stride..];
        TileHead {
            from: time_at(row, 0),
            length: Span(time_at(row, 8).0),
            first: time_at(row, 16),
            last: time_at(row, 24),
            events: time_at(row, 32).0 as u64,
        }
    }

    pub(super) fn tile_last(&self, tile: usize) -> Timestamp {
        time_at(self.tiles, tile * self.stride + 24)
    }

    /// The bytes of a stream of a tile that begin `offset` after the tile's head.
    pub(super) fn tile_stream(&self, tile: usize, offset: usize) -> &'a [u8] {
        &self.tiles[tile * self.stride + TILE_HEAD + offset..(tile + 1) * self.stride]
    }

    /// All texts of the section.
    pub(super) fn text(&self) -> Result<&'a str, String> {
        std::str::from_utf8(self.texts).map_err(|it| it.to_string())
    }
}

/// What a tile of this length keeps of a stream.
pub(super) fn tile_parts(stream: &StreamPlan, length: Span) -> Parts {
    if length.0 == 0 { stream.ever } else { stream.parts }
}

/// Bytes of the partials of the streams before one in a tile.
pub(super) fn stream_offset(plan: &WindowPlan, stream: usize) -> usize {
    plan.streams()[..stream].iter().map(|it| partial_width(it.parts)).sum()
}

fn stride(plan: &WindowPlan) -> usize {
    TILE_HEAD + stream_offset(plan, plan.streams().len())
}

fn partial_width(parts: Parts) -> usize {
    let kept = WIDTHS.iter().filter(|it| parts.has(it.0));
    8 + kept.map(|it| it.1).sum::<usize>()
}

fn column_width(stream: &StreamPlan) -> usize {
    1 + if stream.data_type.is_some() { SLOT } else { 0 }
}

/// Tells the bytes of one plan from those of another.
pub(super) fn checksum(plan: &WindowPlan) -> u32 {
    let add = |sum: u32, it: u32| (sum ^ it).wrapping_mul(0x0100_0193);
    plan.streams().iter().fold(0x811c_9dc5, |sum, it| {
        let data_type = match it.data_type {
            None => 0,
            Some(DataType::Boolean) => 1,
            Some(DataType::Int64) => 2,
            Some(DataType::Double) => 3,
            Some(DataType::String) => 4,
            Some(DataType::Timestamp) => 5,
        };
        let sum = add(add(sum, data_type), u32::from(it.parts.bits()));
        add(sum, u32::from(it.ever.bits()))
    })
}

/// The value in a slot; `text` is all texts of the section.
pub(super) fn value_of(data_type: Option<DataType>, slot: [u8; SLOT], text: &str) -> Result<Value, String> {
    let number = u64::from_le_bytes(slot);
    Ok(match data_type {
        None => Value::Null,
        Some(DataType::Boolean) if number > 1 => return Err(format!("{number} is not a boolean")),
        Some(DataType::Boolean) => Value::Bool(number == 1),
        Some(DataType::Int64) => Value::Int(i64::from_le_bytes(slot)),
        Some(DataType::Double) if f64::from_le_bytes(slot).is_nan() => return Err("NaN is not a value".to_owned()),
        Some(DataType::Double) => Value::Float(f64::from_le_bytes(slot)),
        Some(DataType::Timestamp) => Value::Time(Timestamp(i64::from_le_bytes(slot))),
        Some(DataType::String) => Value::text(text_of(slot, text).ok_or("a text is not among the texts")?),
    })
}

/// The text that a slot points to.
pub(super) fn text_of(slot: [u8; SLOT], text: &str) -> Option<&str> {
    let number = u64::from_le_bytes(slot);
    let (offset, length) = (number as u32 as usize, (number >> 32) as usize);
    text.get(offset..offset + length)
}

pub(super) fn slot_at(bytes: &[u8], at: usize) -> [u8; SLOT] {
    bytes[at..at + SLOT].try_into().expect("a slot has 8 bytes")
}

pub(super) fn time_at(bytes: &[u8], at: usize) -> Timestamp {
    Timestamp(i64::from_le_bytes(slot_at(bytes, at)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a number has 4 bytes"))
}
