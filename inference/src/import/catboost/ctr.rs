//! Categories as numbers: CatBoost replaces a category by statistics of its training rows and compares those with borders.
//!
//! Where such a statistic is of one column alone, each category is on one side of a border for good, so the split is a set of
//! categories. Statistics of several columns together depend on pairs of categories and are refused.
//!
//! Source: `catboost/libs/model/ctr_value_table.h` and `model_export` of CatBoost.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{Cell, Ctr, Features, Table};

/// The statistics that splits refer to by their place.
pub(super) struct Ctrs<'a> {
    features: &'a Features,
    tables: BTreeMap<&'a str, Counts<'a>>,
    /// The names of each column's tables.
    by_column: BTreeMap<u32, BTreeSet<&'a str>>,
    /// How many places come before those of the statistics.
    offset: usize,
}

/// A number for each category of a column.
#[derive(Clone, Copy)]
pub(super) struct Statistic<'a> {
    ctr: &'a Ctr,
    counts: &'a Counts<'a>,
    /// The column's `feature_index`.
    pub(super) feature: u32,
}

/// A table by hash.
pub(super) struct Counts<'a> {
    rows: BTreeMap<u64, &'a [Cell]>,
    n_counts: usize,
    denominator: f32,
}

/// A hash of no category: an empty place of the table.
const EMPTY: u64 = u64::MAX;

/// The hash under which tables hold a category of one column.
pub(super) fn hash_of(category: u32) -> u64 {
    const MULTIPLIER: u64 = 0x4906_ba49_4954_cb65;
    let signed = i64::from(category.cast_signed()).cast_unsigned();
    MULTIPLIER.wrapping_mul(MULTIPLIER.wrapping_mul(signed))
}

impl<'a> Ctrs<'a> {
    /// Indexes the tables.
    pub(super) fn read(features: &'a Features, tables: &'a BTreeMap<String, Table>) -> Result<Self, String> {
        let counted = tables
            .iter()
            .map(|(name, table)| Ok((name.as_str(), Counts::read(table)?)));
        let tables: BTreeMap<&str, Counts<'_>> = counted.collect::<Result<_, String>>()?;
        let mut by_column: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for ctr in &features.ctrs {
            if let Ok(column) = only_column(ctr) {
                by_column.entry(column).or_default().insert(&ctr.identifier);
            }
        }
        let borders = features
            .float_features
            .iter()
            .map(|it| it.borders.as_ref().map_or(0, Vec::len));
        let values = features.categorical_features.iter().map(|it| it.values.len());
        Ok(Self {
            features,
            by_column,
            tables,
            offset: borders.sum::<usize>() + values.sum::<usize>(),
        })
    }

    /// The tables of one column, by its `feature_index`.
    pub(super) fn tables_of(&self, feature: u32) -> Vec<&Counts<'a>> {
        let names = self.by_column.get(&feature).into_iter().flatten();
        names.filter_map(|it| self.tables.get(it)).collect()
    }

    /// The statistic at a split's place: its number among all statistics, and the statistic.
    pub(super) fn at(&self, place: usize, border: f64) -> Result<(usize, Statistic<'_>), String> {
        let mut left = place
            .checked_sub(self.offset)
            .ok_or("its `split_index` is no statistic's")?;
        let found = self
            .features
            .ctrs
            .iter()
            .enumerate()
            .find_map(|(number, ctr)| match ctr.borders.get(left) {
                Some(own) => Some((number, ctr, *own)),
                None => {
                    left -= ctr.borders.len();
                    None
                }
            });
        let (number, ctr, own) = found.ok_or("its `split_index` is past the last statistic")?;
        if own.total_cmp(&border).is_ne() {
            return Err(format!(
                "its border {border} is not the one of its `split_index`, {own}"
            ));
        }
        let counts = self
            .tables
            .get(ctr.identifier.as_str())
            .ok_or("its table of counts is not there")?;
        let feature = only_column(ctr)?;
        check_counts(ctr, counts)?;
        Ok((number, Statistic { ctr, counts, feature }))
    }
}

/// Whether the table has the counts that the statistic needs.
fn check_counts(ctr: &Ctr, counts: &Counts<'_>) -> Result<(), String> {
    let fits = match ctr.ctr_type.as_str() {
        "Borders" => counts.n_counts >= 2 && ctr.target_border_idx < counts.n_counts,
        "Buckets" => ctr.target_border_idx < counts.n_counts,
        "BinarizedTargetMeanValue" | "FloatTargetMeanValue" => counts.n_counts == 2,
        "Counter" | "FeatureFreq" => counts.n_counts == 1,
        other => return Err(format!("unknown statistic `{other:.40}` of categories")),
    };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "its table of {} counts does not fit a `{}`",
            counts.n_counts, ctr.ctr_type
        ))
    }
}

fn only_column(ctr: &Ctr) -> Result<u32, String> {
    match &ctr.elements[..] {
        [only] if only.combination_element == "cat_feature_value" => {
            only.cat_feature_index.ok_or_else(|| "its statistic names no column".to_owned())
        }
        _ => Err("it uses a statistic of several columns together, which cannot be imported; train it with max_ctr_complexity=1 or a greater one_hot_max_size".to_owned()),
    }
}

impl<'a> Counts<'a> {
    /// Whether a category is in it.
    pub(super) fn has(&self, hash: u64) -> bool {
        self.rows.contains_key(&hash)
    }

    fn read(table: &'a Table) -> Result<Self, String> {
        let stride = table.hash_stride;
        if stride < 2 || !table.hash_map.len().is_multiple_of(stride) {
            return Err(format!(
                "a table of {} cells is not made of rows of {stride}",
                table.hash_map.len()
            ));
        }
        let mut rows = BTreeMap::new();
        for row in table.hash_map.chunks_exact(stride) {
            match row {
                [Cell::Hash(EMPTY), ..] => {}
                [Cell::Hash(hash), counts @ ..] => drop(rows.insert(*hash, counts)),
                _ => return Err("a row of a table of counts does not begin with a hash".to_owned()),
            }
        }
        Ok(Self {
            rows,
            n_counts: stride - 1,
            denominator: table.counter_denominator as f32,
        })
    }
}

impl Statistic<'_> {
    /// The number of a category; `None`: one that training did not see.
    pub(super) fn value(&self, category: Option<u32>) -> f32 {
        let counts = category.and_then(|it| self.counts.rows.get(&hash_of(it)));
        let (good, total) = counts.map_or((0.0, 0.0), |it| self.good_and_total(it));
        // In single precision, as CatBoost does it: a number may lie on a border.
        let mean = (good + self.ctr.prior_numerator as f32) / (total + self.ctr.prior_denominator as f32);
        (mean + self.ctr.shift as f32) * self.ctr.scale as f32
    }

    fn good_and_total(&self, cells: &[Cell]) -> (f32, f32) {
        let count = |it: &Cell| match it {
            Cell::Number(it) => *it as f32,
            Cell::Hash(_) => f32::NAN,
        };
        let sum = |cells: &[Cell]| cells.iter().map(count).sum::<f32>();
        match self.ctr.ctr_type.as_str() {
            "Counter" | "FeatureFreq" => (count(&cells[0]), self.counts.denominator),
            "BinarizedTargetMeanValue" | "FloatTargetMeanValue" => (count(&cells[0]), count(&cells[1])),
            "Buckets" => (count(&cells[self.ctr.target_border_idx]), sum(cells)),
            _ => (sum(&cells[self.ctr.target_border_idx + 1..]), sum(cells)),
        }
    }
}
