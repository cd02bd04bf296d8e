//! Columns of a matrix inside a graph: which input each one is, and what was done to it on the way.
//!
//! A test on a column becomes a test on the raw input. What was done must keep the order of numbers; then the numbers that pass
//! `<=` are all those up to a greatest one, which is found exactly, rounding included.

use crate::import::float32;

/// What was done to a number, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// Rounded to float32.
    Single,
    /// Added.
    Add(f64),
    /// Multiplied by a number above 0.
    Multiply(f64),
    /// Divided by a number above 0.
    Divide(f64),
    /// What a missing value becomes.
    Fill(f64),
}

impl Change {
    fn apply(self, x: f64) -> f64 {
        match self {
            Change::Single => f64::from(x as f32),
            Change::Add(it) => x + it,
            Change::Multiply(it) => x * it,
            Change::Divide(it) => x / it,
            Change::Fill(it) if x.is_nan() => it,
            Change::Fill(_) => x,
        }
    }
}

/// A number per category of a text input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// By code of the input's dictionary, rising; codes that are not listed have `other`.
    pub(super) values: Vec<(u32, f64)>,
    /// The number of categories that are not listed.
    pub(super) other: f64,
    /// The number of a missing text; NaN where it stays missing.
    pub(super) missing: f64,
}

/// What a column reads from its input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// The number, changed.
    Number(Vec<Change>),
    /// The text as it is.
    Text,
    /// A number by its text.
    Table(Table),
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// Position among the model's inputs.
    pub(super) input: u32,
    pub(super) reading: Reading,
}

/// How a node of a tree compares, as ONNX names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    NotEqual,
    Member,
}

impl Mode {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "BRANCH_LEQ" => Mode::AtMost,
            "BRANCH_LT" => Mode::Below,
            "BRANCH_GTE" => Mode::AtLeast,
            "BRANCH_GT" => Mode::Above,
            "BRANCH_EQ" => Mode::Equal,
            "BRANCH_NEQ" => Mode::NotEqual,
            _ => return None,
        })
    }

    pub(super) fn of_code(code: f64) -> Option<Self> {
        let modes = [
            Mode::AtMost,
            Mode::Below,
            Mode::AtLeast,
            Mode::Above,
            Mode::Equal,
            Mode::NotEqual,
            Mode::Member,
        ];
        modes.get(code as usize).copied().filter(|_| code >= 0.0)
    }

    fn holds(self, x: f64, of: &[f64]) -> bool {
        match self {
            Mode::AtMost => x <= of[0],
            Mode::Below => x < of[0],
            Mode::AtLeast => x >= of[0],
            Mode::Above => x > of[0],
            Mode::Equal => x == of[0],
            Mode::NotEqual => x != of[0],
            Mode::Member => of.contains(&x),
        }
    }
}

/// A test on a column: `mode` against the numbers `of` (one, but for `Member`), and whether a missing value passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test<'a> {
    pub(super) mode: Mode,
    pub(super) of: &'a [f64],
    pub(super) missing_passes: bool,
}

/// The same test in the form of our trees.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Split {
    /// The same for every row.
    Always(bool),
    /// `x <= threshold` goes left.
    Numeric {
        threshold: f64,
        left_passes: bool,
        missing_passes: bool,
    },
    /// Codes of the set go left.
    Category {
        words: Vec<u64>,
        left_passes: bool,
        missing_passes: bool,
    },
}

/// The greatest code that a set may hold: sets are as long as their greatest code.
const MAX_CODE: f64 = 16_383.0;

impl Column {
    /// The test on the raw input; an error says why there is none.
    pub(super) fn split(&self, test: Test<'_>) -> Result<Split, String> {
        match &self.reading {
            Reading::Number(changes) => split_number(changes, test),
            Reading::Table(table) => split_table(table, test),
            Reading::Text => Err("a tree compares text".to_owned()),
        }
    }

    /// The same column after one more change. Numbers of type float32 are rounded after it.
    pub(super) fn changed(&self, change: Change, single: bool) -> Result<Self, String> {
        let keeps_order = match change {
            Change::Multiply(it) | Change::Divide(it) => it > 0.0 && it.is_finite(),
            Change::Add(it) | Change::Fill(it) => it.is_finite(),
            Change::Single => true,
        };
        if !keeps_order {
            return Err(format!(
                "a column is changed by {change:?}, which does not keep the order of numbers"
            ));
        }
        let rounds = single && !matches!(change, Change::Single | Change::Fill(_));
        let then = |x: f64| {
            if rounds {
                Change::Single.apply(change.apply(x))
            } else {
                change.apply(x)
            }
        };
        let reading = match &self.reading {
            Reading::Number(changes) => {
                let mut changes = changes.clone();
                if changes.last() != Some(&Change::Single) || change != Change::Single {
                    changes.push(change);
                }
                changes.extend(rounds.then_some(Change::Single));
                Reading::Number(changes)
            }
            Reading::Table(table) => Reading::Table(Table {
                values: table.values.iter().map(|(code, it)| (*code, then(*it))).collect(),
                other: then(table.other),
                missing: then(table.missing),
            }),
            Reading::Text => return Err("arithmetic on text".to_owned()),
        };
        Ok(Self {
            input: self.input,
            reading,
        })
    }

