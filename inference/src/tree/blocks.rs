//! Trees as blocks of 63 tests in bytes: all tests of a block are decided at once, then one bit per level leads to an exit.
//!
//! A block is a complete tree of depth 6. Its tests lie at the numbers of a heap from 1, so that the children of test `p`
//! are `2p` and `2p + 1`; the walk ends at a number from 64 on, the exit. A shallower part repeats its leaf. A deeper one goes
//! on in another block: the exit names it and the place where the walk starts there, so that one block holds as many of a
//! tree's shallow ends as fit side by side. Evaluating is one pass over the root blocks of an output's trees, and further
//! passes over the blocks that some of them lead to.

use std::ops::Range;

use super::codes::{CodeTest, Codes, Columns, MAX_COLUMNS, count_below};
use super::form::{Form, LeafValue, Node, Tree};
use super::sum::{Outputs, Sum, VectorSums, vector_word};

/// Exits of a block, and places for its tests, of which the first is not used.
pub(super) const WIDTH: usize = 64;
/// Levels of a block.
pub(super) const LEVELS: usize = 6;
/// Trees that are evaluated together: their tests fit into the first-level cache beside the decisions of several rows.
pub(super) const BATCH: usize = 128;
/// Root blocks come in such groups, the last of an output filled up with blocks of leaves of 0.
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

/// An ensemble in blocks. The first blocks are the roots of the trees, in order, each output's filled up to whole groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocks {
    pub(super) codes: Codes,
    pub(super) blocks: Vec<Block>,
    /// [`WIDTH`] for each block: a leaf (or which of `vectors`), or as a NaN where it goes on.
    pub(super) exits: Vec<f64>,
    /// Of leaves with a number for each output, one after the other.
    pub(super) vectors: Vec<f64>,
    /// Root blocks of each pass: one pass for each output, or one for all where leaves are vectors.
    pub(super) passes: Vec<Range<usize>>,
    /// For each block and register, which tests look at that register; empty with up to two registers.
    pub(super) masks: Vec<u64>,
    /// For each block and place, its column; empty with up to two registers.
    wide_columns: Vec<u16>,
    /// Registers that the codes take.
    pub(super) registers: usize,
    /// Whether missing goes left anywhere.
    pub(super) missing_left: bool,
    /// Whether any exit leads to another block.
    pub(super) deep: bool,
}

/// Where a walk goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) block: usize,
    pub(super) place: usize,
}

impl Entry {
    /// The exit that leads here.
    fn exit(self) -> f64 {
        f64::from_bits(0x7FF8_0000_0000_0000 | (self.block * WIDTH + self.place) as u64)
    }

    /// Where an exit leads to; leaves are finite, so only these exits are NaN.
    #[inline]
    pub(super) fn of(exit: u64) -> Self {
        let word = (exit & 0xFFFF_FFFF) as usize;
        Self {
            block: word / WIDTH,
            place: word % WIDTH,
        }
    }
}

impl Blocks {
    /// `None` where the trees need too many columns or blocks for this form to be of use.
    pub(super) fn pack(form: &Form, outputs: &Outputs) -> Option<Self> {
        let (codes, columns) = Codes::of(&form.trees)?;
        let registers = codes.len().div_ceil(REGISTER).max(1);
        let mut packed = Self {
            codes,
            blocks: Vec::new(),
            exits: Vec::new(),
            vectors: Vec::new(),
            passes: Vec::new(),
            masks: Vec::new(),
            wide_columns: Vec::new(),
            registers,
            missing_left: false,
            deep: false,
        };
        let passes = if outputs.vectors { 1 } else { outputs.len() };
        for pass in 0..passes {
            let first = packed.blocks.len();
            let roots = outputs.trees(pass).len().next_multiple_of(GROUP);
            packed.passes.push(first..first + roots);
            for _ in 0..roots {
                packed.grow()?;
            }
        }
        for pass in 0..passes {
            for (root, tree) in packed.passes[pass].clone().zip(outputs.trees(pass)) {
                packed.push_tree(&columns, root, &form.trees[tree])?;
            }
        }
        Some(packed)
    }

    pub(super) fn masks_each(&self) -> usize {
        if self.registers > 2 { self.registers } else { 0 }
    }

    fn push_tree(&mut self, columns: &Columns, root: usize, tree: &Tree) -> Option<()> {
        let heights = heights(tree);
        let mut open = self.fill(columns, tree, Entry { block: root, place: 1 }, 0)?;
        while !open.is_empty() {
            // The tallest first: ends of falling powers of two always fit side by side.
            open.sort_by_key(|&(_, node)| std::cmp::Reverse(heights[node]));
            let (mut block, mut used) = (0, WIDTH);
            let mut next = Vec::new();
            for (exit, node) in open {
                let levels = heights[node].min(LEVELS);
                if used + (1 << levels) > WIDTH {
                    (block, used) = (self.grow()?, 0);
                }
                let entry = Entry {
                    block,
                    place: (WIDTH + used) >> levels,
                };
                used += 1 << levels;
                self.exits[exit] = entry.exit();
                self.deep = true;
                next.extend(self.fill(columns, tree, entry, node)?);
            }
            open = next;
        }
        Some(())
    }

