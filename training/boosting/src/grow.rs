//! One tree, grown leaf by leaf: always the leaf whose split gains most.

use foretell_inference::{Node, Tree};
use rayon::prelude::*;

use crate::bins::{BinnedMatrix, ColumnBins};
use crate::histogram::{Entry, Gradient, Layout, subtract};
use crate::parameters::Monotone;
use crate::split::{BinSet, Bounds, Judge, NodeView, Split};

/// Bins below which threads cost more than they bring to the search for a split.
const PARALLEL_BINS: usize = 1 << 12;

/// What a tree is grown from.
pub(crate) struct Ground<'a> {
    pub(crate) bins: &'a [ColumnBins],
    pub(crate) binned: &'a BinnedMatrix,
    pub(crate) layout: &'a Layout,
    pub(crate) judge: &'a Judge<'a>,
}

/// A tree of bins.
pub(crate) struct Grown {
    pub(crate) nodes: Vec<GrownNode>,
}

/// A node before it has numbers.
#[derive(Debug)]
pub(crate) enum GrownNode {
    Split { split: Split, left: usize, right: usize },
    Leaf { start: usize, end: usize, bounds: Bounds },
}

/// A leaf that may still be split.
struct Leaf {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    view: NodeView,
    histogram: Vec<Entry>,
    best: Option<Split>,
}

/// Rows with their gradients, and room to partition them; kept from tree to tree. After growing, the rows of a leaf lie
/// together.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<u32>,
    pub(crate) gradients: Vec<Gradient>,
    spare_rows: Vec<u32>,
    spare_gradients: Vec<Gradient>,
}

