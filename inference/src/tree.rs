//! Tree ensembles: the one form that the booster yields and that is evaluated, explained and stored.
//!
//! [`Tree`] is the readable form and its walk the judge; `flat` is the same trees packed for speed, `shap` explains a row and
//! `file` is `trees.bin`.

mod blocks;
mod codes;
mod evaluator;
mod file;
mod flat;
mod leaf_shap;
mod shap;
mod sum;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vbmi;

use std::sync::OnceLock;

use foretell_features::FeatureMatrix;

use crate::error::InferenceError;
use crate::predictor::Predictor;
use blocks::Blocks;
pub use evaluator::Evaluator;
use flat::FlatTrees;
use leaf_shap::LeafPaths;
use sum::Sum;

/// The file name of an ensemble in a package.
pub const TREES_FILE: &str = "trees.bin";

/// The deepest tree that is accepted: bounds the work and the stack of explanations.
pub const MAX_DEPTH: usize = 256;

/// What turns the summed leaves into the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The sum itself.
    Identity,
    /// `1 / (1 + exp(-sum))`
    Logit,
    /// `exp(sum)`
    Log,
}

impl Link {
    /// The answer for a raw score.
    pub fn apply(self, raw: f64) -> f64 {
        match self {
            Link::Identity => raw,
            // Two forms, so that neither end overflows.
            Link::Logit if raw >= 0.0 => 1.0 / (1.0 + (-raw).exp()),
            Link::Logit => raw.exp() / (1.0 + raw.exp()),
            Link::Log => raw.exp(),
        }
    }
}

/// One node. Children come after their parent, so that no walk can loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `x[feature] <= threshold` goes left; NaN goes left iff `missing_left`.
    Numeric {
        /// Column.
        feature: u32,
        /// Inclusive on the left. Infinite where only missing values go right.
        threshold: f64,
        /// Where a missing value goes.
        missing_left: bool,
        /// Index of the left child.
        left: u32,
        /// Index of the right child.
        right: u32,
        /// Training weight that reached this node (for TreeSHAP).
        cover: f64,
    },
    /// The code's bit in `categories` goes left; NaN goes left iff `missing_left`; codes past the bits go right.
    Category {
        /// Column.
        feature: u32,
        /// Bit set of codes, 64 a word.
        categories: Vec<u64>,
        /// Where a missing value goes.
        missing_left: bool,
        /// Index of the left child.
        left: u32,
        /// Index of the right child.
        right: u32,
        /// Training weight that reached this node.
        cover: f64,
    },
    /// The end of a path.
    Leaf {
        /// Added to the sum (learning rate already in).
        value: f64,
        /// Training weight that reached it.
        cover: f64,
    },
}

impl Node {
    /// Left and right child; `None` for a leaf.
    pub fn children(&self) -> Option<(usize, usize)> {
        match self {
            Node::Numeric { left, right, .. } | Node::Category { left, right, .. } => {
                Some((*left as usize, *right as usize))
            }
            Node::Leaf { .. } => None,
        }
    }

    /// The column it looks at; `None` for a leaf.
    pub fn feature(&self) -> Option<usize> {
        match self {
            Node::Numeric { feature, .. } | Node::Category { feature, .. } => Some(*feature as usize),
            Node::Leaf { .. } => None,
        }
    }

    /// Training weight that reached it.
    pub fn cover(&self) -> f64 {
        match self {
            Node::Numeric { cover, .. } | Node::Category { cover, .. } | Node::Leaf { cover, .. } => *cover,
        }
    }

    /// The child that a row goes to; `None` at a leaf.
    pub fn next(&self, row: &[f64]) -> Option<usize> {
        let goes_left = match self {
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                ..
            } => {
                let x = row[*feature as usize];
                if x.is_nan() { *missing_left } else { x <= *threshold }
            }
            Node::Category {
                feature,
                categories,
                missing_left,
                ..
            } => {
                let x = row[*feature as usize];
                if x.is_nan() {
                    *missing_left
                } else {
                    contains(categories, x)
                }
            }
            Node::Leaf { .. } => return None,
        };
        self.children()
            .map(|(left, right)| if goes_left { left } else { right })
    }
}

