//! Trees as blocks of 63 tests in bytes: all tests of a block are decided at once, then one bit per level leads to an exit.
//!
//! A block is a complete tree of depth 6. Its tests lie at the numbers of a heap from 1, so that the children of test `p`
//! are `2p` and `2p + 1`; the walk ends at a number from 64 on, the exit. A shallower part repeats its leaf. A deeper one goes
//! on in another block: the exit names it and the place where the walk starts there, so that one block holds as many of a
//! tree's shallow ends as fit side by side. Evaluating is one pass over the root blocks of an output's trees, and further
//! passes over the blocks that some of them lead to.

use std::ops::Range;

use bytes::Bytes;

use super::codes::{CodeTest, Codes, Columns, MAX_COLUMNS, count_below};
use super::form::{Form, Node, Tree};
use super::section::Section;
use super::sum::{Outputs, Sum, VectorSums, leaf_words};

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

/// The tests of one block: for each the column within its pair of registers (7 bits) or its register, with [`MISSING_LEFT`];
/// and the threshold. Right iff the code is above it; where missing goes left, both are 1 higher, and a missing value's code wraps
/// to 0.
pub(super) type Block = [[u8; WIDTH]; 2];

/// Every test goes left, whatever the row.
const EMPTY: Block = [[0; WIDTH], [u8::MAX; WIDTH]];

/// An ensemble in blocks. The first blocks are the roots of the trees, in order, each output's filled up to whole groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocks {
    pub(super) codes: Codes,
    pub(super) shape: Shape,
    pub(super) blocks: Section<Block>,
    /// [`WIDTH`] for each block: a leaf (or which of the leaf vectors), or as a NaN where it goes on.
    pub(super) exits: Section<f64>,
    /// For each block and register, which tests look at that register; empty with up to two registers.
    pub(super) masks: Section<u64>,
    /// For each block and place, its column; empty with up to two registers.
    pub(super) wide_columns: Section<u16>,
}

/// The same, its lists at hand.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) codes: &'a Codes,
    pub(super) shape: &'a Shape,
    pub(super) blocks: &'a [Block],
    pub(super) exits: &'a [f64],
    pub(super) masks: &'a [u64],
    wide_columns: &'a [u16],
}

/// How the blocks are to be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shape {
    /// Root blocks of each pass: one pass for each output, or one for all where leaves are vectors.
    pub(super) passes: Vec<Range<usize>>,
    /// Registers that the codes take.
    pub(super) registers: usize,
    /// Whether missing goes left anywhere.
    pub(super) missing_left: bool,
    /// Whether any exit leads to another block.
    pub(super) deep: bool,
}

impl Shape {
    /// Masks of each block.
    pub(super) fn masks_each(&self) -> usize {
        if self.registers > 2 { self.registers } else { 0 }
    }
}

