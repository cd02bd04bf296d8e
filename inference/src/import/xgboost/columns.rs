//! The model's inputs: names, types, and the dictionaries of text columns that files of 3.1 and later carry.

use foretell_features::DataType;

use crate::import::ImportedInput;
use crate::preprocessing::InputEncoding;

use super::schema::{Dictionary, Learner};

/// One input per column.
pub(super) fn inputs(
    learner: &Learner,
    dictionaries: &[Dictionary],
    n_features: usize,
) -> Result<Vec<ImportedInput>, String> {
    let names = &learner.feature_names;
    let types = &learner.feature_types;
    let fits = |what: &str, length: usize| {
        let fits = length == 0 || length == n_features;
        if fits {
            Ok(())
        } else {
            Err(format!("it has {length} {what} for {n_features} columns"))
        }
    };
    fits("feature names", names.len())?;
    fits("feature types", types.len())?;
    fits("dictionaries", dictionaries.len())?;
    (0..n_features)
        .map(|at| {
            let name = names.get(at).cloned().unwrap_or_else(|| format!("f{at}"));
            let kind = types.get(at).map_or("float", String::as_str);
            input(name, kind, dictionaries.get(at))
        })
        .collect()
}

fn input(name: String, kind: &str, dictionary: Option<&Dictionary>) -> Result<ImportedInput, String> {
    let mut input = ImportedInput::number(name);
    let dictionary = dictionary.filter(|it| !it.values.is_empty());
    match (kind, dictionary) {
        ("c", Some(dictionary)) => {
            let categories =
                categories(dictionary).map_err(|reason| format!("the categories of `{}`: {reason}", input.name))?;
            input.data_type = if dictionary.offsets.is_some() {
                DataType::String
            } else {
                DataType::Int64
            };
            input.encoding = InputEncoding::Category { categories };
        }
        ("c" | "int", None) => input.data_type = DataType::Int64,
        ("i", None) => input.data_type = DataType::Boolean,
        _ => {}
    }
    Ok(input)
}

/// The code of a category is its position.
fn categories(dictionary: &Dictionary) -> Result<Vec<String>, String> {
    let Some(offsets) = &dictionary.offsets else {
        return Ok(dictionary.values.iter().map(i64::to_string).collect());
    };
    let bytes = dictionary
        .values
        .iter()
        .map(|it| byte(*it))
        .collect::<Result<Vec<u8>, _>>()?;
    // XGBoost 3.2 counts letters where it should count bytes, so with others its dictionaries are cut short and out of step.
    if !bytes.is_ascii() {
        let reason =
            "they have letters outside ASCII, which XGBoost writes wrongly; train it on ASCII text or on integer codes";
        return Err(reason.to_owned());
    }
    let mut rest = String::from_utf8_lossy(&bytes).into_owned();
    let mut categories = Vec::new();
    // From the last one, so that each takes its end off the rest: every byte belongs to one category.
    for pair in offsets.windows(2).rev() {
        let length = pair[1].checked_sub(pair[0]).and_then(|it| usize::try_from(it).ok());
        let from = length.and_then(|it| rest.len().checked_sub(it));
        let from = from.ok_or_else(|| format!("letters {} to {} are not there", pair[0], pair[1]))?;
        categories.push(rest.split_off(from));
    }
    categories.reverse();
    Ok(categories)
}

/// Bytes are written as signed numbers.
fn byte(it: i64) -> Result<u8, String> {
    let signed = i8::try_from(it).map(i8::cast_unsigned);
    signed
        .or_else(|_| u8::try_from(it))
        .map_err(|_| format!("{it} is no byte"))
}
