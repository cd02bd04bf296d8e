//! SHAP values by the paths of a tree of any depth, at the points of a Gauss-Legendre rule, which lie side by side in vector
//! lanes.
//!
//! With the notation of `shap`: at a point the products over columns are numbers. Those of the columns above a node are carried
//! down the tree, the leaves times the columns below are carried up, and both meet at each edge. A column that a path meets
//! again replaces its factor, and takes back what was credited for it above; a column that was never met has a factor of 1
//! that was credited nothing, so that no test is a special case.

use super::form::{LeafValue, Node, Tree, contains};
use super::quadrature::gauss_legendre;
use super::shap::share;

/// Points that are integrated together: exact for paths of up to sixteen different columns. More columns take more passes.
pub(super) const LANES: usize = 8;
/// Stands for no edge.
const NONE: u32 = u32::MAX;

type Lanes = [f64; LANES];

/// A tree, ready to be explained. Its nodes are in the order of the form's: parents first.
#[derive(Debug, Clone)]
pub(super) struct PathTree {
    tests: Vec<Test>,
    /// Tests of a column that was tested above.
    repeats: Vec<u32>,
    /// By leaf, then by output where leaves are vectors.
    values: Vec<f64>,
    n_values: usize,
    words: Vec<u64>,
    points: Vec<Points>,
}

/// An inner node. Edges are numbered `2 * test` (left) and `2 * test + 1` (right).
#[derive(Debug, Clone)]
struct Test {
    threshold: f64,
    /// Of the weight that comes here, what goes left.
    share: f64,
    feature: u32,
    /// The edge above at which the same column was tested last; the edge past the last one where there is none.
    earlier: u32,
    /// A test, or a leaf counted from the number of tests on.
    children: [u32; 2],
    /// In place of the threshold: where the set of categories lies in `words`.
    set: Option<(u32, u32)>,
    missing_left: bool,
}

/// Some points of a rule and their weights.
#[derive(Debug, Clone)]
struct Points {
    at: Lanes,
    weights: Lanes,
}

/// What is kept of a tree between the passes over it.
#[derive(Default)]
pub(super) struct Scratch {
    /// By edge: what is known of its column.
    columns: Vec<Column>,
    /// By test and leaf: weights times the factors of the columns above; of tests without that of their own column.
    above: Vec<Lanes>,
    /// By test: one over the factor that its column had above.
    inverse: Vec<Lanes>,
    /// By test and leaf: the leaves below times the factors between.
    below: Vec<Lanes>,
}

/// A column below an edge.
#[derive(Clone, Copy)]
struct Column {
    /// The share of weight that stays on the path when the column is unknown.
    unknown: f64,
    /// 1 where the row stays on the path, else 0.
    known: f64,
}

/// A column that was not tested.
const UNTESTED: Column = Column {
    unknown: 1.0,
    known: 1.0,
};

impl PathTree {
    pub(super) fn of(tree: &Tree) -> Self {
        let numbers = numbers(tree);
        let n_tests = tree.nodes.iter().filter(|it| it.children().is_some()).count();
        let mut paths = Self {
            tests: Vec::with_capacity(n_tests),
            repeats: Vec::new(),
            values: Vec::new(),
            n_values: 1,
            words: Vec::new(),
            points: Vec::new(),
        };
        let mut edges = Edges::of(tree, n_tests);
        for (at, node) in tree.nodes.iter().enumerate() {
            match node {
                Node::Leaf { value, .. } => paths.push_leaf(value),
                _ => paths.push_test(tree, at, &numbers, &mut edges),
            }
        }
        paths.points = Points::exact_for(edges.most_columns);
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
        let earlier = edges.earlier(at, feature);
        if earlier.is_some() {
            self.repeats.push(numbers[at]);
        }
        edges.push(numbers[at], at, [left, right], feature, earlier.is_none());
        let (threshold, missing_left, set) = self.test(node);
        self.tests.push(Test {
            threshold,
            share: share(tree, left, right),
            feature,
            earlier: earlier.unwrap_or(edges.past()),
            children: [numbers[left], numbers[right]],
            set,
            missing_left,
        });
    }

    fn test(&mut self, node: &Node) -> (f64, bool, Option<(u32, u32)>) {
        match node {
            Node::Numeric {
                threshold,
                missing_left,
                ..
            } => (*threshold, *missing_left, None),
            Node::Category {
                categories,
                missing_left,
                ..
            } => {
                let set = (self.words.len() as u32, categories.len() as u32);
                self.words.extend_from_slice(categories);
                (f64::INFINITY, *missing_left, Some(set))
            }
            Node::Leaf { .. } => unreachable!("a leaf tests nothing"),
        }
    }

    /// Adds the parts of one row for one output.
    #[inline(always)]
    pub(super) fn add(&self, row: &[f64], output: usize, scratch: &mut Scratch, parts: &mut [Lanes]) {
        self.decide(row, &mut scratch.columns);
        let n_leaves = self.values.len() / self.n_values;
        let n = self.tests.len();
        for lanes in [&mut scratch.above, &mut scratch.below] {
            lanes.resize(lanes.len().max(n + n_leaves), [0.0; LANES]);
        }
        scratch.inverse.resize(scratch.inverse.len().max(n), [1.0; LANES]);
        for points in &self.points {
            self.go_down(points, scratch);
            self.go_up(points, output, scratch, parts);
        }
    }

