//! SHAP values leaf by leaf and eight leaves at a time, for trees that fit into one block.
//!
//! With the notation of `shap`: with at most six columns the polynomial has degree five, and three points integrate it exactly.
//! There is no path to extend and unwind, so leaves lie side by side in vector lanes. A column that the path meets twice counts
//! once, at its first test; the later test is a column that is always known and never matters: `z = o = 1`.

use std::ops::Range;

use super::blocks::{BATCH, LEVELS, View, WIDTH};
use super::form::{LeafValue, Tree};
use super::shap::{Parts, share};

/// Leaves in flight.
const LANES: usize = 8;
/// Points and weights of the Gauss-Legendre rule on [0, 1] that is exact up to degree five.
const POINTS: [(f64, f64); 3] = [
    (0.112_701_665_379_258_31, 5.0 / 18.0),
    (0.5, 8.0 / 18.0),
    (0.887_298_334_620_741_7, 5.0 / 18.0),
];

/// What the formula needs of every tree that fits into a block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LeafPaths {
    /// By tree, where it lies in `paths`; `None`: it takes more than one block.
    trees: Vec<Option<u32>>,
    /// Side by side, so that one is fetched while the one before is worked on.
    paths: Vec<Paths>,
}

#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
struct Paths {
    /// By level and leaf.
    unknown: [[f64; WIDTH]; LEVELS],
    values: [f64; WIDTH],
    /// By test, numbered as in a block: the column of its path's first test of the same column.
    columns: [u32; WIDTH],
    /// For an earlier and a later level, the leaves whose paths test the same column at both.
    repeats: Vec<Repeat>,
}

#[derive(Debug, Clone, PartialEq)]
struct Repeat {
    earlier: usize,
    later: usize,
    leaves: u64,
}

impl LeafPaths {
    pub(super) fn of(trees: &[Tree]) -> Self {
        let mut all = Self {
            trees: Vec::with_capacity(trees.len()),
            paths: Vec::new(),
        };
        for tree in trees {
            let paths = Paths::of(tree);
            all.trees.push(paths.is_some().then_some(all.paths.len() as u32));
            all.paths.extend(paths);
        }
        all
    }

    /// Whether a tree fits.
    pub(super) fn has(&self, tree: usize) -> bool {
        self.trees[tree].is_some()
    }

    /// Adds the parts of one row in those of some trees that fit. The root block of the first of them is `root`.
    pub(super) fn add(&self, blocks: View<'_>, root: usize, trees: Range<usize>, row: &[f64], parts: &mut Parts) {
        let codes = blocks.code(row);
        let mut decisions = [0; BATCH];
        for (batch, trees) in self.trees[trees].chunks(BATCH).enumerate() {
            let decisions = &mut decisions[..trees.len()];
            blocks.decide(root + batch * BATCH, &codes, decisions);
            for (tree, decisions) in trees.iter().zip(decisions) {
                if let Some(at) = tree.map(|it| it as usize) {
                    let next = self.paths.get(at + 1).unwrap_or(&self.paths[at]);
                    self.paths[at].add(*decisions, next, parts);
                }
            }
        }
    }
}

impl Paths {
    /// `None` where the tree is deeper than a block.
    fn of(tree: &Tree) -> Option<Self> {
        let mut paths = Self {
            unknown: [[1.0; WIDTH]; LEVELS],
            values: [0.0; WIDTH],
            columns: [0; WIDTH],
            repeats: Vec::new(),
        };
        let fits = paths.visit(tree, 0, 1, &mut Vec::new());
        fits.then_some(paths)
    }

    /// `path` has the column and the share of each test above.
    fn visit(&mut self, tree: &Tree, at: usize, place: usize, path: &mut Vec<(u32, f64)>) -> bool {
        let level = path.len();
        let node = &tree.nodes[at];
        let (Some((left, right)), Some(column)) = (node.children(), node.feature()) else {
            let Some(LeafValue::One(value)) = node.leaf_value() else {
                return false;
            };
            self.end((place << (LEVELS - level)) - WIDTH, *value, path);
            return true;
        };
        if level == LEVELS {
            return false;
        }
        self.columns[place] = column as u32;
        [(left, right, 2 * place), (right, left, 2 * place + 1)]
            .into_iter()
            .all(|(child, sibling, place)| {
                path.push((column as u32, share(tree, child, sibling)));
                let fits = self.visit(tree, child, place, path);
                path.pop();
                fits
            })
    }

    fn end(&mut self, leaf: usize, value: f64, path: &[(u32, f64)]) {
        self.values[leaf] = value;
        for (later, &(column, share)) in path.iter().enumerate() {
            let earlier = path[..later].iter().position(|it| it.0 == column);
            self.unknown[earlier.unwrap_or(later)][leaf] *= share;
            if let Some(earlier) = earlier {
                self.repeat(earlier, later, leaf);
            }
        }
    }