/// Whether a code's bit is set; numbers that are no code are in no set.
fn contains(words: &[u64], code: f64) -> bool {
    let index = code as u64;
    code >= 0.0
        && words
            .get((index / 64) as usize)
            .is_some_and(|word| (word >> (index % 64)) & 1 == 1)
}

/// Node 0 is the root.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// The value of the leaf that a row ends in.
    pub fn value(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        while let Some(next) = self.nodes[at].next(row) {
            at = next;
        }
        match &self.nodes[at] {
            Node::Leaf { value, .. } => *value,
            _ => unreachable!("only a leaf has no next node"),
        }
    }

    /// What is wrong with it, if anything: every node but the root has exactly one parent, before it; numbers are usable.
    fn problem(&self, n_features: usize) -> Option<String> {
        let mut depth: Vec<Option<usize>> = vec![None; self.nodes.len()];
        *depth.first_mut()? = Some(0);
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(here) = depth[at] else {
                return Some(format!("node {at} is not reachable"));
            };
            if here > MAX_DEPTH {
                return Some(format!("deeper than {MAX_DEPTH}"));
            }
            if let Some(reason) = node_problem(node, n_features) {
                return Some(format!("node {at}: {reason}"));
            }
            let Some((left, right)) = node.children() else { continue };
            for child in [left, right] {
                let free = child > at && depth.get(child).is_some_and(Option::is_none);
                if !free {
                    return Some(format!(
                        "node {at} has a child {child} that is not a later node of its own"
                    ));
                }
                depth[child] = Some(here + 1);
            }
        }
        None
    }
}

fn node_problem(node: &Node, n_features: usize) -> Option<&'static str> {
    let usable = match node {
        Node::Numeric { threshold, .. } => !threshold.is_nan(),
        Node::Category { .. } => true,
        Node::Leaf { value, .. } => value.is_finite(),
    };
    let counted = node.cover() > 0.0 && node.cover().is_finite();
    match (node.feature().is_none_or(|it| it < n_features), usable, counted) {
        (false, ..) => Some("a column past the last one"),
        (_, false, _) => Some("a number that cannot be used"),
        (.., false) => Some("a cover that is not positive"),
        _ => None,
    }
}

/// Trees whose leaves are summed in order, onto `base`.
#[derive(Debug, Clone)]
pub struct TreeEnsemble {
    /// Where the sum starts.
    pub base: f64,
    /// What turns the sum into the answer.
    pub link: Link,
    n_features: usize,
    trees: Vec<Tree>,
    /// The mean sum of leaves by cover, without the base.
    mean_leaves: f64,
    flat: FlatTrees,
    blocks: Option<Blocks>,
    /// For explanations; made when the first one is asked for.
    paths: OnceLock<LeafPaths>,
    evaluator: Evaluator,
    /// Batches of so many rows are split across cores.
    split_from: usize,
}

impl TreeEnsemble {
    /// Checks the trees and packs them for prediction.
    ///
    /// # Errors
    /// `Damaged` when a tree is empty, is no tree (a node with two parents or none, a child before its parent), is deeper than
    /// [`MAX_DEPTH`], looks at a column past `n_features`, or holds a number that cannot be used.
    pub fn new(n_features: usize, base: f64, link: Link, trees: Vec<Tree>) -> Result<Self, InferenceError> {
        if !(base.is_finite() && n_features > 0 && n_features <= flat::MAX_FEATURES) {
            return Err(damaged(format!("base {base} on {n_features} columns")));
        }
        for (at, tree) in trees.iter().enumerate() {
            let reason = if tree.nodes.is_empty() {
                Some("no nodes".to_owned())
            } else {
                tree.problem(n_features)
            };
            if let Some(reason) = reason {
                return Err(damaged(format!("tree {at}: {reason}")));
            }
        }
        let mean_leaves = trees.iter().map(shap::expected).sum();
        let flat = FlatTrees::pack(&trees).ok_or_else(|| damaged("more than 2^32 nodes".to_owned()))?;
        let mut ensemble = Self {
            base,
            link,
            n_features,
            mean_leaves,
            flat,
            blocks: Blocks::pack(&trees),
            paths: OnceLock::new(),
            evaluator: Evaluator::Walk,
            split_from: evaluator::SPLIT_FROM,
            trees,
        };
        // Until it is measured: the most elaborate one is most often the fastest.
        ensemble.evaluator = ensemble.evaluators().pop().unwrap_or(Evaluator::Walk);
        Ok(ensemble)
    }

