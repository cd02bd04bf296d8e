//! The trees of a form as columns of numbers, as they lie in a file: what a form is made of again when it is asked for.

use std::ops::Range;

use super::form::{Combine, Form, LeafValue, Link, Node, Tree};
use super::section::Section;
use super::{MAX_DEPTH, MAX_OUTPUTS, damaged, flat};
use crate::error::InferenceError;

/// In a test's word: not a threshold but a set of categories.
const CATEGORY: u32 = 1 << 31;
/// In a test's word: missing goes left.
const MISSING_LEFT: u32 = 1 << 30;
/// The word of a leaf.
const LEAF: u32 = MISSING_LEFT - 1;

/// What a form says beside its trees.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    pub(super) n_features: usize,
    pub(super) base: Vec<f64>,
    pub(super) link: Link,
    pub(super) combine: Combine,
}

impl Head {
    pub(super) fn of(form: &Form) -> Self {
        Self {
            n_features: form.n_features,
            base: form.base.clone(),
            link: form.link,
            combine: form.combine,
        }
    }

    /// Whether its numbers can be used.
    pub(super) fn check(&self) -> Result<(), InferenceError> {
        let bases = (1..=MAX_OUTPUTS).contains(&self.base.len()) && self.base.iter().all(|it| it.is_finite());
        if bases && (1..=flat::MAX_FEATURES).contains(&self.n_features) {
            return Ok(());
        }
        Err(damaged(format!(
            "{} outputs that start at {:?} on {} columns",
            self.base.len(),
            self.base.first(),
            self.n_features
        )))
    }
}

/// All nodes of all trees, in order.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// By tree: the node past its last one.
    pub(super) ends: Section<u32>,
    /// By tree.
    pub(super) outputs: Section<u32>,
    /// By node: the column and two flags, or [`LEAF`].
    pub(super) tests: Section<u32>,
    /// By node: left and right, counted from the tree's first node; 0 and 0 of leaves.
    pub(super) children: Section<[u32; 2]>,
    /// By node: a threshold, a leaf's number; or as bits a leaf's vector, or first word and number of words of a set.
    pub(super) numbers: Section<f64>,
    /// By node.
    pub(super) covers: Section<f64>,
    /// Sets of categories.
    pub(super) words: Section<u64>,
    /// Leaf vectors, where leaves have a number for each output.
    pub(super) vectors: Section<f64>,
    pub(super) has_vectors: bool,
}

impl Stored {
    pub(super) fn of(form: &Form) -> Self {
        let mut columns = Columns::default();
        for tree in &form.trees {
            tree.nodes.iter().for_each(|node| columns.push(node));
            columns.ends.push(columns.tests.len() as u32);
        }
        let outputs: Vec<u32> = form.trees.iter().map(|it| it.output).collect();
        Self {
            ends: Section::new(&columns.ends),
            outputs: Section::new(&outputs),
            tests: Section::new(&columns.tests),
            children: Section::new(&columns.children),
            numbers: Section::new(&columns.numbers),
            covers: Section::new(&columns.covers),
            words: Section::new(&columns.words),
            vectors: Section::new(&form.vectors()),
            has_vectors: form.has_vectors(),
        }
    }

    /// The form again. Its numbers have been checked.
    pub(super) fn form(&self, head: &Head) -> Form {
        let mut first = 0;
        let trees = self.ends.get().iter().zip(self.outputs.get()).map(|(&end, &output)| {
            let nodes = (first..end as usize).map(|at| self.node(at, head.base.len())).collect();
            first = end as usize;
            Tree { nodes, output }
        });
        Form {
            trees: trees.collect(),
            n_features: head.n_features,
            base: head.base.clone(),
            link: head.link,
            combine: head.combine,
        }
    }

    fn node(&self, at: usize, n_outputs: usize) -> Node {
        let (test, [left, right]) = (self.tests.get()[at], self.children.get()[at]);
        let (number, cover) = (self.numbers.get()[at], self.covers.get()[at]);
        let (feature, missing_left) = (test & (MISSING_LEFT - 1), test & MISSING_LEFT != 0);
        if test == LEAF {
            let value = match self.has_vectors {
                true => {
                    LeafValue::Many(self.vectors.get()[number.to_bits() as usize * n_outputs..][..n_outputs].into())
                }
                false => LeafValue::One(number),
            };
            return Node::Leaf { value, cover };
        }
        if test & CATEGORY == 0 {
            return Node::Numeric {
                feature,
                threshold: number,
                missing_left,
                left,
                right,
                cover,
            };
        }
        let (first, count) = set(number);
        Node::Category {
            feature,
            categories: self.words.get()[first..first + count].to_vec(),
            missing_left,
            left,
            right,
            cover,
        }
    }

    /// What is wrong with it, if anything: the same as of a form.
    pub(super) fn check(&self, head: &Head) -> Result<(), InferenceError> {
        head.check()?;
        self.check_lengths(head.base.len())?;
        let (mut first, mut depths, mut used) = (0, Vec::new(), Used::default());
        for (tree, &end) in self.ends.get().iter().enumerate() {
            let reason = self.problem(head, first..end as usize, &mut depths, &mut used);
            if let Some(reason) = reason {
                return Err(damaged(format!("tree {tree}: {reason}")));
            }
            first = end as usize;
        }
        Ok(())
    }