    fn repeat(&mut self, earlier: usize, later: usize, leaf: usize) {
        let known = self
            .repeats
            .iter_mut()
            .find(|it| (it.earlier, it.later) == (earlier, later));
        match known {
            Some(known) => known.leaves |= 1 << leaf,
            None => self.repeats.push(Repeat {
                earlier,
                later,
                leaves: 1 << leaf,
            }),
        }
    }

    /// `next` will be asked for after this.
    fn add(&self, decisions: u64, next: &Self, parts: &mut Parts) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::vbmi::Cpu::detect() {
            return cpu.add_parts(self, decisions, next, parts);
        }
        let _ = next;
        self.add_leaves(&self.agreement(decisions, spread), parts);
    }

    /// By level, the leaves on whose path the row stays there; a repeated column is judged at its first test. `spread` puts the
    /// bits of the first number at those of the second.
    #[inline(always)]
    fn agreement(&self, decisions: u64, spread: impl Fn(u64, u64) -> u64) -> [u64; LEVELS] {
        let mut agree = [0; LEVELS];
        for (level, agree) in agree.iter_mut().enumerate() {
            // Leaves below a test of this level: the first half are to the left. A test is at the first of them.
            let (below, firsts) = (WIDTH >> level, FIRSTS[level]);
            let half = (1_u64 << (below / 2)) - 1;
            let rights = spread(decisions >> (1 << level), firsts) * half;
            *agree = (firsts * half) & !rights | rights << (below / 2);
        }
        for Repeat { earlier, later, leaves } in &self.repeats {
            agree[*earlier] &= agree[*later] | !leaves;
        }
        for Repeat { later, leaves, .. } in &self.repeats {
            agree[*later] |= leaves;
        }
        agree
    }

    fn add_leaves(&self, agree: &[u64; LEVELS], parts: &mut Parts) {
        for first in (0..WIDTH).step_by(LANES) {
            let by_level = self.group(first, agree.map(|it| (it >> first) as u8));
            for (level, leaves) in by_level.iter().enumerate() {
                // Leaves below one test have its column at its level.
                let below = (WIDTH >> level).min(LANES);
                for (at, leaves) in leaves.chunks_exact(below).enumerate() {
                    let part = &mut parts.0[self.column(level, first + at * below)];
                    part.iter_mut().zip(leaves).for_each(|(part, leaf)| *part += leaf);
                }
            }
        }
    }

    /// The column of a leaf's path at a level.
    #[inline(always)]
    fn column(&self, level: usize, leaf: usize) -> usize {
        self.columns[(1 << level) + (leaf >> (LEVELS - level))] as usize
    }

    /// The parts of eight leaves, by level.
    fn group(&self, first: usize, agree: [u8; LEVELS]) -> [[f64; LANES]; LEVELS] {
        let lanes = |of: &[f64; WIDTH]| -> [f64; LANES] { std::array::from_fn(|lane| of[first + lane]) };
        let unknown: [[f64; LANES]; LEVELS] = std::array::from_fn(|level| lanes(&self.unknown[level]));
        let known: [[f64; LANES]; LEVELS] = std::array::from_fn(|level| {
            std::array::from_fn(|lane| if agree[level] >> lane & 1 == 1 { 1.0 } else { 0.0 })
        });
        let mut integrals = [[0.0; LANES]; LEVELS];
        for (point, weight) in POINTS {
            let mut factors = [[0.0; LANES]; LEVELS];
            for level in 0..LEVELS {
                for lane in 0..LANES {
                    factors[level][lane] = known[level][lane] * point + unknown[level][lane] * (1.0 - point);
                }
            }
            let mut before = [weight; LANES];
            let mut products = [[0.0; LANES]; LEVELS];
            for level in 0..LEVELS {
                products[level] = before;
                for lane in 0..LANES {
                    before[lane] *= factors[level][lane];
                }
            }
            let mut after = [1.0; LANES];
            for level in (0..LEVELS).rev() {
                for lane in 0..LANES {
                    integrals[level][lane] += products[level][lane] * after[lane];
                    after[lane] *= factors[level][lane];
                }
            }
        }
        let values = lanes(&self.values);
        for level in 0..LEVELS {
            for lane in 0..LANES {
                integrals[level][lane] *= values[lane] * (known[level][lane] - unknown[level][lane]);
            }
        }
        integrals
    }
}

/// By level, the first leaf below each test.
const FIRSTS: [u64; LEVELS] = [
    1,
    0x1_0000_0001,
    0x0001_0001_0001_0001,
    0x0101_0101_0101_0101,
    0x1111_1111_1111_1111,
    0x5555_5555_5555_5555,
];

