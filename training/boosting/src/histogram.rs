//! Sums of gradients by bin, exact: gradients become integers once per tree, so sums do not depend on their order and a
//! child's histogram is its parent's less its sibling's, to the last bit.

use std::ops::Range;

use rayon::prelude::*;

use crate::bins::{BinnedMatrix, ColumnBins};

/// The most rows: the count and the sum of second derivatives share 64 bits.
pub(crate) const MAX_ROWS: usize = (1 << 26) - 1;

/// Columns that are summed in one pass over the rows.
const GROUP: usize = 4;

/// Row-columns below which threads cost more than they bring.
const PARALLEL_CELLS: usize = 1 << 15;

/// One row's derivatives in quanta.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Gradient {
    first: i32,
    second: u32,
}

/// One bin: the sum of first derivatives; the sum of second ones above the count of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    first: i64,
    second_and_count: u64,
}

impl Entry {
    #[inline]
    pub(crate) fn add(&mut self, other: Entry) {
        self.first += other.first;
        self.second_and_count += other.second_and_count;
    }

    #[inline]
    pub(crate) fn less(self, other: Entry) -> Entry {
        Entry {
            first: self.first - other.first,
            second_and_count: self.second_and_count - other.second_and_count,
        }
    }
}

/// What an entry says, in the loss's units.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) first: f64,
    pub(crate) second: f64,
    pub(crate) count: u64,
}

/// The size of a quantum, and where the count ends. Chosen per tree so that no sum can overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quanta {
    first: f64,
    second: f64,
    /// Quanta in a unit.
    per_first: f64,
    per_second: f64,
    count_bits: u32,
}

impl Quanta {
    /// For `n_rows` rows whose derivatives are at most these in size.
    pub(crate) fn new(n_rows: usize, max_first: f64, max_second: f64) -> Self {
        let count_bits = usize::BITS - n_rows.leading_zeros();
        let second_bits = (64 - 2 * count_bits).min(30);
        let per_first = f64::from(1 << 30) / max_first.max(f64::MIN_POSITIVE);
        let per_second = ((1_u64 << second_bits) - 1) as f64 / max_second.max(f64::MIN_POSITIVE);
        Self {
            first: 1.0 / per_first,
            second: 1.0 / per_second,
            per_first,
            per_second,
            count_bits,
        }
    }

    pub(crate) fn gradient(&self, first: f32, second: f32) -> Gradient {
        Gradient {
            // Rounded by hand: `round` is a call where the processor is not named.
            first: (f64::from(first) * self.per_first + 0.5_f64.copysign(f64::from(first))) as i32,
            second: (f64::from(second) * self.per_second + 0.5) as u32,
        }
    }

    #[inline]
    pub(crate) fn sum(&self, entry: Entry) -> Sum {
        Sum {
            first: entry.first as f64 * self.first,
            second: (entry.second_and_count >> self.count_bits) as f64 * self.second,
            count: self.count(entry),
        }
    }

    #[inline]
    pub(crate) fn count(&self, entry: Entry) -> u64 {
        entry.second_and_count & ((1 << self.count_bits) - 1)
    }

    #[inline]
    fn entry(&self, gradient: Gradient) -> Entry {
        Entry {
            first: i64::from(gradient.first),
            second_and_count: (u64::from(gradient.second) << self.count_bits) + 1,
        }
    }

    /// The sum over rows.
    pub(crate) fn total(&self, gradients: &[Gradient]) -> Entry {
        let mut total = Entry::default();
        gradients.iter().for_each(|&it| total.add(self.entry(it)));
        total
    }
}

/// Which columns a tree sees and where each one's bins lie in its histograms.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<usize>,
    starts: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(columns: Vec<usize>, bins: &[ColumnBins]) -> Self {
        let mut starts = vec![0];
        for &column in &columns {
            starts.push(starts[starts.len() - 1] + bins[column].n_bins());
        }
        Self { columns, starts }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts[self.columns.len()]
    }

    /// The bins of the `at`-th column.
    pub(crate) fn column<'a>(&self, histogram: &'a [Entry], at: usize) -> &'a [Entry] {
        &histogram[self.starts[at]..self.starts[at + 1]]
    }

    /// Writes the histogram of the given rows; `gradients` are theirs, in the same order.
    pub(crate) fn build(
        &self,
        bins: &BinnedMatrix,
        rows: &[u32],
        gradients: &[Gradient],
        quanta: &Quanta,
        histogram: &mut [Entry],
    ) {
        let sum = |(columns, out): (Range<usize>, &mut [Entry])| {
            let starts = &self.starts[columns.start..=columns.end];
            let column = |at: usize| bins.columns[self.columns[columns.start + at]].as_slice();
            match columns.len() {
                4 => sum_group::<4>(std::array::from_fn(column), rows, gradients, quanta, starts, out),
                3 => sum_group::<3>(std::array::from_fn(column), rows, gradients, quanta, starts, out),
                2 => sum_group::<2>(std::array::from_fn(column), rows, gradients, quanta, starts, out),
                _ => sum_group::<1>(std::array::from_fn(column), rows, gradients, quanta, starts, out),
            }
        };
        let groups = self.groups(histogram);
        if rows.len() * self.columns.len() >= PARALLEL_CELLS {
            groups.into_par_iter().for_each(sum);
        } else {
            groups.into_iter().for_each(sum);
        }
    }

    /// Groups of columns, each with its part of the histogram.
    fn groups<'a>(&self, histogram: &'a mut [Entry]) -> Vec<(Range<usize>, &'a mut [Entry])> {
        let mut groups = Vec::with_capacity(self.columns.len().div_ceil(GROUP));
        let mut rest = histogram;
        for start in (0..self.columns.len()).step_by(GROUP) {
            let end = (start + GROUP).min(self.columns.len());
            let (out, after) = rest.split_at_mut(self.starts[end] - self.starts[start]);
            rest = after;
            groups.push((start..end, out));
        }
        groups
    }
}