    /// Fills a block from a place on with the part of the tree below a node. Gives the exits that have to go on, each with the
    /// node that it goes on at.
    fn fill(&mut self, columns: &Columns, tree: &Tree, entry: Entry, node: usize) -> Option<Vec<(usize, usize)>> {
        let first = entry.block * WIDTH;
        let mut open = Vec::new();
        let mut places = vec![(entry.place, node)];
        while let Some((place, at)) = places.pop() {
            let below = LEVELS - place.ilog2() as usize;
            match (&tree.nodes[at], tree.nodes[at].children()) {
                (Node::Leaf { value, .. }, _) => {
                    let exit = (place << below) - WIDTH;
                    let word = self.word(value);
                    self.exits[first + exit..][..1 << below].fill(word);
                }
                (_, Some(_)) if below == 0 => open.push((first + place - WIDTH, at)),
                (inner, Some((left, right))) => {
                    let test = columns.test(inner).expect("an inner node has a test");
                    self.set(entry.block, place, test);
                    places.extend([(2 * place, left), (2 * place + 1, right)]);
                }
                _ => unreachable!("only a leaf has no children"),
            }
        }
        Some(open)
    }

    fn word(&mut self, value: &LeafValue) -> f64 {
        match value {
            LeafValue::One(value) => *value,
            LeafValue::Many(values) => {
                let leaf = self.vectors.len() / values.len();
                self.vectors.extend_from_slice(values);
                vector_word(leaf)
            }
        }
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
            self.wide_columns[block * WIDTH + place] = column;
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
        if self.masks_each() > 0 {
            self.wide_columns.resize(self.wide_columns.len() + WIDTH, 0);
        }
        Some(next)
    }

    /// The codes of a row.
    pub(super) fn code(&self, row: &[f64]) -> [u8; MAX_COLUMNS] {
        let mut codes = [0; MAX_COLUMNS];
        self.codes.encode(row, &mut codes, count_below);
        codes
    }

    /// What a row decides at every test of the root blocks from `first` on: a bit each, set where it goes right.
    pub(super) fn decide(&self, first: usize, codes: &[u8; MAX_COLUMNS], decisions: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::vbmi::Cpu::detect() {
            return cpu.decide(self, first, codes, decisions);
        }
        for (decision, block) in decisions.iter_mut().zip(first..) {
            let rights = (1..WIDTH).map(|place| u64::from(self.goes_right(block, place, codes)) << place);
            *decision = rights.sum();
        }
    }

    /// The raw scores of one row without vector instructions: the tests on the path only, as many trees in flight as the
    /// processor likes.
    pub(super) fn sum_row_plainly(&self, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
        let codes = self.code(row);
        if outputs.vectors {
            let n_trees = outputs.trees(0).len();
            return VectorSums::with(out.len(), |sums| {
                self.leaves(self.passes[0].clone(), &codes, |tree, word| {
                    // What fills up the last group is no leaf.
                    if tree < n_trees {
                        sums.add(tree, &self.vectors, word);
                    }
                });
                sums.finish(outputs, out);
            });
        }
        for (output, out) in out.iter_mut().enumerate() {
            let mut sum = Sum::ZERO;
            self.leaves(self.passes[output].clone(), &codes, |tree, leaf| sum.add(tree, leaf));
            *out = outputs.finish(output, sum);
        }
    }

    #[inline]
    fn leaves(&self, roots: Range<usize>, codes: &[u8; MAX_COLUMNS], mut to: impl FnMut(usize, f64)) {
        for first in roots.clone().step_by(GROUP) {
            let exits = self.walk(first, codes);
            for (lane, mut exit) in exits.into_iter().enumerate() {
                while exit.is_nan() {
                    exit = self.follow(Entry::of(exit.to_bits()), codes);
                }
                to(first - roots.start + lane, exit);
            }
        }
    }

    /// The exits of eight blocks side by side.
    #[inline]
    fn walk(&self, first: usize, codes: &[u8; MAX_COLUMNS]) -> [f64; GROUP] {
        let mut places = [1_usize; GROUP];
        for _ in 0..LEVELS {
            for (lane, place) in places.iter_mut().enumerate() {
                *place = 2 * *place + usize::from(self.goes_right(first + lane, *place, codes));
            }
        }
        std::array::from_fn(|lane| self.exits[(first + lane) * WIDTH + places[lane] - WIDTH])
    }

    #[inline]
    fn follow(&self, Entry { block, mut place }: Entry, codes: &[u8; MAX_COLUMNS]) -> f64 {
        while place < WIDTH {
            place = 2 * place + usize::from(self.goes_right(block, place, codes));
        }
        self.exits[block * WIDTH + place - WIDTH]
    }

    #[inline]
    fn goes_right(&self, block: usize, place: usize, codes: &[u8; MAX_COLUMNS]) -> bool {
        let Block { columns, thresholds } = &self.blocks[block];
        let (column, threshold) = (columns[place], thresholds[place]);
        let code = match self.wide_columns.get(block * WIDTH + place) {
            Some(&wide) => codes[usize::from(wide) % MAX_COLUMNS],
            None => codes[usize::from(column & !MISSING_LEFT)],
        };
        code.wrapping_add(column >> 7) > threshold
    }
}

/// By node, the levels of tests below and with it.
fn heights(tree: &Tree) -> Vec<usize> {
    let mut heights = vec![0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        if let Some((left, right)) = node.children() {
            heights[at] = 1 + heights[left].max(heights[right]);
        }
    }
    heights
}

impl Block {
    /// Every test goes left, whatever the row.
    const EMPTY: Self = Self {
        columns: [0; WIDTH],
        thresholds: [u8::MAX; WIDTH],
    };
}
