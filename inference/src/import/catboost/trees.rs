//! Trees to trees of nodes. A question that is answered yes leads to the second half of an oblivious tree's leaves, and to the
//! right child of a grown tree.

use std::collections::BTreeMap;

use crate::import::Budget;
use crate::import::float32::at_most;
use crate::tree::{LeafValue, Node};

use super::columns::Columns;
use super::ctr::Ctrs;
use super::schema::{Grown, Numbers, Oblivious, Split, SplitType};

/// CatBoost's own limit is 16.
const MAX_OBLIVIOUS_DEPTH: usize = 20;

/// Turns trees into nodes.
pub(super) struct Builder<'a> {
    pub(super) columns: &'a Columns,
    pub(super) ctrs: &'a Ctrs<'a>,
    pub(super) n_outputs: usize,
    /// What leaves are multiplied by.
    pub(super) scale: f64,
    pub(super) budget: Budget,
    /// By number: a statistic for each category of its column.
    pub(super) statistics: BTreeMap<usize, Vec<f32>>,
}

/// A question about one column.
enum Question {
    /// Yes past the threshold.
    Numeric {
        feature: u32,
        threshold: f64,
        missing_is_yes: bool,
    },
    /// Yes (or no) for a set of codes, the other answer for all else.
    Category {
        feature: u32,
        categories: Vec<u64>,
        set_is_yes: bool,
    },
}

/// An oblivious tree on its way to nodes.
struct Levels<'a> {
    questions: Vec<Question>,
    /// `n_outputs` numbers per leaf.
    values: &'a [f64],
    /// One per leaf, or none.
    weights: &'a [f64],
}

