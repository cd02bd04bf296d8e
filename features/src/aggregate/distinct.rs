//! Distinct values as 64-bit keys.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// The keys seen: numbers, bools and times as they are, texts by [`text_key`].
pub type Keys = HashSet<u64, BuildHasherDefault<KeyHasher>>;

/// 64 bits of a text (FNV-1a, then mixed), the same in every build: it is stored. Two of `n` texts are taken for one with a
/// probability of about `n^2 / 2^65`.
pub fn text_key(text: &str) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mixed(text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Spreads a key over the buckets of a set.
#[derive(Debug, Default, Clone, Copy)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = mixed(self.0 ^ key);
    }
}

/// The finalizer of MurmurHash3.
fn mixed(mut it: u64) -> u64 {
    it ^= it >> 33;
    it = it.wrapping_mul(0xff51_afd7_ed55_8ccd);
    it ^= it >> 33;
    it = it.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    it ^ (it >> 33)
}
