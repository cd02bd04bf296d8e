//! Tree blocks to trees.

use crate::import::layout::{Forest, Part, lay_out, settle_covers};
use crate::tree::{Combine, Node, Tree};

use super::text::{Block, Text};

/// What the file's trees are.
pub(super) struct Trees {
    pub(super) forest: Forest,
    pub(super) cover_known: bool,
}

/// How a column's missing values are told, over all nodes that look at it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Missing {
    /// A zero is missing.
    pub(super) zero: bool,
    /// Only NaN is missing.
    pub(super) nan: bool,
}

const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;
const MISSING_ZERO: u8 = 1;
const MISSING_NAN: u8 = 2;

/// Reads all trees; notes in `missing` what each column's missing values are.
pub(super) fn read(
    text: &Text<'_>,
    n_outputs: usize,
    leaf_scale: f64,
    combine: Combine,
    missing: &mut [Missing],
) -> Result<Trees, String> {
    let is_linear = |block: &&Block<'_>| block.field("is_linear").is_some_and(|it| it.trim() == "1");
    if text.blocks.iter().any(|it| is_linear(&it)) {
        return Err(
            "its leaves are regressions (linear_tree=true), which cannot be imported; train it with linear_tree=false"
                .to_owned(),
        );
    }
    if n_outputs == 0 || !text.blocks.len().is_multiple_of(n_outputs) {
        return Err(format!(
            "{} trees are not a multiple of {n_outputs} per iteration",
            text.blocks.len()
        ));
    }
    let mut forest = Forest::new(vec![0.0; n_outputs], combine);
    let mut cover_known = true;
    for (at, block) in text.blocks.iter().enumerate() {
        let raw = RawTree::read(block).map_err(|reason| format!("tree {at}: {reason}"))?;
        let mut nodes = raw
            .nodes(leaf_scale, missing)
            .map_err(|reason| format!("tree {at}: {reason}"))?;
        cover_known &= settle_covers(&mut nodes);
        let output = u32::try_from(at % n_outputs).map_err(|_| "too many outputs".to_owned())?;
        forest.add(Tree::for_output(nodes, output));
    }
    Ok(Trees { forest, cover_known })
}

/// The lists of one block as numbers. Splits are `0..n-1`; a child below 0 is leaf `-1 - child`.
struct RawTree {
    leaf_value: Vec<f64>,
    leaf_count: Vec<f64>,
    split_feature: Vec<u32>,
    threshold: Vec<f64>,
    decision_type: Vec<u8>,
    left_child: Vec<i64>,
    right_child: Vec<i64>,
    internal_count: Vec<f64>,
    cat_boundaries: Vec<usize>,
    cat_threshold: Vec<u32>,
    /// Sets are each used by one node; what is used twice was not written by LightGBM.
    set_used: Vec<bool>,
}

impl RawTree {
    fn read(block: &Block<'_>) -> Result<Self, String> {
        let n_leaves = block.number("num_leaves")?;
        let n_splits = n_leaves.checked_sub(1).ok_or("`num_leaves` is 0")?;
        let has_sets = n_splits > 0 && block.number("num_cat").unwrap_or(0) > 0;
        let splits = |name: &str| -> Result<Vec<i64>, String> { list_or_empty(block, name, n_splits) };
        let cat_boundaries: Vec<usize> = if has_sets {
            block.numbers("cat_boundaries")?
        } else {
            Vec::new()
        };
        Ok(Self {
            leaf_value: block.list("leaf_value", n_leaves)?,
            leaf_count: counts(block, "leaf_count", n_leaves)?,
            split_feature: list_or_empty(block, "split_feature", n_splits)?,
            threshold: list_or_empty(block, "threshold", n_splits)?,
            decision_type: list_or_empty(block, "decision_type", n_splits)?,
            left_child: splits("left_child")?,
            right_child: splits("right_child")?,
            internal_count: counts(block, "internal_count", n_splits)?,
            set_used: vec![false; cat_boundaries.len().saturating_sub(1)],
            cat_boundaries,
            cat_threshold: if has_sets {
                block.numbers("cat_threshold")?
            } else {
                Vec::new()
            },
        })
    }

