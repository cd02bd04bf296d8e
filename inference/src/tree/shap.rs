//! Exact path-dependent SHAP values (Lundberg, Erion and Lee 2018, algorithm 2): each column's part of the raw score, relative
//! to the cover-weighted mean of the leaves.

use super::TreeEnsemble;
use super::form::{Form, Node, Tree};
use super::leaf_shap::{LeafPaths, Parts};
use super::sum::Outputs;

/// A column that the path has split on.
#[derive(Debug, Clone, Copy)]
struct Step {
    feature: usize,
    /// Share of training weight that stays on the path when the column is unknown.
    zero: f64,
    /// 1 where the row itself stays on the path, else 0; nothing between.
    one: f64,
    /// Weight of the subsets with this many known columns.
    weight: f64,
}

/// Marks the path's first step, which stands for no column.
const NO_FEATURE: usize = usize::MAX;

/// SHAP values by column, the expected raw score last; together they sum to the row's raw score of that output.
pub(super) fn contributions(ensemble: &TreeEnsemble, row: &[f64], output: usize) -> Vec<f64> {
    let trees = ensemble.outputs.trees(output);
    let Some(blocks) = &ensemble.blocks else {
        return walked(ensemble, row, output, trees);
    };
    let mut parts = Parts::new(ensemble.n_features());
    let paths = ensemble.paths.get_or_init(|| LeafPaths::of(ensemble.trees()));
    let others = paths.add(blocks, row, &mut parts);
    let mut phi = walked(ensemble, row, output, others);
    let scale = ensemble.outputs.scale(output);
    phi.iter_mut()
        .zip(parts.sums())
        .for_each(|(phi, part)| *phi += part * scale);
    phi
}

/// The same, of some of the trees only, by extending and unwinding paths: for trees of any depth.
pub(super) fn walked(
    ensemble: &TreeEnsemble,
    row: &[f64],
    output: usize,
    trees: impl IntoIterator<Item = usize>,
) -> Vec<f64> {
    let mut phi = vec![0.0; ensemble.n_features() + 1];
    let mut walk = Walk {
        row,
        output,
        steps: Vec::new(),
        phi: &mut phi,
    };
    for tree in trees {
        walk.visit(
            &ensemble.trees()[tree],
            0,
            0,
            Step {
                feature: NO_FEATURE,
                zero: 1.0,
                one: 1.0,
                weight: 1.0,
            },
        );
        walk.steps.clear();
    }
    let scale = ensemble.outputs.scale(output);
    phi.iter_mut().for_each(|it| *it *= scale);
    phi[row.len()] = ensemble.expected(output);
    phi
}

/// What the leaves of an output come to on average.
pub(super) fn mean_leaves(form: &Form, outputs: &Outputs, output: usize) -> f64 {
    let trees = &form.trees[outputs.trees(output)];
    trees.iter().map(|tree| expected(tree, output)).sum::<f64>() * outputs.scale(output)
}

/// The mean leaf by cover. Shares are taken among siblings, here and in the walk, so that both agree to the last bits.
fn expected(tree: &Tree, output: usize) -> f64 {
    let mut mean = vec![0.0; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        mean[at] = match node {
            Node::Leaf { value, .. } => value.at(output, tree.output),
            _ => {
                let (left, right) = node.children().expect("an inner node has children");
                let share = share(tree, left, right);
                mean[left] * share + mean[right] * (1.0 - share)
            }
        };
    }
    mean[0]
}

pub(super) fn share(tree: &Tree, child: usize, sibling: usize) -> f64 {
    let (child, sibling) = (tree.nodes[child].cover(), tree.nodes[sibling].cover());
    child / (child + sibling)
}

/// Paths lie on one stack, the deepest last; each node copies its parent's.
struct Walk<'a> {
    row: &'a [f64],
    output: usize,
    steps: Vec<Step>,
    phi: &'a mut [f64],
}

