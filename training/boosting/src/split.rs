//! The best split of one column in one node, from its histogram.

use crate::bins::ColumnBins;
use crate::histogram::{Entry, Quanta, Sum};
use crate::parameters::{Monotone, Parameters};

/// A category that weighs less than this many rows in a node stays with "all others".
const LEAST_CATEGORY_ROWS: f64 = 5.0;

/// What a node's values may be, so that constraints above it hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Bounds {
    pub(crate) const FREE: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    pub(crate) fn clamp(&self, value: f64) -> f64 {
        value.max(self.low).min(self.high)
    }
}

/// A set of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BinSet([u64; 4]);

impl BinSet {
    /// Bins `0..=last`.
    fn up_to(last: usize) -> Self {
        let mut set = Self::default();
        (0..=last).for_each(|bin| set.insert(bin));
        set
    }

    fn insert(&mut self, bin: usize) {
        self.0[bin / 64] |= 1 << (bin % 64);
    }

    pub(crate) fn contains(&self, bin: usize) -> bool {
        (self.0[bin / 64] >> (bin % 64)) & 1 == 1
    }

    /// By bin, for the loops that look up every row.
    pub(crate) fn table(&self) -> [bool; 256] {
        std::array::from_fn(|bin| self.contains(bin))
    }
}

/// How a node is split.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    pub(crate) gain: f64,
    pub(crate) column: usize,
    /// Bins that go left, the missing one included.
    pub(crate) left_bins: BinSet,
    /// Last value bin on the left, for quantities.
    pub(crate) last_left: usize,
    pub(crate) left: Entry,
    pub(crate) right: Entry,
}

/// Gains and values under the parameters; one per tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) quanta: Quanta,
    /// The mean second derivative of a row of weight 1: turns rows into the units of `l2`.
    pub(crate) row: f64,
}

/// A node, as the search for its split sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeView {
    pub(crate) total: Entry,
    pub(crate) bounds: Bounds,
}

/// From and up to which place in an order of bins.
type Run = (usize, usize);

impl Judge<'_> {
    /// The value that makes the loss least, within the bounds.
    pub(crate) fn value(&self, first: f64, second: f64, extra_l2: f64, bounds: &Bounds) -> f64 {
        let shrunk = (first.abs() - self.parameters.l1).max(0.0).copysign(first);
        bounds.clamp(-shrunk / (second + self.parameters.l2 + extra_l2))
    }

    /// Twice the fall of the loss when a node takes its best value.
    fn score(&self, sum: &Sum, extra_l2: f64, bounds: &Bounds) -> f64 {
        let shrunk = (sum.first.abs() - self.parameters.l1).max(0.0);
        let second = sum.second + self.parameters.l2 + extra_l2;
        if *bounds == Bounds::FREE {
            return shrunk * shrunk / second;
        }
        let value = self.value(sum.first, sum.second, extra_l2, bounds);
        -(2.0 * sum.first * value + second * value * value + 2.0 * self.parameters.l1 * value.abs())
    }

    fn large_enough(&self, sum: &Sum) -> bool {
        sum.count >= self.parameters.min_data_in_leaf as u64 && sum.second >= self.parameters.min_child_weight
    }

    /// The best split of a column, if any gains more than `min_gain`.
    pub(crate) fn best(&self, column: usize, bins: &ColumnBins, histogram: &[Entry], node: &NodeView) -> Option<Split> {
        match bins {
            ColumnBins::Numeric { .. } => self.best_cut(column, histogram, node),
            ColumnBins::Category { .. } => self.best_subset(column, histogram, node),
        }
    }

    /// Scans the cuts; missing values are tried on both sides.
    fn best_cut(&self, column: usize, histogram: &[Entry], node: &NodeView) -> Option<Split> {
        let (missing, values) = histogram.split_last()?;
        let mut search = Search::new(self, node, 0.0, self.monotone(column));
        let some_missing = self.quanta.count(*missing) > 0;
        let mut left = Entry::default();
        for (bin, entry) in values.iter().enumerate() {
            if self.quanta.count(*entry) == 0 {
                continue;
            }
            left.add(*entry);
            search.offer(left, (bin, false));
            if some_missing {
                let mut with_missing = left;
                with_missing.add(*missing);
                search.offer(with_missing, (bin, true));
            }
        }
        let found = search.found?;
        let (last_left, missing_left) = found.what;
        // Where nothing was missing, what will be missing goes where most rows go.
        let missing_left = if some_missing {
            missing_left
        } else {
            found.left_is_heavier(&self.quanta, node)
        };
        let mut left_bins = BinSet::up_to(last_left);
        if missing_left {
            left_bins.insert(values.len());
        }
        Some(found.split(column, left_bins, last_left, node))
    }

    /// Few categories: one against the rest. Many: sorted by their gradient, the best prefix from either end (Fisher 1958).
    /// "All others" (the last value bin) always goes right, as codes without a bin do; "missing" is a category like any.
    fn best_subset(&self, column: usize, histogram: &[Entry], node: &NodeView) -> Option<Split> {
        let others = histogram.len() - 2;
        let present = |bin: &usize| *bin != others && self.quanta.count(histogram[*bin]) > 0;
        let bins: Vec<usize> = (0..histogram.len()).filter(present).collect();
        let (found, order) = if bins.len() <= self.parameters.one_hot_categories {
            self.best_single(&bins, histogram, node)
        } else {
            self.best_prefix(bins, histogram, node)
        };
        let found = found?;
        let (start, end) = found.what;
        let mut left_bins = BinSet::default();
        order[start..end].iter().for_each(|&bin| left_bins.insert(bin));
        Some(found.split(column, left_bins, 0, node))
    }

    fn best_single(&self, bins: &[usize], histogram: &[Entry], node: &NodeView) -> (Option<Found<Run>>, Vec<usize>) {
        let mut search = Search::new(self, node, 0.0, Monotone::Free);
        for (at, &bin) in bins.iter().enumerate() {
            search.offer(histogram[bin], (at, at + 1));
        }
        (search.found, bins.to_vec())
    }

    fn best_prefix(
        &self,
        mut bins: Vec<usize>,
        histogram: &[Entry],
        node: &NodeView,
    ) -> (Option<Found<Run>>, Vec<usize>) {
        let smooth = self.parameters.cat_smooth * self.row;
        let rank = |bin: usize| {
            let sum = self.quanta.sum(histogram[bin]);
            sum.first / (sum.second + smooth)
        };
        bins.retain(|&bin| self.quanta.sum(histogram[bin]).second >= LEAST_CATEGORY_ROWS * self.row);
        bins.sort_by(|&a, &b| rank(a).total_cmp(&rank(b)).then(a.cmp(&b)));
        let most = self.parameters.max_left_categories.min(bins.len().div_ceil(2));
        let mut search = Search::new(self, node, self.parameters.cat_l2 * self.row, Monotone::Free);
        let mut left = Entry::default();
        for (at, &bin) in bins.iter().enumerate().take(most) {
            left.add(histogram[bin]);
            search.offer(left, (0, at + 1));
        }
        left = Entry::default();
        for (at, &bin) in bins.iter().enumerate().rev().take(most) {
            left.add(histogram[bin]);
            search.offer(left, (at, bins.len()));
        }
        (search.found, bins)
    }

    fn monotone(&self, column: usize) -> Monotone {
        self.parameters.monotone.get(column).copied().unwrap_or_default()
    }
}

