//! What an ensemble says: nodes, trees, how leaves are combined and what the sums become.

use crate::error::InferenceError;

use super::stored::Head;
use super::{MAX_DEPTH, damaged};

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
    /// `exp(sum) / (exp of all outputs' sums, added)`
    Softmax,
    /// The normal distribution function.
    Probit,
    /// 1 above 0, else 0.
    Step,
    /// `ln(1 + exp(sum))`
    Softplus,
    /// `sum * |sum|`: undoes a square root with a sign.
    SignedSquare,
}

impl Link {
    /// The answer for a raw score. A lone output has all of a softmax.
    pub fn apply(self, raw: f64) -> f64 {
        match self {
            Link::Identity => raw,
            // Two forms, so that neither end overflows.
            Link::Logit if raw >= 0.0 => 1.0 / (1.0 + (-raw).exp()),
            Link::Logit => raw.exp() / (1.0 + raw.exp()),
            Link::Log => raw.exp(),
            Link::Softmax if raw.is_nan() => raw,
            Link::Softmax => 1.0,
            Link::Probit => 0.5 * libm::erfc(-raw / std::f64::consts::SQRT_2),
            Link::Step if raw.is_nan() => raw,
            Link::Step => f64::from(u8::from(raw > 0.0)),
            Link::Softplus => raw.max(0.0) + (-raw.abs()).exp().ln_1p(),
            Link::SignedSquare => raw * raw.abs(),
        }
    }

    /// The answers for all outputs of one row, in place.
    pub fn apply_all(self, raw: &mut [f64]) {
        if self != Link::Softmax {
            raw.iter_mut().for_each(|it| *it = self.apply(*it));
            return;
        }
        let highest = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        raw.iter_mut().for_each(|it| *it = (*it - highest).exp());
        let total: f64 = raw.iter().sum();
        raw.iter_mut().for_each(|it| *it /= total);
    }
}

/// What the leaves of an output's trees become before the base is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// Their sum.
    #[default]
    Sum,
    /// Their sum over the number of trees.
    Average,
}

/// What a leaf adds.
#[derive(Debug, Clone, PartialEq)]
pub enum LeafValue {
    /// To the output of its tree.
    One(f64),
    /// To each output.
    Many(Box<[f64]>),
}

impl LeafValue {
    /// What it adds to an output, in a tree that adds to `of`.
    pub fn at(&self, output: usize, of: u32) -> f64 {
        match self {
            LeafValue::One(value) if output == of as usize => *value,
            LeafValue::One(_) => 0.0,
            LeafValue::Many(values) => values[output],
        }
    }

    /// How many outputs it has numbers for; `None` for the one of its tree.
    fn length(&self) -> Option<usize> {
        match self {
            LeafValue::One(_) => None,
            LeafValue::Many(values) => Some(values.len()),
        }
    }

    fn is_finite(&self) -> bool {
        match self {
            LeafValue::One(value) => value.is_finite(),
            LeafValue::Many(values) => values.iter().all(|it| it.is_finite()),
        }
    }
}