impl Walk<'_> {
    /// `parent` is where the parent's path starts; it ends at the end of the stack.
    fn visit(&mut self, tree: &Tree, at: usize, parent: usize, step: Step) {
        let start = self.steps.len();
        self.steps.extend_from_within(parent..);
        extend(&mut self.steps, start, step);
        match (&tree.nodes[at], tree.nodes[at].children()) {
            (Node::Leaf { value, .. }, _) => self.credit(start, value.at(self.output, tree.output)),
            (node, Some((left, right))) => self.split(tree, node, (left, right), start),
            _ => unreachable!("only a leaf has no children"),
        }
        self.steps.truncate(start);
    }

    /// Spreads a leaf's value over the path. Steps that the row itself does not take all lose the same.
    fn credit(&mut self, start: usize, value: f64) {
        let path = &self.steps[start..];
        let lost = lost_weight(path) * value;
        for step in &path[1..] {
            self.phi[step.feature] += if step.one == 0.0 {
                -lost
            } else {
                unwound_weight(path, step.zero) * (1.0 - step.zero) * value
            };
        }
    }

    fn split(&mut self, tree: &Tree, node: &Node, (left, right): (usize, usize), start: usize) {
        let feature = node.feature().expect("an inner node looks at a column");
        let taken = node.next(self.row).expect("an inner node has a next one");
        let other = if taken == left { right } else { left };
        let mut before = (1.0, 1.0);
        if let Some(at) = self.steps[start..].iter().position(|it| it.feature == feature) {
            before = (self.steps[start + at].zero, self.steps[start + at].one);
            unwind(&mut self.steps, start, at);
        }
        let share = share(tree, taken, other);
        let (zero, one) = before;
        self.visit(
            tree,
            taken,
            start,
            Step {
                feature,
                zero: zero * share,
                one,
                weight: 0.0,
            },
        );
        self.visit(
            tree,
            other,
            start,
            Step {
                feature,
                zero: zero * (1.0 - share),
                one: 0.0,
                weight: 0.0,
            },
        );
    }
}

fn extend(steps: &mut Vec<Step>, start: usize, step: Step) {
    steps.push(step);
    let path = &mut steps[start..];
    let last = path.len() - 1;
    path[last].weight = if last == 0 { 1.0 } else { 0.0 };
    let (one, zero) = (step.one * INVERSE[last + 1], step.zero * INVERSE[last + 1]);
    for at in (0..last).rev() {
        let weight = path[at].weight;
        path[at + 1].weight += one * weight * (at + 1) as f64;
        path[at].weight = zero * weight * (last - at) as f64;
    }
}

/// Takes the step at `at` out of the path again.
fn unwind(steps: &mut Vec<Step>, start: usize, at: usize) {
    let path = &mut steps[start..];
    let last = path.len() - 1;
    let length = (last + 1) as f64;
    let Step { zero, one, .. } = path[at];
    let ratio = if one == 0.0 {
        length / zero
    } else {
        zero * INVERSE[last + 1]
    };
    let mut next = path[last].weight;
    for step in (0..last).rev() {
        let weight = path[step].weight;
        if one == 0.0 {
            path[step].weight = weight * ratio * INVERSE[last - step];
        } else {
            path[step].weight = next * length * INVERSE[step + 1];
            next = weight - path[step].weight * ratio * (last - step) as f64;
        }
    }
    for step in at..last {
        let Step { feature, zero, one, .. } = path[step + 1];
        path[step] = Step {
            feature,
            zero,
            one,
            weight: path[step].weight,
        };
    }
    steps.pop();
}

/// `1 / n`: explaining is mostly divisions by small whole numbers.
const INVERSE: [f64; super::MAX_DEPTH + 3] = {
    let mut inverse = [0.0; super::MAX_DEPTH + 3];
    let mut n = 1;
    while n < inverse.len() {
        inverse[n] = 1.0 / n as f64;
        n += 1;
    }
    inverse
};

/// The sum of the weights that `unwind` would leave for a step that the row takes, `one` being 1.
fn unwound_weight(path: &[Step], zero: f64) -> f64 {
    let last = path.len() - 1;
    let length = (last + 1) as f64;
    let ratio = zero * INVERSE[last + 1];
    let (mut next, mut total) = (path[last].weight, 0.0);
    for (at, step) in path[..last].iter().enumerate().rev() {
        let left = next * length * INVERSE[at + 1];
        total += left;
        next = step.weight - left * ratio * (last - at) as f64;
    }
    total
}

/// The same for a step that the row does not take, times its `zero`: equal for all such steps.
fn lost_weight(path: &[Step]) -> f64 {
    let last = path.len() - 1;
    let weights = path[..last]
        .iter()
        .enumerate()
        .map(|(at, step)| step.weight * INVERSE[last - at]);
    weights.sum::<f64>() * (last + 1) as f64
}
