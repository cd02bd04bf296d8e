//! What a predictor sums, and its link.

use super::super::graph::{Attribute, Graph, Tensor};
use super::super::proto::ElementType;
use super::rows::Columns;
use crate::linear::{Linear, LinearTerm};
use crate::tree::{Combine, Form, LeafValue, Link, Node, Tree};

/// `TreeEnsemble` of ai.onnx.ml 5, `[n, outputs]`.
pub(in super::super) fn trees(graph: &mut Graph, form: &Form, columns: &Columns) -> Tensor {
    let mut all: Vec<Tensor> = columns.columns.clone();
    // A set holds whole codes; a number that is tested by a set counts as its whole part.
    let mut floors: Vec<Option<u32>> = vec![None; all.len()];
    for feature in set_features(form) {
        if !columns.is_code[feature] && floors[feature].is_none() {
            floors[feature] = Some(all.len() as u32);
            let whole = graph.op("Floor", &[&all[feature]]);
            all.push(whole);
        }
    }
    let matrix = graph.join(&all.iter().collect::<Vec<_>>());
    let mut lists = Lists::default();
    for tree in &form.trees {
        lists.add(tree, &floors, &shares(form));
    }
    if form.trees.is_empty() {
        lists.add(&nothing(), &floors, &shares(form));
    }
    let base = graph.numbers(&[1, form.base.len()], &form.base);
    let sums = lists.write(graph, &matrix, form.base.len());
    graph.add(&sums, &base)
}

/// A tree that adds nothing.
fn nothing() -> Tree {
    Tree::new(vec![Node::Leaf {
        value: LeafValue::One(0.0),
        cover: 1.0,
    }])
}

fn set_features(form: &Form) -> impl Iterator<Item = usize> {
    let nodes = form.trees.iter().flat_map(|it| &it.nodes);
    nodes.filter_map(|it| match it {
        Node::Category { feature, .. } => Some(*feature as usize),
        _ => None,
    })
}

/// By output, what a leaf counts.
fn shares(form: &Form) -> Vec<f64> {
    let n_trees = |output: usize| {
        let of = |it: &&Tree| it.output as usize == output || has_vectors(it);
        form.trees.iter().filter(of).count().max(1) as f64
    };
    match form.combine {
        Combine::Sum => vec![1.0; form.base.len()],
        Combine::Average => (0..form.base.len()).map(|it| 1.0 / n_trees(it)).collect(),
    }
}

fn has_vectors(tree: &Tree) -> bool {
    let first = tree.nodes.iter().find_map(Node::leaf_value);
    matches!(first, Some(LeafValue::Many(_)))
}

/// The operator's attributes.
#[derive(Debug, Default)]
struct Lists {
    roots: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<u8>,
    splits: Vec<f64>,
    missing: Vec<i64>,
    members: Vec<f64>,
    yes: Vec<i64>,
    yes_leaf: Vec<i64>,
    no: Vec<i64>,
    no_leaf: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f64>,
}

const AT_MOST: u8 = 0;
const BELOW: u8 = 1;
const MEMBER: u8 = 6;

impl Lists {
    /// A leaf of several numbers is a tree per number: the operator's leaves have one.
    fn add(&mut self, tree: &Tree, floors: &[Option<u32>], shares: &[f64]) {
        if has_vectors(tree) {
            (0..shares.len()).for_each(|output| self.add_output(tree, floors, output, shares[output]));
        } else {
            let output = tree.output as usize;
            self.add_output(tree, floors, output, shares[output]);
        }
    }

    fn add_output(&mut self, tree: &Tree, floors: &[Option<u32>], output: usize, share: f64) {
        self.roots.push(self.features.len() as i64);
        // Position of each node among the tests or among the leaves.
        let (mut tests, mut leaves) = (self.features.len() as i64, self.weights.len() as i64);
        let places: Vec<i64> = tree
            .nodes
            .iter()
            .map(|node| {
                let next = if node.children().is_some() {
                    &mut tests
                } else {
                    &mut leaves
                };
                *next += 1;
                *next - 1
            })
            .collect();
        if tree.nodes.len() == 1 {
            self.lone_leaf(places[0]);
        }
        for node in &tree.nodes {
            match node.leaf_value() {
                Some(value) => {
                    self.targets.push(output as i64);
                    self.weights.push(value.at(output, tree.output) * share);
                }
                None => self.test(node, tree, floors, &places),
            }
        }
    }

    /// A test whose answer does not count.
    fn lone_leaf(&mut self, leaf: i64) {
        self.features.push(0);
        self.modes.push(AT_MOST);
        self.splits.push(0.0);
        self.missing.push(0);
        for (children, is_leaf) in [(&mut self.yes, &mut self.yes_leaf), (&mut self.no, &mut self.no_leaf)] {
            children.push(leaf);
            is_leaf.push(1);
        }
    }