/// The best candidate so far; `what` is the caller's name for it.
struct Search<'a, What> {
    judge: &'a Judge<'a>,
    node: &'a NodeView,
    extra_l2: f64,
    monotone: Monotone,
    /// What the node scores unsplit.
    parent: f64,
    found: Option<Found<What>>,
}

struct Found<What> {
    gain: f64,
    left: Entry,
    what: What,
}

impl<'a, What> Search<'a, What> {
    fn new(judge: &'a Judge<'a>, node: &'a NodeView, extra_l2: f64, monotone: Monotone) -> Self {
        let parent = judge.score(&judge.quanta.sum(node.total), extra_l2, &node.bounds);
        Self {
            judge,
            node,
            extra_l2,
            monotone,
            parent,
            found: None,
        }
    }

    /// Judges the split that sends `left` left. Of equal ones the first stays.
    fn offer(&mut self, left: Entry, what: What) {
        let right = self.node.total.less(left);
        let sums = [left, right].map(|it| self.judge.quanta.sum(it));
        if !sums.iter().all(|it| self.judge.large_enough(it)) || !self.keeps_order(&sums) {
            return;
        }
        let [left_score, right_score] = sums.map(|it| self.judge.score(&it, self.extra_l2, &self.node.bounds));
        let gain = left_score + right_score - self.parent;
        let bar = self
            .found
            .as_ref()
            .map_or(self.judge.parameters.min_gain.max(1e-12), |it| it.gain);
        if gain > bar {
            self.found = Some(Found { gain, left, what });
        }
    }

    fn keeps_order(&self, sums: &[Sum; 2]) -> bool {
        let value = |sum: &Sum| {
            self.judge
                .value(sum.first, sum.second, self.extra_l2, &self.node.bounds)
        };
        match self.monotone {
            Monotone::Free => true,
            Monotone::Rising => value(&sums[0]) <= value(&sums[1]),
            Monotone::Falling => value(&sums[0]) >= value(&sums[1]),
        }
    }
}

impl<What> Found<What> {
    fn left_is_heavier(&self, quanta: &Quanta, node: &NodeView) -> bool {
        2 * quanta.count(self.left) >= quanta.count(node.total)
    }

    fn split(&self, column: usize, left_bins: BinSet, last_left: usize, node: &NodeView) -> Split {
        Split {
            gain: self.gain,
            column,
            left_bins,
            last_left,
            left: self.left,
            right: node.total.less(self.left),
        }
    }
}