impl Ground<'_> {
    /// Grows a tree on the rows and brings them into the order of its leaves.
    pub(crate) fn grow(&self, rows: &mut Rows) -> Grown {
        rows.spare_rows.resize(rows.rows.len(), 0);
        rows.spare_gradients.resize(rows.rows.len(), Gradient::default());
        let mut nodes = Vec::new();
        let mut leaves = vec![self.root(rows, &mut nodes)];
        let mut pool = Vec::new();
        while leaves.len() < self.judge.parameters.num_leaves {
            let Some(at) = most_gaining(&leaves) else { break };
            let last = leaves.len() + 1 == self.judge.parameters.num_leaves;
            let [left, right] = self.split(leaves.swap_remove(at), rows, &mut nodes, last, &mut pool);
            leaves.push(left);
            leaves.push(right);
        }
        Grown { nodes }
    }

    fn root(&self, rows: &Rows, nodes: &mut Vec<GrownNode>) -> Leaf {
        let view = NodeView {
            total: self.judge.quanta.total(&rows.gradients),
            bounds: Bounds::FREE,
        };
        let mut histogram = vec![Entry::default(); self.layout.len()];
        self.layout.build(
            self.binned,
            &rows.rows,
            &rows.gradients,
            &self.judge.quanta,
            &mut histogram,
        );
        let mut root = push_leaf(nodes, 0..rows.rows.len(), 0, view);
        root.best = self.best(&histogram, &view);
        root.histogram = histogram;
        root
    }

    /// Splits a leaf in two. The last split of a tree needs no histograms any more.
    fn split(
        &self,
        mut parent: Leaf,
        rows: &mut Rows,
        nodes: &mut Vec<GrownNode>,
        last: bool,
        pool: &mut Vec<Vec<Entry>>,
    ) -> [Leaf; 2] {
        let split = parent.best.take().expect("only leaves with a split are chosen");
        let table = split.left_bins.table();
        let middle = rows.partition(parent.start, parent.end, &self.binned.columns[split.column], &table);
        let [left_bounds, right_bounds] = self.child_bounds(&split, &parent.view.bounds);
        let view = |total, bounds| NodeView { total, bounds };
        let depth = parent.depth + 1;
        let mut left = push_leaf(nodes, parent.start..middle, depth, view(split.left, left_bounds));
        let mut right = push_leaf(nodes, middle..parent.end, depth, view(split.right, right_bounds));
        nodes[parent.node] = GrownNode::Split {
            split,
            left: left.node,
            right: right.node,
        };
        if !last && [&left, &right].iter().any(|it| self.may_split(it)) {
            self.search(parent.histogram, [&mut left, &mut right], rows, pool);
        } else {
            pool.push(parent.histogram);
        }
        [left, right]
    }

    /// The smaller child's histogram is summed, the larger one's is the parent's less it.
    fn search(&self, parent: Vec<Entry>, children: [&mut Leaf; 2], rows: &Rows, pool: &mut Vec<Vec<Entry>>) {
        let [left, right] = children;
        let (smaller, larger) = if left.end - left.start <= right.end - right.start {
            (left, right)
        } else {
            (right, left)
        };
        let mut histogram = pool.pop().unwrap_or_else(|| vec![Entry::default(); self.layout.len()]);
        let range = smaller.start..smaller.end;
        let quanta = &self.judge.quanta;
        self.layout.build(
            self.binned,
            &rows.rows[range.clone()],
            &rows.gradients[range],
            quanta,
            &mut histogram,
        );
        larger.histogram = parent;
        subtract(&mut larger.histogram, &histogram);
        smaller.histogram = histogram;
        for leaf in [smaller, larger] {
            if self.may_split(leaf) {
                leaf.best = self.best(&leaf.histogram, &leaf.view);
            }
            if leaf.best.is_none() {
                pool.push(std::mem::take(&mut leaf.histogram));
            }
        }
    }

    fn may_split(&self, leaf: &Leaf) -> bool {
        let parameters = self.judge.parameters;
        leaf.depth < parameters.max_depth && leaf.end - leaf.start >= 2 * parameters.min_data_in_leaf
    }

    /// The best split over all columns; of equal ones that of the first column.
    fn best(&self, histogram: &[Entry], view: &NodeView) -> Option<Split> {
        let one = |(at, &column): (usize, &usize)| {
            self.judge
                .best(column, &self.bins[column], self.layout.column(histogram, at), view)
        };
        let columns = &self.layout.columns;
        let candidates: Vec<Option<Split>> = if self.layout.len() >= PARALLEL_BINS {
            columns.par_iter().enumerate().map(one).collect()
        } else {
            columns.iter().enumerate().map(one).collect()
        };
        candidates
            .into_iter()
            .flatten()
            .reduce(|best, it| if it.gain > best.gain { it } else { best })
    }

    /// Children of a monotone split keep to their side of the middle between their values.
    fn child_bounds(&self, split: &Split, parent: &Bounds) -> [Bounds; 2] {
        let monotone = self
            .judge
            .parameters
            .monotone
            .get(split.column)
            .copied()
            .unwrap_or_default();
        let value = |entry| {
            let sum = self.judge.quanta.sum(entry);
            self.judge.value(sum.first, sum.second, 0.0, parent)
        };
        let middle = (value(split.left) + value(split.right)) / 2.0;
        let (below, above) = (
            Bounds {
                high: middle,
                ..*parent
            },
            Bounds { low: middle, ..*parent },
        );
        match monotone {
            Monotone::Free => [*parent, *parent],
            Monotone::Rising => [below, above],
            Monotone::Falling => [above, below],
        }
    }
}

impl Rows {
    /// Brings the rows that go left to the front, both sides keeping their order; returns where the right side starts.
    fn partition(&mut self, start: usize, end: usize, bins: &[u8], goes_left: &[bool; 256]) -> usize {
        let (rows, gradients) = (&mut self.rows[start..end], &mut self.gradients[start..end]);
        let (spare_rows, spare_gradients) = (
            &mut self.spare_rows[..end - start],
            &mut self.spare_gradients[..end - start],
        );
        let (mut left, mut right) = (0, 0);
        // Both sides are written and one of them moves on: no branch to guess. The left never overtakes the reading.
        for at in 0..rows.len() {
            let (row, gradient) = (rows[at], gradients[at]);
            let goes_left = usize::from(goes_left[bins[row as usize] as usize]);
            (rows[left], gradients[left]) = (row, gradient);
            (spare_rows[right], spare_gradients[right]) = (row, gradient);
            left += goes_left;
            right += 1 - goes_left;
        }
        rows[left..].copy_from_slice(&spare_rows[..right]);
        gradients[left..].copy_from_slice(&spare_gradients[..right]);
        start + left
    }
}