/// Blocks while they are filled.
struct Packer {
    shape: Shape,
    columns: Columns,
    blocks: Vec<Block>,
    exits: Vec<f64>,
    masks: Vec<u64>,
    wide_columns: Vec<u16>,
    /// Leaf vectors seen so far.
    n_vectors: usize,
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
        let mut packer = Packer {
            shape: Shape {
                registers: codes.len().div_ceil(REGISTER).max(1),
                ..Shape::default()
            },
            columns,
            blocks: Vec::new(),
            exits: Vec::new(),
            masks: Vec::new(),
            wide_columns: Vec::new(),
            n_vectors: 0,
        };
        packer.push_roots(outputs)?;
        for pass in 0..packer.shape.passes.len() {
            for (root, tree) in packer.shape.passes[pass].clone().zip(outputs.trees(pass)) {
                packer.push_tree(root, &form.trees[tree])?;
            }
        }
        Some(Self {
            codes,
            shape: packer.shape,
            blocks: Section::new(&packer.blocks),
            exits: Section::new(&packer.exits),
            masks: Section::new(&packer.masks),
            wide_columns: Section::new(&packer.wide_columns),
        })
    }

    /// The lists of a file, after that of `shape_words`.
    pub(super) fn sections(&self) -> [&[u8]; 6] {
        [
            self.codes.points.bytes(),
            self.codes.words.bytes(),
            self.blocks.bytes(),
            self.exits.bytes(),
            self.masks.bytes(),
            self.wide_columns.bytes(),
        ]
    }

    /// All that is no list: registers, flags, the end of each pass; then how many cut columns, each with its feature, first
    /// chunk and pivots; then how many columns of sets, each with its feature, first word and number of words.
    pub(super) fn shape_words(&self) -> Vec<u32> {
        let Shape {
            passes,
            registers,
            missing_left,
            deep,
        } = &self.shape;
        let mut words = vec![*registers as u32, u32::from(*missing_left), u32::from(*deep)];
        words.push(passes.len() as u32);
        words.extend(passes.iter().map(|it| it.end as u32));
        self.codes.push_shape(&mut words);
        words
    }

    /// What `shape_words` and `sections` wrote; `None` where they are not of this kind.
    pub(super) fn from_sections(shape: &Section<u32>, lists: &[Bytes]) -> Option<Self> {
        let [points, words, blocks, exits, masks, wide_columns] = lists else {
            return None;
        };
        let mut shape = shape.get().iter().map(|it| *it as usize);
        let (registers, missing_left, deep) = (shape.next()?, shape.next()? == 1, shape.next()? == 1);
        let (n_passes, mut first) = (shape.next()?, 0);
        let mut passes = Vec::new();
        for _ in 0..n_passes {
            let end = shape.next()?;
            passes.push(first..end);
            first = end;
        }
        Some(Self {
            codes: Codes::from_shape(
                &mut shape,
                Section::shared(points.clone())?,
                Section::shared(words.clone())?,
            )?,
            shape: Shape {
                passes,
                registers,
                missing_left,
                deep,
            },
            blocks: Section::shared(blocks.clone())?,
            exits: Section::shared(exits.clone())?,
            masks: Section::shared(masks.clone())?,
            wide_columns: Section::shared(wide_columns.clone())?,
        })
    }

    /// Whether no evaluator can leave its lists or walk for ever, whatever the row.
    pub(super) fn is_sound(&self, n_features: usize, outputs: &Outputs) -> bool {
        let n_blocks = self.blocks.get().len();
        let masks_each = self.shape.masks_each();
        let wide = if masks_each > 0 { n_blocks * WIDTH } else { 0 };
        let lists = n_blocks <= MAX_BLOCKS
            && self.exits.get().len() == n_blocks * WIDTH
            && self.masks.get().len() == n_blocks * masks_each
            && self.wide_columns.get().len() == wide
            && self.shape.registers == self.codes.len().div_ceil(REGISTER).max(1);
        lists
            && self.codes.is_sound(n_features)
            && self.passes_are_sound(n_blocks, outputs)
            && self.exits_are_sound(outputs)
    }

    fn passes_are_sound(&self, n_blocks: usize, outputs: &Outputs) -> bool {
        let passes = &self.shape.passes;
        let expected = if outputs.vectors { 1 } else { outputs.len() };
        let roots = |(pass, roots): (usize, &Range<usize>)| {
            roots.end >= roots.start && roots.len() == outputs.trees(pass).len().next_multiple_of(GROUP)
        };
        passes.len() == expected
            && passes.iter().enumerate().all(roots)
            && passes.last().is_some_and(|it| it.end <= n_blocks)
    }

    /// Exits lead to later blocks only, and where none should, none does.
    fn exits_are_sound(&self, outputs: &Outputs) -> bool {
        let (exits, n_blocks) = (self.exits.get(), self.blocks.get().len());
        let n_vectors = (outputs.leaves().len() / outputs.len()) as u64;
        let is_leaf = |exit: f64| match outputs.vectors {
            true => exit.to_bits() < n_vectors.max(1),
            false => exit.is_finite(),
        };
        let leads_on = |block: usize, exit: f64| {
            let next = Entry::of(exit.to_bits());
            exit.is_nan() && self.shape.deep && next.block > block && next.block < n_blocks && next.place > 0
        };
        let sound = |(at, exit): (usize, &f64)| is_leaf(*exit) || leads_on(at / WIDTH, *exit);
        exits.iter().enumerate().all(sound)
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            codes: &self.codes,
            shape: &self.shape,
            blocks: self.blocks.get(),
            exits: self.exits.get(),
            masks: self.masks.get(),
            wide_columns: self.wide_columns.get(),
        }
    }
}