    fn test(&mut self, node: &Node, tree: &Tree, floors: &[Option<u32>], places: &[i64]) {
        let (left, right) = node.children().expect("a leaf is no test");
        let is_leaf = |at: usize| i64::from(tree.nodes[at].children().is_none());
        self.yes.push(places[left]);
        self.yes_leaf.push(is_leaf(left));
        self.no.push(places[right]);
        self.no_leaf.push(is_leaf(right));
        match node {
            Node::Category {
                feature,
                categories,
                missing_left,
                ..
            } => {
                let members = members(categories);
                self.features
                    .push(i64::from(floors[*feature as usize].unwrap_or(*feature)));
                self.missing.push(i64::from(*missing_left));
                // No number is below minus infinity: an empty set.
                self.modes.push(if members.is_empty() { BELOW } else { MEMBER });
                self.splits.push(f64::NEG_INFINITY);
                if !members.is_empty() {
                    self.members.extend(members);
                    self.members.push(f64::NAN);
                }
            }
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                ..
            } => {
                self.features.push(i64::from(*feature));
                self.modes.push(AT_MOST);
                self.splits.push(*threshold);
                self.missing.push(i64::from(*missing_left));
            }
            Node::Leaf { .. } => unreachable!("a leaf is no test"),
        }
    }

    fn write(self, graph: &mut Graph, matrix: &Tensor, n_outputs: usize) -> Tensor {
        let attributes = [
            ("aggregate_function", Attribute::Int(1)),
            ("post_transform", Attribute::Int(0)),
            ("n_targets", Attribute::Int(n_outputs as i64)),
            ("tree_roots", Attribute::Ints(self.roots)),
            ("nodes_featureids", Attribute::Ints(self.features)),
            ("nodes_modes", Attribute::Bytes(&self.modes)),
            ("nodes_splits", Attribute::Doubles(&self.splits)),
            ("nodes_missing_value_tracks_true", Attribute::Ints(self.missing)),
            ("nodes_truenodeids", Attribute::Ints(self.yes)),
            ("nodes_trueleafs", Attribute::Ints(self.yes_leaf)),
            ("nodes_falsenodeids", Attribute::Ints(self.no)),
            ("nodes_falseleafs", Attribute::Ints(self.no_leaf)),
            ("leaf_targetids", Attribute::Ints(self.targets)),
            ("leaf_weights", Attribute::Doubles(&self.weights)),
            ("membership_values", Attribute::Doubles(&self.members)),
        ];
        let some = if self.members.is_empty() {
            attributes.len() - 1
        } else {
            attributes.len()
        };
        graph.ml("TreeEnsemble", &[matrix], &attributes[..some])
    }
}

fn members(words: &[u64]) -> Vec<f64> {
    let codes = 0..64 * words.len();
    codes
        .filter(|it| words[it / 64] >> (it % 64) & 1 == 1)
        .map(|it| it as f64)
        .collect()
}

/// `[n, 1]`.
pub(super) fn linear(graph: &mut Graph, linear: &Linear, columns: &Columns) -> Tensor {
    let mut parts = Vec::new();
    let numeric = linear
        .terms
        .iter()
        .enumerate()
        .filter(|(_, it)| matches!(it, LinearTerm::Numeric { .. }));
    let numeric: Vec<usize> = numeric.map(|(at, _)| at).collect();
    if !numeric.is_empty() {
        parts.push(numeric_parts(graph, linear, columns, &numeric));
    }
    for (at, term) in linear.terms.iter().enumerate() {
        if let LinearTerm::Category { weights, missing } = term {
            parts.push(category_part(graph, weights, *missing, &columns.columns[at]));
        }
    }
    let parts = graph.join(&parts.iter().collect::<Vec<_>>());
    let sum = graph.sum(&parts, 1, true);
    let intercept = graph.number(linear.intercept);
    graph.add(&sum, &intercept)
}