    /// How much was done to it: what a copy costs.
    pub(super) fn size(&self) -> usize {
        1 + match &self.reading {
            Reading::Number(changes) => changes.len(),
            Reading::Table(table) => table.values.len(),
            Reading::Text => 0,
        }
    }
}

fn split_number(changes: &[Change], test: Test<'_>) -> Result<Split, String> {
    let apply = |x: f64| changes.iter().fold(x, |x, change| change.apply(x));
    let of_missing = apply(f64::NAN);
    // NaN differs from every number, whatever the node says of missing values.
    let missing_passes = if of_missing.is_nan() {
        test.missing_passes || test.mode == Mode::NotEqual
    } else {
        test.mode.holds(of_missing, test.of)
    };
    let (below, left_passes) = match test.mode {
        Mode::AtMost => (false, true),
        Mode::Below => (true, true),
        Mode::AtLeast => (true, false),
        Mode::Above => (false, false),
        Mode::Equal | Mode::NotEqual | Mode::Member => return split_codes(changes, test, missing_passes),
    };
    let threshold = test.of[0];
    Ok(match greatest_passing(changes, apply, threshold, below) {
        Some(threshold) => Split::Numeric {
            threshold,
            left_passes,
            missing_passes,
        },
        None if missing_passes != left_passes => Split::Always(missing_passes),
        None => Split::Numeric {
            threshold: f64::INFINITY,
            left_passes: !left_passes,
            missing_passes,
        },
    })
}

/// The greatest number that is at most (or below) the threshold after the changes; `None` where none is.
fn greatest_passing(changes: &[Change], apply: impl Fn(f64) -> f64, threshold: f64, below: bool) -> Option<f64> {
    let narrow = threshold as f32;
    match changes {
        [] if below => (threshold != f64::NEG_INFINITY).then(|| threshold.next_down()),
        [] => Some(threshold),
        [Change::Single] if f64::from(narrow) == threshold && below => float32::below(narrow),
        [Change::Single] if f64::from(narrow) == threshold => Some(float32::at_most(narrow)),
        _ => last_where(|x| {
            let x = apply(x);
            if below { x < threshold } else { x <= threshold }
        }),
    }
}

/// The greatest number for which `passes`, which must hold up to some number and not beyond.
fn last_where(passes: impl Fn(f64) -> bool) -> Option<f64> {
    // Doubles in order, as integers.
    let number = |at: i64| f64::from_bits(if at >= 0 { at as u64 } else { (at ^ i64::MAX) as u64 });
    let (mut low, mut high) = (i64::MIN + (1 << 52) - 1, 0x7ff0_0000_0000_0000_i64);
    if !passes(f64::NEG_INFINITY) {
        return None;
    }
    if passes(f64::INFINITY) {
        return Some(f64::INFINITY);
    }
    while i128::from(high) - i128::from(low) > 1 {
        let middle = i64::midpoint(low, high);
        if passes(number(middle)) {
            low = middle
        } else {
            high = middle
        }
    }
    Some(number(low))
}

/// Equality on numbers that are codes: the number itself is the code.
fn split_codes(changes: &[Change], test: Test<'_>, missing_passes: bool) -> Result<Split, String> {
    let is_code = |it: &f64| (0.0..=MAX_CODE).contains(it) && it.fract() == 0.0;
    if !changes.iter().all(|it| *it == Change::Single) || !test.of.iter().all(is_code) {
        return Err("a tree asks whether a number equals one that is no category's code".to_owned());
    }
    Ok(Split::Category {
        words: words(test.of.iter().map(|it| *it as u32)),
        left_passes: test.mode != Mode::NotEqual,
        missing_passes,
    })
}

fn split_table(table: &Table, test: Test<'_>) -> Result<Split, String> {
    let passes = |x: f64| {
        if x.is_nan() {
            test.missing_passes || test.mode == Mode::NotEqual
        } else {
            test.mode.holds(x, test.of)
        }
    };
    let other = passes(table.other);
    let missing_passes = passes(table.missing);
    let different = table
        .values
        .iter()
        .filter(|(_, it)| passes(*it) != other)
        .map(|(code, _)| *code);
    let words = words(different);
    if words.is_empty() && missing_passes == other {
        return Ok(Split::Always(other));
    }
    Ok(Split::Category {
        words,
        left_passes: !other,
        missing_passes,
    })
}

