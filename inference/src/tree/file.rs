//! `trees.bin`: little-endian, versioned, with a checksum; made to be mapped into memory and used where it lies.
//!
//! ```text
//! "FTLTREES" version:u32 sections:u32 checksum:u128 (XXH3 of all after it)
//!   length:u64 n_features:u32 n_outputs:u32 link:u8 combine:u8 vectors:u8 packed:u8 zero:u32
//!   for each section: offset:u64 bytes:u64
//! sections, each from a multiple of 64 bytes on, zeros between:
//!   base, then the trees (`stored`): ends outputs tests children numbers covers words vectors
//!   and where packed their blocks: shape points words blocks exits masks wide_columns
//! ```
//! Reading trusts no number: every offset, child and link is checked before it is followed. That the blocks say the same as the
//! trees is not proven again; the checksum, the registry's digest and the package's golden rows stand for it.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::blocks::Blocks;
use super::form::{Combine, Link};
use super::section::{ALIGNMENT, Section, aligned};
use super::stored::{Head, Stored};
use super::{TreeEnsemble, damaged};
use crate::error::InferenceError;

const MAGIC: &[u8; 8] = b"FTLTREES";
const VERSION: u32 = 2;
/// Where the checked part starts, and the table of sections.
const CHECKED: usize = 32;
const TABLE: usize = 64;
/// Base, and the lists of the trees.
const TREE_SECTIONS: usize = 9;
/// The lists of the blocks.
const BLOCK_SECTIONS: usize = 7;

const LINKS: [Link; 8] = [
    Link::Identity,
    Link::Logit,
    Link::Log,
    Link::Softmax,
    Link::Probit,
    Link::Step,
    Link::Softplus,
    Link::SignedSquare,
];

impl TreeEnsemble {
    /// The file form, equal for equal ensembles.
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored::of(self.form());
        let base = Section::new(&self.head.base);
        let mut sections: Vec<&[u8]> = vec![
            base.bytes(),
            stored.ends.bytes(),
            stored.outputs.bytes(),
            stored.tests.bytes(),
            stored.children.bytes(),
            stored.numbers.bytes(),
            stored.covers.bytes(),
            stored.words.bytes(),
            stored.vectors.bytes(),
        ];
        let shape = self.blocks.as_ref().map(|it| Section::new(&it.shape_words()));
        if let (Some(blocks), Some(shape)) = (&self.blocks, &shape) {
            sections.push(shape.bytes());
            sections.extend(blocks.sections());
        }
        write(&self.head, stored.has_vectors, &sections)
    }

    /// Reads the file form from bytes that are copied.
    ///
    /// # Errors
    /// As [`TreeEnsemble::from_shared`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InferenceError> {
        Self::from_shared(aligned(bytes))
    }

    /// Reads the file form where it lies, in a mapped file say: nothing that a prediction needs is copied, and models of the same
    /// file share it. Bytes that do not start at a multiple of 64 are copied.
    ///
    /// # Errors
    /// `Damaged` for bytes that are cut, changed or not such a file; `Format` for one that a newer build wrote.
    pub fn from_shared(bytes: Bytes) -> Result<Self, InferenceError> {
        if cfg!(target_endian = "big") {
            return Err(damaged("it is little-endian, this machine is not".to_owned()));
        }
        let bytes = match bytes.as_ptr().align_offset(ALIGNMENT) {
            0 => bytes,
            _ => aligned(&bytes),
        };
        check_head(&bytes)?;
        if u128::from_le_bytes(take(&bytes, 16)?) != xxh3_128(&bytes[CHECKED..]) {
            return Err(damaged("checksum does not match".to_owned()));
        }
        parse(&bytes)
    }
}

/// Whether it is such a file, of a version that can be read, and as long as it says.
fn check_head(bytes: &[u8]) -> Result<(), InferenceError> {
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("not a file of trees".to_owned()));
    }
    let version = u32::from_le_bytes(take(bytes, 8)?);
    if version != VERSION {
        return Err(InferenceError::Format {
            got: version,
            supported: VERSION,
        });
    }
    let length = u64::from_le_bytes(take(bytes, CHECKED)?);
    if length == bytes.len() as u64 && bytes.len() >= TABLE {
        return Ok(());
    }
    Err(damaged(format!("{} bytes of {length}", bytes.len())))
}

