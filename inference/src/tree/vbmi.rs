//! The blocks on AVX-512 with VBMI: one byte permute fetches the codes of all tests of a block, one compare decides them.
//!
//! `unsafe` is in this file, in `avx2` and in the vector half of `leaf_shap`: calls of functions for a processor that was asked for,
//! loads and stores through references of the right size, prefetches, and the gather of exits, whose numbers packing made or a
//! check of the file has passed.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;
use std::sync::LazyLock;

use super::blocks::{BATCH, Entry, GROUP, LEVELS, REGISTER, View, WIDTH};
use super::codes::MAX_COLUMNS;
use super::sum::{LANES, Outputs, Sum, VectorSums};

/// Proof that this processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu(());

/// Registers at most: a packed ensemble never has more columns.
const MOST: usize = MAX_COLUMNS / REGISTER;
/// Rows that pass the trees together.
const ROWS: usize = 8;

/// Leaves of a batch of trees, and a group's room for lanes that stand for no tree.
type Leaves = [f64; BATCH + GROUP];

impl Cpu {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        static FOUND: LazyLock<bool> = LazyLock::new(|| {
            is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vbmi")
        });
        FOUND.then_some(Self(()))
    }

    /// The codes of a row.
    pub(super) fn code(self, blocks: View<'_>, row: &[f64]) -> [u8; MAX_COLUMNS] {
        // SAFETY: `self` is the proof that the processor has these instructions.
        unsafe { code(blocks, row) }
    }

    /// What a row of codes decides at every test of the root blocks from `first` on.
    pub(super) fn decide(self, blocks: View<'_>, first: usize, codes: &[u8; MAX_COLUMNS], decisions: &mut [u64]) {
        // SAFETY: `self` is the proof that the processor has these instructions.
        unsafe {
            match blocks.shape.registers {
                1 => decide_all::<1>(blocks, first, codes, decisions),
                2 => decide_all::<2>(blocks, first, codes, decisions),
                3 => decide_all::<3>(blocks, first, codes, decisions),
                4 => decide_all::<4>(blocks, first, codes, decisions),
                5 => decide_all::<5>(blocks, first, codes, decisions),
                6 => decide_all::<6>(blocks, first, codes, decisions),
                7 => decide_all::<7>(blocks, first, codes, decisions),
                _ => decide_all::<MOST>(blocks, first, codes, decisions),
            }
        }
    }

    /// The raw scores of rows of that width.
    #[inline]
    pub(super) fn sum_rows(self, blocks: View<'_>, outputs: &Outputs, width: usize, rows: &[f64], out: &mut [f64]) {
        let tile = if outputs.vectors { 1 } else { ROWS };
        let (mut rows, mut out) = (rows, out);
        while out.len() >= outputs.len() {
            let n = if out.len() >= tile * outputs.len() { tile } else { 1 };
            let (now, later) = rows.split_at(n * width);
            let (scores, rest) = out.split_at_mut(n * outputs.len());
            let tile = Tile {
                blocks,
                outputs,
                width,
                rows: now,
            };
            // SAFETY: `self` is the proof that the processor has these instructions.
            unsafe {
                if n == 1 {
                    by_registers::<1>(tile, scores)
                } else {
                    by_registers::<ROWS>(tile, scores)
                }
            }
            (rows, out) = (later, rest);
        }
    }
}

/// The decisions of `Cpu::decide`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
fn decide_all<const REGS: usize>(blocks: View<'_>, first: usize, codes: &[u8; MAX_COLUMNS], decisions: &mut [u64]) {
    let registers = registers::<REGS>(codes);
    for (decision, block) in decisions.iter_mut().zip(first..) {
        *decision = decide::<REGS, true>(blocks, block, &registers);
    }
}

