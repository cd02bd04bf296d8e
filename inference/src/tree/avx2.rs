//! The blocks on AVX2: sixteen codes a shuffle, 32 tests a compare, four walks in a register; with many columns only their codes
//! are found by vectors.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::blocks::{Block, Entry, LEVELS, MISSING_LEFT, View, WIDTH};
use super::codes::MAX_COLUMNS;
use super::shap::{Parts, Paths};
use super::sum::{LANES, Outputs, Sum, VectorSums};

/// Proof that this processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu(());

/// Root blocks whose walks share a register.
const WALKS: usize = 4;
/// Codes of one shuffle.
const TABLE: usize = 16;
impl Cpu {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        static FOUND: LazyLock<bool> =
            LazyLock::new(|| is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt"));
        FOUND.then_some(Self(()))
    }

    /// The raw scores of one row.
    #[inline]
    pub(super) fn sum_row(self, blocks: View<'_>, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
        // SAFETY: `self` is the proof that the processor has these instructions.
        unsafe {
            match blocks.codes.len().div_ceil(TABLE) {
                0 | 1 => sum_row::<1>(blocks, outputs, row, out),
                2 => sum_row::<2>(blocks, outputs, row, out),
                3 => sum_row::<3>(blocks, outputs, row, out),
                4 => sum_row::<4>(blocks, outputs, row, out),
                _ => sum_wide_row(blocks, outputs, row, out),
            }
        }
    }
}

/// Adds the parts of one row, in the widest registers there are.
pub(super) fn explain(paths: Paths<'_>, row: &[f64], parts: &mut Parts) {
    #[target_feature(enable = "avx512f,avx512dq,fma")]
    fn wide(paths: Paths<'_>, row: &[f64], parts: &mut Parts) {
        paths.add(row, parts);
    }
    #[target_feature(enable = "avx2")]
    fn narrow(paths: Paths<'_>, row: &[f64], parts: &mut Parts) {
        paths.add(row, parts);
    }
    if super::vbmi::Cpu::detect().is_some() {
        // SAFETY: a processor with VBMI has these instructions.
        unsafe { wide(paths, row, parts) }
    } else if Cpu::detect().is_some() {
        // SAFETY: the processor has these instructions.
        unsafe { narrow(paths, row, parts) }
    } else {
        paths.add(row, parts);
    }
}

type Tables<const T: usize> = [__m256i; T];

#[target_feature(enable = "avx2,popcnt")]
fn sum_row<const T: usize>(blocks: View<'_>, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
    let tables = encode::<T>(blocks, row);
    if outputs.vectors {
        let n_trees = outputs.trees(0).len();
        return VectorSums::with(out.len(), |sums| {
            for first in (0..n_trees).step_by(WALKS) {
                let mut leaves = [0.0; WALKS];
                store(
                    &mut leaves,
                    leaves_of::<T>(blocks, &tables, blocks.shape.passes[0].start + first),
                );
                let real = leaves.iter().take(n_trees - first).enumerate();
                real.for_each(|(lane, leaf)| sums.add(first + lane, outputs.leaves(), *leaf));
            }
            sums.finish(outputs, out);
        });
    }
    for (output, out) in out.iter_mut().enumerate() {
        let roots = blocks.shape.passes[output].clone();
        let mut sums = [_mm256_setzero_pd(); LANES / WALKS];
        for (group, first) in roots.step_by(WALKS).enumerate() {
            let sum = &mut sums[group % (LANES / WALKS)];
            *sum = _mm256_add_pd(*sum, leaves_of::<T>(blocks, &tables, first));
        }
        let mut sum = Sum::ZERO;
        let (quarters, _) = sum.0.as_chunks_mut::<WALKS>();
        quarters.iter_mut().zip(sums).for_each(|(to, from)| store(to, from));
        *out = outputs.finish(output, sum);
    }
}

/// More columns would take more shuffles than a plain walk takes steps.
#[target_feature(enable = "avx2,popcnt")]
fn sum_wide_row(blocks: View<'_>, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
    let mut codes = [0; MAX_COLUMNS];
    blocks.codes.encode(row, &mut codes, |points, x| below(points, x));
    blocks.sum_codes(outputs, &codes, out);
}

/// The codes of a row, sixteen a table, each table in both halves of a register.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn encode<const T: usize>(blocks: View<'_>, row: &[f64]) -> Tables<T> {
    let mut codes = [0; MAX_COLUMNS];
    blocks.codes.encode(row, &mut codes, |points, x| below(points, x));
    let mut tables = [_mm256_setzero_si256(); T];
    for (table, bytes) in tables.iter_mut().zip(codes.as_chunks::<TABLE>().0) {
        *table = _mm256_broadcastsi128_si256(load_table(bytes));
    }
    tables
}

