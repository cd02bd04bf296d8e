//! Trees of parallel lists to trees of nodes.
//!
//! XGBoost compares in float32, `x < condition` goes left. Sets of categories go right; all else goes left.

use crate::import::Budget;
use crate::import::float32::below;
use crate::import::layout::{Part, lay_out, settle_covers};
use crate::tree::{LeafValue, Node};

use super::schema::{Flag, Tree};

/// One tree, its leaves times `weight`, and whether its covers are known.
pub(super) fn nodes(
    tree: &Tree,
    weight: f64,
    n_features: usize,
    budget: &mut Budget,
) -> Result<(Vec<Node>, bool), String> {
    let reader = Reader::new(tree, weight, n_features)?;
    let mut used_categories = 0;
    let mut nodes = lay_out(tree.left_children.len(), |at| {
        reader.part(at, &mut used_categories, budget)
    })?;
    let known = settle_covers(&mut nodes);
    Ok((nodes, known))
}

struct Reader<'a> {
    tree: &'a Tree,
    weight: f64,
    n_features: usize,
    /// Numbers per leaf.
    vector: usize,
    /// For each node that has a set: where it lies in `categories_segments`.
    sets: Vec<(u32, usize)>,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a Tree, weight: f64, n_features: usize) -> Result<Self, String> {
        let vector: usize = tree
            .tree_param
            .size_leaf_vector
            .trim()
            .parse()
            .map_err(|_| "`size_leaf_vector` is no number")?;
        let vector = vector.max(1);
        let count = tree.left_children.len();
        let weights = if tree.leaf_weights.is_empty() {
            count.checked_mul(vector)
        } else {
            Some(tree.base_weights.len())
        };
        let lengths = [
            ("right_children", tree.right_children.len(), Some(count)),
            ("split_indices", tree.split_indices.len(), Some(count)),
            ("split_conditions", tree.split_conditions.len(), Some(count)),
            ("default_left", tree.default_left.len(), Some(count)),
            (
                "sum_hessian",
                tree.sum_hessian.len(),
                Some(if tree.sum_hessian.is_empty() { 0 } else { count }),
            ),
            ("base_weights", tree.base_weights.len(), weights),
            (
                "categories_segments",
                tree.categories_segments.len(),
                Some(tree.categories_nodes.len()),
            ),
            (
                "categories_sizes",
                tree.categories_sizes.len(),
                Some(tree.categories_nodes.len()),
            ),
        ];
        for (name, length, expected) in lengths {
            if Some(length) != expected {
                return Err(format!(
                    "`{name}` has {length} numbers, which does not fit its {count} nodes"
                ));
            }
        }
        let mut sets: Vec<(u32, usize)> = tree.categories_nodes.iter().copied().zip(0..).collect();
        sets.sort_unstable();
        Ok(Self {
            tree,
            weight,
            n_features,
            vector,
            sets,
        })
    }

    fn part(&self, at: usize, used_categories: &mut usize, budget: &mut Budget) -> Result<Part, String> {
        let cover = self.tree.sum_hessian.get(at).map_or(0.0, |it| f64::from(it.0));
        if self.tree.left_children[at] == -1 {
            let value = self.leaf(at)?;
            return Ok(Part::Leaf(Node::Leaf { value, cover }));
        }
        let feature = self.tree.split_indices[at];
        if feature as usize >= self.n_features {
            return Err(format!("it looks at column {feature}, past the last one"));
        }
        let child = |it: i32| usize::try_from(it).map_err(|_| format!("it has a child {it}"));
        let (left, right) = (
            child(self.tree.left_children[at])?,
            child(self.tree.right_children[at])?,
        );
        let default_left = self.tree.default_left[at].0;
        if self.tree.split_type.get(at) == Some(&Flag(true)) {
            let categories = self.set(at, used_categories, budget)?;
            let node = category(feature, categories, !default_left, cover);
            return Ok(Part::Split {
                node,
                left: right,
                right: left,
            });
        }
        Ok(numeric(
            feature,
            self.tree.split_conditions[at].0,
            default_left,
            (left, right),
            cover,
        ))
    }

    fn leaf(&self, at: usize) -> Result<LeafValue, String> {
        if self.vector == 1 {
            return Ok((f64::from(self.tree.split_conditions[at].0) * self.weight).into());
        }
        // From 3.1 on a leaf's right child is its place among the leaves.
        let (weights, place) = if self.tree.leaf_weights.is_empty() {
            (&self.tree.base_weights, Some(at))
        } else {
            (
                &self.tree.leaf_weights,
                usize::try_from(self.tree.right_children[at]).ok(),
            )
        };
        let from = place.and_then(|it| it.checked_mul(self.vector));
        let values = from.and_then(|from| weights.get(from..from.checked_add(self.vector)?));
        let values = values.ok_or("its leaf's numbers are not there")?;
        Ok(LeafValue::Many(
            values.iter().map(|it| f64::from(it.0) * self.weight).collect(),
        ))
    }

    /// The bits of the categories that go right.
    fn set(&self, at: usize, used: &mut usize, budget: &mut Budget) -> Result<Vec<u64>, String> {
        let found = self.sets.binary_search_by_key(&at, |(node, _)| *node as usize);
        let place = self.sets[found.map_err(|_| "its set of categories is not there")?].1;
        let from = usize::try_from(self.tree.categories_segments[place]).ok();
        let size = usize::try_from(self.tree.categories_sizes[place]).ok();
        let range = from
            .zip(size)
            .and_then(|(from, size)| Some(from..from.checked_add(size)?));
        let set = range
            .and_then(|it| self.tree.categories.get(it))
            .ok_or("its set of categories is cut short")?;
        *used += set.len();
        if *used > self.tree.categories.len() {
            return Err("its set of categories belongs to another node as well".to_owned());
        }
        budget.bits(set)
    }
}

fn numeric(feature: u32, condition: f32, default_left: bool, (left, right): (usize, usize), cover: f64) -> Part {
    let split = |threshold, missing_left, left, right| Part::Split {
        node: Node::Numeric {
            feature,
            threshold,
            missing_left,
            left: 0,
            right: 0,
            cover,
        },
        left,
        right,
    };
    match below(condition) {
        Some(threshold) => split(threshold, default_left, left, right),
        // Nothing is below minus infinity: all numbers go right, which is our left turned round.
        None => split(f64::INFINITY, !default_left, right, left),
    }
}

fn category(feature: u32, categories: Vec<u64>, missing_left: bool, cover: f64) -> Node {
    Node::Category {
        feature,
        categories,
        missing_left,
        left: 0,
        right: 0,
        cover,
    }
}