/// Puts the lowest bits of a number, in order, at the bits of `at`.
fn spread(bits: u64, mut at: u64) -> u64 {
    let (mut bits, mut spread) = (bits, 0);
    while at != 0 {
        spread |= (at & at.wrapping_neg()) * (bits & 1);
        at &= at - 1;
        bits >>= 1;
    }
    spread
}

#[cfg(target_arch = "x86_64")]
mod vector {
    //! The same arithmetic, eight leaves in a register.
    #![allow(unsafe_code, reason = "vector instructions")]

    use std::arch::x86_64::*;

    use super::{LANES, LEVELS, POINTS, Parts, Paths, WIDTH};
    use crate::tree::vbmi::Cpu;

    impl Cpu {
        #[inline]
        pub(super) fn add_parts(self, paths: &Paths, decisions: u64, next: &Paths, parts: &mut Parts) {
            // SAFETY: `self` is the proof that the processor has these instructions.
            unsafe { add(paths, decisions, next, parts) }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,fma,bmi2")]
    fn add(paths: &Paths, decisions: u64, next: &Paths, parts: &mut Parts) {
        let agree = paths.agreement(decisions, |bits, at| _pdep_u64(bits, at));
        for first in (0..WIDTH).step_by(LANES) {
            fetch(next, first);
            let [a, b, c, d, e, f] = group(paths, first, agree.map(|it| (it >> first) as u8));
            for (level, leaves) in [a, b, c, d].into_iter().enumerate() {
                let part = &mut parts.0[paths.column(level, first)];
                store(part, _mm512_add_pd(load(part), leaves));
            }
            for (at, leaves) in [_mm512_extractf64x4_pd::<0>(e), _mm512_extractf64x4_pd::<1>(e)]
                .into_iter()
                .enumerate()
            {
                let part = &mut parts.0[paths.column(4, first + 4 * at)];
                store(part, _mm512_add_pd(load(part), _mm512_zextpd256_pd512(leaves)));
            }
            let pairs = [
                _mm512_extractf64x2_pd::<0>(f),
                _mm512_extractf64x2_pd::<1>(f),
                _mm512_extractf64x2_pd::<2>(f),
                _mm512_extractf64x2_pd::<3>(f),
            ];
            for (at, leaves) in pairs.into_iter().enumerate() {
                let part = &mut parts.0[paths.column(5, first + 2 * at)];
                store(part, _mm512_add_pd(load(part), _mm512_zextpd128_pd512(leaves)));
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,fma")]
    #[inline]
    fn group(paths: &Paths, first: usize, agree: [u8; LEVELS]) -> [__m512d; LEVELS] {
        let one = _mm512_set1_pd(1.0);
        let mut unknown = [one; LEVELS];
        for (to, from) in unknown.iter_mut().zip(&paths.unknown) {
            *to = lanes(from, first);
        }
        let mut integrals = [_mm512_setzero_pd(); LEVELS];
        for (point, weight) in POINTS {
            let (share, point) = (_mm512_set1_pd(1.0 - point), _mm512_set1_pd(point));
            let mut factors = [one; LEVELS];
            for level in 0..LEVELS {
                let without = _mm512_mul_pd(unknown[level], share);
                factors[level] = _mm512_mask_add_pd(without, agree[level], point, without);
            }
            let mut before = _mm512_set1_pd(weight);
            let mut products = [one; LEVELS];
            for level in 0..LEVELS {
                products[level] = before;
                before = _mm512_mul_pd(before, factors[level]);
            }
            let mut after = one;
            for level in (0..LEVELS).rev() {
                integrals[level] = _mm512_fmadd_pd(products[level], after, integrals[level]);
                after = _mm512_mul_pd(after, factors[level]);
            }
        }
        let values = lanes(&paths.values, first);
        for level in 0..LEVELS {
            let known = _mm512_maskz_mov_pd(agree[level], one);
            let scale = _mm512_mul_pd(values, _mm512_sub_pd(known, unknown[level]));
            integrals[level] = _mm512_mul_pd(integrals[level], scale);
        }
        integrals
    }

    /// Asks for what eight leaves of a tree will need.
    #[inline]
    fn fetch(paths: &Paths, first: usize) {
        let by_level = paths.unknown.iter().chain([&paths.values]);
        for numbers in by_level.map(|it| &raw const it[first]) {
            // SAFETY: a prefetch changes nothing and may be of any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(numbers.cast()) }
        }
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const paths.columns[first]).cast()) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn lanes(of: &[f64; WIDTH], first: usize) -> __m512d {
        load(of[first..].first_chunk().expect("leaves come in eights"))
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load(from: &[f64; LANES]) -> __m512d {
        // SAFETY: the reference is to 64 bytes.
        unsafe { _mm512_loadu_pd(from.as_ptr()) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn store(to: &mut [f64; LANES], from: __m512d) {
        // SAFETY: the reference is to 64 bytes.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), from) }
    }
}
