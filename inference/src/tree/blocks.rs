//! Trees as blocks of 63 tests in bytes: all tests of a block are decided at once, then one bit per level leads to an exit.
//!
//! A block is a complete tree of depth 6. Its tests lie at the numbers of a heap from 1, so that the children of test `p`
//! are `2p` and `2p + 1`; the walk ends at a number from 64 on, the exit. A shallower part repeats its leaf; a deeper one
//! goes on in another block, which the exit names. Evaluating is one pass over the root blocks of all trees, and further
//! passes over the blocks that some of them lead to.

use super::codes::{CodeTest, Codes, Columns, MAX_COLUMNS, count_below};
use super::form::{Form, LeafValue, Node, Tree};
use super::sum::{Outputs, Sum};

/// Exits of a block, and places for its tests, of which the first is not used.
pub(super) const WIDTH: usize = 64;
/// Levels of a block.
pub(super) const LEVELS: usize = 6;
/// Trees that are evaluated together: their decisions fit into the first-level cache.
pub(super) const BATCH: usize = 256;
/// Root blocks come in such groups, the last filled up with blocks of leaves of 0.
pub(super) const GROUP: usize = 8;
/// Columns of one register.
pub(super) const REGISTER: usize = 64;
/// In a byte of `Block::columns`: missing goes left.
pub(super) const MISSING_LEFT: u8 = 0x80;
/// More bytes of blocks than this are not worth it: they would not stay in any cache.
const MAX_BLOCKS: usize = 1 << 18;

/// The tests of one block.
#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Block {
    /// The test's column within its pair of registers (7 bits) or its register, and [`MISSING_LEFT`].
    pub(super) columns: [u8; WIDTH],
    /// Right iff the code is above it; where missing goes left, both are 1 higher, and a missing value's code wraps to 0.
    pub(super) thresholds: [u8; WIDTH],
}

/// An ensemble in blocks. The first blocks are the roots of the trees, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocks {
    pub(super) codes: Codes,
    pub(super) blocks: Vec<Block>,
    /// [`WIDTH`] for each block: a leaf, or as a NaN the number of the block that goes on.
    pub(super) exits: Vec<f64>,
    /// For each block and register, which tests look at that register; empty with up to two registers.
    pub(super) masks: Vec<u64>,
    /// Root blocks, with those that fill up the last group.
    pub(super) n_roots: usize,
    /// Registers that the codes take.
    pub(super) registers: usize,
    /// Whether missing goes left anywhere.
    pub(super) missing_left: bool,
}

/// The exit that leads to another block.
fn link(block: usize) -> f64 {
    f64::from_bits(0x7FF8_0000_0000_0000 | block as u64)
}

/// The block that an exit leads to; leaves are finite, so only links are NaN.
#[inline]
pub(super) fn linked(exit: f64) -> usize {
    (exit.to_bits() & 0xFFFF_FFFF) as usize
}

impl Blocks {
    /// `None` where the trees need too many columns or blocks for this form to be of use.
    pub(super) fn pack(form: &Form, outputs: &Outputs) -> Option<Self> {
        let trees = &form.trees[..];
        if outputs.len() > 1 {
            return None;
        }
        let (codes, columns) = Codes::of(trees)?;
        let registers = codes.len().div_ceil(REGISTER).max(1);
        let n_roots = trees.len().next_multiple_of(GROUP);
        let mut packed = Self {
            codes,
            blocks: vec![Block::EMPTY; n_roots],
            exits: vec![0.0; n_roots * WIDTH],
            masks: Vec::new(),
            n_roots,
            registers,
            missing_left: false,
        };
        packed.masks.resize(n_roots * packed.masks_each(), 0);
        for (at, tree) in trees.iter().enumerate() {
            packed.push_tree(&columns, at, tree)?;
        }
        Some(packed)
    }

    pub(super) fn masks_each(&self) -> usize {
        if self.registers > 2 { self.registers } else { 0 }
    }

    fn push_tree(&mut self, columns: &Columns, root: usize, tree: &Tree) -> Option<()> {
        let mut open = vec![(root, 0)];
        while let Some((block, node)) = open.pop() {
            self.fill(columns, tree, block, node, &mut open)?;
        }
        Some(())
    }