/// The inner loop. Sums go to arrays of 256, so that a byte needs no bounds check; several columns share one reading of the
/// rows and hide each other's latency.
fn sum_group<const N: usize>(
    columns: [&[u8]; N],
    rows: &[u32],
    gradients: &[Gradient],
    quanta: &Quanta,
    starts: &[usize],
    out: &mut [Entry],
) {
    let mut sums = [[Entry::default(); 256]; N];
    for (&row, &gradient) in rows.iter().zip(gradients) {
        let entry = quanta.entry(gradient);
        for (sums, column) in sums.iter_mut().zip(columns) {
            sums[column[row as usize] as usize].add(entry);
        }
    }
    for (at, sums) in sums.iter().enumerate() {
        let out = &mut out[starts[at] - starts[0]..starts[at + 1] - starts[0]];
        out.copy_from_slice(&sums[..out.len()]);
    }
}

/// Turns the parent's histogram into the larger child's.
pub(crate) fn subtract(parent: &mut [Entry], smaller: &[Entry]) {
    for (parent, smaller) in parent.iter_mut().zip(smaller) {
        *parent = parent.less(*smaller);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_within_half_a_quantum_a_row_and_counts_exactly() {
        for n_rows in [1, 1000, 100_000] {
            let quanta = Quanta::new(n_rows, 3.0, 0.25);
            let derivatives = |row: usize| ((row % 7) as f32 - 3.0, (row % 5) as f32 / 16.0);
            let gradients: Vec<Gradient> = (0..n_rows)
                .map(derivatives)
                .map(|(a, b)| quanta.gradient(a, b))
                .collect();
            let sum = quanta.sum(quanta.total(&gradients));
            let first: f64 = (0..n_rows).map(|row| f64::from(derivatives(row).0)).sum();
            let second: f64 = (0..n_rows).map(|row| f64::from(derivatives(row).1)).sum();
            assert_eq!(sum.count, n_rows as u64);
            assert!((sum.first - first).abs() <= quanta.first * n_rows as f64);
            assert!((sum.second - second).abs() <= quanta.second * n_rows as f64);
        }
    }

    #[test]
    fn the_most_rows_with_the_greatest_derivatives_do_not_overflow() {
        let quanta = Quanta::new(MAX_ROWS, 1.0, 1.0);
        let one = quanta.entry(quanta.gradient(-1.0, 1.0));
        let second = (one.second_and_count >> quanta.count_bits) as u128 * MAX_ROWS as u128;
        assert!((second << quanta.count_bits) + (MAX_ROWS as u128) < 1_u128 << 64);
        assert!(i128::from(one.first) * MAX_ROWS as i128 > -(1 << 62));
    }

    #[test]
    fn a_parent_less_a_child_is_the_other_child() {
        let bins = BinnedMatrix {
            columns: (0..6_u64)
                .map(|column| (0..500_u64).map(|row| (row * (column + 3) % 11) as u8).collect())
                .collect(),
        };
        let kinds: Vec<ColumnBins> = (0..6)
            .map(|_| ColumnBins::Numeric {
                cuts: (0..11).map(f64::from).collect(),
            })
            .collect();
        let layout = Layout::new(vec![0, 1, 3, 4, 5], &kinds);
        let quanta = Quanta::new(500, 1.0, 1.0);
        let build = |rows: &[u32]| {
            let gradients: Vec<Gradient> = rows
                .iter()
                .map(|&row| quanta.gradient((row as f32).sin(), (row as f32).cos().abs()))
                .collect();
            let mut histogram = vec![Entry::default(); layout.len()];
            layout.build(&bins, rows, &gradients, &quanta, &mut histogram);
            histogram
        };
        let (all, some, others): (Vec<u32>, Vec<u32>, Vec<u32>) = (
            (0..500).collect(),
            (0..500).filter(|it| it % 3 == 0).collect(),
            (0..500).filter(|it| it % 3 != 0).collect(),
        );
        let mut parent = build(&all);
        subtract(&mut parent, &build(&some));
        assert_eq!(parent, build(&others));
    }
}