    /// Number of columns it was fitted on.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The trees, in order of summing.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The expected raw score: what contributions are relative to.
    pub fn expected(&self) -> f64 {
        self.base + self.mean_leaves
    }

    /// The sums before the link, one per row: the obvious walk, the judge of every fast one.
    ///
    /// # Panics
    /// When a row has fewer columns than the trees were fitted on.
    pub fn raw(&self, x: &FeatureMatrix) -> Vec<f64> {
        let sum = |row: &[f64]| {
            let mut sum = Sum::ZERO;
            let leaves = self.trees.iter().map(|tree| tree.value(row));
            leaves.enumerate().for_each(|(tree, leaf)| sum.add(tree, leaf));
            sum.total(self.base)
        };
        x.rows().map(sum).collect()
    }

    /// The sum before the link for one row, without an allocation.
    ///
    /// # Errors
    /// The row has another width than the trees were fitted on.
    pub fn raw_row(&self, row: &[f64]) -> Result<f64, InferenceError> {
        self.check_width(row.len())?;
        Ok(self.raw_row_by(self.evaluator, row))
    }

    /// Exact path-dependent SHAP values of one row on the raw score, and the expected raw score last.
    ///
    /// # Errors
    /// The row has another width than the trees were fitted on.
    pub fn contributions_row(&self, row: &[f64]) -> Result<Vec<f64>, InferenceError> {
        self.check_width(row.len())?;
        Ok(shap::contributions(self, row))
    }

    /// How much each column was used: training weight that passed its splits, summed over the trees. Sums to 1 where any tree
    /// splits.
    pub fn split_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.n_features];
        for node in self.trees.iter().flat_map(|tree| &tree.nodes) {
            if let Some(feature) = node.feature() {
                shares[feature] += node.cover();
            }
        }
        let total: f64 = shares.iter().sum();
        if total > 0.0 {
            shares.iter_mut().for_each(|it| *it /= total);
        }
        shares
    }

    fn check_width(&self, got: usize) -> Result<(), InferenceError> {
        if got == self.n_features {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "a row has {got} columns, the trees were fitted on {}",
            self.n_features
        )))
    }
}

/// The same trees: how they are evaluated here does not count.
impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &Self) -> bool {
        let own = |it: &Self| (it.base, it.link, it.n_features);
        own(self) == own(other) && self.trees == other.trees
    }
}

impl Predictor for TreeEnsemble {
    fn n_outputs(&self) -> usize {
        1
    }

    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(x.n_columns())?;
        if out.len() != x.n_rows() {
            return Err(InferenceError::Request(format!(
                "{} rows do not fit {} outputs",
                x.n_rows(),
                out.len()
            )));
        }
        self.sum_rows(x, out);
        Ok(())
    }

    fn contributions(&self, x: &FeatureMatrix, row: usize) -> Result<Vec<f64>, InferenceError> {
        self.contributions_row(x.row(row))
    }

    fn tune(&mut self, rows: &FeatureMatrix) {
        TreeEnsemble::tune(self, rows);
    }

    fn to_file(&self) -> (String, Vec<u8>) {
        (TREES_FILE.to_owned(), self.to_bytes())
    }
}

fn damaged(reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: TREES_FILE.to_owned(),
        reason,
    }
}