/// The leaves of four trees whose root blocks lie side by side.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn leaves_of<const T: usize>(blocks: View<'_>, tables: &Tables<T>, first: usize) -> __m256d {
    let mut decisions = [0; WALKS];
    for (lane, decision) in decisions.iter_mut().enumerate() {
        *decision = decide::<T>(&blocks.blocks[first + lane], tables);
    }
    let lanes = _mm256_setr_epi64x(0, WIDTH as i64, 2 * WIDTH as i64, 3 * WIDTH as i64);
    let starts = _mm256_add_epi64(lanes, _mm256_set1_epi64x((first * WIDTH) as i64));
    let exits = gather(blocks.exits, _mm256_add_epi64(starts, exits_of(&decisions)));
    if _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_UNORD_Q>(exits, exits)) == 0 {
        return exits;
    }
    follow::<T>(blocks, tables, exits)
}

/// Goes on in other blocks until all four walks are at leaves.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn follow<const T: usize>(blocks: View<'_>, tables: &Tables<T>, exits: __m256d) -> __m256d {
    let mut leaves = [0.0; WALKS];
    store(&mut leaves, exits);
    for leaf in &mut leaves {
        while leaf.is_nan() {
            let Entry { block, mut place } = Entry::of(leaf.to_bits());
            let decided = decide::<T>(&blocks.blocks[block], tables);
            while place < WIDTH {
                place = 2 * place + (decided >> place & 1) as usize;
            }
            *leaf = blocks.exits[block * WIDTH + place - WIDTH];
        }
    }
    load(&leaves)
}

/// One bit per test of the block: whether the row goes right there.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn decide<const T: usize>(block: &Block, tables: &Tables<T>) -> u64 {
    let [columns, thresholds] = block;
    let (columns, _) = columns.as_chunks::<32>();
    let (thresholds, _) = thresholds.as_chunks::<32>();
    let low = decide_half::<T>(load_bytes(&columns[0]), load_bytes(&thresholds[0]), tables);
    let high = decide_half::<T>(load_bytes(&columns[1]), load_bytes(&thresholds[1]), tables);
    u64::from(low) | u64::from(high) << 32
}

#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn decide_half<const T: usize>(columns: __m256i, thresholds: __m256i, tables: &Tables<T>) -> u32 {
    let zero = _mm256_setzero_si256();
    let missing_left = _mm256_cmpgt_epi8(zero, columns);
    let columns = _mm256_and_si256(columns, _mm256_set1_epi8(!MISSING_LEFT as i8));
    let mut codes = zero;
    for (at, table) in tables.iter().enumerate() {
        // A shuffle gives 0 for indices with the top bit: all but those of this table get it.
        let within = _mm256_xor_si256(columns, _mm256_set1_epi8((at * TABLE) as i8));
        let index = _mm256_adds_epu8(within, _mm256_set1_epi8(0x70));
        codes = _mm256_or_si256(codes, _mm256_shuffle_epi8(*table, index));
    }
    let codes = _mm256_sub_epi8(codes, missing_left);
    let excess = _mm256_subs_epu8(codes, thresholds);
    !(_mm256_movemask_epi8(_mm256_cmpeq_epi8(excess, zero)) as u32)
}

/// The numbers of the exits that four blocks' decisions lead to.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn exits_of(decisions: &[u64; WALKS]) -> __m256i {
    let decisions = load_words(decisions);
    let one = _mm256_set1_epi64x(1);
    let mut places = one;
    for _ in 0..LEVELS {
        let right = _mm256_and_si256(_mm256_srlv_epi64(decisions, places), one);
        places = _mm256_or_si256(_mm256_add_epi64(places, places), right);
    }
    _mm256_and_si256(places, _mm256_set1_epi64x(WIDTH as i64 - 1))
}

/// How many of sixteen rising numbers are below a value; 0 for NaN.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn below(points: &[f64; 16], x: f64) -> usize {
    let x = _mm256_set1_pd(x);
    let (quarters, _) = points.as_chunks::<WALKS>();
    let mut mask = 0;
    for (at, quarter) in quarters.iter().enumerate() {
        mask |= _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(load(quarter), x)) << (4 * at);
    }
    mask.count_ones() as usize
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_table(bytes: &[u8; TABLE]) -> __m128i {
    // SAFETY: the reference is to 16 bytes.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_bytes(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_words(words: &[u64; WALKS]) -> __m256i {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(numbers: &[f64; WALKS]) -> __m256d {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_loadu_pd(numbers.as_ptr()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(to: &mut [f64; WALKS], from: __m256d) {
    // SAFETY: the reference is to 32 bytes.
    unsafe { _mm256_storeu_pd(to.as_mut_ptr(), from) }
}

/// `indices` are a block's first exit plus less than [`WIDTH`]; every block has [`WIDTH`] exits.
#[target_feature(enable = "avx2")]
#[inline]
fn gather(exits: &[f64], indices: __m256i) -> __m256d {
    // SAFETY: as said above; packing numbers the blocks, and reading a file checks that it has so many exits and leads nowhere else.
    unsafe { _mm256_i64gather_pd::<8>(exits.as_ptr(), indices) }
}
