//! The one order in which leaves are added, so that every evaluator gives the same bits.

use std::cell::RefCell;
use std::ops::Range;

use super::form::{Combine, Form, LeafValue, Node, Tree};
use super::section::Section;

/// Partial sums: an output's tree `t` adds to number `t % LANES`.
pub(super) const LANES: usize = 16;

/// Leaves added so far. Sixteen independent sums do not wait for each other, as one chain of additions would.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Sum(pub(super) [f64; LANES]);

impl Sum {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    #[inline]
    pub(super) fn add(&mut self, tree: usize, leaf: f64) {
        self.0[tree % LANES] += leaf;
    }

    /// Halves are added until one number is left.
    #[inline]
    fn total(self) -> f64 {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for at in 0..half {
                lanes[at] += lanes[at + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// By node, the number that a leaf adds, or where leaves are vectors the bits of which one it is; 0 inside the tree. Vectors are
/// counted as they come in the form.
pub(super) fn leaf_words(tree: &Tree, n_vectors: &mut usize) -> Vec<f64> {
    let mut word = |node: &Node| match node.leaf_value() {
        None => 0.0,
        Some(LeafValue::One(value)) => *value,
        Some(LeafValue::Many(_)) => {
            *n_vectors += 1;
            f64::from_bits(*n_vectors as u64 - 1)
        }
    };
    tree.nodes.iter().map(&mut word).collect()
}

/// A [`Sum`] for each output, for leaves that add to all of them.
pub(super) struct VectorSums<'a> {
    n_outputs: usize,
    /// By lane, then by output.
    lanes: &'a mut [f64],
}

thread_local! {
    /// Kept, so that a row allocates nothing.
    static LANE_BUFFER: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

impl VectorSums<'_> {
    pub(super) fn with(n_outputs: usize, of: impl FnOnce(&mut VectorSums<'_>)) {
        LANE_BUFFER.with_borrow_mut(|lanes| {
            lanes.clear();
            lanes.resize(LANES * n_outputs, 0.0);
            of(&mut VectorSums { n_outputs, lanes });
        });
    }

    #[inline]
    pub(super) fn add(&mut self, tree: usize, vectors: &[f64], word: f64) {
        let (n, leaf) = (self.n_outputs, word.to_bits() as usize);
        let sums = &mut self.lanes[tree % LANES * n..][..n];
        sums.iter_mut()
            .zip(&vectors[leaf * n..])
            .for_each(|(sum, it)| *sum += it);
    }

    pub(super) fn finish(&self, outputs: &Outputs, out: &mut [f64]) {
        for (output, out) in out.iter_mut().enumerate() {
            let sum = Sum(std::array::from_fn(|lane| self.lanes[lane * self.n_outputs + output]));
            *out = outputs.finish(output, sum);
        }
    }
}

/// Which trees add to which output, and what their sum becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outputs {
    each: Vec<Output>,
    /// Leaves hold a number for each output.
    pub(super) vectors: bool,
    leaves: Section<f64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Output {
    trees: Range<usize>,
    base: f64,
    /// 1, or of averages one over the number of trees.
    scale: f64,
}

impl Outputs {
    pub(super) fn of(form: &Form) -> Self {
        let trees: Vec<u32> = form.trees.iter().map(|it| it.output).collect();
        let vectors = form.has_vectors().then(|| Section::new(&form.vectors()));
        Self::new(&form.base, form.combine, &trees, vectors)
    }

    /// `trees`: the output of each tree, in order.
    pub(super) fn new(base: &[f64], combine: Combine, trees: &[u32], vectors: Option<Section<f64>>) -> Self {
        let output = |(at, &base): (usize, &f64)| {
            let below = |limit: usize| trees.partition_point(|tree| (*tree as usize) < limit);
            let trees = if vectors.is_some() {
                0..trees.len()
            } else {
                below(at)..below(at + 1)
            };
            let scale = match combine {
                Combine::Average if !trees.is_empty() => 1.0 / trees.len() as f64,
                _ => 1.0,
            };
            Output { trees, base, scale }
        };
        Self {
            each: base.iter().enumerate().map(output).collect(),
            vectors: vectors.is_some(),
            leaves: vectors.unwrap_or_else(|| Section::new(&[])),
        }
    }

    /// Leaf vectors, one after the other.
    #[inline]
    pub(super) fn leaves(&self) -> &[f64] {
        self.leaves.get()
    }

    pub(super) fn len(&self) -> usize {
        self.each.len()
    }

    /// The trees that add to an output.
    pub(super) fn trees(&self, output: usize) -> Range<usize> {
        self.each[output].trees.clone()
    }

    pub(super) fn scale(&self, output: usize) -> f64 {
        self.each[output].scale
    }

    /// The raw score of an output from its leaves' sum.
    #[inline]
    pub(super) fn finish(&self, output: usize, sum: Sum) -> f64 {
        let Output { base, scale, .. } = self.each[output];
        base + sum.total() * scale
    }
}