    /// Fills a block with the part of the tree below a node; parts that do not fit are left in `open`.
    fn fill(
        &mut self,
        columns: &Columns,
        tree: &Tree,
        block: usize,
        node: usize,
        open: &mut Vec<(usize, usize)>,
    ) -> Option<()> {
        let mut places = vec![(1_usize, node)];
        while let Some((place, at)) = places.pop() {
            let level = place.ilog2() as usize;
            match (&tree.nodes[at], tree.nodes[at].children()) {
                (Node::Leaf { value, .. }, _) => {
                    let LeafValue::One(value) = value else { return None };
                    let (first, count) = (place << (LEVELS - level), 1 << (LEVELS - level));
                    let first = block * WIDTH + first - WIDTH;
                    self.exits[first..first + count].fill(*value);
                }
                (_, Some(_)) if level == LEVELS => {
                    let next = self.grow()?;
                    self.exits[block * WIDTH + place - WIDTH] = link(next);
                    open.push((next, at));
                }
                (inner, Some((left, right))) => {
                    let test = columns.test(inner).expect("an inner node has a test");
                    self.set(block, place, test);
                    places.extend([(2 * place, left), (2 * place + 1, right)]);
                }
                _ => unreachable!("only a leaf has no children"),
            }
        }
        Some(())
    }

    fn set(&mut self, block: usize, place: usize, test: CodeTest) {
        let CodeTest {
            column,
            threshold,
            missing_left,
        } = test;
        let (register, within) = (column as usize / REGISTER, column as usize % REGISTER);
        let masks_each = self.masks_each();
        let pair = if masks_each == 0 { register * REGISTER } else { 0 };
        let flag = if missing_left { MISSING_LEFT } else { 0 };
        let Block { columns, thresholds } = &mut self.blocks[block];
        columns[place] = (pair + within) as u8 | flag;
        thresholds[place] = threshold + u8::from(missing_left);
        if masks_each > 0 {
            self.masks[block * masks_each + register] |= 1 << place;
        }
        self.missing_left |= missing_left;
    }

    fn grow(&mut self) -> Option<usize> {
        let next = self.blocks.len();
        if next == MAX_BLOCKS {
            return None;
        }
        self.blocks.push(Block::EMPTY);
        self.exits.resize(self.exits.len() + WIDTH, 0.0);
        self.masks.resize(self.masks.len() + self.masks_each(), 0);
        Some(next)
    }

    /// What a row decides at every test of the root blocks from `first` on: a bit each, set where it goes right.
    pub(super) fn decide(&self, first: usize, row: &[f64], decisions: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::vbmi::Cpu::detect() {
            return cpu.decide_all(self, first, row, decisions);
        }
        self.decide_plainly(first, row, decisions);
    }

    fn decide_plainly(&self, first: usize, row: &[f64], decisions: &mut [u64]) {
        let mut codes = [0; MAX_COLUMNS];
        self.codes.encode(row, &mut codes, count_below);
        for (decision, block) in decisions.iter_mut().zip(first..) {
            let rights = (1..WIDTH).map(|place| u64::from(self.goes_right(block, place, &codes)) << place);
            *decision = rights.sum();
        }
    }

    /// One row through all trees without vector instructions: the tests on the path only, as many trees in flight as the processor likes.
    pub(super) fn sum_row_plainly(&self, row: &[f64]) -> Sum {
        let mut codes = [0; MAX_COLUMNS];
        self.codes.encode(row, &mut codes, count_below);
        let mut sum = Sum::ZERO;
        for group in 0..self.n_roots / GROUP {
            let mut blocks: [usize; GROUP] = std::array::from_fn(|lane| group * GROUP + lane);
            let mut exits = self.walk(&blocks, &codes);
            for (lane, exit) in exits.iter_mut().enumerate() {
                while exit.is_nan() {
                    blocks[lane] = linked(*exit);
                    [*exit] = self.walk(&[blocks[lane]], &codes);
                }
                sum.add(group * GROUP + lane, *exit);
            }
        }
        sum
    }

    #[inline]
    fn walk<const N: usize>(&self, blocks: &[usize; N], codes: &[u8; MAX_COLUMNS]) -> [f64; N] {
        let mut places = [1_usize; N];
        for _ in 0..LEVELS {
            for (place, block) in places.iter_mut().zip(blocks) {
                *place = 2 * *place + usize::from(self.goes_right(*block, *place, codes));
            }
        }
        std::array::from_fn(|lane| self.exits[blocks[lane] * WIDTH + places[lane] - WIDTH])
    }

    #[inline]
    fn goes_right(&self, block: usize, place: usize, codes: &[u8; MAX_COLUMNS]) -> bool {
        let Block { columns, thresholds } = &self.blocks[block];
        let (column, threshold) = (columns[place], thresholds[place]);
        let masks = &self.masks[block * self.masks_each()..][..self.masks_each()];
        let register = masks.iter().position(|it| it >> place & 1 == 1).unwrap_or(0);
        let code = codes[register * REGISTER + usize::from(column & !MISSING_LEFT)];
        code.wrapping_add(column >> 7) > threshold
    }
}

impl Block {
    /// Every test goes left, whatever the row.
    const EMPTY: Self = Self {
        columns: [0; WIDTH],
        thresholds: [u8::MAX; WIDTH],
    };
}
