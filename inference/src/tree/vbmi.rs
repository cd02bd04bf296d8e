//! The blocks on AVX-512 with VBMI: one byte permute fetches the codes of all tests of a block, one compare decides them.
//!
//! `unsafe` is here and in the vector half of `leaf_shap` alone: calls of functions for a processor that was asked for, and
//! loads through references of the right size. The one gather reads exits at numbers that packing made.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::blocks::{BATCH, Block, Blocks, GROUP, LEVELS, REGISTER, WIDTH, linked};
use super::codes::MAX_COLUMNS;
use super::sum::{LANES, Sum};

/// Proof that this processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu(());

/// Registers at most: a packed ensemble never has more columns.
const MOST: usize = MAX_COLUMNS / REGISTER;

impl Cpu {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        static FOUND: LazyLock<bool> = LazyLock::new(|| {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vbmi")
        });
        FOUND.then_some(Self(()))
    }

    /// What a row decides at every test of the root blocks from `first` on.
    pub(super) fn decide_all(self, blocks: &Blocks, first: usize, row: &[f64], decisions: &mut [u64]) {
        // SAFETY: `self` is the proof that the processor has these instructions.
        unsafe {
            match blocks.registers {
                1 => decide_all::<1>(blocks, first, row, decisions),
                2 => decide_all::<2>(blocks, first, row, decisions),
                3 => decide_all::<3>(blocks, first, row, decisions),
                4 => decide_all::<4>(blocks, first, row, decisions),
                5 => decide_all::<5>(blocks, first, row, decisions),
                6 => decide_all::<6>(blocks, first, row, decisions),
                7 => decide_all::<7>(blocks, first, row, decisions),
                _ => decide_all::<MOST>(blocks, first, row, decisions),
            }
        }
    }

    /// The leaves of all trees for one row.
    #[inline]
    pub(super) fn sum_row(self, blocks: &Blocks, row: &[f64]) -> Sum {
        // SAFETY: `self` is the proof that the processor has these instructions.
        unsafe {
            match (blocks.registers, blocks.missing_left) {
                (1, false) => sum_row::<1, false>(blocks, row),
                (1, true) => sum_row::<1, true>(blocks, row),
                (2, false) => sum_row::<2, false>(blocks, row),
                (2, true) => sum_row::<2, true>(blocks, row),
                (3, _) => sum_row::<3, true>(blocks, row),
                (4, _) => sum_row::<4, true>(blocks, row),
                (5, _) => sum_row::<5, true>(blocks, row),
                (6, _) => sum_row::<6, true>(blocks, row),
                (7, _) => sum_row::<7, true>(blocks, row),
                (_, _) => sum_row::<MOST, true>(blocks, row),
            }
        }
    }
}

/// The decisions of `decide` for the root blocks from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
fn decide_all<const REGS: usize>(blocks: &Blocks, first: usize, row: &[f64], decisions: &mut [u64]) {
    let registers = encode::<REGS>(blocks, row);
    for (decision, block) in decisions.iter_mut().zip(first..) {
        *decision = decide::<REGS, true>(blocks, block, &registers);
    }
}

/// The codes of a row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn encode<const REGS: usize>(blocks: &Blocks, row: &[f64]) -> [__m512i; REGS] {
    let mut codes = [0; MAX_COLUMNS];
    blocks.codes.encode(row, &mut codes, |points, x| below(points, x));
    let mut registers = [_mm512_setzero_si512(); REGS];
    for (register, bytes) in registers.iter_mut().zip(codes.as_chunks::<REGISTER>().0) {
        *register = load(bytes);
    }
    registers
}