impl View<'_> {
    /// The codes of a row.
    pub(super) fn code(self, row: &[f64]) -> [u8; MAX_COLUMNS] {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::vbmi::Cpu::detect() {
            return cpu.code(self, row);
        }
        self.code_plainly(row)
    }

    fn code_plainly(self, row: &[f64]) -> [u8; MAX_COLUMNS] {
        let mut codes = [0; MAX_COLUMNS];
        self.codes.encode(row, &mut codes, count_below);
        codes
    }

    /// What a row decides at every test of the root blocks from `first` on: a bit each, set where it goes right.
    pub(super) fn decide(self, first: usize, codes: &[u8; MAX_COLUMNS], decisions: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = super::vbmi::Cpu::detect() {
            return cpu.decide(self, first, codes, decisions);
        }
        for (decision, block) in decisions.iter_mut().zip(first..) {
            let tests = &self.blocks[block];
            let goes_right = |place| match self.wide_columns.is_empty() {
                true => self.goes_right::<false>(tests, block, place, codes),
                false => self.goes_right::<true>(tests, block, place, codes),
            };
            let rights = (1..WIDTH).map(|place| u64::from(goes_right(place)) << place);
            *decision = rights.sum();
        }
    }

    /// The raw scores of one row without vector instructions.
    pub(super) fn sum_row_plainly(self, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
        self.sum_codes(outputs, &self.code_plainly(row), out);
    }

    /// The raw scores of a row of codes: the tests on the path only, as many trees in flight as the processor likes.
    #[inline]
    pub(super) fn sum_codes(self, outputs: &Outputs, codes: &[u8; MAX_COLUMNS], out: &mut [f64]) {
        if outputs.vectors {
            let n_trees = outputs.trees(0).len();
            return VectorSums::with(out.len(), |sums| {
                self.leaves(self.shape.passes[0].clone(), codes, |tree, word| {
                    // What fills up the last group is no leaf.
                    if tree < n_trees {
                        sums.add(tree, outputs.leaves(), word);
                    }
                });
                sums.finish(outputs, out);
            });
        }
        for (output, out) in out.iter_mut().enumerate() {
            let mut sum = Sum::ZERO;
            self.leaves(self.shape.passes[output].clone(), codes, |tree, leaf| {
                sum.add(tree, leaf)
            });
            *out = outputs.finish(output, sum);
        }
    }

    #[inline]
    fn leaves(self, roots: Range<usize>, codes: &[u8; MAX_COLUMNS], to: impl FnMut(usize, f64)) {
        if self.wide_columns.is_empty() {
            self.leaves_of::<false>(roots, codes, to);
        } else {
            self.leaves_of::<true>(roots, codes, to);
        }
    }

    /// `WIDE`: columns are in `wide_columns`.
    #[inline]
    fn leaves_of<const WIDE: bool>(
        self,
        roots: Range<usize>,
        codes: &[u8; MAX_COLUMNS],
        mut to: impl FnMut(usize, f64),
    ) {
        for first in roots.clone().step_by(GROUP) {
            let exits = self.walk::<WIDE>(first, codes);
            for (lane, mut exit) in exits.into_iter().enumerate() {
                while exit.is_nan() {
                    exit = self.follow::<WIDE>(Entry::of(exit.to_bits()), codes);
                }
                to(first - roots.start + lane, exit);
            }
        }
    }

    /// The exits of eight blocks side by side.
    #[inline]
    fn walk<const WIDE: bool>(self, first: usize, codes: &[u8; MAX_COLUMNS]) -> [f64; GROUP] {
        let group: &[Block; GROUP] = self.blocks[first..].first_chunk().expect("roots come in groups");
        let mut places = [1_usize; GROUP];
        for _ in 0..LEVELS {
            for lane in 0..GROUP {
                let right = self.goes_right::<WIDE>(&group[lane], first + lane, places[lane], codes);
                places[lane] = 2 * places[lane] + usize::from(right);
            }
        }
        std::array::from_fn(|lane| self.exits[(first + lane) * WIDTH + places[lane] - WIDTH])
    }

    #[inline]
    fn follow<const WIDE: bool>(self, Entry { block, mut place }: Entry, codes: &[u8; MAX_COLUMNS]) -> f64 {
        while place < WIDTH {
            let right = self.goes_right::<WIDE>(&self.blocks[block], block, place, codes);
            place = 2 * place + usize::from(right);
        }
        self.exits[block * WIDTH + place - WIDTH]
    }

    #[inline]
    fn goes_right<const WIDE: bool>(
        self,
        [columns, thresholds]: &Block,
        block: usize,
        place: usize,
        codes: &[u8; MAX_COLUMNS],
    ) -> bool {
        let (column, threshold) = (columns[place], thresholds[place]);
        let at = match WIDE {
            true => usize::from(self.wide_columns[block * WIDTH + place]) % MAX_COLUMNS,
            false => usize::from(column & !MISSING_LEFT),
        };
        codes[at].wrapping_add(column >> 7) > threshold
    }
}

