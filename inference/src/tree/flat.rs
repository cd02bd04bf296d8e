//! The same trees, packed: 16 bytes a node, siblings side by side, eight walks at a time.
//!
//! A walk waits for memory and compares, not for arithmetic, so walks that do not depend on each other are interleaved: eight
//! trees for one row, eight rows for one tree. Leaves point at themselves, so a walk that has ended may be stepped again.
//! Each row's leaves are added in the one order of `Sum`, so the sum has the same bits as the obvious walk's.

use std::collections::VecDeque;

use super::form::{Node, Tree, contains};
use super::sum::{Outputs, Sum, VectorSums, leaf_words};

/// Columns of an ensemble at most: fits beside the two flags, and a hostile file cannot ask for a huge row.
pub(super) const MAX_FEATURES: usize = 1 << 20;

const CATEGORY: u32 = 1 << 31;
const MISSING_LEFT: u32 = 1 << 30;
const FEATURE: u32 = MISSING_LEFT - 1;

/// Walks in flight.
const LANES: usize = 8;

/// Rows that pass one tree before the next tree is fetched.
const BLOCK: usize = 128;

/// The right child is `left + 1`. A leaf looks at column 0, always goes left, and its left is itself.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FlatNode {
    /// A threshold's bits; of a category node the first word (low half) and number of words (high half) of its set.
    payload: u64,
    /// Column and the two flags.
    feature: u32,
    left: u32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct FlatTrees {
    nodes: Vec<FlatNode>,
    /// By node: what a leaf adds, or as bits which of the leaf vectors it is; 0 inside the tree.
    values: Vec<f64>,
    roots: Vec<u32>,
    words: Vec<u64>,
}

impl FlatTrees {
    /// Nodes and category words have been counted in 32 bits.
    pub(super) fn pack(trees: &[Tree]) -> Self {
        let (mut flat, mut n_vectors) = (Self::default(), 0);
        for tree in trees {
            flat.roots.push(flat.nodes.len() as u32);
            flat.push_tree(tree, &leaf_words(tree, &mut n_vectors));
        }
        flat
    }

    /// Breadth first: the pair of children takes the next two places.
    fn push_tree(&mut self, tree: &Tree, words: &[f64]) {
        let mut next = self.nodes.len() as u32 + 1;
        let mut queue = VecDeque::from([0_usize]);
        while let Some(at) = queue.pop_front() {
            let node = &tree.nodes[at];
            let flat = match node {
                Node::Leaf { .. } => leaf(self.nodes.len() as u32),
                _ => self.inner(node, next),
            };
            self.nodes.push(flat);
            self.values.push(words[at]);
            if let Some((left, right)) = node.children() {
                next += 2;
                queue.extend([left, right]);
            }
        }
    }