fn words(codes: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut words = Vec::new();
    for code in codes {
        let (word, bit) = ((code / 64) as usize, code % 64);
        if words.len() <= word {
            words.resize(word + 1, 0_u64);
        }
        words[word] |= 1 << bit;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the split sends a raw value where the graph would.
    fn passes(split: &Split, x: f64) -> bool {
        let (left, left_passes, missing_passes) = match split {
            Split::Always(it) => return *it,
            Split::Numeric {
                threshold,
                left_passes,
                missing_passes,
            } => (x <= *threshold, left_passes, missing_passes),
            Split::Category {
                words,
                left_passes,
                missing_passes,
            } => {
                let bit = |code: u64| {
                    words
                        .get((code / 64) as usize)
                        .is_some_and(|it| it >> (code % 64) & 1 == 1)
                };
                (x >= 0.0 && bit(x as u64), left_passes, missing_passes)
            }
        };
        if x.is_nan() {
            *missing_passes
        } else {
            left == *left_passes
        }
    }

    #[test]
    fn a_test_on_a_changed_number_is_the_same_test_on_the_raw_one() {
        let scaled = [
            Change::Single,
            Change::Add(-0.3),
            Change::Single,
            Change::Multiply(1.7),
            Change::Single,
        ];
        let filled = [Change::Fill(2.5), Change::Divide(3.0)];
        let cases: [&[Change]; 4] = [&[], &[Change::Single], &scaled, &filled];
        let modes = [Mode::AtMost, Mode::Below, Mode::AtLeast, Mode::Above];
        for changes in cases {
            let apply = |x: f64| changes.iter().fold(x, |x, it| it.apply(x));
            for threshold in [
                0.1,
                f64::from(0.1_f32),
                -0.0,
                5e30,
                2.5 / 3.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ] {
                for (mode, missing_passes) in modes.iter().flat_map(|it| [(*it, true), (*it, false)]) {
                    let test = Test {
                        mode,
                        of: &[threshold],
                        missing_passes,
                    };
                    let split = split_number(changes, test).unwrap();
                    let exact = last_where(|x| apply(x) <= threshold).unwrap_or(0.0);
                    let near = [exact, 0.3, 2.5, threshold, f64::INFINITY, f64::NEG_INFINITY];
                    for x in near
                        .into_iter()
                        .flat_map(|it| [it.next_down(), it, it.next_up()])
                        .chain([f64::NAN])
                    {
                        let y = apply(x);
                        let expected = if y.is_nan() {
                            missing_passes
                        } else {
                            mode.holds(y, &[threshold])
                        };
                        assert_eq!(passes(&split, x), expected, "{changes:?} {mode:?} {threshold} {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_test_on_a_table_is_a_set_of_categories() {
        let table = Table {
            values: vec![(1, 5.0), (70, -1.0)],
            other: 0.0,
            missing: f64::NAN,
        };
        let value = |code: u32| match code {
            1 => 5.0,
            70 => -1.0,
            _ => 0.0,
        };
        for (mode, of) in [
            (Mode::AtMost, -0.5),
            (Mode::Above, -0.5),
            (Mode::Equal, 5.0),
            (Mode::NotEqual, 0.0),
        ] {
            let test = Test {
                mode,
                of: &[of],
                missing_passes: true,
            };
            let split = split_table(&table, test).unwrap();
            for code in [0, 1, 2, 69, 70, 71, 1000] {
                assert_eq!(
                    passes(&split, f64::from(code)),
                    mode.holds(value(code), &[of]),
                    "{mode:?} {code}"
                );
            }
            assert!(passes(&split, f64::NAN));
        }
    }

    #[test]
    fn only_codes_can_be_compared_for_equality() {
        let test = |of: &'static [f64]| Test {
            mode: Mode::Member,
            of,
            missing_passes: false,
        };
        let split = split_number(&[Change::Single], test(&[3.0, 64.0])).unwrap();
        let expected = Split::Category {
            words: vec![8, 1],
            left_passes: true,
            missing_passes: false,
        };
        assert_eq!(split, expected);
        for of in [&[0.5][..], &[-1.0], &[1e9], &[f64::NAN]] {
            let test = Test {
                mode: Mode::Equal,
                of,
                missing_passes: false,
            };
            assert!(split_number(&[], test).is_err(), "{of:?}");
        }
    }
}
