//! Exact path-dependent SHAP values: each column's part of the raw score, relative to the cover-weighted mean of the leaves
//! (Lundberg, Erion and Lee 2018), computed as in Linear TreeSHAP (Yu, Bifet, Read, Xu 2022) at the points of a Gauss-Legendre
//! rule.
//!
//! A leaf of value `v` is reached when every column on its path agrees. Of such a column, `z` is the share of training weight
//! that stays on the path when the column is unknown, and `o` is 1 if the row stays on it, else 0. Its part is `v (o - z)` times
//! the integral from 0 to 1 of the product over the other columns of `o t + z (1 - t)`: a polynomial of a degree below the
//! number of columns, so that half as many points integrate it exactly. At a point these products are numbers: those above a
//! node are carried down the tree, those below it up, and both meet at each edge. The points lie side by side in vector lanes.
//!
//! A column that a path meets again replaces its factor, and takes back what was credited for it above.

use super::TreeEnsemble;
use super::form::{Form, LeafValue, Node, Tree, contains};
use super::quadrature::gauss_legendre;
use super::sum::Outputs;

/// Points of a narrow rule: exact for paths of up to eight different columns.
const NARROW: usize = 4;
/// Points of a wide rule; more columns take several wide passes.
const WIDE: usize = 8;
/// Stands for no edge and for no earlier test of a column.
const NONE: u32 = u32::MAX;

/// SHAP values by column, the expected raw score last; together they sum to the row's raw score of that output.
pub(super) fn contributions(ensemble: &TreeEnsemble, row: &[f64], output: usize) -> Vec<f64> {
    let explainer = ensemble.explainer.get_or_init(|| Explainer::of(ensemble.form()));
    let mut parts = Parts::new(row.len());
    let paths = Paths {
        trees: &explainer.trees[ensemble.outputs.trees(output)],
        output: if ensemble.outputs.vectors { output } else { 0 },
    };
    #[cfg(target_arch = "x86_64")]
    super::avx2::explain(paths, row, &mut parts);
    #[cfg(not(target_arch = "x86_64"))]
    paths.add(row, &mut parts);
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

fn share(tree: &Tree, child: usize, sibling: usize) -> f64 {
    let (child, sibling) = (tree.nodes[child].cover(), tree.nodes[sibling].cover());
    child / (child + sibling)
}

/// The trees of an ensemble, ready to be explained.
#[derive(Debug, Clone)]
pub(super) struct Explainer {
    trees: Vec<PathTree>,
}

/// The trees of one output.
#[derive(Clone, Copy)]
pub(super) struct Paths<'a> {
    trees: &'a [PathTree],
    output: usize,
}

#[derive(Debug, Clone)]
struct PathTree {
    tests: Vec<Test>,
    /// By leaf, then by output where leaves are vectors.
    values: Vec<f64>,
    n_values: usize,
    words: Vec<u64>,
    rule: Rule,
}

/// An inner node. Edges are numbered `2 * test` (left) and `2 * test + 1` (right).
#[derive(Debug, Clone)]
struct Test {
    feature: u32,
    /// The edge above at which the same column was tested last.
    earlier: u32,
    /// Test, or leaf counted from [`LEAVES`] on.
    children: [u32; 2],
    kind: Kind,
    missing_left: bool,
    /// Of the column on this path, left and right: the share of weight that stays on the path.
    unknown: [f64; 2],
}

#[derive(Debug, Clone)]
enum Kind {
    Threshold(f64),
    Set { first: u32, count: u32 },
}

/// Children from here on are leaves.
const LEAVES: u32 = 1 << 31;

#[derive(Debug, Clone)]
enum Rule {
    Narrow(Points<NARROW>),
    Wide(Vec<Points<WIDE>>),
}

/// Some points of a rule and their weights.
#[derive(Debug, Clone)]
struct Points<const L: usize> {
    at: [f64; L],
    weights: [f64; L],
}

