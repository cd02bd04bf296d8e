//! Numbers of one type that lie in a file's bytes, or in bytes laid out as a file's: read in place, shared, never copied.

use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;

/// Where sections start: at cache lines.
pub(super) const ALIGNMENT: usize = 64;

/// A list of `T`. Clones share its bytes.
#[derive(Debug, Clone)]
pub(super) struct Section<T> {
    bytes: Bytes,
    of: PhantomData<T>,
}

impl<T: AnyBitPattern + NoUninit> Section<T> {
    /// A copy of values, from the start of a cache line on.
    pub(super) fn new(values: &[T]) -> Self {
        Self {
            bytes: aligned(bytemuck::cast_slice(values)),
            of: PhantomData,
        }
    }

    /// Values in place; `None` where the bytes are not aligned for them or are no whole number of them.
    pub(super) fn shared(bytes: Bytes) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(&bytes).ok()?;
        Some(Self { bytes, of: PhantomData })
    }

    #[inline(always)]
    pub(super) fn get(&self) -> &[T] {
        bytemuck::cast_slice(&self.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> PartialEq for Section<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// A copy of bytes that starts at a cache line.
pub(super) fn aligned(bytes: &[u8]) -> Bytes {
    let mut room = vec![0; bytes.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    room[start..start + bytes.len()].copy_from_slice(bytes);
    Bytes::from(room).slice(start..start + bytes.len())
}
