//! What the training rows looked like, kept in the package for drift to compare with.

use std::collections::BTreeMap;

use foretell_features::{Column, Table};
use foretell_inference::Input;
use serde::{Deserialize, Serialize};

/// Categories listed by name; the rest are summed.
const TOP: usize = 50;
/// Probabilities of the quantiles kept.
pub const QUANTILES: [f64; 11] = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];

/// `statistics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Training rows.
    pub rows: usize,
    /// Probabilities of all quantiles below.
    pub quantiles_at: Vec<f64>,
    /// By input, in signature order.
    pub inputs: Vec<InputStatistics>,
    /// The model's answers on the test rows.
    pub answers: Numbers,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputStatistics {
    /// Its name.
    pub name: String,
    /// Share of rows without a value.
    pub null_rate: f64,
    /// Of numbers, bools (0 and 1) and times (seconds since 1970).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<Categories>,
}

/// A distribution of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Mean of those that are there.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// At [`QUANTILES`]; empty where no row has a value.
    pub quantiles: Vec<f64>,
}

/// A distribution of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    /// The most frequent ones with their share of rows that have a value; ties by text.
    pub top: Vec<(String, f64)>,
    /// Share of the others.
    pub other: f64,
    /// Number of different texts.
    pub distinct: usize,
}

/// Statistics of the given rows.
pub fn statistics(table: &Table, inputs: &[Input], rows: &[usize], answers: &[f64]) -> Statistics {
    let of = |input: &Input| {
        table
            .column(&input.name)
            .map(|column| input_statistics(&input.name, column, rows))
    };
    Statistics {
        rows: rows.len(),
        quantiles_at: QUANTILES.to_vec(),
        inputs: inputs.iter().filter_map(of).collect(),
        answers: numbers(answers.to_vec()),
    }
}

fn input_statistics(name: &str, column: &Column, rows: &[usize]) -> InputStatistics {
    let nulls = rows.iter().filter(|&&row| column.value(row).is_null()).count();
    let (numbers, categories) = match column {
        Column::Str(_) => (None, Some(categories(column, rows))),
        _ => {
            let known = rows.iter().map(|&row| column.number(row)).filter(|it| it.is_finite());
            (Some(numbers(known.collect())), None)
        }
    };
    let null_rate = nulls as f64 / rows.len().max(1) as f64;
    InputStatistics {
        name: name.to_owned(),
        null_rate,
        numbers,
        categories,
    }
}

fn numbers(mut values: Vec<f64>) -> Numbers {
    if values.is_empty() {
        return Numbers {
            mean: 0.0,
            std: 0.0,
            quantiles: Vec::new(),
        };
    }
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n).sqrt();
    let at = |q: &f64| values[((n - 1.0) * q).round() as usize];
    Numbers {
        mean,
        std,
        quantiles: QUANTILES.iter().map(at).collect(),
    }
}

fn categories(column: &Column, rows: &[usize]) -> Categories {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in rows
        .iter()
        .filter_map(|&row| column.value(row).as_str().map(str::to_owned))
    {
        *counts.entry(text).or_default() += 1;
    }
    let total = counts.values().sum::<usize>().max(1) as f64;
    let distinct = counts.len();
    let mut top: Vec<(String, f64)> = counts.into_iter().map(|(text, n)| (text, n as f64 / total)).collect();
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    let other = top.split_off(top.len().min(TOP)).iter().map(|it| it.1).sum();
    Categories { top, other, distinct }
}

#[cfg(test)]
mod tests {
    use foretell_features::DataType;

    use super::*;

    #[test]
    fn nulls_quantiles_and_frequent_categories_are_kept() {
        let table = Table::new()
            .with("n", Column::Int(vec![Some(1), None, Some(3), Some(5), Some(999)]))
            .with(
                "t",
                Column::Str(vec![
                    Some("b".into()),
                    Some("a".into()),
                    Some("b".into()),
                    None,
                    Some("z".into()),
                ]),
            );
        let input = |name: &str, data_type| Input {
            name: name.to_owned(),
            data_type,
        };
        let got = statistics(
            &table,
            &[input("n", DataType::Int64), input("t", DataType::String)],
            &[0, 1, 2, 3],
            &[0.5],
        );
        let n = got.inputs[0].numbers.as_ref().unwrap();
        assert_eq!(
            (
                got.inputs[0].null_rate,
                n.mean,
                n.quantiles[0],
                n.quantiles[5],
                n.quantiles[10]
            ),
            (0.25, 3.0, 1.0, 3.0, 5.0)
        );
        let t = got.inputs[1].categories.as_ref().unwrap();
        assert_eq!(
            (t.top[0].clone(), t.distinct, t.other),
            (("b".to_owned(), 2.0 / 3.0), 2, 0.0),
            "`z` is in no training row"
        );
    }
}
