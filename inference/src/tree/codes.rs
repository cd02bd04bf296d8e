//! A row as one byte per test column: what the blocks compare.
//!
//! Each distinct threshold of a feature is a cut point, and a value's code is the number of cut points below it. Comparing
//! codes equals comparing values: `x <= cut[j]` iff `code(x) <= j`. A feature with more cut points than a byte counts has
//! several columns; a set of categories is a column of its own, 0 for members and 1 for all else. Missing is its own code.

use std::collections::BTreeMap;

use super::form::{Node, Tree, contains};
use super::section::Section;

/// The code of a missing value, above every other.
pub(super) const MISSING: u8 = 255;
/// Cut points of one column: codes 0 to 254 are left for values, and a block adds 1 where missing goes left.
const MAX_CUTS: usize = 254;
/// Columns at most: eight registers of 64.
pub(super) const MAX_COLUMNS: usize = 512;
/// Cut points that are compared at once.
const CHUNK: usize = 16;

/// The columns, and how a row becomes their codes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    pub(super) cuts: Vec<CutColumn>,
    pub(super) sets: Vec<SetColumn>,
    /// Of each cut column with more than one chunk the last cut point of every chunk but the last, then its chunks.
    pub(super) points: Section<[f64; CHUNK]>,
    pub(super) words: Section<u64>,
}