/// What a file with the right checksum says.
pub(super) fn parse(bytes: &Bytes) -> Result<TreeEnsemble, InferenceError> {
    check_head(bytes)?;
    let packed = flag(bytes, 51)?;
    let n_sections = u32::from_le_bytes(take(bytes, 12)?) as usize;
    let expected = TREE_SECTIONS + if packed { BLOCK_SECTIONS } else { 0 };
    if n_sections != expected {
        return Err(damaged(format!("{n_sections} sections in place of {expected}")));
    }
    let sections = (0..n_sections)
        .map(|it| section(bytes, it))
        .collect::<Result<Vec<_>, _>>()?;
    let (trees, blocks) = sections.split_at(TREE_SECTIONS);
    let head = head(bytes, &trees[0])?;
    let stored = Stored {
        ends: list(&trees[1])?,
        outputs: list(&trees[2])?,
        tests: list(&trees[3])?,
        children: list(&trees[4])?,
        numbers: list(&trees[5])?,
        covers: list(&trees[6])?,
        words: list(&trees[7])?,
        vectors: list(&trees[8])?,
        has_vectors: flag(bytes, 50)?,
    };
    stored.check(&head)?;
    TreeEnsemble::from_stored(head, stored, |head, outputs| match blocks {
        [shape, lists @ ..] => {
            let blocks = Blocks::from_sections(&list(shape)?, lists);
            let blocks = blocks.filter(|it| it.is_sound(head.n_features, outputs));
            blocks
                .map(Some)
                .ok_or_else(|| damaged("blocks that lead nowhere".to_owned()))
        }
        [] => Ok(None),
    })
}

fn head(bytes: &[u8], base: &Bytes) -> Result<Head, InferenceError> {
    let [link] = take(bytes, 48)?;
    let base: Section<f64> = list(base)?;
    if base.get().len() as u64 != u64::from(u32::from_le_bytes(take(bytes, 44)?)) {
        return Err(damaged("another number of outputs than it says".to_owned()));
    }
    Ok(Head {
        n_features: u32::from_le_bytes(take(bytes, 40)?) as usize,
        base: base.get().to_vec(),
        link: *LINKS
            .get(usize::from(link))
            .ok_or_else(|| damaged(format!("unknown link {link}")))?,
        combine: if flag(bytes, 49)? {
            Combine::Average
        } else {
            Combine::Sum
        },
    })
}

fn section(bytes: &Bytes, at: usize) -> Result<Bytes, InferenceError> {
    let entry = TABLE + 16 * at;
    let (offset, length) = (
        u64::from_le_bytes(take(bytes, entry)?),
        u64::from_le_bytes(take(bytes, entry + 8)?),
    );
    let fits = offset.is_multiple_of(ALIGNMENT as u64)
        && offset.checked_add(length).is_some_and(|end| end <= bytes.len() as u64);
    if fits {
        return Ok(bytes.slice(offset as usize..(offset + length) as usize));
    }
    Err(damaged(format!("section {at} lies outside")))
}

pub(super) fn list<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
    bytes: &Bytes,
) -> Result<Section<T>, InferenceError> {
    Section::shared(bytes.clone()).ok_or_else(|| damaged("a section that is no whole number of its items".to_owned()))
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], InferenceError> {
    let found = bytes.get(at..).and_then(|it| it.first_chunk());
    found.copied().ok_or_else(|| damaged("ends too early".to_owned()))
}

fn flag(bytes: &[u8], at: usize) -> Result<bool, InferenceError> {
    match take(bytes, at)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(damaged(format!("{other} in place of a bool"))),
    }
}

fn write(head: &Head, vectors: bool, sections: &[&[u8]]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((sections.len() as u32).to_le_bytes());
    // The checksum and the length, known at the end.
    out.resize(CHECKED + 8, 0);
    out.extend((head.n_features as u32).to_le_bytes());
    out.extend((head.base.len() as u32).to_le_bytes());
    let link = LINKS
        .iter()
        .position(|it| *it == head.link)
        .expect("every link is listed");
    let packed = sections.len() > TREE_SECTIONS;
    out.extend([
        link as u8,
        u8::from(head.combine == Combine::Average),
        u8::from(vectors),
        u8::from(packed),
    ]);
    out.resize(TABLE, 0);
    let mut offset = (TABLE + 16 * sections.len()).next_multiple_of(ALIGNMENT);
    for section in sections {
        out.extend((offset as u64).to_le_bytes());
        out.extend((section.len() as u64).to_le_bytes());
        offset = (offset + section.len()).next_multiple_of(ALIGNMENT);
    }
    for section in sections {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend_from_slice(section);
    }
    let length = out.len() as u64;
    out[CHECKED..CHECKED + 8].copy_from_slice(&length.to_le_bytes());
    let checksum = xxh3_128(&out[CHECKED..]);
    out[16..CHECKED].copy_from_slice(&checksum.to_le_bytes());
    out
}