impl Packer {
    fn push_roots(&mut self, outputs: &Outputs) -> Option<()> {
        let passes = if outputs.vectors { 1 } else { outputs.len() };
        for pass in 0..passes {
            let first = self.blocks.len();
            let roots = outputs.trees(pass).len().next_multiple_of(GROUP);
            self.shape.passes.push(first..first + roots);
            for _ in 0..roots {
                self.grow()?;
            }
        }
        Some(())
    }

    fn push_tree(&mut self, root: usize, tree: &Tree) -> Option<()> {
        let heights = heights(tree);
        let words = leaf_words(tree, &mut self.n_vectors);
        let mut open = self.fill(tree, &words, Entry { block: root, place: 1 }, 0)?;
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
                self.shape.deep = true;
                next.extend(self.fill(tree, &words, entry, node)?);
            }
            open = next;
        }
        Some(())
    }

    /// Fills a block from a place on with the part of the tree below a node. Gives the exits that have to go on, each with the
    /// node that it goes on at.
    fn fill(&mut self, tree: &Tree, words: &[f64], entry: Entry, node: usize) -> Option<Vec<(usize, usize)>> {
        let first = entry.block * WIDTH;
        let mut open = Vec::new();
        let mut places = vec![(entry.place, node)];
        while let Some((place, at)) = places.pop() {
            let below = LEVELS - place.ilog2() as usize;
            match (&tree.nodes[at], tree.nodes[at].children()) {
                (Node::Leaf { .. }, _) => {
                    let exit = (place << below) - WIDTH;
                    self.exits[first + exit..][..1 << below].fill(words[at]);
                }
                (_, Some(_)) if below == 0 => open.push((first + place - WIDTH, at)),
                (inner, Some((left, right))) => {
                    let test = self.columns.test(inner).expect("an inner node has a test");
                    self.set(entry.block, place, test);
                    places.extend([(2 * place, left), (2 * place + 1, right)]);
                }
                _ => unreachable!("only a leaf has no children"),
            }
        }
        Some(open)
    }

    fn set(&mut self, block: usize, place: usize, test: CodeTest) {
        let CodeTest {
            column,
            threshold,
            missing_left,
        } = test;
        let (register, within) = (column as usize / REGISTER, column as usize % REGISTER);
        let masks_each = self.shape.masks_each();
        let pair = if masks_each == 0 { register * REGISTER } else { 0 };
        let flag = if missing_left { MISSING_LEFT } else { 0 };
        let [columns, thresholds] = &mut self.blocks[block];
        columns[place] = (pair + within) as u8 | flag;
        thresholds[place] = threshold + u8::from(missing_left);
        if masks_each > 0 {
            self.masks[block * masks_each + register] |= 1 << place;
            self.wide_columns[block * WIDTH + place] = column;
        }
        self.shape.missing_left |= missing_left;
    }

    fn grow(&mut self) -> Option<usize> {
        let next = self.blocks.len();
        if next == MAX_BLOCKS {
            return None;
        }
        self.blocks.push(EMPTY);
        self.exits.resize(self.exits.len() + WIDTH, 0.0);
        self.masks.resize(self.masks.len() + self.shape.masks_each(), 0);
        if self.shape.masks_each() > 0 {
            self.wide_columns.resize(self.wide_columns.len() + WIDTH, 0);
        }
        Some(next)
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