impl Builder<'_> {
    /// A tree of the same question on each level. Halves whose leaves are all equal become one leaf, which changes neither an
    /// answer nor an explanation.
    pub(super) fn oblivious(&mut self, tree: &Oblivious) -> Result<Vec<Node>, String> {
        let splits = tree.splits.as_deref().unwrap_or_default();
        let depth = splits.len();
        let n_leaves = 1_usize
            .checked_shl(depth as u32)
            .filter(|_| depth <= MAX_OBLIVIOUS_DEPTH);
        let n_values = n_leaves.and_then(|it| it.checked_mul(self.n_outputs));
        if n_values != Some(tree.leaf_values.len()) {
            return Err(format!(
                "{} leaf values do not fit {depth} splits",
                tree.leaf_values.len()
            ));
        }
        if !(tree.leaf_weights.is_empty() || Some(tree.leaf_weights.len()) == n_leaves) {
            return Err(format!(
                "{} leaf weights do not fit {depth} splits",
                tree.leaf_weights.len()
            ));
        }
        let questions = splits.iter().map(|it| self.question(it));
        let levels = Levels {
            questions: questions.collect::<Result<_, _>>()?,
            values: &tree.leaf_values,
            weights: &tree.leaf_weights,
        };
        let mut nodes = Vec::new();
        self.halve(&levels, depth, 0, &mut nodes)?;
        Ok(nodes)
    }

    /// The leaves `first..first + 2^level` as a subtree; the last question divides them in halves.
    fn halve(&mut self, tree: &Levels<'_>, level: usize, first: usize, nodes: &mut Vec<Node>) -> Result<usize, String> {
        self.budget.take_nodes(1)?;
        let here = nodes.len();
        let leaves = first..first + (1 << level);
        let values = &tree.values[first * self.n_outputs..leaves.end * self.n_outputs];
        let cover = tree.weights.get(leaves).map_or(0.0, |it| it.iter().sum());
        let (one, rest) = values.split_at(self.n_outputs);
        let Some(above) = level
            .checked_sub(1)
            .filter(|_| rest.chunks_exact(self.n_outputs).any(|it| it != one))
        else {
            nodes.push(self.leaf(one, cover));
            return Ok(here);
        };
        let question = &tree.questions[above];
        let yes_is_left = self.push_split(question, cover, nodes)?;
        let half = 1 << above;
        let firsts = if yes_is_left {
            [first + half, first]
        } else {
            [first, first + half]
        };
        let left = self.halve(tree, above, firsts[0], nodes)?;
        let right = self.halve(tree, above, firsts[1], nodes)?;
        set_children(&mut nodes[here], left, right);
        Ok(here)
    }

    /// A tree of any shape. The JSON reader has bounded its depth.
    pub(super) fn grown(&mut self, tree: &Grown) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        self.grow(tree, &mut nodes)?;
        Ok(nodes)
    }

    /// Adds a subtree; gives its root and its weight.
    fn grow(&mut self, tree: &Grown, nodes: &mut Vec<Node>) -> Result<(usize, f64), String> {
        self.budget.take_nodes(1)?;
        let here = nodes.len();
        match tree {
            Grown::Leaf { value, weight } => {
                let values = match value {
                    Numbers::One(one) => std::slice::from_ref(one),
                    Numbers::Many(many) => many,
                };
                if values.len() != self.n_outputs {
                    return Err(format!(
                        "a leaf has {} values for {} outputs",
                        values.len(),
                        self.n_outputs
                    ));
                }
                nodes.push(self.leaf(values, *weight));
                Ok((here, *weight))
            }
            Grown::Split { split, left, right } => {
                let question = self.question(split)?;
                let yes_is_left = self.push_split(&question, 0.0, nodes)?;
                let [first, second] = if yes_is_left { [right, left] } else { [left, right] };
                let (left, left_weight) = self.grow(first, nodes)?;
                let (right, right_weight) = self.grow(second, nodes)?;
                set_children(&mut nodes[here], left, right);
                let weight = left_weight + right_weight;
                let (Node::Numeric { cover, .. } | Node::Category { cover, .. } | Node::Leaf { cover, .. }) =
                    &mut nodes[here];
                *cover = weight;
                Ok((here, weight))
            }
        }
    }

    fn leaf(&self, values: &[f64], cover: f64) -> Node {
        let value = match values {
            [one] => LeafValue::One(one * self.scale),
            many => LeafValue::Many(many.iter().map(|it| it * self.scale).collect()),
        };
        Node::Leaf { value, cover }
    }

    /// Adds a split whose children are still to be set; whether its left child is the one for yes.
    fn push_split(&mut self, question: &Question, cover: f64, nodes: &mut Vec<Node>) -> Result<bool, String> {
        match question {
            Question::Numeric {
                feature,
                threshold,
                missing_is_yes,
            } => {
                nodes.push(Node::Numeric {
                    feature: *feature,
                    threshold: *threshold,
                    missing_left: !missing_is_yes,
                    left: 0,
                    right: 0,
                    cover,
                });
                Ok(false)
            }
            Question::Category {
                feature,
                categories,
                set_is_yes,
            } => {
                self.budget.take_words(categories.len())?;
                nodes.push(Node::Category {
                    feature: *feature,
                    categories: categories.clone(),
                    missing_left: false,
                    left: 0,
                    right: 0,
                    cover,
                });
                Ok(*set_is_yes)
            }
        }
    }

    fn question(&mut self, split: &Split) -> Result<Question, String> {
        match split.split_type {
            SplitType::FloatFeature => self.numeric(split),
            SplitType::OneHotFeature => self.one_hot(split),
            SplitType::OnlineCtr => self.statistic(split),
            SplitType::Other => {
                Err("it splits on text or embeddings, which cannot be imported; train it without them".to_owned())
            }
        }
    }

    fn numeric(&self, split: &Split) -> Result<Question, String> {
        let column = split.float_feature_index.and_then(|it| self.columns.floats.get(&it));
        let column = column.ok_or("it splits on a numeric column that is not there")?;
        let border = split.border.filter(|it| !it.is_nan()).ok_or("a split has no border")?;
        Ok(Question::Numeric {
            feature: column.column,
            threshold: at_most(border as f32),
            missing_is_yes: column.missing_is_true,
        })
    }

    fn one_hot(&self, split: &Split) -> Result<Question, String> {
        let column = split.cat_feature_index.and_then(|it| self.columns.categories.get(&it));
        let column = column.ok_or("it splits on a column of categories that is not there")?;
        let wanted = split.value.ok_or("a split on a category has no value")?.cast_unsigned();
        if !column.hashes.contains(&wanted) {
            return Err(
                "it splits on a category that is not in the file; save it with `pool=` of the training data".to_owned(),
            );
        }
        Ok(Question::Category {
            feature: column.column,
            categories: bits(column.hashes.iter().map(|it| *it == wanted)),
            set_is_yes: true,
        })
    }

    /// Categories that training did not see are in no set, so the set is of those that answer otherwise.
    fn statistic(&mut self, split: &Split) -> Result<Question, String> {
        let place = split.split_index.ok_or("a split on a statistic has no `split_index`")?;
        let border = split.border.ok_or("a split on a statistic has no border")?;
        let (number, statistic) = self.ctrs.at(place, border)?;
        let column = self.columns.categories.get(&statistic.feature);
        let column = column.ok_or("it splits on a statistic of a column that is not there")?;
        if !self.statistics.contains_key(&number) {
            self.budget.take_words(column.hashes.len())?;
            let values = column.hashes.iter().map(|it| statistic.value(Some(*it)));
            self.statistics.insert(number, values.collect());
        }
        let is_past = |value: f32| value > border as f32;
        let unseen = is_past(statistic.value(None));
        let values = self.statistics[&number].iter();
        Ok(Question::Category {
            feature: column.column,
            categories: bits(values.map(|it| is_past(*it) != unseen)),
            set_is_yes: !unseen,
        })
    }
}

fn bits(codes: impl Iterator<Item = bool>) -> Vec<u64> {
    let mut words = Vec::new();
    for (code, is_in) in codes.enumerate() {
        if code % 64 == 0 {
            words.push(0);
        }
        if let Some(word) = words.last_mut() {
            *word |= u64::from(is_in) << (code % 64);
        }
    }
    words
}

fn set_children(node: &mut Node, to_left: usize, to_right: usize) {
    if let Node::Numeric { left, right, .. } | Node::Category { left, right, .. } = node {
        // A tree has no more nodes than its file has bytes, and a budget far below 2^32 besides.
        *left = u32::try_from(to_left).expect("the budget allows fewer than 2^32 nodes");
        *right = u32::try_from(to_right).expect("the budget allows fewer than 2^32 nodes");
    }
}
