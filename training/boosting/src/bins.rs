//! Columns become bytes: a quantity's quantile bins, a category's most frequent codes, and one bin for missing.
//!
//! Bins agree with the trees that are made of them: a value is in bins `0..=b` exactly when it is `<= cuts[b]`, and a code
//! has a bin of its own exactly when a tree can put it on the left.

use std::collections::BTreeMap;

use foretell_features::{ColumnKind, FeatureMatrix};
use rayon::prelude::*;

use crate::chance;

/// Rows that quantiles are taken from, about; more rows are sampled.
const QUANTILE_ROWS: usize = 200_000;

/// Categories with a bin of their own; beside them are "all others" and "missing".
const OWN_CATEGORIES: usize = 254;

/// Codes that may have a bin of their own: bounds a split's bit set to 8 KiB. Dictionaries are sorted by frequency, so codes
/// past it are rare.
const OWN_CODES: u32 = 1 << 16;

/// How one column's values become bins. The missing bin comes after the value bins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ColumnBins {
    /// Bin `b` ends at `cuts[b]`, inclusive; the last bin is open.
    Numeric { cuts: Vec<f64> },
    /// Bin `b` is `codes[b]`; the last value bin is all other codes.
    Category { codes: Vec<u32>, bin_of_code: Vec<u8> },
}

impl ColumnBins {
    /// Bins without the missing one; at most 255.
    pub(crate) fn n_values(&self) -> usize {
        match self {
            ColumnBins::Numeric { cuts } => cuts.len() + 1,
            ColumnBins::Category { codes, .. } => codes.len() + 1,
        }
    }

    /// All bins; at most 256.
    pub(crate) fn n_bins(&self) -> usize {
        self.n_values() + 1
    }

    pub(crate) fn missing_bin(&self) -> u8 {
        u8::try_from(self.n_values()).expect("a column has at most 255 value bins")
    }

    pub(crate) fn bin(&self, x: f64) -> u8 {
        if x.is_nan() {
            return self.missing_bin();
        }
        match self {
            ColumnBins::Numeric { cuts } => cuts.partition_point(|&cut| cut < x) as u8,
            ColumnBins::Category { codes, bin_of_code } => {
                let own = if x >= 0.0 { bin_of_code.get(x as usize) } else { None };
                own.copied().unwrap_or(codes.len() as u8)
            }
        }
    }
}

/// Bins by column; a column is contiguous.
#[derive(Debug)]
pub(crate) struct BinnedMatrix {
    pub(crate) columns: Vec<Vec<u8>>,
}

impl BinnedMatrix {
    pub(crate) fn new(bins: &[ColumnBins], x: &FeatureMatrix) -> Self {
        let fill = |(column, bins): (usize, &ColumnBins)| x.rows().map(|row| bins.bin(row[column])).collect();
        Self {
            columns: bins.par_iter().enumerate().map(fill).collect(),
        }
    }
}

/// Chooses the bins of every column from the rows, each counted by its weight.
pub(crate) fn choose(
    x: &FeatureMatrix,
    kinds: &[ColumnKind],
    weight: impl Fn(usize) -> f64 + Sync,
    max_bins: usize,
    seed: u64,
) -> Vec<ColumnBins> {
    let share = QUANTILE_ROWS as f64 / x.n_rows() as f64;
    let sampled = |row: &usize| share >= 1.0 || chance::fraction(seed, u64::MAX, *row as u64) < share;
    let rows: Vec<usize> = (0..x.n_rows()).filter(sampled).collect();
    let column = |(column, kind): (usize, &ColumnKind)| {
        let cells = rows.iter().map(|&row| (x.get(row, column), weight(row)));
        let cells = cells.filter(|(x, weight)| !x.is_nan() && *weight > 0.0);
        match kind {
            ColumnKind::Numeric => ColumnBins::Numeric {
                cuts: quantile_cuts(cells.collect(), max_bins),
            },
            ColumnKind::Category { cardinality } => category_bins(cells, *cardinality),
        }
    };
    kinds.par_iter().enumerate().map(column).collect()
}

/// Codes by falling weight, ties by code, each its own bin while there are bins.
fn category_bins(cells: impl Iterator<Item = (f64, f64)>, cardinality: u32) -> ColumnBins {
    let limit = f64::from(cardinality.saturating_add(1).min(OWN_CODES));
    let mut weights: BTreeMap<u32, f64> = BTreeMap::new();
    for (x, weight) in cells.filter(|(x, _)| *x >= 0.0 && *x < limit) {
        *weights.entry(x as u32).or_default() += weight;
    }
    let mut codes: Vec<(u32, f64)> = weights.into_iter().collect();
    codes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    codes.truncate(OWN_CATEGORIES);
    let codes: Vec<u32> = codes.into_iter().map(|(code, _)| code).collect();
    let length = codes.iter().max().map_or(0, |it| *it as usize + 1);
    let mut bin_of_code = vec![codes.len() as u8; length];
    for (bin, &code) in codes.iter().enumerate() {
        bin_of_code[code as usize] = bin as u8;
    }
    ColumnBins::Category { codes, bin_of_code }
}