/// Some rows on their way through an ensemble.
#[derive(Clone, Copy)]
struct Tile<'a> {
    blocks: View<'a>,
    outputs: &'a Outputs,
    width: usize,
    rows: &'a [f64],
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn by_registers<const N: usize>(tile: Tile<'_>, out: &mut [f64]) {
    match (tile.blocks.shape.registers, tile.blocks.shape.missing_left) {
        (1, false) => score::<1, false, N>(tile, out),
        (1, true) => score::<1, true, N>(tile, out),
        (2, false) => score::<2, false, N>(tile, out),
        (2, true) => score::<2, true, N>(tile, out),
        (3, _) => score::<3, true, N>(tile, out),
        (4, _) => score::<4, true, N>(tile, out),
        (5, _) => score::<5, true, N>(tile, out),
        (6, _) => score::<6, true, N>(tile, out),
        (7, _) => score::<7, true, N>(tile, out),
        _ => score::<MOST, true, N>(tile, out),
    }
}

/// The codes take `REGS` registers; `MISSING`: some test sends missing values left; `N` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
fn score<const REGS: usize, const MISSING: bool, const N: usize>(tile: Tile<'_>, out: &mut [f64]) {
    let Tile {
        blocks,
        outputs,
        width,
        rows,
    } = tile;
    let codes: [[__m512i; REGS]; N] = std::array::from_fn(|row| encode::<REGS>(blocks, &rows[row * width..][..width]));
    if outputs.vectors {
        return VectorSums::with(out.len(), |sums| {
            add_vectors::<REGS, MISSING>(blocks, outputs, &codes[0], sums);
            sums.finish(outputs, out);
        });
    }
    for (output, roots) in blocks.shape.passes.iter().enumerate() {
        let mut sums = [[_mm512_setzero_pd(); 2]; N];
        for first in roots.clone().step_by(BATCH) {
            let count = BATCH.min(roots.end - first);
            let decisions = decide_batch::<REGS, MISSING, N>(blocks, first, count, &codes);
            for row in 0..N {
                let decisions = &decisions[row][..count];
                add_leaves::<REGS, MISSING>(blocks, &codes[row], first, decisions, &mut sums[row]);
            }
        }
        for (row, [low, high]) in sums.into_iter().enumerate() {
            out[row * outputs.len() + output] = outputs.finish(output, lanes(low, high));
        }
    }
}

/// The codes of a row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn encode<const REGS: usize>(blocks: View<'_>, row: &[f64]) -> [__m512i; REGS] {
    registers::<REGS>(&code(blocks, row))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn code(blocks: View<'_>, row: &[f64]) -> [u8; MAX_COLUMNS] {
    let mut codes = [0; MAX_COLUMNS];
    blocks.codes.encode(row, &mut codes, |points, x| below(points, x));
    codes
}

#[target_feature(enable = "avx512f")]
#[inline]
fn registers<const REGS: usize>(codes: &[u8; MAX_COLUMNS]) -> [__m512i; REGS] {
    let mut registers = [_mm512_setzero_si512(); REGS];
    for (register, bytes) in registers.iter_mut().zip(codes.as_chunks::<REGISTER>().0) {
        *register = load(bytes);
    }
    registers
}

/// What rows decide at every test of some root blocks. A block's tests are fetched once for all rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn decide_batch<const REGS: usize, const MISSING: bool, const N: usize>(
    blocks: View<'_>,
    first: usize,
    count: usize,
    codes: &[[__m512i; REGS]; N],
) -> [[u64; BATCH]; N] {
    let mut decisions = [[0; BATCH]; N];
    for at in 0..count {
        for (decisions, codes) in decisions.iter_mut().zip(codes) {
            decisions[at] = decide::<REGS, MISSING>(blocks, first + at, codes);
        }
    }
    decisions
}