    /// What is known of each edge's column.
    #[inline(always)]
    fn decide(&self, row: &[f64], columns: &mut Vec<Column>) {
        columns.clear();
        columns.resize(2 * self.tests.len() + 1, UNTESTED);
        for (at, test) in self.tests.iter().enumerate() {
            let x = row[test.feature as usize];
            let goes_left = match test.set {
                None => (x <= test.threshold) | (x.is_nan() & test.missing_left),
                Some(_) if x.is_nan() => test.missing_left,
                Some((first, count)) => contains(&self.words[first as usize..][..count as usize], x),
            };
            let left = f64::from(u8::from(goes_left));
            let Column { unknown, known } = columns[test.earlier as usize];
            columns[2 * at] = Column {
                unknown: unknown * test.share,
                known: known * left,
            };
            columns[2 * at + 1] = Column {
                unknown: unknown * (1.0 - test.share),
                known: known * (1.0 - left),
            };
        }
    }

    #[inline(always)]
    fn go_down(&self, points: &Points, scratch: &mut Scratch) {
        let (columns, above, inverse) = (&scratch.columns, &mut scratch.above, &mut scratch.inverse);
        inverse[..self.tests.len()].fill([1.0; LANES]);
        for &test in &self.repeats {
            // Never 0, as covers are positive.
            let before = points.factor(columns[self.tests[test as usize].earlier as usize]);
            inverse[test as usize] = before.map(|it| 1.0 / it);
        }
        above[0] = points.weights;
        for (at, test) in self.tests.iter().enumerate() {
            let without = product(above[at], inverse[at]);
            above[at] = without;
            for side in 0..2 {
                above[test.children[side] as usize] = product(without, points.factor(columns[2 * at + side]));
            }
        }
    }

    /// Where the leaves below an edge meet the columns above.
    #[inline(always)]
    fn go_up(&self, points: &Points, output: usize, scratch: &mut Scratch, parts: &mut [Lanes]) {
        let (columns, above, inverse) = (&scratch.columns, &scratch.above, &scratch.inverse);
        let below = &mut scratch.below;
        let leaves = self.values.iter().skip(output).step_by(self.n_values);
        let places = below[self.tests.len()..].iter_mut();
        leaves.zip(places).for_each(|(value, place)| *place = [*value; LANES]);
        for (at, test) in self.tests.iter().enumerate().rev() {
            let before = columns[test.earlier as usize].gain();
            let (mut part, mut sum) = ([0.0; LANES], [0.0; LANES]);
            for side in 0..2 {
                let column = columns[2 * at + side];
                let factor = product(points.factor(column), inverse[at]);
                let leaves = below[test.children[side] as usize];
                for lane in 0..LANES {
                    part[lane] += leaves[lane] * (column.gain() - before * factor[lane]);
                    sum[lane] += leaves[lane] * factor[lane];
                }
            }
            below[at] = sum;
            let part = product(part, above[at]);
            let to = &mut parts[test.feature as usize];
            for lane in 0..LANES {
                to[lane] += part[lane];
            }
        }
    }
}

impl Column {
    fn gain(self) -> f64 {
        self.known - self.unknown
    }
}

impl Points {
    /// `n` points integrate polynomials up to degree `2n - 1`; with `columns` on a path the degree is one below.
    fn exact_for(columns: usize) -> Vec<Self> {
        let rule = gauss_legendre(columns.div_ceil(2).max(1).next_multiple_of(LANES));
        let (chunks, _) = rule.as_chunks::<LANES>();
        let points = |chunk: &[(f64, f64); LANES]| Self {
            at: chunk.map(|it| it.0),
            weights: chunk.map(|it| it.1),
        };
        chunks.iter().map(points).collect()
    }

    /// `o t + z (1 - t)` at each point.
    #[inline(always)]
    fn factor(&self, column: Column) -> Lanes {
        let mut factor = self.at;
        for it in &mut factor {
            *it = column.unknown + column.gain() * *it;
        }
        factor
    }
}

#[inline(always)]
fn product(a: Lanes, b: Lanes) -> Lanes {
    let mut product = a;
    for lane in 0..LANES {
        product[lane] *= b[lane];
    }
    product
}

/// By node: its number among the tests, or among the leaves after them.
fn numbers(tree: &Tree) -> Vec<u32> {
    let is_test = |node: &&Node| node.children().is_some();
    let (mut tests, mut leaves) = (0, tree.nodes.iter().filter(is_test).count() as u32);
    let mut next = |node: &Node| {
        let counter = if is_test(&node) { &mut tests } else { &mut leaves };
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
    /// Different columns from the root to here.
    columns: usize,
}

impl Edges {
    fn of(tree: &Tree, n_tests: usize) -> Self {
        let none = Edge {
            up: NONE,
            feature: NONE,
            columns: 0,
        };
        Self {
            into: vec![NONE; tree.nodes.len()],
            edges: vec![none; 2 * n_tests],
            most_columns: 0,
        }
    }

    /// The edge past the last one.
    fn past(&self) -> u32 {
        self.edges.len() as u32
    }

    /// The edge above a node at which a column was tested last.
    fn earlier(&self, node: usize, feature: u32) -> Option<u32> {
        let mut edge = self.into[node];
        while let Some(it) = self.edges.get(edge as usize) {
            if it.feature == feature {
                return Some(edge);
            }
            edge = it.up;
        }
        None
    }

    fn push(&mut self, test: u32, node: usize, children: [usize; 2], feature: u32, is_new: bool) {
        let up = self.into[node];
        let columns = self.edges.get(up as usize).map_or(0, |it| it.columns) + usize::from(is_new);
        self.most_columns = self.most_columns.max(columns);
        for (edge, child) in (2 * test..).zip(children) {
            self.into[child] = edge;
            self.edges[edge as usize] = Edge { up, feature, columns };
        }
    }
}
