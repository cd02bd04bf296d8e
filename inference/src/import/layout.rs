//! A library's tree, its nodes in the library's order, laid out as ours: the root first, children after their parents.

use crate::tree::{Combine, LeafValue, Node, Tree};

/// What one node of a library's tree is.
pub(super) enum Part {
    /// A split (its own children are still to be set) and the library's numbers of its children.
    Split {
        /// What it asks.
        node: Node,
        /// Where `yes` goes.
        left: usize,
        /// Where `no` goes.
        right: usize,
    },
    /// The end of a path.
    Leaf(Node),
}

/// The nodes that can be reached from node 0, parents first. Nodes that cannot be reached (pruned ones) are left out.
///
/// # Errors
/// A child past the last node, or a node with two parents, which is what a cycle needs.
pub(super) fn lay_out(
    n_nodes: usize,
    mut part: impl FnMut(usize) -> Result<Part, String>,
) -> Result<Vec<Node>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut seen = vec![false; n_nodes];
    let mut open = vec![(0, None)];
    while let Some((at, parent)) = open.pop() {
        let first_visit = seen.get_mut(at).map(|it| !std::mem::replace(it, true));
        match first_visit {
            Some(true) => {}
            Some(false) => return Err(format!("node {at} has two parents")),
            None => return Err(format!("it refers to node {at} of {n_nodes}")),
        }
        let here = nodes.len();
        if let Some((parent, side)) = parent {
            set_child(&mut nodes[parent], side, here)?;
        }
        match part(at).map_err(|reason| format!("node {at}: {reason}"))? {
            Part::Leaf(node) => nodes.push(node),
            Part::Split { node, left, right } => {
                nodes.push(node);
                open.push((right, Some((here, Side::Right))));
                open.push((left, Some((here, Side::Left))));
            }
        }
    }
    Ok(nodes)
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn set_child(node: &mut Node, side: Side, child: usize) -> Result<(), String> {
    let child = u32::try_from(child).map_err(|_| "it has more than 2^32 nodes".to_owned())?;
    if let Node::Numeric { left, right, .. } | Node::Category { left, right, .. } = node {
        match side {
            Side::Left => *left = child,
            Side::Right => *right = child,
        }
    }
    Ok(())
}

/// The trees of a file as they come. One of a single leaf only moves where a sum starts, so it is not kept: a file could name
/// more of them than there is memory for.
pub(super) struct Forest {
    base: Vec<f64>,
    combine: Combine,
    trees: Vec<Tree>,
}

impl Forest {
    /// No trees yet; sums start at `base`.
    pub(super) fn new(base: Vec<f64>, combine: Combine) -> Self {
        Self {
            base,
            combine,
            trees: Vec::new(),
        }
    }

    /// Adds the next tree.
    pub(super) fn add(&mut self, tree: Tree) {
        // An average counts its trees, so there each of them matters.
        match &tree.nodes[..] {
            [Node::Leaf { value, .. }] if self.combine == Combine::Sum && self.fits(value, tree.output) => {
                for (output, start) in self.base.iter_mut().enumerate() {
                    *start += value.at(output, tree.output);
                }
            }
            _ => self.trees.push(tree),
        }
    }

    fn fits(&self, value: &LeafValue, output: u32) -> bool {
        match value {
            LeafValue::One(_) => (output as usize) < self.base.len(),
            LeafValue::Many(values) => values.len() == self.base.len(),
        }
    }

    /// Where sums start, and the trees, of which there is one at least.
    pub(super) fn finish(mut self) -> (Vec<f64>, Vec<Tree>) {
        if self.trees.is_empty() {
            let nothing = Node::Leaf {
                value: LeafValue::One(0.0),
                cover: 1.0,
            };
            self.trees.push(Tree::new(vec![nothing]));
        }
        (self.base, self.trees)
    }
}

/// Whether each node has a weight that an explanation can use. Where one has none, every leaf counts as 1.
pub(super) fn settle_covers(nodes: &mut [Node]) -> bool {
    let usable = |it: &Node| it.cover() > 0.0 && it.cover().is_finite();
    // A lone leaf explains nothing, so its weight does not matter.
    let known = nodes.len() == 1 || nodes.iter().all(usable);
    if !nodes.iter().all(usable) {
        count_leaves(nodes);
    }
    known
}

fn count_leaves(nodes: &mut [Node]) {
    for at in (0..nodes.len()).rev() {
        let count = nodes[at]
            .children()
            .map_or(1.0, |(left, right)| nodes[left].cover() + nodes[right].cover());
        let (Node::Numeric { cover, .. } | Node::Category { cover, .. } | Node::Leaf { cover, .. }) = &mut nodes[at];
        *cover = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Children by node; none: a leaf whose value is its number.
    fn check(children: &[Option<(usize, usize)>]) -> Result<Vec<Node>, String> {
        lay_out(children.len(), |at| {
            Ok(match children[at] {
                None => Part::Leaf(Node::Leaf {
                    value: (at as f64).into(),
                    cover: 0.0,
                }),
                Some((left, right)) => Part::Split {
                    node: Node::Numeric {
                        feature: 0,
                        threshold: at as f64,
                        missing_left: true,
                        left: 0,
                        right: 0,
                        cover: 0.0,
                    },
                    left,
                    right,
                },
            })
        })
    }

    #[test]
    fn children_that_come_first_in_the_file_come_after_their_parents_and_pruned_nodes_go() {
        let mut nodes = check(&[Some((4, 1)), None, None, None, Some((3, 5)), None]).unwrap();
        let children: Vec<_> = nodes.iter().map(Node::children).collect();
        assert_eq!(children, [Some((1, 4)), Some((2, 3)), None, None, None]);
        assert!(!settle_covers(&mut nodes));
        let covers: Vec<f64> = nodes.iter().map(Node::cover).collect();
        assert_eq!(covers, [3.0, 2.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let cases: [(&[_], &str); 5] = [
            (&[], "it refers to node 0 of 0"),
            (&[Some((1, 2)), None], "it refers to node 2 of 2"),
            (&[Some((0, 1)), None], "node 0 has two parents"),
            (&[Some((1, 1)), None], "node 1 has two parents"),
            (&[Some((1, 2)), Some((2, 0)), None], "node 0 has two parents"),
        ];
        for (children, reason) in cases {
            assert_eq!(check(children).unwrap_err(), reason);
        }
    }
}