    fn check_lengths(&self, n_outputs: usize) -> Result<(), InferenceError> {
        let (ends, outputs, vectors) = (self.ends.get(), self.outputs.get(), self.vectors.get());
        let n = self.tests.get().len();
        let nodes = [
            self.children.get().len(),
            self.numbers.get().len(),
            self.covers.get().len(),
        ] == [n; 3]
            && ends.last().map_or(0, |it| *it as usize) == n
            && ends.is_sorted();
        let most = if self.has_vectors { 1 } else { n_outputs as u32 };
        let outputs = outputs.len() == ends.len() && outputs.is_sorted() && outputs.iter().all(|it| *it < most);
        let vectors = (self.has_vectors || vectors.is_empty())
            && (n_outputs > 1 || !self.has_vectors)
            && vectors.len() % n_outputs == 0
            && vectors.iter().all(|it| it.is_finite());
        if nodes && outputs && vectors {
            return Ok(());
        }
        Err(damaged("lists of nodes that do not fit each other".to_owned()))
    }

    /// `depths` is room that is used again.
    fn problem(&self, head: &Head, nodes: Range<usize>, depths: &mut Vec<u16>, used: &mut Used) -> Option<String> {
        const UNSEEN: u16 = u16::MAX;
        let n = nodes.len();
        depths.clear();
        depths.resize(n, UNSEEN);
        *depths.first_mut()? = 0;
        let (tests, children) = (&self.tests.get()[nodes.clone()], &self.children.get()[nodes.clone()]);
        let (numbers, covers) = (&self.numbers.get()[nodes.clone()], &self.covers.get()[nodes]);
        for at in 0..n {
            let here = depths[at];
            let reachable = here as usize <= MAX_DEPTH;
            let sound = reachable
                && self.is_sound(head, tests[at], numbers[at], used)
                && covers[at] > 0.0
                && covers[at].is_finite();
            if !sound {
                return Some(format!("node {at} cannot be used"));
            }
            if tests[at] == LEAF {
                continue;
            }
            for child in children[at].map(|it| it as usize) {
                if child <= at || depths.get(child) != Some(&UNSEEN) {
                    return Some(format!(
                        "node {at} has a child {child} that is not a later node of its own"
                    ));
                }
                depths[child] = here + 1;
            }
        }
        None
    }

    fn is_sound(&self, head: &Head, test: u32, number: f64, used: &mut Used) -> bool {
        if test == LEAF {
            return match self.has_vectors {
                true => used.is_next_vector(number, self.vectors.get().len() / head.base.len()),
                false => number.is_finite(),
            };
        }
        let column = (test & (MISSING_LEFT - 1)) as usize;
        let usable = match test & CATEGORY {
            0 => !number.is_nan(),
            _ => used.is_next_set(number, self.words.get().len()),
        };
        usable && column < head.n_features
    }
}

/// How much of the lists was used: each part once and in order, so that a small file cannot say much.
#[derive(Default)]
struct Used {
    vectors: usize,
    words: usize,
}

impl Used {
    fn is_next_vector(&mut self, number: f64, n_vectors: usize) -> bool {
        let is_next = number.to_bits() == self.vectors as u64 && self.vectors < n_vectors;
        self.vectors += 1;
        is_next
    }

    fn is_next_set(&mut self, number: f64, n_words: usize) -> bool {
        let (first, count) = set(number);
        let is_next = first == self.words && first + count <= n_words;
        self.words += count;
        is_next
    }
}

/// Where a set of categories lies among the words.
fn set(number: f64) -> (usize, usize) {
    let bits = number.to_bits();
    ((bits & u64::from(u32::MAX)) as usize, (bits >> 32) as usize)
}

#[derive(Default)]
struct Columns {
    ends: Vec<u32>,
    tests: Vec<u32>,
    children: Vec<[u32; 2]>,
    numbers: Vec<f64>,
    covers: Vec<f64>,
    words: Vec<u64>,
    n_vectors: u64,
}

impl Columns {
    fn push(&mut self, node: &Node) {
        let flags = |missing_left: bool| if missing_left { MISSING_LEFT } else { 0 };
        let (test, children, number) = match node {
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                left,
                right,
                ..
            } => (feature | flags(*missing_left), [*left, *right], *threshold),
            Node::Category {
                feature,
                categories,
                missing_left,
                left,
                right,
                ..
            } => {
                let set = self.words.len() as u64 | (categories.len() as u64) << 32;
                self.words.extend_from_slice(categories);
                let test = feature | CATEGORY | flags(*missing_left);
                (test, [*left, *right], f64::from_bits(set))
            }
            Node::Leaf { value, .. } => (LEAF, [0, 0], self.leaf(value)),
        };
        self.tests.push(test);
        self.children.push(children);
        self.numbers.push(number);
        self.covers.push(node.cover());
    }

    fn leaf(&mut self, value: &LeafValue) -> f64 {
        match value {
            LeafValue::One(value) => *value,
            LeafValue::Many(_) => {
                self.n_vectors += 1;
                f64::from_bits(self.n_vectors - 1)
            }
        }
    }
}
