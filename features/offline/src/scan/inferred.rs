//! The type of a text column: what its whole text allows, seen piece by piece.

use std::collections::HashSet;

use foretell_features::DataType;
use polars::prelude as pl;

/// A text column that is mostly numbers.
#[derive(Debug, Clone)]
pub(crate) struct MixedColumn {
    pub(crate) column: String,
    pub(crate) numbers: usize,
    pub(crate) row: u64,
    pub(crate) text: String,
}

/// What the values seen so far allow. Blank text and null values say nothing.
#[derive(Debug, Clone)]
pub(super) struct Inferred {
    integers: bool,
    numbers: bool,
    booleans: bool,
    /// Whether there was anything but NaN.
    any: bool,
    n_values: usize,
    n_numbers: usize,
    different: HashSet<String>,
    odd: Option<(u64, String)>,
}

/// More different numbers than this are no codes.
const CODES: usize = 20;

impl Default for Inferred {
    fn default() -> Self {
        Self {
            integers: true,
            numbers: true,
            booleans: true,
            any: false,
            n_values: 0,
            n_numbers: 0,
            different: HashSet::new(),
            odd: None,
        }
    }
}

impl Inferred {
    /// Looks at more values; `first_row` is the row of the first of them.
    pub(super) fn see(&mut self, texts: &pl::StringChunked, null_values: &[String], first_row: u64) {
        for (row, text) in (first_row..).zip(texts.iter()) {
            let Some(text) = text.filter(|it| !null_values.iter().any(|null| null == it)) else {
                continue;
            };
            let trimmed = text.trim();
            if !trimmed.is_empty() {
                self.see_one(row, text, trimmed);
            }
        }
    }

    fn see_one(&mut self, row: u64, text: &str, trimmed: &str) {
        self.n_values += 1;
        let nan = trimmed.eq_ignore_ascii_case("nan");
        let number = is_number(trimmed);
        self.any |= !nan;
        self.integers = self.integers && (nan || is_integer(trimmed));
        self.numbers &= nan || number;
        self.booleans =
            self.booleans && (trimmed.eq_ignore_ascii_case("true") || trimmed.eq_ignore_ascii_case("false"));
        if number {
            self.n_numbers += 1;
            if self.different.len() <= CODES && !self.different.contains(trimmed) {
                self.different.insert(trimmed.to_owned());
            }
        } else if self.odd.is_none() {
            self.odd = Some((row, text.to_owned()));
        }
    }

    /// The narrowest type that holds every value.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            // A column without any value is of no use as text, and as numbers it does no harm.
            it if !it.any => DataType::Double,
            it if it.integers => DataType::Int64,
            it if it.numbers => DataType::Double,
            it if it.booleans => DataType::Boolean,
            _ => DataType::String,
        }
    }

    /// Whether it is text of which a quarter or more are numbers, and too many different ones to be codes.
    pub(super) fn mixed(&self, column: &str) -> Option<MixedColumn> {
        let mostly = self.n_numbers * 4 >= self.n_values && self.different.len() > CODES;
        let (row, text) = self
            .odd
            .clone()
            .filter(|_| mostly && self.data_type() == DataType::String)?;
        Some(MixedColumn {
            column: column.to_owned(),
            numbers: self.n_numbers,
            row,
            text,
        })
    }
}

pub(super) fn is_integer(text: &str) -> bool {
    starts_like_a_number(text) && text.parse::<i64>().is_ok()
}

pub(super) fn is_number(text: &str) -> bool {
    starts_like_a_number(text) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `inf` and `nan` are words, not numbers.
fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit() || matches!(it, '-' | '+' | '.'))
}