/// Adds what the leaves of a batch of trees have for one output.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn add_leaves<const REGS: usize, const MISSING: bool>(
    blocks: View<'_>,
    codes: &[__m512i; REGS],
    first: usize,
    decisions: &[u64],
    sums: &mut [__m512d; 2],
) {
    if blocks.shape.deep {
        let mut leaves = [0.0; BATCH + GROUP];
        find_leaves::<REGS, MISSING>(blocks, codes, first, decisions, &mut leaves);
        for (group, leaves) in leaves.as_chunks::<GROUP>().0[..decisions.len() / GROUP]
            .iter()
            .enumerate()
        {
            sums[group % 2] = _mm512_add_pd(sums[group % 2], load_numbers(leaves));
        }
        return;
    }
    for (group, decisions) in decisions.as_chunks::<GROUP>().0.iter().enumerate() {
        let exits = exits_of_roots(blocks, first + group * GROUP, decisions);
        sums[group % 2] = _mm512_add_pd(sums[group % 2], exits);
    }
}

/// Adds what leaves have for every output.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
fn add_vectors<const REGS: usize, const MISSING: bool>(
    blocks: View<'_>,
    outputs: &Outputs,
    codes: &[__m512i; REGS],
    sums: &mut VectorSums<'_>,
) {
    let n_trees = outputs.trees(0).len();
    let mut leaves = [0.0; BATCH + GROUP];
    for first in (0..n_trees).step_by(BATCH) {
        let count = BATCH.min(blocks.shape.passes[0].end - first);
        let [decisions] = decide_batch::<REGS, MISSING, 1>(blocks, first, count, &[*codes]);
        find_leaves::<REGS, MISSING>(blocks, codes, first, &decisions[..count], &mut leaves);
        // What fills up the last group is no leaf.
        for (at, leaf) in leaves[..count.min(n_trees - first)].iter().enumerate() {
            sums.add(first + at, outputs.leaves(), *leaf);
        }
    }
}

/// The leaf of each tree of a batch. Walks that go on in other blocks are gathered into full groups, whichever trees they
/// are of.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn find_leaves<const REGS: usize, const MISSING: bool>(
    blocks: View<'_>,
    codes: &[__m512i; REGS],
    first: usize,
    decisions: &[u64],
    leaves: &mut Leaves,
) {
    let mut open = Open {
        trees: [BATCH as u64; BATCH + GROUP],
        exits: [0; BATCH + GROUP],
        len: 0,
    };
    let lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    for (group, decisions) in decisions.as_chunks::<GROUP>().0.iter().enumerate() {
        let exits = exits_of_roots(blocks, first + group * GROUP, decisions);
        store(
            leaves[group * GROUP..].first_chunk_mut().expect("a group of leaves"),
            exits,
        );
        let trees = _mm512_add_epi64(lanes, _mm512_set1_epi64((group * GROUP) as i64));
        open.push(trees, exits);
    }
    while open.len > 0 {
        let len = std::mem::take(&mut open.len);
        // The last group is filled up with a walk that stands for no tree.
        let some = open.exits[0];
        open.exits[len..len + GROUP].fill(some);
        open.trees[len..len + GROUP].fill(BATCH as u64);
        for at in (0..len).step_by(GROUP) {
            follow::<REGS, MISSING>(blocks, codes, &mut open, at, leaves);
        }
    }
}

/// Walks that have not come to a leaf.
struct Open {
    /// In the batch; [`BATCH`] for none.
    trees: [u64; BATCH + GROUP],
    exits: [u64; BATCH + GROUP],
    len: usize,
}

impl Open {
    /// Keeps the walks whose exits lead on.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn push(&mut self, trees: __m512i, exits: __m512d) {
        let open = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(exits, exits);
        let exits = _mm512_maskz_compress_epi64(open, _mm512_castpd_si512(exits));
        let trees = _mm512_maskz_compress_epi64(open, trees);
        store_words(
            self.exits[self.len..].first_chunk_mut().expect("a group of room"),
            exits,
        );
        store_words(
            self.trees[self.len..].first_chunk_mut().expect("a group of room"),
            trees,
        );
        self.len += open.count_ones() as usize;
    }
}

