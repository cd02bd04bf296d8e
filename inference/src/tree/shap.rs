//! Exact path-dependent SHAP values: each column's part of the raw score, relative to the cover-weighted mean of the leaves
//! (Lundberg, Erion and Lee 2018), by polynomials as in Linear TreeSHAP (Yu, Bifet, Read, Xu 2022).
//!
//! A leaf of value `v` is reached when every column on its path agrees. Of such a column, `z` is the share of training weight
//! that stays on the path when the column is unknown, and `o` is 1 if the row stays on it, else 0. Its part is `v (o - z)` times
//! the integral from 0 to 1 of the product over the other columns of `o t + z (1 - t)`: a polynomial of a degree below the
//! number of columns, which half as many points of a Gauss-Legendre rule integrate exactly.
//!
//! Trees that fit into one block go leaf by leaf (`leaf_shap`), all others by their paths (`path_shap`).

use super::TreeEnsemble;
use super::form::{Form, Node, Tree};
use super::leaf_shap::LeafPaths;
use super::path_shap::{LANES, PathTree, Scratch};
use super::sum::Outputs;

/// Where a tree fits into one block and leaves are single numbers, else its paths.
#[derive(Debug, Clone)]
pub(super) struct Explainer {
    leaves: Option<LeafPaths>,
    /// By tree; `None` where `leaves` has it.
    paths: Vec<Option<PathTree>>,
}

/// Parts of a row by column, eight partial sums each.
pub(super) struct Parts(pub(super) Vec<[f64; LANES]>);

impl Parts {
    /// The parts, added up in a fixed order.
    fn sums(self) -> impl Iterator<Item = f64> {
        self.0
            .into_iter()
            .map(|[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h)))
    }
}

impl Explainer {
    fn of(ensemble: &TreeEnsemble) -> Self {
        let trees = ensemble.trees();
        let leaves = ensemble.blocks.as_ref().filter(|_| !ensemble.outputs.vectors);
        let leaves = leaves.map(|_| LeafPaths::of(trees));
        let taken = |at: usize| leaves.as_ref().is_some_and(|it| it.has(at));
        let paths = |(at, tree)| (!taken(at)).then(|| PathTree::of(tree));
        Self {
            paths: trees.iter().enumerate().map(paths).collect(),
            leaves,
        }
    }

    /// Adds the parts of one row in the trees of an output.
    fn add(&self, ensemble: &TreeEnsemble, row: &[f64], output: usize, parts: &mut Parts) {
        let trees = ensemble.outputs.trees(output);
        if let (Some(leaves), Some(blocks)) = (&self.leaves, &ensemble.blocks) {
            let root = blocks.shape.passes[output].start;
            leaves.add(blocks.view(), root, trees.clone(), row, parts);
        }
        let of = if ensemble.outputs.vectors { output } else { 0 };
        let paths = Paths {
            trees: &self.paths[trees],
            output: of,
        };
        #[cfg(target_arch = "x86_64")]
        super::avx2::explain(paths, row, parts);
        #[cfg(not(target_arch = "x86_64"))]
        paths.add(row, parts);
    }
}

/// Trees of one output that are explained by their paths.
#[derive(Clone, Copy)]
pub(super) struct Paths<'a> {
    trees: &'a [Option<PathTree>],
    output: usize,
}

impl Paths<'_> {
    /// Adds the parts of one row in every tree.
    #[inline(always)]
    pub(super) fn add(self, row: &[f64], parts: &mut Parts) {
        let mut scratch = Scratch::default();
        for tree in self.trees.iter().flatten() {
            tree.add(row, self.output, &mut scratch, &mut parts.0);
        }
    }
}

/// SHAP values by column, the expected raw score last; together they sum to the row's raw score of that output.
pub(super) fn contributions(ensemble: &TreeEnsemble, row: &[f64], output: usize) -> Vec<f64> {
    let explainer = ensemble.explainer.get_or_init(|| Explainer::of(ensemble));
    let mut parts = Parts(vec![[0.0; LANES]; row.len()]);
    explainer.add(ensemble, row, output, &mut parts);
    let scale = ensemble.outputs.scale(output);
    let mut phi: Vec<f64> = parts.sums().map(|it| it * scale).collect();
    phi.push(ensemble.expected(output));
    phi
}

/// What the leaves of an output come to on average.
pub(super) fn mean_leaves(form: &Form, outputs: &Outputs, output: usize) -> f64 {
    let trees = &form.trees[outputs.trees(output)];
    trees.iter().map(|tree| expected(tree, output)).sum::<f64>() * outputs.scale(output)
}

/// The mean leaf by cover. Shares are taken among siblings, here and in the paths, so that both agree to the last bits.
fn expected(tree: &Tree, output: usize) -> f64 {
    let mut mean = vec![0.0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        mean[at] = match (node, node.children()) {
            (Node::Leaf { value, .. }, _) => value.at(output, tree.output),
            (_, Some((left, right))) => {
                let share = share(tree, left, right);
                mean[left] * share + mean[right] * (1.0 - share)
            }
            _ => unreachable!("only a leaf has no children"),
        };
    }
    mean[0]
}

/// Of the weight at two siblings, what is at the child.
pub(super) fn share(tree: &Tree, child: usize, sibling: usize) -> f64 {
    let (child, sibling) = (tree.nodes[child].cover(), tree.nodes[sibling].cover());
    child / (child + sibling)
}