/// Parts of a row by column, one for each lane.
pub(super) struct Parts {
    narrow: Vec<[f64; NARROW]>,
    wide: Vec<[f64; WIDE]>,
    /// What a pass keeps by test.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    /// By edge: whether the row agrees with all tests of this column so far.
    agrees: Vec<bool>,
    narrow: Passes<NARROW>,
    wide: Passes<WIDE>,
}

struct Passes<const L: usize> {
    /// By test: weights times the factors of the columns above, without that of the test's own.
    above: Vec<[f64; L]>,
    /// By test: the leaves below times the factors between.
    below: Vec<[f64; L]>,
}

impl<const L: usize> Default for Passes<L> {
    fn default() -> Self {
        Self {
            above: Vec::new(),
            below: Vec::new(),
        }
    }
}

impl Parts {
    fn new(n_features: usize) -> Self {
        Self {
            narrow: vec![[0.0; NARROW]; n_features],
            wide: vec![[0.0; WIDE]; n_features],
            scratch: Scratch::default(),
        }
    }

    /// The parts, added up in a fixed order.
    fn sums(self) -> impl Iterator<Item = f64> {
        let halves = |[a, b, c, d]: [f64; NARROW]| (a + c) + (b + d);
        let all = move |(narrow, wide): ([f64; NARROW], [f64; WIDE])| {
            let [a, b, c, d, e, f, g, h] = wide;
            halves(narrow) + (halves([a, b, c, d]) + halves([e, f, g, h]))
        };
        self.narrow.into_iter().zip(self.wide).map(all)
    }
}

impl Explainer {
    fn of(form: &Form) -> Self {
        Self {
            trees: form.trees.iter().map(PathTree::of).collect(),
        }
    }
}

impl PathTree {
    fn of(tree: &Tree) -> Self {
        let mut paths = Self {
            tests: Vec::new(),
            values: Vec::new(),
            n_values: 1,
            words: Vec::new(),
            rule: Rule::Narrow(Points::of(gauss_legendre(NARROW), 0)),
        };
        let numbers = numbers(tree);
        let mut edges = Edges::of(tree, &numbers);
        for (at, node) in tree.nodes.iter().enumerate() {
            match node {
                Node::Leaf { value, .. } => paths.push_leaf(value),
                _ => paths.push_test(tree, at, &numbers, &mut edges),
            }
        }
        paths.rule = Rule::exact_for(edges.most_columns);
        paths
    }

    fn push_leaf(&mut self, value: &LeafValue) {
        match value {
            LeafValue::One(value) => self.values.push(*value),
            LeafValue::Many(values) => {
                self.n_values = values.len();
                self.values.extend_from_slice(values);
            }
        }
    }

    fn push_test(&mut self, tree: &Tree, at: usize, numbers: &[u32], edges: &mut Edges) {
        let node = &tree.nodes[at];
        let (left, right) = node.children().expect("a test has children");
        let feature = node.feature().expect("a test looks at a column") as u32;
        let (earlier, known) = edges.earlier(at, feature);
        let share = share(tree, left, right);
        let unknown = [known * share, known * (1.0 - share)];
        edges.push(numbers[at], at, (left, right), feature, unknown);
        let (kind, missing_left) = self.kind(node);
        self.tests.push(Test {
            feature,
            earlier,
            children: [numbers[left], numbers[right]],
            kind,
            missing_left,
            unknown,
        });
    }

    fn kind(&mut self, node: &Node) -> (Kind, bool) {
        match node {
            Node::Numeric {
                threshold,
                missing_left,
                ..
            } => (Kind::Threshold(*threshold), *missing_left),
            Node::Category {
                categories,
                missing_left,
                ..
            } => {
                let (first, count) = (self.words.len() as u32, categories.len() as u32);
                self.words.extend_from_slice(categories);
                (Kind::Set { first, count }, *missing_left)
            }
            Node::Leaf { .. } => unreachable!("a leaf tests nothing"),
        }
    }
}