/// Takes eight walks through their next blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn follow<const REGS: usize, const MISSING: bool>(
    blocks: View<'_>,
    codes: &[__m512i; REGS],
    open: &mut Open,
    at: usize,
    leaves: &mut Leaves,
) {
    let (mut decisions, mut starts, mut trees) = ([0_u64; GROUP], [0_u64; GROUP], [0_u64; GROUP]);
    for lane in 0..GROUP {
        let Entry { block, place } = Entry::of(open.exits[at + lane]);
        let decided = decide::<REGS, MISSING>(blocks, block, codes);
        decisions[lane] = decided & !ABOVE[place].tests | ABOVE[place].rights;
        starts[lane] = (block * WIDTH) as u64;
        trees[lane] = open.trees[at + lane];
    }
    let starts = load_words(&starts);
    let exits = gather(blocks.exits, _mm512_add_epi64(starts, exits_of(&decisions)));
    let mut values = [0.0; GROUP];
    store(&mut values, exits);
    for (tree, value) in trees.iter().zip(values) {
        leaves[*tree as usize] = value;
    }
    let real = load_words(&trees);
    let stands = _mm512_cmplt_epu64_mask(real, _mm512_set1_epi64(BATCH as i64));
    let exits = _mm512_maskz_mov_pd(stands, exits);
    open.push(real, exits);
}

/// By place: the tests above it, and those of them at which the way to it goes right. A walk that starts at a place is one from
/// the root that decides so.
static ABOVE: [Above; WIDTH] = {
    let mut above = [Above { tests: 0, rights: 0 }; WIDTH];
    let mut place = 2;
    while place < WIDTH {
        let parent = above[place / 2];
        let test = 1 << (place / 2);
        above[place] = Above {
            tests: parent.tests | test,
            rights: parent.rights | if place % 2 == 1 { test } else { 0 },
        };
        place += 1;
    }
    above
};

#[derive(Clone, Copy)]
struct Above {
    tests: u64,
    rights: u64,
}

/// One bit per test of the block: whether the row goes right there.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn decide<const REGS: usize, const MISSING: bool>(blocks: View<'_>, block: usize, registers: &[__m512i; REGS]) -> u64 {
    let [columns, thresholds] = &blocks.blocks[block];
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

/// What eight root blocks side by side lead to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi")]
#[inline]
fn exits_of_roots(blocks: View<'_>, first: usize, decisions: &[u64; GROUP]) -> __m512d {
    let lanes = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
    let starts = _mm512_add_epi64(lanes, _mm512_set1_epi64((first * WIDTH) as i64));
    gather(blocks.exits, _mm512_add_epi64(starts, exits_of(decisions)))
}

/// The numbers of the exits that eight blocks' decisions lead to.
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
    let (halves, _) = points.as_chunks::<8>();
    let low = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(load_numbers(&halves[0]), x);
    let high = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(load_numbers(&halves[1]), x);
    (u16::from(low) | u16::from(high) << 8).count_ones() as usize
}

#[target_feature(enable = "avx512f")]
#[inline]
fn lanes(low: __m512d, high: __m512d) -> Sum {
    let mut sum = Sum::ZERO;
    let (halves, _) = sum.0.as_chunks_mut::<{ LANES / 2 }>();
    store(&mut halves[0], low);
    store(&mut halves[1], high);
    sum
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
fn load_numbers(numbers: &[f64; 8]) -> __m512d {
    // SAFETY: the reference is to 64 bytes.
    unsafe { _mm512_loadu_pd(numbers.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store_words(to: &mut [u64; 8], from: __m512i) {
    // SAFETY: the reference is to 64 bytes.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), from) }
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
    // SAFETY: as said above; packing numbers the blocks, and reading a file checks that it has so many exits and leads nowhere else.
    unsafe { _mm512_i64gather_pd::<8>(indices, exits.as_ptr()) }
}
