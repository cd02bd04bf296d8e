//! Linear models of a graph: `LinearRegressor`, `LinearClassifier`, and products with constant matrices.

use std::collections::BTreeMap;

use super::Refusal;
use super::columns::{Change, Column, Reading};
use crate::linear::{Linear, LinearTerm};
use crate::tree::Link;

/// One output: a sum over raw inputs.
#[derive(Debug, Clone, Default)]
pub(super) struct Affine {
    pub(super) intercept: f64,
    terms: BTreeMap<u32, Term>,
}

/// One input's part. `weight * (x - mean)`, or a number per category.
#[derive(Debug, Clone)]
enum Term {
    Number {
        mean: f64,
        weight: f64,
        missing: f64,
    },
    Table {
        values: BTreeMap<u32, f64>,
        other: f64,
        missing: f64,
    },
}

impl Affine {
    /// `intercept + sum of weight * column`.
    pub(super) fn new(columns: &[Column], weights: &[f64], intercept: f64) -> Result<Self, Refusal> {
        let mut it = Self {
            intercept,
            ..Self::default()
        };
        if !weights.iter().chain([&intercept]).all(|it| it.is_finite()) {
            return Err(Refusal::broken("a coefficient of its linear model is not finite"));
        }
        for (column, &weight) in columns.iter().zip(weights) {
            it.add(column, weight)?;
        }
        Ok(it)
    }

    /// `scale * self + shift`.
    pub(super) fn scaled(mut self, scale: f64, shift: f64) -> Self {
        self.intercept = self.intercept * scale + shift;
        for term in self.terms.values_mut() {
            match term {
                Term::Number { weight, missing, .. } => {
                    *weight *= scale;
                    *missing *= scale;
                }
                Term::Table { values, other, missing } => {
                    values.values_mut().for_each(|it| *it *= scale);
                    *other *= scale;
                    *missing *= scale;
                }
            }
        }
        self
    }

    /// The difference of two outputs over the same inputs.
    pub(super) fn minus(self, other: Self) -> Self {
        let mut it = self;
        let other = other.scaled(-1.0, 0.0);
        it.intercept += other.intercept;
        for (input, term) in other.terms {
            it.join(input, term);
        }
        it
    }

    /// Our form over `n` inputs; `categories` is how many categories each has.
    pub(super) fn linear(self, categories: &[Option<usize>], link: Link) -> Linear {
        let term = |(input, n): (usize, &Option<usize>)| {
            let term = self.terms.get(&(input as u32));
            match (n, term) {
                (Some(n), Some(Term::Table { values, other, missing })) => LinearTerm::Category {
                    weights: (0..*n as u32)
                        .map(|code| values.get(&code).copied().unwrap_or(*other))
                        .chain([*other])
                        .collect(),
                    missing: *missing,
                },
                (Some(_), _) => LinearTerm::Category {
                    weights: vec![0.0],
                    missing: 0.0,
                },
                (None, Some(Term::Number { mean, weight, missing })) => number(*mean, *weight, *missing),
                (None, _) => number(0.0, 0.0, 0.0),
            }
        };
        let terms: Vec<LinearTerm> = categories.iter().enumerate().map(term).collect();
        Linear {
            intercept: self.intercept,
            link,
            expected: vec![0.0; terms.len()],
            terms,
        }
    }

    fn add(&mut self, column: &Column, weight: f64) -> Result<(), Refusal> {
        let term = match &column.reading {
            Reading::Number(changes) => {
                let (slope, offset, missing) = line(changes);
                if slope == 0.0 || !slope.is_finite() || !offset.is_finite() {
                    return Err(Refusal::broken("a column is scaled by a number that cannot be used"));
                }
                // What a missing value adds where the graph does not fill it in: nothing.
                let missing = missing.map_or(0.0, |it| it * weight);
                Term::Number {
                    mean: -offset / slope,
                    weight: slope * weight,
                    missing,
                }
            }
            Reading::Table(table) => {
                let known = |it: f64| if it.is_nan() { 0.0 } else { it * weight };
                Term::Table {
                    values: table.values.iter().map(|(code, it)| (*code, known(*it))).collect(),
                    other: known(table.other),
                    missing: known(table.missing),
                }
            }
            Reading::Text => return Err(Refusal::broken("a linear model is given text")),
        };
        self.join(column.input, term);
        Ok(())
    }

    fn join(&mut self, input: u32, term: Term) {
        let Some(here) = self.terms.remove(&input) else {
            self.terms.insert(input, term);
            return;
        };
        let joined = match (here, term) {
            (
                Term::Number { mean, weight, missing },
                Term::Number {
                    mean: mean_2,
                    weight: weight_2,
                    missing: missing_2,
                },
            ) => {
                self.intercept -= weight_2 * (mean_2 - mean);
                Term::Number {
                    mean,
                    weight: weight + weight_2,
                    missing: missing + missing_2,
                }
            }
            (
                Term::Table { values, other, missing },
                Term::Table {
                    values: values_2,
                    other: other_2,
                    missing: missing_2,
                },
            ) => {
                let codes = values.keys().chain(values_2.keys());
                let of = |map: &BTreeMap<u32, f64>, code: &u32, other: f64| map.get(code).copied().unwrap_or(other);
                let sums = codes.map(|it| (*it, of(&values, it, other) + of(&values_2, it, other_2)));
                Term::Table {
                    values: sums.collect(),
                    other: other + other_2,
                    missing: missing + missing_2,
                }
            }
            (table @ Term::Table { .. }, _) | (_, table) => table,
        };
        self.terms.insert(input, joined);
    }
}

/// Slope and offset of a chain of changes, and what a missing value becomes. Rounding is left out: the origin had none.
fn line(changes: &[Change]) -> (f64, f64, Option<f64>) {
    let step = |(slope, offset, missing): (f64, f64, Option<f64>), change: &Change| match *change {
        Change::Single => (slope, offset, missing),
        Change::Add(it) => (slope, offset + it, missing.map(|x| x + it)),
        Change::Multiply(it) => (slope * it, offset * it, missing.map(|x| x * it)),
        Change::Divide(it) => (slope / it, offset / it, missing.map(|x| x / it)),
        Change::Fill(it) => (slope, offset, missing.or(Some(it))),
    };
    changes.iter().fold((1.0, 0.0, None), step)
}

fn number(mean: f64, weight: f64, missing: f64) -> LinearTerm {
    LinearTerm::Numeric {
        mean,
        scale: 1.0,
        clip: f64::MAX,
        weight,
        missing,
    }
}
