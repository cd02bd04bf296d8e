//! The model's inputs: names, and how a caller's values become the numbers that the trees compare.

use foretell_features::{DataType, Value};
use serde::Deserialize;

use crate::import::ImportedInput;
use crate::preprocessing::InputEncoding;

use super::text::Text;
use super::trees::Missing;

/// One input per name.
pub(super) fn inputs(text: &Text<'_>, names: &[&str], missing: &[Missing]) -> Result<Vec<ImportedInput>, String> {
    check_count(text, names)?;
    let ranges: Vec<&str> = text.header("feature_infos").unwrap_or("").split_whitespace().collect();
    let range = |at: usize| ranges.get(at).copied().unwrap_or("none");
    let mut inputs = names
        .iter()
        .zip(missing)
        .enumerate()
        .map(|(at, (name, missing))| input(name, range(at), *missing))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(json) = text
        .pandas_categorical
        .filter(|it| !matches!(it.trim(), "null" | "[]" | ""))
    {
        let dictionaries: Vec<Vec<Category>> = serde_json::from_str(json)
            .map_err(|error| format!("its line `pandas_categorical` cannot be read: {error}"))?;
        let columns = category_columns(&ranges, names.len(), dictionaries.len())?;
        for (column, dictionary) in columns.into_iter().zip(dictionaries) {
            (inputs[column].data_type, inputs[column].encoding) = encoding(names[column], dictionary)?;
        }
    }
    Ok(inputs)
}

fn check_count(text: &Text<'_>, names: &[&str]) -> Result<(), String> {
    let last = text
        .header_number("max_feature_idx")
        .ok_or("`max_feature_idx` is not there")??;
    if last.checked_add(1) == Some(names.len()) {
        return Ok(());
    }
    Err(format!(
        "{} feature names do not fit `max_feature_idx={last}`",
        names.len()
    ))
}

fn input(name: &str, range: &str, missing: Missing) -> Result<ImportedInput, String> {
    let mut input = ImportedInput::number(name);
    if is_category(range) {
        input.data_type = DataType::Int64;
    }
    if missing.zero && missing.nan {
        return Err(format!(
            "some trees take a zero of `{name}` for missing and some do not; train all of them with one zero_as_missing"
        ));
    }
    if missing.zero {
        input.encoding = InputEncoding::NonZero;
    }
    Ok(input)
}

/// `[0:10]` is a number's range, `none` a column of one value, `0:2:1` a list of codes.
fn is_category(range: &str) -> bool {
    range != "none" && !range.starts_with('[')
}

/// Which columns the dictionaries belong to: they come in the order of the columns that pandas calls categories.
fn category_columns(ranges: &[&str], n_columns: usize, n_dictionaries: usize) -> Result<Vec<usize>, String> {
    let coded: Vec<usize> = (0..n_columns.min(ranges.len()))
        .filter(|&at| is_category(ranges[at]))
        .collect();
    let coded_or_constant: Vec<usize> = (0..n_columns)
        .filter(|&at| ranges.get(at).is_none_or(|it| is_category(it) || *it == "none"))
        .collect();
    [coded, coded_or_constant].into_iter().find(|it| it.len() == n_dictionaries).ok_or_else(|| {
        format!("it cannot be told which columns its {n_dictionaries} pandas dictionaries belong to; train it on integer codes")
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Category {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Category {
    fn data_type(&self) -> DataType {
        match self {
            Category::Bool(_) => DataType::Boolean,
            Category::Int(_) => DataType::Int64,
            Category::Float(_) => DataType::Double,
            Category::Text(_) => DataType::String,
        }
    }

    /// As the encoder spells a value of this type.
    fn into_text(self) -> String {
        match self {
            Category::Bool(it) => Value::Bool(it).to_string(),
            Category::Int(it) => Value::Int(it).to_string(),
            Category::Float(it) => Value::Float(it).to_string(),
            Category::Text(it) => it,
        }
    }
}

fn encoding(name: &str, dictionary: Vec<Category>) -> Result<(DataType, InputEncoding), String> {
    let data_type = dictionary.first().map_or(DataType::String, Category::data_type);
    if dictionary.iter().any(|it| it.data_type() != data_type) {
        return Err(format!(
            "the categories of `{name}` are of several types; train it on text or on integers"
        ));
    }
    let categories: Vec<String> = dictionary.into_iter().map(Category::into_text).collect();
    Ok((data_type, InputEncoding::Category { categories }))
}