/// All numbers at once, `[n, k]`.
fn numeric_parts(graph: &mut Graph, linear: &Linear, columns: &Columns, which: &[usize]) -> Tensor {
    let x = graph.join(&which.iter().map(|&it| &columns.columns[it]).collect::<Vec<_>>());
    let of = |part: fn(&LinearTerm) -> f64| -> Vec<f64> { which.iter().map(|&it| part(&linear.terms[it])).collect() };
    let [mean, scale, clip, weight, missing] = [
        of(|it| numbers_of(it)[0]),
        of(|it| numbers_of(it)[1]),
        of(|it| numbers_of(it)[2]),
        of(|it| numbers_of(it)[3]),
        of(|it| numbers_of(it)[4]),
    ]
    .map(|it| graph.numbers(&[1, which.len()], &it));
    let is_missing = graph.is_nan(&x);
    let moved = graph.sub(&x, &mean);
    let scaled = graph.div(&moved, &scale);
    let low = graph.op("Neg", &[&clip]);
    let bounded = graph.op("Max", &[&scaled, &low]);
    let bounded = graph.op("Min", &[&bounded, &clip]);
    let parts = graph.mul(&bounded, &weight);
    graph.choose(&is_missing, &missing, &parts)
}

/// Mean, scale, clip, weight, missing.
fn numbers_of(term: &LinearTerm) -> [f64; 5] {
    match term {
        LinearTerm::Numeric {
            mean,
            scale,
            clip,
            weight,
            missing,
        } => [*mean, *scale, *clip, *weight, *missing],
        LinearTerm::Category { .. } => [0.0, 1.0, 1.0, 0.0, 0.0],
    }
}

/// A weight by code, `[n, 1]`: the last one for codes past it, one more for missing values.
fn category_part(graph: &mut Graph, weights: &[f64], missing: f64, code: &Tensor) -> Tensor {
    let n = weights.len();
    let table: Vec<f64> = weights.iter().copied().chain([missing]).collect();
    let table = graph.numbers(&[n + 1], &table);
    let is_missing = graph.is_nan(code);
    let last = graph.number(n as f64);
    let known = graph.clamp(code, 0.0, n as f64 - 1.0);
    let index = graph.choose(&is_missing, &last, &known);
    let index = graph.cast(&index, ElementType::Int64);
    graph.look_up(&table, &index)
}

/// The answers, without overflow and in full precision at both ends, as [`Link::apply`] has them.
pub(super) fn linked(graph: &mut Graph, raw: &Tensor, link: Link, n_outputs: usize) -> Tensor {
    match link {
        Link::Identity => raw.clone(),
        Link::Logit => sigmoid(graph, raw),
        Link::Log => graph.op("Exp", &[raw]),
        Link::Softmax if n_outputs == 1 => {
            let same = graph.sub(raw, raw);
            graph.op("Exp", &[&same])
        }
        Link::Softmax => {
            let highest = graph.reduced("ReduceMax", raw, 1, true);
            let below = graph.sub(raw, &highest);
            let powers = graph.op("Exp", &[&below]);
            let total = graph.sum(&powers, 1, true);
            graph.div(&powers, &total)
        }
        Link::Probit => {
            // The error function is there in float32 alone.
            let (root, half) = (graph.number(std::f64::consts::FRAC_1_SQRT_2), graph.number(0.5));
            let scaled = graph.mul(raw, &root);
            let narrow = graph.cast(&scaled, ElementType::Float);
            let erf = graph.op("Erf", &[&narrow]);
            let wide = graph.cast(&erf, ElementType::Double);
            let part = graph.mul(&wide, &half);
            graph.add(&part, &half)
        }
        Link::Step => {
            let zero = graph.number(0.0);
            let above = graph.op("Greater", &[raw, &zero]);
            graph.cast(&above, ElementType::Double)
        }
        Link::Softplus => {
            let (zero, one, far) = (graph.number(0.0), graph.number(1.0), graph.number(-15.0));
            let size = graph.op("Abs", &[raw]);
            let below = graph.op("Neg", &[&size]);
            let power = graph.op("Exp", &[&below]);
            let sum = graph.add(&power, &one);
            let log = graph.op("Log", &[&sum]);
            // ln(1 + e) is e where e is tiny, and 1 + e is not exact there.
            let is_far = graph.op("Less", &[&below, &far]);
            let rest = graph.choose(&is_far, &power, &log);
            let positive = graph.op("Max", &[raw, &zero]);
            graph.add(&positive, &rest)
        }
        Link::SignedSquare => {
            let size = graph.op("Abs", &[raw]);
            graph.mul(raw, &size)
        }
    }
}

/// `1 / (1 + exp(-x))`, with all digits also where it is near 0.
pub(super) fn sigmoid(graph: &mut Graph, x: &Tensor) -> Tensor {
    let (zero, one) = (graph.number(0.0), graph.number(1.0));
    let size = graph.op("Abs", &[x]);
    let below = graph.op("Neg", &[&size]);
    let power = graph.op("Exp", &[&below]);
    let sum = graph.add(&power, &one);
    let above = graph.op("GreaterOrEqual", &[x, &zero]);
    let top = graph.choose(&above, &one, &power);
    graph.div(&top, &sum)
}
