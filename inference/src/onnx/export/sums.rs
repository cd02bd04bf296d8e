//! What a predictor sums, and its link.

use std::collections::BTreeMap;

use super::super::graph::{Attribute, Graph, Tensor};
use super::super::proto::ElementType;
use super::rows::Columns;
use crate::linear::{Linear, LinearTerm};
use crate::tree::{Combine, Form, LeafValue, Link, Node, Tree};

/// The sums of trees over these columns, `[n, outputs]`.
pub(super) fn trees(graph: &mut Graph, form: &Form, columns: &Columns) -> Tensor {
    let matrix = graph.join(&columns.columns.iter().collect::<Vec<_>>());
    trees_of_matrix(graph, form, &matrix)
}

/// `TreeEnsemble` of ai.onnx.ml 5, `[n, outputs]`, by numeric tests alone: whether a code is in a set is looked up before, in one
/// step however large the set; runtimes unroll the operator's own membership test into one test per member.
pub(super) fn trees_of_matrix(graph: &mut Graph, form: &Form, matrix: &Tensor) -> Tensor {
    let sets = Sets::of(form);
    let matrix = sets.beside(graph, matrix);
    let shares = shares(form);
    let mut lists = Lists::default();
    let mut base = form.base.clone();
    for tree in &form.trees {
        match &tree.nodes[..] {
            // onnxruntime 1.22 and 1.24 misread trees of one leaf beside others; their leaf is the same for every row.
            [Node::Leaf { value, .. }] => {
                let outputs = base.iter_mut().zip(&shares).enumerate();
                outputs.for_each(|(at, (base, share))| *base += value.at(at, tree.output) * share);
            }
            _ => lists.add(tree, &sets, &shares),
        }
    }
    if lists.roots.is_empty() {
        lists.nothing();
    }
    let base = graph.numbers(&[1, base.len()], &base);
    let sums = lists.write(graph, &matrix, form.base.len());
    graph.add(&sums, &base)
}

/// The sets that trees test, and the column of each after the columns of the row: 0 in the set, 1 outside, NaN where missing.
#[derive(Debug)]
struct Sets<'a> {
    by_feature: BTreeMap<u32, BTreeMap<&'a [u64], u32>>,
}

impl<'a> Sets<'a> {
    fn of(form: &'a Form) -> Self {
        let mut by_feature: BTreeMap<u32, BTreeMap<&[u64], u32>> = BTreeMap::new();
        for node in form.trees.iter().flat_map(|it| &it.nodes) {
            if let Node::Category {
                feature, categories, ..
            } = node
            {
                by_feature.entry(*feature).or_default().insert(categories, 0);
            }
        }
        let places = form.n_features as u32..;
        let sets = by_feature.values_mut().flat_map(BTreeMap::values_mut);
        sets.zip(places).for_each(|(set, place)| *set = place);
        Self { by_feature }
    }

    fn place(&self, feature: u32, categories: &[u64]) -> u32 {
        self.by_feature[&feature][categories]
    }

    fn beside(&self, graph: &mut Graph, matrix: &Tensor) -> Tensor {
        let mut parts = vec![matrix.clone()];
        for (&feature, sets) in &self.by_feature {
            let code = graph.pick(matrix, 1, &[i64::from(feature)]);
            parts.push(looked_up(graph, &code, sets));
        }
        graph.join(&parts.iter().collect::<Vec<_>>())
    }
}

/// `[n, 1]` codes to `[n, sets]`. Rows of the table: below 0, each code, beyond the last, missing.
fn looked_up(graph: &mut Graph, code: &Tensor, sets: &BTreeMap<&[u64], u32>) -> Tensor {
    let n = 64 * sets.keys().map(|it| it.len()).max().unwrap_or(0);
    let is_in = |set: &[u64], code: usize| set.get(code / 64).is_some_and(|it| it >> (code % 64) & 1 == 1);
    let mut table = vec![1.0; sets.len()];
    for code in 0..=n {
        table.extend(sets.keys().map(|set| f64::from(u8::from(!is_in(set, code)))));
    }
    table.extend(vec![f64::NAN; sets.len()]);
    let table = graph.numbers(&[n + 3, sets.len()], &table);
    let (one, missing) = (graph.number(1.0), graph.number(n as f64 + 2.0));
    let is_missing = graph.is_nan(code);
    let whole = graph.op("Floor", &[code]);
    let row = graph.clamp(&whole, -1.0, n as f64);
    let row = graph.add(&row, &one);
    let row = graph.choose(&is_missing, &missing, &row);
    let row = graph.cast(&row, ElementType::Int64);
    let row = graph.shaped(&row, &[-1]);
    graph.look_up(&table, &row)
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
    yes: Vec<i64>,
    yes_leaf: Vec<i64>,
    no: Vec<i64>,
    no_leaf: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f64>,
}

const AT_MOST: u8 = 0;

impl Lists {
    /// A leaf of several numbers is a tree per number: the operator's leaves have one.
    fn add(&mut self, tree: &Tree, sets: &Sets<'_>, shares: &[f64]) {
        if has_vectors(tree) {
            (0..shares.len()).for_each(|output| self.add_output(tree, sets, output, shares[output]));
        } else {
            let output = tree.output as usize;
            self.add_output(tree, sets, output, shares[output]);
        }
    }

    fn add_output(&mut self, tree: &Tree, sets: &Sets<'_>, output: usize, share: f64) {
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
        for node in &tree.nodes {
            match node.leaf_value() {
                Some(value) => {
                    self.targets.push(output as i64);
                    self.weights.push(value.at(output, tree.output) * share);
                }
                None => self.test(node, tree, sets, &places),
            }
        }
    }

    /// A tree that adds nothing: the operator wants one.
    fn nothing(&mut self) {
        self.roots.push(0);
        self.targets.push(0);
        self.weights.push(0.0);
        self.features.push(0);
        self.modes.push(AT_MOST);
        self.splits.push(0.0);
        self.missing.push(0);
        for (children, is_leaf) in [(&mut self.yes, &mut self.yes_leaf), (&mut self.no, &mut self.no_leaf)] {
            children.push(0);
            is_leaf.push(1);
        }
    }

    fn test(&mut self, node: &Node, tree: &Tree, sets: &Sets<'_>, places: &[i64]) {
        let (left, right) = node.children().expect("a leaf is no test");
        let is_leaf = |at: usize| i64::from(tree.nodes[at].children().is_none());
        self.yes.push(places[left]);
        self.yes_leaf.push(is_leaf(left));
        self.no.push(places[right]);
        self.no_leaf.push(is_leaf(right));
        let (feature, threshold, missing_left) = match node {
            Node::Category {
                feature,
                categories,
                missing_left,
                ..
            } => (sets.place(*feature, categories), 0.5, *missing_left),
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                ..
            } => (*feature, *threshold, *missing_left),
            Node::Leaf { .. } => unreachable!("a leaf is no test"),
        };
        self.features.push(i64::from(feature));
        self.modes.push(AT_MOST);
        self.splits.push(threshold);
        self.missing.push(i64::from(missing_left));
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
        ];
        graph.ml("TreeEnsemble", &[matrix], &attributes)
    }
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
