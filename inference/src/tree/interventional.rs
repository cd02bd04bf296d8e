//! Exact interventional SHAP values: what each column adds when unknown columns are taken from background rows, whatever the
//! known ones are (Janzing, Minorics, Blöbaum 2020; computed by algorithm 3 of Lundberg et al. 2020, "From local explanations to
//! global understanding with explainable AI for trees").
//!
//! For one background row a leaf counts only where each column on its path comes from the explained row, from the background
//! row, or agrees in both. With `u` columns that must be the row's and `v` that must be the background's, a leaf of value `x`
//! gives `x (u-1)! v! / (u+v)!` to each of the first and takes `x u! (v-1)! / (u+v)!` from each of the second.

use foretell_features::FeatureMatrix;

use super::TreeEnsemble;
use super::form::{Node, Tree};

/// SHAP values by column and the mean raw score of the background last; together they sum to the row's raw score.
pub(super) fn contributions(
    ensemble: &TreeEnsemble,
    row: &[f64],
    background: &FeatureMatrix,
    output: usize,
) -> Vec<f64> {
    let mut phi = vec![0.0; row.len() + 1];
    let weights = Weights::up_to(ensemble.trees().iter().map(depth).max().unwrap_or(0));
    let trees = &ensemble.trees()[ensemble.outputs.trees(output)];
    for other in background.rows() {
        for tree in trees {
            let mut walk = Walk {
                tree,
                output,
                row,
                other,
                weights: &weights,
                chosen: vec![None; row.len()],
                phi: &mut phi,
            };
            walk.visit(0, 0, 0);
        }
    }
    let scale = ensemble.outputs.scale(output) / background.n_rows() as f64;
    phi.iter_mut().for_each(|it| *it *= scale);
    let raw = ensemble.raw(background);
    let scores = raw.iter().skip(output).step_by(ensemble.form().base.len());
    phi[row.len()] = scores.sum::<f64>() / background.n_rows() as f64;
    phi
}

fn depth(tree: &Tree) -> usize {
    let mut depths = vec![0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate() {
        if let Some((left, right)) = node.children() {
            depths[left] = depths[at] + 1;
            depths[right] = depths[at] + 1;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

/// Which of the two rows a column was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Row,
    Background,
}

struct Walk<'a> {
    tree: &'a Tree,
    output: usize,
    row: &'a [f64],
    other: &'a [f64],
    weights: &'a Weights,
    /// By column; `None` where both rows agreed so far.
    chosen: Vec<Option<From>>,
    phi: &'a mut [f64],
}

impl Walk<'_> {
    /// What the leaves below give to each column taken from the row, and take from each one taken from the background.
    fn visit(&mut self, at: usize, from_row: usize, from_background: usize) -> (f64, f64) {
        let tree = self.tree;
        let node = &tree.nodes[at];
        let (Some(ours), Some(theirs), Some(column)) = (node.next(self.row), node.next(self.other), node.feature())
        else {
            return self.leaf(node, from_row, from_background);
        };
        match self.chosen[column] {
            Some(From::Row) => self.visit(ours, from_row, from_background),
            Some(From::Background) => self.visit(theirs, from_row, from_background),
            None if ours == theirs => self.visit(ours, from_row, from_background),
            None => {
                self.chosen[column] = Some(From::Row);
                let with_ours = self.visit(ours, from_row + 1, from_background);
                self.chosen[column] = Some(From::Background);
                let with_theirs = self.visit(theirs, from_row, from_background + 1);
                self.chosen[column] = None;
                self.phi[column] += with_ours.0 - with_theirs.1;
                (with_ours.0 + with_theirs.0, with_ours.1 + with_theirs.1)
            }
        }
    }

    fn leaf(&self, node: &Node, from_row: usize, from_background: usize) -> (f64, f64) {
        let value = node.leaf_value().expect("only a leaf has no next node");
        let value = value.at(self.output, self.tree.output);
        let gives = |wanted: usize, others: usize| match wanted.checked_sub(1) {
            Some(wanted) => value * self.weights.get(wanted, others),
            None => 0.0,
        };
        (gives(from_row, from_background), gives(from_background, from_row))
    }
}

/// `u! v! / (u + v + 1)!`
struct Weights {
    side: usize,
    values: Vec<f64>,
}

impl Weights {
    fn up_to(most: usize) -> Self {
        let side = most + 1;
        let mut values = vec![0.0; side * side];
        for u in 0..side {
            for v in 0..side {
                values[u * side + v] = match v {
                    0 => 1.0 / (u + 1) as f64,
                    // From the entry before: v more orders, one more place to share.
                    _ => values[u * side + v - 1] * v as f64 / (u + v + 1) as f64,
                };
            }
        }
        Self { side, values }
    }

    fn get(&self, u: usize, v: usize) -> f64 {
        self.values[u * self.side + v]
    }
}