fn push_leaf(nodes: &mut Vec<GrownNode>, rows: std::ops::Range<usize>, depth: usize, view: NodeView) -> Leaf {
    nodes.push(GrownNode::Leaf {
        start: rows.start,
        end: rows.end,
        bounds: view.bounds,
    });
    Leaf {
        node: nodes.len() - 1,
        start: rows.start,
        end: rows.end,
        depth,
        view,
        histogram: Vec::new(),
        best: None,
    }
}

/// Of equal gains the older node's, so that the order of `leaves` does not matter.
fn most_gaining(leaves: &[Leaf]) -> Option<usize> {
    let gain = |at: &usize| leaves[*at].best.as_ref().map(|it| it.gain);
    let open = (0..leaves.len()).filter(|at| leaves[*at].best.is_some());
    open.max_by(|a, b| {
        let by_gain = gain(a).unwrap_or(0.0).total_cmp(&gain(b).unwrap_or(0.0));
        by_gain.then(leaves[*b].node.cmp(&leaves[*a].node))
    })
}

impl Grown {
    /// The tree in inference's form. `leaf` gives value and cover of a leaf's rows.
    pub(crate) fn tree(&self, bins: &[ColumnBins], leaves: &[(f64, f64)]) -> Tree {
        let mut covers: Vec<f64> = leaves.iter().map(|it| it.1).collect();
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if let GrownNode::Split { left, right, .. } = node {
                covers[at] = covers[*left] + covers[*right];
            }
        }
        let node = |(at, node): (usize, &GrownNode)| match node {
            GrownNode::Leaf { .. } => Node::Leaf {
                value: leaves[at].0.into(),
                cover: covers[at],
            },
            GrownNode::Split { split, left, right } => {
                split_node(split, &bins[split.column], (*left, *right), covers[at])
            }
        };
        Tree::new(self.nodes.iter().enumerate().map(node).collect())
    }

    /// The node that a row of bins ends in.
    pub(crate) fn leaf_of(&self, binned: &BinnedMatrix, row: usize) -> usize {
        let mut at = 0;
        while let GrownNode::Split { split, left, right } = &self.nodes[at] {
            let bin = usize::from(binned.columns[split.column][row]);
            at = if split.left_bins.contains(bin) { *left } else { *right };
        }
        at
    }
}

fn split_node(split: &Split, bins: &ColumnBins, (left, right): (usize, usize), cover: f64) -> Node {
    let (feature, left, right) = (split.column as u32, left as u32, right as u32);
    let missing_left = split.left_bins.contains(usize::from(bins.missing_bin()));
    match bins {
        ColumnBins::Numeric { cuts } => Node::Numeric {
            feature,
            threshold: cuts.get(split.last_left).copied().unwrap_or(f64::INFINITY),
            missing_left,
            left,
            right,
            cover,
        },
        ColumnBins::Category { codes, .. } => Node::Category {
            feature,
            categories: words(codes, &split.left_bins),
            missing_left,
            left,
            right,
            cover,
        },
    }
}

/// The left codes as a bit set that ends with its last code.
fn words(codes: &[u32], left_bins: &BinSet) -> Vec<u64> {
    let mut words = Vec::new();
    for (_, &code) in codes.iter().enumerate().filter(|(bin, _)| left_bins.contains(*bin)) {
        let word = code as usize / 64;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= 1_u64 << (code % 64);
    }
    words
}
