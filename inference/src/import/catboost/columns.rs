//! The model's columns, and the dictionaries that stand in for CatBoost's hashes of text.

use std::collections::{BTreeMap, BTreeSet};

use foretell_features::DataType;

use crate::import::{Budget, ImportedInput};
use crate::preprocessing::InputEncoding;

use super::ctr::{Counts, Ctrs, hash_of};
use super::schema::{Features, Hashed};

/// A numeric column.
pub(super) struct FloatColumn {
    /// Its place in a row.
    pub(super) column: u32,
    /// Whether a missing value is greater than every border.
    pub(super) missing_is_true: bool,
}

/// A column of categories.
pub(super) struct CategoryColumn {
    /// Its place in a row.
    pub(super) column: u32,
    /// The hashes of its categories; the code of a category is its position.
    pub(super) hashes: Vec<u32>,
}

/// What splits refer to.
pub(super) struct Columns {
    /// By `feature_index`.
    pub(super) floats: BTreeMap<u32, FloatColumn>,
    /// By `feature_index`.
    pub(super) categories: BTreeMap<u32, CategoryColumn>,
    /// In the order of a row.
    pub(super) inputs: Vec<ImportedInput>,
}

impl Columns {
    /// Reads `features_info`.
    pub(super) fn read(features: &Features, ctrs: &Ctrs<'_>, budget: &mut Budget) -> Result<Self, String> {
        if !(features.text_features.is_empty() && features.embedding_features.is_empty()) {
            return Err(
                "it has columns of text or embeddings, which cannot be imported; train it without them".to_owned(),
            );
        }
        let mut columns = Self {
            floats: BTreeMap::new(),
            categories: BTreeMap::new(),
            inputs: unnamed_inputs(features, budget)?,
        };
        for it in &features.float_features {
            columns.name(it.flat_feature_index, &it.feature_id);
            let column = FloatColumn {
                column: it.flat_feature_index,
                missing_is_true: it.nan_value_treatment == "AsTrue",
            };
            columns.floats.insert(it.feature_index, column);
        }
        for it in &features.categorical_features {
            columns.name(it.flat_feature_index, &it.feature_id);
            let compared: BTreeSet<u32> = it.values.iter().map(|it| it.cast_unsigned()).collect();
            let known = known_categories(features, &compared, &ctrs.tables_of(it.feature_index), budget)?;
            columns.add_categories(it.feature_index, it.flat_feature_index, &known);
            columns.check_known(it.feature_index, &compared)?;
        }
        Ok(columns)
    }

    fn name(&mut self, column: u32, name: &str) {
        if !name.is_empty() {
            name.clone_into(&mut self.inputs[column as usize].name);
        }
    }

    fn add_categories(&mut self, feature: u32, column: u32, known: &[&Hashed]) {
        let input = &mut self.inputs[column as usize];
        input.data_type = DataType::String;
        input.encoding = InputEncoding::Category {
            categories: known.iter().map(|it| it.value.clone()).collect(),
        };
        let hashes = known.iter().map(|it| it.hash).collect();
        self.categories.insert(feature, CategoryColumn { column, hashes });
    }

    /// Every hash that is compared with must have its text in the file.
    fn check_known(&self, feature: u32, compared: &BTreeSet<u32>) -> Result<(), String> {
        let column = &self.categories[&feature];
        let known: BTreeSet<u32> = column.hashes.iter().copied().collect();
        match compared.difference(&known).next() {
            None => Ok(()),
            Some(_) => Err(format!(
                "the file does not hold the categories of `{}`; save it with `pool=` of the training data",
                self.inputs[column.column as usize].name
            )),
        }
    }
}

/// The categories that a column's splits can tell apart: those that they compare with, and those in its tables.
fn known_categories<'a>(
    features: &'a Features,
    compared: &BTreeSet<u32>,
    tables: &[&Counts<'_>],
    budget: &mut Budget,
) -> Result<Vec<&'a Hashed>, String> {
    let all = &features.cat_features_hash;
    budget.take_words(all.len() / 8)?;
    let is_known = |it: &&Hashed| compared.contains(&it.hash) || tables.iter().any(|table| table.has(hash_of(it.hash)));
    let known: Vec<&Hashed> = all.iter().filter(is_known).collect();
    // A short text in a dictionary takes about as much as eight numbers.
    budget.take_words(known.len().saturating_mul(8))?;
    Ok(known)
}

/// One per column of a row, whatever lies between the ones that are described.
fn unnamed_inputs(features: &Features, budget: &Budget) -> Result<Vec<ImportedInput>, String> {
    let floats = features.float_features.iter().map(|it| it.flat_feature_index);
    let categories = features.categorical_features.iter().map(|it| it.flat_feature_index);
    let count = floats.chain(categories).max().map_or(0, |it| it as usize + 1);
    budget.check("columns", count)?;
    Ok((0..count).map(|at| ImportedInput::number(format!("f{at}"))).collect())
}