    fn nodes(mut self, leaf_scale: f64, missing: &mut [Missing]) -> Result<Vec<Node>, String> {
        let n_splits = self.split_feature.len();
        // A tree without a split is its first leaf.
        let n_nodes = n_splits + self.leaf_value.len();
        lay_out(n_nodes, |at| match at.checked_sub(n_splits) {
            Some(leaf) => Ok(Part::Leaf(Node::Leaf {
                value: (self.leaf_value[leaf] * leaf_scale).into(),
                cover: self.leaf_count[leaf],
            })),
            None => self.split(at, missing),
        })
    }

    fn split(&mut self, at: usize, missing: &mut [Missing]) -> Result<Part, String> {
        let feature = self.split_feature[at];
        let column = missing.get_mut(feature as usize);
        let column = column.ok_or_else(|| format!("it looks at column {feature}, past the last one"))?;
        let node = if self.decision_type[at] & CATEGORICAL == 0 {
            self.numeric(at, column)
        } else {
            self.category(at)?
        };
        Ok(Part::Split {
            node,
            left: self.child(self.left_child[at])?,
            right: self.child(self.right_child[at])?,
        })
    }

    fn numeric(&self, at: usize, column: &mut Missing) -> Node {
        let threshold = self.threshold[at];
        let default_left = self.decision_type[at] & DEFAULT_LEFT != 0;
        let kind = (self.decision_type[at] >> 2) & 3;
        column.zero |= kind == MISSING_ZERO;
        column.nan |= kind == MISSING_NAN;
        Node::Numeric {
            feature: self.split_feature[at],
            threshold,
            // A column that had no missing value in training takes NaN for 0.
            missing_left: if matches!(kind, MISSING_ZERO | MISSING_NAN) {
                default_left
            } else {
                0.0 <= threshold
            },
            left: 0,
            right: 0,
            cover: self.internal_count[at],
        }
    }

    fn category(&mut self, at: usize) -> Result<Node, String> {
        let number = self.threshold[at];
        let set = number as usize;
        let unused = self.set_used.get_mut(set).map(|it| !std::mem::replace(it, true));
        if number.is_nan() || number < 0.0 || unused != Some(true) {
            return Err(format!(
                "its set of categories {number} is not there or belongs to another node"
            ));
        }
        let (from, to) = (self.cat_boundaries[set], self.cat_boundaries[set + 1]);
        let words = self.cat_threshold.get(from..to);
        let words = words.ok_or_else(|| format!("its set of categories {set} is cut short"))?;
        Ok(Node::Category {
            feature: self.split_feature[at],
            categories: words.chunks(2).map(wide).collect(),
            missing_left: false,
            left: 0,
            right: 0,
            cover: self.internal_count[at],
        })
    }

    /// Splits come first in our numbering, then the leaves.
    fn child(&self, child: i64) -> Result<usize, String> {
        let n_splits = self.split_feature.len();
        let node = if child >= 0 {
            usize::try_from(child).ok().filter(|it| *it < n_splits)
        } else {
            usize::try_from(-1 - child)
                .ok()
                .and_then(|leaf| leaf.checked_add(n_splits))
        };
        node.ok_or_else(|| format!("it has a child {child} of {n_splits} splits"))
    }
}

/// Two 32-bit words of a set as one of 64.
fn wide(words: &[u32]) -> u64 {
    let high = words.get(1).copied().unwrap_or(0);
    u64::from(words[0]) | u64::from(high) << 32
}

/// A tree of one leaf has no lists of splits.
fn list_or_empty<T: std::str::FromStr>(block: &Block<'_>, name: &str, count: usize) -> Result<Vec<T>, String> {
    if count == 0 {
        Ok(Vec::new())
    } else {
        block.list(name, count)
    }
}

/// Counts of training rows; zeros where the file has none.
fn counts(block: &Block<'_>, name: &str, count: usize) -> Result<Vec<f64>, String> {
    match block.field(name) {
        Some(text) if !text.trim().is_empty() => block.list(name, count),
        // Nothing is reserved for a count that no list has paid for: `leaf_value` has, and splits are fewer.
        _ => Ok(vec![0.0; count]),
    }
}