/// Cuts between values such that the bins weigh about the same; a heavy value has a bin of its own.
fn quantile_cuts(mut cells: Vec<(f64, f64)>, max_bins: usize) -> Vec<f64> {
    cells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut distinct: Vec<(f64, f64)> = Vec::new();
    for (x, weight) in cells {
        match distinct.last_mut() {
            Some(last) if last.0 == x => last.1 += weight,
            _ => distinct.push((x, weight)),
        }
    }
    let mut cuts = Vec::new();
    let mut remaining: f64 = distinct.iter().map(|it| it.1).sum();
    let heavy = remaining / max_bins as f64;
    let mut filled = 0.0;
    for (at, pair) in distinct.windows(2).enumerate() {
        let bins_left = (max_bins - cuts.len()) as f64;
        let values_left = distinct.len() - at;
        filled += pair[0].1;
        let full = filled >= remaining / bins_left || pair[0].1 >= heavy || pair[1].1 >= heavy;
        let every_value_fits = values_left <= max_bins - cuts.len();
        if cuts.len() + 1 < max_bins && (full || every_value_fits) {
            cuts.push(between(pair[0].0, pair[1].0));
            remaining -= filled;
            filled = 0.0;
        }
    }
    cuts
}

/// A number in `[low, high)`, halfway where there is room.
fn between(low: f64, high: f64) -> f64 {
    let middle = low + (high - low) / 2.0;
    if low <= middle && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(values: &[f64], max_bins: usize) -> Vec<f64> {
        quantile_cuts(values.iter().map(|&it| (it, 1.0)).collect(), max_bins)
    }

    #[test]
    fn few_values_have_a_bin_each() {
        assert_eq!(cuts(&[3.0, 1.0, 2.0, 1.0], 255), [1.5, 2.5]);
        assert_eq!(cuts(&[5.0, 5.0], 255), [] as [f64; 0]);
        assert_eq!(cuts(&[], 255), [] as [f64; 0]);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_weight() {
        let values: Vec<f64> = (0..10_000).map(f64::from).collect();
        let cuts = cuts(&values, 16);
        assert_eq!(cuts.len(), 15);
        for pair in cuts.windows(2) {
            assert!((pair[1] - pair[0] - 625.0).abs() <= 2.0, "{cuts:?}");
        }
    }

    #[test]
    fn a_heavy_value_has_a_bin_of_its_own() {
        let mut values = vec![0.0; 5000];
        values.extend((-2500..2500).map(|it| f64::from(it) + 0.5));
        let cuts = cuts(&values, 10);
        assert!(cuts.iter().any(|it| (-0.5..0.0).contains(it)), "{cuts:?}");
        assert!(cuts.iter().any(|it| (0.0..0.5).contains(it)), "{cuts:?}");
        assert!(cuts.len() < 10);
    }

    #[test]
    fn a_value_is_in_the_bins_up_to_b_exactly_when_it_is_at_most_the_cut() {
        let values = [
            f64::NEG_INFINITY,
            -1.0,
            -0.0,
            0.0,
            1e-300,
            1.0,
            1.0 + f64::EPSILON,
            7.0,
            f64::INFINITY,
        ];
        let bins = ColumnBins::Numeric {
            cuts: cuts(&values, 255),
        };
        let ColumnBins::Numeric { cuts } = &bins else {
            unreachable!()
        };
        for x in values.into_iter().chain([0.5, 3.0]) {
            for (at, cut) in cuts.iter().enumerate() {
                assert_eq!(usize::from(bins.bin(x)) <= at, x <= *cut, "{x} and {cut}");
            }
        }
        assert_eq!(bins.bin(f64::NAN), bins.missing_bin());
    }

    #[test]
    fn weights_count_as_repeated_rows() {
        let weighted: Vec<(f64, f64)> = (0..1000).map(|it| (f64::from(it), f64::from(1 + it % 3))).collect();
        let repeat = |(x, weight): &(f64, f64)| vec![(*x, 1.0); *weight as usize];
        let repeated = weighted.iter().flat_map(repeat).collect();
        assert_eq!(quantile_cuts(weighted.clone(), 20), quantile_cuts(repeated, 20));
    }

    #[test]
    fn the_most_frequent_categories_have_bins_and_all_else_shares_one() {
        let cells = (0..1000_u32).flat_map(|code| vec![(f64::from(code), 1.0); if code < 900 { 1 } else { 3 }]);
        let bins = category_bins(cells, 1000);
        let ColumnBins::Category { codes, .. } = &bins else {
            unreachable!()
        };
        assert_eq!((codes.len(), bins.n_bins()), (OWN_CATEGORIES, 256));
        assert!((900..1000).all(|code| codes.contains(&code)));
        for other in [999_999.0, 500.0, -1.0, 1000.0, f64::INFINITY] {
            assert_eq!(usize::from(bins.bin(other)), codes.len(), "{other}");
        }
        assert_eq!(bins.bin(f64::NAN), 255);
    }
}