/// By node: its number among the tests, or among the leaves from [`LEAVES`] on.
fn numbers(tree: &Tree) -> Vec<u32> {
    let (mut tests, mut leaves) = (0, LEAVES);
    let mut next = |node: &Node| {
        let counter = if node.children().is_some() {
            &mut tests
        } else {
            &mut leaves
        };
        *counter += 1;
        *counter - 1
    };
    tree.nodes.iter().map(&mut next).collect()
}

/// Where columns were tested on the way to each node.
struct Edges {
    /// By node: the edge that leads to it.
    into: Vec<u32>,
    /// By edge.
    edges: Vec<Edge>,
    most_columns: usize,
}

#[derive(Clone, Copy)]
struct Edge {
    /// The edge above it.
    up: u32,
    feature: u32,
    unknown: f64,
    /// Different columns from the root to here.
    columns: usize,
}

impl Edges {
    fn of(tree: &Tree, numbers: &[u32]) -> Self {
        let n_tests = numbers.iter().filter(|it| **it < LEAVES).count();
        let none = Edge {
            up: NONE,
            feature: NONE,
            unknown: 1.0,
            columns: 0,
        };
        Self {
            into: vec![NONE; tree.nodes.len()],
            edges: vec![none; 2 * n_tests],
            most_columns: 0,
        }
    }

    /// The edge above a node at which a column was tested last, and its share.
    fn earlier(&self, node: usize, feature: u32) -> (u32, f64) {
        let mut edge = self.into[node];
        while let Some(it) = self.edges.get(edge as usize) {
            if it.feature == feature {
                return (edge, it.unknown);
            }
            edge = it.up;
        }
        (NONE, 1.0)
    }

    fn push(&mut self, test: u32, node: usize, children: (usize, usize), feature: u32, unknown: [f64; 2]) {
        let up = self.into[node];
        let is_new = self.earlier(node, feature).0 == NONE;
        let columns = self.edges.get(up as usize).map_or(0, |it| it.columns) + usize::from(is_new);
        self.most_columns = self.most_columns.max(columns);
        for (side, child) in [children.0, children.1].into_iter().enumerate() {
            let edge = 2 * test + side as u32;
            self.into[child] = edge;
            self.edges[edge as usize] = Edge {
                up,
                feature,
                unknown: unknown[side],
                columns,
            };
        }
    }
}

impl Rule {
    /// `n` points integrate polynomials up to degree `2n - 1`; with `columns` on a path the degree is one below.
    fn exact_for(columns: usize) -> Self {
        let points = columns.div_ceil(2);
        if points <= NARROW {
            return Rule::Narrow(Points::of(gauss_legendre(NARROW), 0));
        }
        let rule = gauss_legendre(points.next_multiple_of(WIDE));
        let starts = (0..rule.len()).step_by(WIDE);
        Rule::Wide(starts.map(|start| Points::of(rule.clone(), start)).collect())
    }
}

impl<const L: usize> Points<L> {
    fn of(rule: Vec<(f64, f64)>, start: usize) -> Self {
        Self {
            at: std::array::from_fn(|lane| rule[start + lane].0),
            weights: std::array::from_fn(|lane| rule[start + lane].1),
        }
    }

    /// `o t + z (1 - t)` at each point.
    #[inline(always)]
    fn factor(&self, unknown: f64, agrees: bool) -> [f64; L] {
        let known = if agrees { 1.0 } else { 0.0 };
        std::array::from_fn(|lane| unknown + (known - unknown) * self.at[lane])
    }
}

impl Paths<'_> {
    /// Adds the parts of one row in every tree.
    #[inline(always)]
    pub(super) fn add(self, row: &[f64], parts: &mut Parts) {
        let Parts { narrow, wide, scratch } = parts;
        for tree in self.trees {
            tree.decide(row, &mut scratch.agrees);
            match &tree.rule {
                Rule::Narrow(points) => {
                    tree.integrate(points, self.output, &scratch.agrees, &mut scratch.narrow, narrow);
                }
                Rule::Wide(rules) => {
                    for points in rules {
                        tree.integrate(points, self.output, &scratch.agrees, &mut scratch.wide, wide);
                    }
                }
            }
        }
    }
}