    fn inner(&mut self, node: &Node, left: u32) -> FlatNode {
        let flag = |missing_left: bool| if missing_left { MISSING_LEFT } else { 0 };
        match node {
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                ..
            } => FlatNode {
                payload: threshold.to_bits(),
                feature: feature | flag(*missing_left),
                left,
            },
            Node::Category {
                feature,
                categories,
                missing_left,
                ..
            } => {
                let first = self.words.len() as u32;
                let count = categories.len() as u32;
                self.words.extend_from_slice(categories);
                let payload = u64::from(first) | u64::from(count) << 32;
                FlatNode {
                    payload,
                    feature: feature | CATEGORY | flag(*missing_left),
                    left,
                }
            }
            Node::Leaf { .. } => unreachable!("leaves are packed by `leaf`"),
        }
    }

    /// The raw scores of one row, eight trees at a time.
    pub(super) fn sum_row(&self, outputs: &Outputs, row: &[f64], out: &mut [f64]) {
        if outputs.vectors {
            return VectorSums::with(out.len(), |sums| {
                self.leaves(&self.roots, row, |tree, word| sums.add(tree, outputs.leaves(), word));
                sums.finish(outputs, out);
            });
        }
        for (output, out) in out.iter_mut().enumerate() {
            let mut sum = Sum::ZERO;
            self.leaves(&self.roots[outputs.trees(output)], row, |tree, leaf| {
                sum.add(tree, leaf)
            });
            *out = outputs.finish(output, sum);
        }
    }

    fn leaves(&self, roots: &[u32], row: &[f64], mut to: impl FnMut(usize, f64)) {
        let (groups, rest) = roots.as_chunks::<LANES>();
        for (group, roots) in groups.iter().enumerate() {
            for (lane, leaf) in self.descend(*roots, [row; LANES]).into_iter().enumerate() {
                to(group * LANES + lane, self.values[leaf as usize]);
            }
        }
        for (at, &root) in rest.iter().enumerate() {
            let [leaf] = self.descend([root], [row]);
            to(groups.len() * LANES + at, self.values[leaf as usize]);
        }
    }

    /// The raw scores of all rows; with one output, long inputs pass each tree in blocks, eight rows at a time.
    pub(super) fn sum_rows(&self, outputs: &Outputs, width: usize, rows: &[f64], out: &mut [f64]) {
        let n = outputs.len();
        if n > 1 || out.len() < LANES {
            let rows = rows.chunks_exact(width).zip(out.chunks_exact_mut(n));
            rows.for_each(|(row, out)| self.sum_row(outputs, row, out));
            return;
        }
        for (rows, out) in rows.chunks(BLOCK * width).zip(out.chunks_mut(BLOCK)) {
            self.sum_block(outputs, width, rows, out);
        }
    }

    fn sum_block(&self, outputs: &Outputs, width: usize, rows: &[f64], out: &mut [f64]) {
        let mut sums = [Sum::ZERO; BLOCK];
        let sums = &mut sums[..out.len()];
        for (tree, &root) in self.roots.iter().enumerate() {
            let (groups, rest) = sums.as_chunks_mut::<LANES>();
            for (group, rows) in groups.iter_mut().zip(rows.chunks_exact(LANES * width)) {
                let lanes: [&[f64]; LANES] = std::array::from_fn(|lane| &rows[lane * width..(lane + 1) * width]);
                let leaves = self.descend([root; LANES], lanes);
                group
                    .iter_mut()
                    .zip(leaves)
                    .for_each(|(sum, leaf)| sum.add(tree, self.values[leaf as usize]));
            }
            let tail = &rows[groups.len() * LANES * width..];
            for (sum, row) in rest.iter_mut().zip(tail.chunks_exact(width)) {
                let [leaf] = self.descend([root], [row]);
                sum.add(tree, self.values[leaf as usize]);
            }
        }
        out.iter_mut()
            .zip(sums)
            .for_each(|(out, sum)| *out = outputs.finish(0, *sum));
    }

    /// Steps all walks until none moves.
    #[inline]
    fn descend<const N: usize>(&self, mut at: [u32; N], rows: [&[f64]; N]) -> [u32; N] {
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let next = self.step(*at, row);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    #[inline]
    fn step(&self, at: u32, row: &[f64]) -> u32 {
        let node = &self.nodes[at as usize];
        let x = row[(node.feature & FEATURE) as usize];
        let missing_right = x.is_nan() & (node.feature & MISSING_LEFT == 0);
        let beyond = if node.feature & CATEGORY == 0 {
            x > f64::from_bits(node.payload)
        } else {
            !x.is_nan() && !contains(self.set(node), x)
        };
        node.left + u32::from(beyond | missing_right)
    }

    fn set(&self, node: &FlatNode) -> &[u64] {
        let first = (node.payload & u64::from(u32::MAX)) as usize;
        &self.words[first..first + (node.payload >> 32) as usize]
    }
}

fn leaf(at: u32) -> FlatNode {
    FlatNode {
        payload: f64::INFINITY.to_bits(),
        feature: MISSING_LEFT,
        left: at,
    }
}