/// The columns while they are made.
#[derive(Default)]
struct CodesInMaking {
    cuts: Vec<CutColumn>,
    sets: Vec<SetColumn>,
    points: Vec<[f64; CHUNK]>,
    words: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct CutColumn {
    pub(super) feature: u32,
    /// Its first chunk in `points`.
    pub(super) first: u32,
    /// Whether a chunk of pivots comes first.
    pub(super) pivots: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SetColumn {
    pub(super) feature: u32,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// A node's test in codes: right iff the column's code is above `threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodeTest {
    pub(super) column: u16,
    pub(super) threshold: u8,
    pub(super) missing_left: bool,
}

/// Where the tests of an ensemble are found while it is packed.
pub(super) struct Columns {
    cuts: BTreeMap<u32, Vec<f64>>,
    /// The first column of each feature's cut points.
    first_column: BTreeMap<u32, usize>,
    sets: BTreeMap<(u32, Vec<u64>), usize>,
}

impl Codes {
    /// `None` where the trees need more than [`MAX_COLUMNS`].
    pub(super) fn of(trees: &[Tree]) -> Option<(Self, Columns)> {
        let mut columns = Columns::of(trees);
        let mut codes = CodesInMaking::default();
        for (&feature, cuts) in &columns.cuts {
            columns.first_column.insert(feature, codes.cuts.len());
            cuts.chunks(MAX_CUTS).for_each(|cuts| codes.push_cuts(feature, cuts));
            if codes.cuts.len() > MAX_COLUMNS {
                return None;
            }
        }
        for ((feature, words), column) in &mut columns.sets {
            *column = codes.len();
            let (first, count) = (codes.words.len() as u32, words.len() as u32);
            let feature = *feature;
            codes.sets.push(SetColumn { feature, first, count });
            codes.words.extend_from_slice(words);
        }
        (codes.len() <= MAX_COLUMNS).then(|| (codes.done(), columns))
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.cuts.len() + self.sets.len()
    }

    /// What is no list of it, for a file.
    pub(super) fn push_shape(&self, words: &mut Vec<u32>) {
        words.push(self.cuts.len() as u32);
        let cuts = self.cuts.iter();
        words.extend(cuts.flat_map(|it| [it.feature, it.first, u32::from(it.pivots)]));
        words.push(self.sets.len() as u32);
        words.extend(self.sets.iter().flat_map(|it| [it.feature, it.first, it.count]));
    }

    /// What `push_shape` wrote, and nothing after it.
    pub(super) fn from_shape(
        shape: &mut impl Iterator<Item = usize>,
        points: Section<[f64; CHUNK]>,
        words: Section<u64>,
    ) -> Option<Self> {
        let three = |shape: &mut dyn Iterator<Item = usize>| {
            let mut next = || shape.next().and_then(|it| u32::try_from(it).ok());
            Some((next()?, next()?, next()?))
        };
        let (mut cuts, mut sets) = (Vec::new(), Vec::new());
        for _ in 0..shape.next()? {
            let (feature, first, pivots) = three(shape)?;
            let pivots = pivots == 1;
            cuts.push(CutColumn { feature, first, pivots });
        }
        for _ in 0..shape.next()? {
            let (feature, first, count) = three(shape)?;
            sets.push(SetColumn { feature, first, count });
        }
        let codes = Self {
            cuts,
            sets,
            points,
            words,
        };
        shape.next().is_none().then_some(codes)
    }

    /// Whether encoding stays within its lists, whatever the row.
    pub(super) fn is_sound(&self, n_features: usize) -> bool {
        let (n_points, n_words) = (self.points.get().len(), self.words.get().len());
        let cut = |it: &CutColumn| {
            let first = it.first as usize;
            let pivots = self
                .points
                .get()
                .get(first)
                .map_or(0, |it| it.iter().filter(|it| **it < f64::INFINITY).count());
            let chunks = if it.pivots { 1 + pivots + 1 } else { 1 };
            (it.feature as usize) < n_features && first + chunks <= n_points
        };
        let set =
            |it: &SetColumn| (it.feature as usize) < n_features && it.first as usize + it.count as usize <= n_words;
        self.len() <= MAX_COLUMNS && self.cuts.iter().all(cut) && self.sets.iter().all(set)
    }

    /// Writes one byte per column. `below` counts how many of sixteen rising numbers are below a value.
    #[inline(always)]
    pub(super) fn encode(&self, row: &[f64], out: &mut [u8; MAX_COLUMNS], below: impl Fn(&[f64; CHUNK], f64) -> usize) {
        let (points, words) = (self.points.get(), self.words.get());
        let (cuts, sets) = out.split_at_mut(self.cuts.len());
        for (column, code) in self.cuts.iter().zip(cuts) {
            let x = row[column.feature as usize];
            let first = column.first as usize;
            let value = if column.pivots {
                let chunk = below(&points[first], x);
                chunk * CHUNK + below(&points[first + 1 + chunk], x)
            } else {
                below(&points[first], x)
            };
            *code = if x.is_nan() { MISSING } else { value as u8 };
        }
        for (column, code) in self.sets.iter().zip(sets) {
            let x = row[column.feature as usize];
            let (first, count) = (column.first as usize, column.count as usize);
            let outside = u8::from(!contains(&words[first..first + count], x));
            *code = if x.is_nan() { MISSING } else { outside };
        }
    }
}

impl CodesInMaking {
    fn done(self) -> Codes {
        Codes {
            cuts: self.cuts,
            sets: self.sets,
            points: Section::new(&self.points),
            words: Section::new(&self.words),
        }
    }

    fn len(&self) -> usize {
        self.cuts.len() + self.sets.len()
    }

    fn push_cuts(&mut self, feature: u32, cuts: &[f64]) {
        let first = self.points.len() as u32;
        let pivots = cuts.len() > CHUNK;
        self.cuts.push(CutColumn { feature, first, pivots });
        if pivots {
            let ends = cuts.chunks_exact(CHUNK).map(|it| it[CHUNK - 1]);
            self.points.push(padded(ends));
        }
        self.points
            .extend(cuts.chunks(CHUNK).map(|it| padded(it.iter().copied())));
        if pivots && cuts.len().is_multiple_of(CHUNK) {
            // A value above every cut point looks past the last chunk.
            self.points.push([f64::INFINITY; CHUNK]);
        }
    }
}

impl Columns {
    fn of(trees: &[Tree]) -> Self {
        let mut columns = Self {
            cuts: BTreeMap::new(),
            first_column: BTreeMap::new(),
            sets: BTreeMap::new(),
        };
        for node in trees.iter().flat_map(|it| &it.nodes) {
            match node {
                Node::Numeric { feature, threshold, .. } => columns.cuts.entry(*feature).or_default().push(*threshold),
                Node::Category {
                    feature, categories, ..
                } => {
                    columns.sets.insert((*feature, categories.clone()), 0);
                }
                Node::Leaf { .. } => {}
            }
        }
        for cuts in columns.cuts.values_mut() {
            cuts.sort_by(f64::total_cmp);
            // Both zeros are one cut point: no value lies between them.
            cuts.dedup_by(|a, b| a == b);
        }
        columns
    }

    /// The node's test; `None` for a leaf.
    pub(super) fn test(&self, node: &Node) -> Option<CodeTest> {
        match node {
            Node::Numeric {
                feature,
                threshold,
                missing_left,
                ..
            } => {
                let at = self.cuts[feature].partition_point(|it| it < threshold);
                let column = self.first_column[feature] + at / MAX_CUTS;
                Some(CodeTest {
                    column: column as u16,
                    threshold: (at % MAX_CUTS) as u8,
                    missing_left: *missing_left,
                })
            }
            Node::Category {
                feature,
                categories,
                missing_left,
                ..
            } => Some(CodeTest {
                column: self.sets[&(*feature, categories.clone())] as u16,
                threshold: 0,
                missing_left: *missing_left,
            }),
            Node::Leaf { .. } => None,
        }
    }
}

/// How many of sixteen rising numbers are below a value; 0 for NaN.
#[inline]
pub(super) fn count_below(points: &[f64; CHUNK], x: f64) -> usize {
    points.iter().map(|it| usize::from(*it < x)).sum()
}

fn padded(points: impl Iterator<Item = f64>) -> [f64; CHUNK] {
    let mut chunk = [f64::INFINITY; CHUNK];
    chunk.iter_mut().zip(points).for_each(|(to, from)| *to = from);
    chunk
}