impl From<f64> for LeafValue {
    fn from(value: f64) -> Self {
        LeafValue::One(value)
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
        /// Added to the sums (learning rate already in).
        value: LeafValue,
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

    /// What it adds; `None` inside the tree.
    pub fn leaf_value(&self) -> Option<&LeafValue> {
        match self {
            Node::Leaf { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The column it looks at; `None` for a leaf.
    pub fn feature(&self) -> Option<usize> {
        match self {
            Node::Numeric { feature, .. } | Node::Category { feature, .. } => Some(*feature as usize),
            Node::Leaf { .. } => None,
        }
    }

    /// Words of its set of categories.
    fn n_words(&self) -> usize {
        match self {
            Node::Category { categories, .. } => categories.len(),
            _ => 0,
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
pub(super) fn contains(words: &[u64], code: f64) -> bool {
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
    /// The output that leaves of one value add to.
    pub output: u32,
}

impl Tree {
    /// A tree of the first output, or of leaves for all outputs.
    pub fn new(nodes: Vec<Node>) -> Self {
        Self { nodes, output: 0 }
    }

    /// A tree whose leaves add to one of several outputs.
    pub fn for_output(nodes: Vec<Node>, output: u32) -> Self {
        Self { nodes, output }
    }

    /// The leaf that a row ends in.
    pub fn leaf(&self, row: &[f64]) -> &LeafValue {
        let mut at = 0;
        while let Some(next) = self.nodes[at].next(row) {
            at = next;
        }
        self.nodes[at].leaf_value().expect("only a leaf has no next node")
    }

    /// What is wrong with it, if anything: every node but the root has exactly one parent, before it; numbers are usable.
    fn problem(&self, n_features: usize, n_outputs: usize, vectors: bool) -> Option<String> {
        let mut depth: Vec<Option<usize>> = vec![None; self.nodes.len()];
        if self.nodes.is_empty() {
            return Some("no nodes".to_owned());
        }
        if self.output as usize >= n_outputs || (vectors && self.output > 0) {
            return Some(format!("it adds to output {} of {n_outputs}", self.output));
        }
        depth[0] = Some(0);
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(here) = depth[at] else {
                return Some(format!("node {at} is not reachable"));
            };
            if here > MAX_DEPTH {
                return Some(format!("deeper than {MAX_DEPTH}"));
            }
            if let Some(reason) = node_problem(node, n_features, vectors.then_some(n_outputs)) {
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

/// `vector`: how long the leaves' vectors are, where they hold vectors.
fn node_problem(node: &Node, n_features: usize, vector: Option<usize>) -> Option<&'static str> {
    let usable = match node {
        Node::Numeric { threshold, .. } => !threshold.is_nan(),
        Node::Category { .. } => true,
        Node::Leaf { value, .. } => value.is_finite() && value.length() == vector,
    };
    let counted = node.cover() > 0.0 && node.cover().is_finite();
    match (node.feature().is_none_or(|it| it < n_features), usable, counted) {
        (false, ..) => Some("a column past the last one"),
        (_, false, _) => Some("a number that cannot be used"),
        (.., false) => Some("a cover that is not positive"),
        _ => None,
    }
}

/// An ensemble before it is checked and packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// Columns of a row.
    pub n_features: usize,
    /// Where each output's sum starts.
    pub base: Vec<f64>,
    /// What turns the sums into answers.
    pub link: Link,
    /// Whether leaves are added or averaged.
    pub combine: Combine,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl Form {
    /// Checks every number and every tree, and brings the trees into order: by output, then as they came.
    pub(super) fn checked(mut self) -> Result<Self, InferenceError> {
        self.simplify();
        Head::of(&self).check()?;
        let vectors = self.has_vectors();
        for (at, tree) in self.trees.iter().enumerate() {
            if let Some(reason) = tree.problem(self.n_features, self.base.len(), vectors) {
                return Err(damaged(format!("tree {at}: {reason}")));
            }
        }
        let nodes: usize = self.trees.iter().map(|it| it.nodes.len()).sum();
        let words: usize = self.trees.iter().flat_map(|it| &it.nodes).map(Node::n_words).sum();
        if nodes.max(words) > u32::MAX as usize {
            return Err(damaged(format!(
                "{nodes} nodes and {words} words of categories, more than 2^32"
            )));
        }
        self.trees.sort_by_key(|it| it.output);
        Ok(self)
    }

    /// A vector for the only output is a number.
    fn simplify(&mut self) {
        if self.base.len() != 1 {
            return;
        }
        for node in self.trees.iter_mut().flat_map(|tree| &mut tree.nodes) {
            if let Node::Leaf { value, .. } = node
                && let LeafValue::Many(values) = value
                && let [only] = values[..]
            {
                *value = LeafValue::One(only);
            }
        }
    }

    /// The leaves that hold a number for each output, one after the other.
    pub(super) fn vectors(&self) -> Vec<f64> {
        let leaves = self
            .trees
            .iter()
            .flat_map(|tree| &tree.nodes)
            .filter_map(Node::leaf_value);
        let many = leaves.filter_map(|leaf| match leaf {
            LeafValue::Many(values) => Some(&values[..]),
            LeafValue::One(_) => None,
        });
        many.flatten().copied().collect()
    }

    /// Whether leaves hold a number for each output; the first leaf says it for all.
    pub(super) fn has_vectors(&self) -> bool {
        let mut nodes = self.trees.iter().flat_map(|tree| &tree.nodes);
        nodes
            .find_map(Node::leaf_value)
            .is_some_and(|it| matches!(it, LeafValue::Many(_)))
    }
}