/// The codes take `REGS` registers; `MISSING`: some test sends missing values left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
fn sum_row<const REGS: usize, const MISSING: bool>(blocks: &Blocks, row: &[f64]) -> Sum {
    let registers = encode::<REGS>(blocks, row);
    let mut sums = [_mm512_setzero_pd(); 2];
    for first in (0..blocks.n_roots).step_by(BATCH) {
        let count = BATCH.min(blocks.n_roots - first);
        sum_trees::<REGS, MISSING>(blocks, &registers, first, count, &mut sums);
    }
    let mut lanes = Sum::ZERO;
    let (low, high) = lanes.0.split_at_mut(LANES / 2);
    store(low.try_into().expect("half of the lanes"), sums[0]);
    store(high.try_into().expect("half of the lanes"), sums[1]);
    lanes
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn sum_trees<const REGS: usize, const MISSING: bool>(
    blocks: &Blocks,
    registers: &[__m512i; REGS],
    first: usize,
    count: usize,
    sums: &mut [__m512d; 2],
) {
    let mut decisions = [0_u64; BATCH];
    for (decision, block) in decisions[..count].iter_mut().zip(first..) {
        *decision = decide::<REGS, MISSING>(blocks, block, registers);
    }
    let lanes = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
    let (groups, _) = decisions[..count].as_chunks::<GROUP>();
    for (group, decisions) in groups.iter().enumerate() {
        let start = first + group * GROUP;
        let starts = _mm512_add_epi64(lanes, _mm512_set1_epi64((start * WIDTH) as i64));
        let mut exits = gather(&blocks.exits, _mm512_add_epi64(starts, exits_of(decisions)));
        let open = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(exits, exits);
        if open != 0 {
            exits = follow::<REGS, MISSING>(blocks, registers, exits, open);
        }
        sums[group % 2] = _mm512_add_pd(sums[group % 2], exits);
    }
}

/// Goes on in the blocks that the lanes in `open` lead to, until all lanes are at leaves.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn follow<const REGS: usize, const MISSING: bool>(
    blocks: &Blocks,
    registers: &[__m512i; REGS],
    mut exits: __m512d,
    mut open: __mmask8,
) -> __m512d {
    while open != 0 {
        let (mut links, mut decisions, mut starts) = ([0.0; GROUP], [0_u64; GROUP], [0_u64; GROUP]);
        store(&mut links, exits);
        let mut rest = open;
        while rest != 0 {
            let lane = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let block = linked(links[lane]);
            decisions[lane] = decide::<REGS, MISSING>(blocks, block, registers);
            starts[lane] = (block * WIDTH) as u64;
        }
        let next = gather(
            &blocks.exits,
            _mm512_add_epi64(load_words(&starts), exits_of(&decisions)),
        );
        exits = _mm512_mask_mov_pd(exits, open, next);
        open = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(exits, exits);
    }
    exits
}

/// One bit per test of the block: whether the row goes right there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn decide<const REGS: usize, const MISSING: bool>(blocks: &Blocks, block: usize, registers: &[__m512i; REGS]) -> u64 {
    let Block { columns, thresholds } = &blocks.blocks[block];
    let (columns, thresholds) = (load(columns), load(thresholds));
    let mut codes = match REGS {
        1 => _mm512_permutexvar_epi8(columns, registers[0]),
        2 => _mm512_permutex2var_epi8(registers[0], columns, registers[1]),
        _ => {
            let (masks, _) = blocks.masks.as_chunks::<REGS>();
            let mut codes = _mm512_setzero_si512();
            for (register, mask) in registers.iter().zip(&masks[block]) {
                codes = _mm512_mask_permutexvar_epi8(codes, *mask, columns, *register);
            }
            codes
        }
    };
    if MISSING {
        let missing_left = _mm512_movepi8_mask(columns);
        codes = _mm512_mask_add_epi8(codes, missing_left, codes, _mm512_set1_epi8(1));
    }
    _mm512_cmpgt_epu8_mask(codes, thresholds)
}

/// The exits that eight blocks' decisions lead to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn exits_of(decisions: &[u64; GROUP]) -> __m512i {
    let decisions = load_words(decisions);
    let one = _mm512_set1_epi64(1);
    let mut places = one;
    for _ in 0..LEVELS {
        let bits = _mm512_srlv_epi64(decisions, places);
        // 2 * place | (bits & 1)
        places = _mm512_ternarylogic_epi64::<0xF8>(_mm512_add_epi64(places, places), bits, one);
    }
    _mm512_and_si512(places, _mm512_set1_epi64(WIDTH as i64 - 1))
}

/// How many of sixteen rising numbers are below a value; 0 for NaN.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn below(points: &[f64; 16], x: f64) -> usize {
    let x = _mm512_set1_pd(x);
    // SAFETY: the reference is to 128 bytes.
    let (low, high) = unsafe {
        (
            _mm512_loadu_pd(points.as_ptr()),
            _mm512_loadu_pd(points.as_ptr().add(8)),
        )
    };
    let low = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(low, x);
    let high = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(high, x);
    (u16::from(low) | u16::from(high) << 8).count_ones() as usize
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 bytes.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_words(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference is to 64 bytes.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(to: &mut [f64; 8], from: __m512d) {
    // SAFETY: the reference is to 64 bytes.
    unsafe { _mm512_storeu_pd(to.as_mut_ptr(), from) }
}

/// `indices` are a block's first exit plus less than [`WIDTH`]; every block has [`WIDTH`] exits.
#[target_feature(enable = "avx512f")]
#[inline]
fn gather(exits: &[f64], indices: __m512i) -> __m512d {
    // SAFETY: as said above; blocks are numbered by packing alone, never by a file.
    unsafe { _mm512_i64gather_pd::<8>(indices, exits.as_ptr()) }
}