impl PathTree {
    /// By edge, whether the row agrees with all tests of its column so far.
    #[inline(always)]
    fn decide(&self, row: &[f64], agrees: &mut Vec<bool>) {
        agrees.clear();
        for test in &self.tests {
            let left = self.goes_left(test, row[test.feature as usize]);
            let before = test.earlier == NONE || agrees[test.earlier as usize];
            agrees.extend([left & before, !left & before]);
        }
    }

    #[inline(always)]
    fn goes_left(&self, test: &Test, x: f64) -> bool {
        if x.is_nan() {
            return test.missing_left;
        }
        match test.kind {
            Kind::Threshold(threshold) => x <= threshold,
            Kind::Set { first, count } => contains(&self.words[first as usize..][..count as usize], x),
        }
    }

    /// Adds the parts of one row at some points of the rule.
    #[inline(always)]
    fn integrate<const L: usize>(
        &self,
        points: &Points<L>,
        output: usize,
        agrees: &[bool],
        passes: &mut Passes<L>,
        parts: &mut [[f64; L]],
    ) {
        self.go_down(points, agrees, &mut passes.above);
        passes.below.clear();
        passes.below.resize(self.tests.len(), [0.0; L]);
        for at in (0..self.tests.len()).rev() {
            let test = &self.tests[at];
            let before = self.before(points, test, agrees);
            let above = passes.above[at];
            let (mut part, mut sum) = ([0.0; L], [0.0; L]);
            for side in 0..2 {
                let agrees = agrees[2 * at + side];
                let factor = before.ratio(points.factor(test.unknown[side], agrees));
                let gain = f64::from(u8::from(agrees)) - test.unknown[side];
                let leaves = match test.children[side] {
                    child if child < LEAVES => passes.below[child as usize],
                    leaf => [self.values[(leaf - LEAVES) as usize * self.n_values + output]; L],
                };
                for lane in 0..L {
                    part[lane] += leaves[lane] * (gain - before.gain * factor[lane]);
                    sum[lane] += leaves[lane] * factor[lane];
                }
            }
            let to = &mut parts[test.feature as usize];
            for lane in 0..L {
                to[lane] += above[lane] * part[lane];
            }
            passes.below[at] = sum;
        }
    }

    #[inline(always)]
    fn go_down<const L: usize>(&self, points: &Points<L>, agrees: &[bool], above: &mut Vec<[f64; L]>) {
        above.clear();
        above.resize(self.tests.len(), points.weights);
        for (at, test) in self.tests.iter().enumerate() {
            let without = self.before(points, test, agrees).ratio(above[at]);
            above[at] = without;
            for side in 0..2 {
                if test.children[side] < LEAVES {
                    let factor = points.factor(test.unknown[side], agrees[2 * at + side]);
                    above[test.children[side] as usize] = std::array::from_fn(|lane| without[lane] * factor[lane]);
                }
            }
        }
    }

    /// What the column of a test stood for above it.
    #[inline(always)]
    fn before<const L: usize>(&self, points: &Points<L>, test: &Test, agrees: &[bool]) -> Before<L> {
        if test.earlier == NONE {
            return Before {
                gain: 0.0,
                inverse: None,
            };
        }
        let agrees = agrees[test.earlier as usize];
        let unknown = self.tests[test.earlier as usize / 2].unknown[test.earlier as usize % 2];
        Before {
            gain: f64::from(u8::from(agrees)) - unknown,
            inverse: Some(points.factor(unknown, agrees).map(|it| 1.0 / it)),
        }
    }
}

/// The factor of a column above the test that replaces it, and what it was credited.
struct Before<const L: usize> {
    gain: f64,
    /// One over the factor; `None` for the first test of a column, whose factor is 1. It is never 0, as covers are positive.
    inverse: Option<[f64; L]>,
}

impl<const L: usize> Before<L> {
    #[inline(always)]
    fn ratio(&self, factor: [f64; L]) -> [f64; L] {
        match self.inverse {
            None => factor,
            Some(inverse) => std::array::from_fn(|lane| factor[lane] * inverse[lane]),
        }
    }
}
