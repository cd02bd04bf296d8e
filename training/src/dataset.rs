//! A training set becomes numbers: inputs are chosen and dictionaries fitted on training rows alone, then all rows encoded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foretell_features::{Column, ColumnKind, DataType, FeatureMatrix, Table, TrainingSet, Value};
use foretell_inference::{Encoder, Input, InputEncoding, Task};

use crate::error::TrainError;

/// The most categories of a dictionary; rarer ones are "other".
const MAX_CATEGORIES: usize = 1000;
/// Rows below which a category says nothing and is "other".
const MIN_CATEGORY_ROWS: usize = 2;
/// Text is an id where more than this share of its values are there once, in at least `MIN_ID_ROWS` rows.
const ID_SHARE: f64 = 0.5;
const MIN_ID_ROWS: usize = 50;

/// What is learned from: encoded rows, missing = NaN, and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Encoded rows.
    pub x: FeatureMatrix,
    /// What each column is.
    pub kinds: Arc<[ColumnKind]>,
    /// One per row.
    pub y: Vec<f64>,
}

/// A training set made ready: what the signature of the package will be, and every row in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Inputs kept, in the training set's order.
    pub inputs: Vec<Input>,
    /// Their encodings.
    pub encoder: Encoder,
    /// All rows of the training set, test rows included.
    pub data: Dataset,
    /// What was left out or changed, for the model card.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.y.len()
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let y = rows.iter().map(|&row| self.y[row]).collect();
        Self {
            x: self.x.select(rows),
            kinds: self.kinds.clone(),
            y,
        }
    }
}

/// Chooses inputs and fits dictionaries on the training rows, then encodes all rows. Constant columns and columns of ids are
/// left out with a note.
///
/// # Errors
/// A label that the task cannot learn, or no column left.
pub fn prepare(model: &str, task: Task, set: &TrainingSet, train: &[usize]) -> Result<Prepared, TrainError> {
    let (y, mut notes) = labels(model, task, &set.label)?;
    let (mut inputs, mut encodings) = (Vec::new(), Vec::new());
    for (name, column) in set.table.iter() {
        match encoding(column, train) {
            Ok(encoding) => {
                inputs.push(Input {
                    name: name.to_owned(),
                    data_type: column.data_type(),
                });
                encodings.push(encoding);
            }
            Err(reason) => notes.push(format!("`{name}` is left out: {reason}")),
        }
    }
    if inputs.is_empty() {
        let reason = if notes.is_empty() {
            "its features are empty".to_owned()
        } else {
            notes.join("; ")
        };
        return Err(TrainError::NoInput {
            model: model.to_owned(),
            reason,
        });
    }
    let encoder = Encoder { inputs: encodings };
    let x = encode(&set.table, &inputs, &encoder)?;
    let data = Dataset {
        x,
        kinds: encoder.kinds().into(),
        y,
    };
    Ok(Prepared {
        inputs,
        encoder,
        data,
        notes,
    })
}

/// Raw values of a row in the order of the inputs; null where the table lacks the column.
pub fn raw_row(table: &Table, inputs: &[Input], row: usize) -> Vec<Value> {
    inputs
        .iter()
        .map(|input| table.column(&input.name).map_or(Value::Null, |it| it.value(row)))
        .collect()
}

fn encode(table: &Table, inputs: &[Input], encoder: &Encoder) -> Result<FeatureMatrix, TrainError> {
    let columns: Vec<&Column> = inputs.iter().filter_map(|it| table.column(&it.name)).collect();
    let compiled = encoder.compile(inputs)?;
    let mut x = FeatureMatrix::with_capacity(inputs.len(), table.n_rows());
    let mut buffer = vec![0.0; inputs.len()];
    let mut raw = Vec::with_capacity(inputs.len());
    for row in 0..table.n_rows() {
        raw.clear();
        raw.extend(columns.iter().map(|it| it.value(row)));
        compiled.encode_into(&raw, &mut buffer)?;
        x.push_row(&buffer);
    }
    Ok(x)
}

/// Labels as the task learns them, with a note where they were changed.
pub(crate) fn labels(model: &str, task: Task, label: &[f64]) -> Result<(Vec<f64>, Vec<String>), TrainError> {
    let (expected, sound): (_, fn(f64) -> bool) = match task {
        Task::BinaryClassification => ("0 or 1", |it| it == 0.0 || it == 1.0),
        _ => ("a finite number", f64::is_finite),
    };
    if let Some(row) = label.iter().position(|&it| !sound(it)) {
        return Err(TrainError::Label {
            model: model.to_owned(),
            expected,
            row,
            got: label[row],
        });
    }
    let negative = label.iter().filter(|&&it| it < 0.0).count();
    if task == Task::LifetimeValue && negative > 0 {
        let note = format!("{negative} labels below 0 (refunds) count as 0: a lifetime value is never negative");
        return Ok((label.iter().map(|it| it.max(0.0)).collect(), vec![note]));
    }
    Ok((label.to_vec(), Vec::new()))
}

/// How a column becomes numbers, or why it does not.
fn encoding(column: &Column, train: &[usize]) -> Result<InputEncoding, String> {
    match column {
        Column::Str(values) => categories(values, train),
        _ if is_constant(column, train) => Err("it has one value in the training rows".to_owned()),
        _ => Ok(InputEncoding::Numeric),
    }
}

fn is_constant(column: &Column, train: &[usize]) -> bool {
    let bits = |row: &usize| match column.data_type() {
        DataType::Timestamp | DataType::Int64 | DataType::Double | DataType::Boolean => column.number(*row).to_bits(),
        DataType::String => 0,
    };
    train.windows(2).all(|it| bits(&it[0]) == bits(&it[1]))
}

fn categories(values: &[Option<Arc<str>>], train: &[usize]) -> Result<InputEncoding, String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in train.iter().filter_map(|&row| values[row].as_deref()) {
        *counts.entry(text).or_default() += 1;
    }
    let rows: usize = counts.values().sum();
    let single = counts.values().filter(|&&it| it == 1).count();
    if rows >= MIN_ID_ROWS && single as f64 > ID_SHARE * rows as f64 {
        return Err(format!(
            "it looks like an id, with {} different values in {rows} training rows",
            counts.len()
        ));
    }
    if counts.len() < 2 && (rows == train.len() || rows == 0) {
        return Err("it has one value in the training rows".to_owned());
    }
    // A map iterates in order of text, and the sort is stable: ties stay in order of text.
    let mut frequent: Vec<(&str, usize)> = counts.into_iter().filter(|it| it.1 >= MIN_CATEGORY_ROWS).collect();
    frequent.sort_by_key(|it| std::cmp::Reverse(it.1));
    frequent.truncate(MAX_CATEGORIES);
    if frequent.is_empty() {
        return Err("no value is there twice in the training rows".to_owned());
    }
    Ok(InputEncoding::Category {
        categories: frequent.into_iter().map(|it| it.0.to_owned()).collect(),
    })
}

/// Fails unless both classes are among the rows.
pub fn check_classes(model: &str, part: &'static str, y: &[f64]) -> Result<(), TrainError> {
    let classes: BTreeSet<u64> = y.iter().map(|it| it.to_bits()).collect();
    match (classes.len(), y.first()) {
        (1, Some(&class)) => Err(TrainError::OneClass {
            model: model.to_owned(),
            part,
            rows: y.len(),
            class,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use foretell_features::EntityKey;

    use super::*;

    fn texts(values: &[Option<&str>]) -> Column {
        Column::Str(values.iter().map(|it| it.map(Arc::from)).collect())
    }

    fn set(table: Table, label: Vec<f64>) -> TrainingSet {
        let n = label.len();
        TrainingSet {
            table,
            keys: vec![EntityKey(vec![]); n],
            cutoffs: vec![None; n],
            label,
            label_end: vec![None; n],
            file_row: (0..n as u64).collect(),
            appearance: vec![],
        }
    }

    fn plans() -> TrainingSet {
        let table = Table::new()
            .with(
                "plan",
                texts(&[
                    Some("pro"),
                    Some("basic"),
                    Some("basic"),
                    Some("pro"),
                    None,
                    Some("gold"),
                ]),
            )
            .with(
                "spend",
                Column::Float(vec![Some(1.0), None, Some(3.0), Some(4.0), Some(5.0), Some(6.0)]),
            )
            .with(
                "same",
                Column::Int(vec![Some(7), Some(7), Some(7), Some(7), Some(7), Some(8)]),
            );
        set(table, vec![0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    }

    #[test]
    fn dictionaries_and_choices_come_from_training_rows_alone() {
        let got = prepare("m", Task::BinaryClassification, &plans(), &[0, 1, 2, 3, 4]).unwrap();
        let names: Vec<_> = got.inputs.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            names,
            ["plan", "spend"],
            "the only other value of `same` is in a test row"
        );
        let expected = InputEncoding::Category {
            categories: vec!["basic".into(), "pro".into()],
        };
        assert_eq!(
            got.encoder.inputs[0], expected,
            "by frequency, ties by text; `gold` is a test row's"
        );
        let plans: Vec<String> = got.data.x.column(0).iter().map(ToString::to_string).collect();
        assert_eq!(plans, ["1", "0", "0", "1", "NaN", "2"]);
        assert_eq!(got.notes, ["`same` is left out: it has one value in the training rows"]);
    }

    #[test]
    fn text_that_looks_like_an_id_is_left_out_with_a_note() {
        let ids: Vec<String> = (0..60).map(|it| format!("C{it}")).collect();
        let ids: Vec<_> = ids.iter().map(|it| Some(it.as_str())).collect();
        let spend = Column::Float((0..60).map(|it| Some(f64::from(it))).collect());
        let table = Table::new().with("id", texts(&ids)).with("spend", spend);
        let set = set(table, (0..60).map(|it| f64::from(it % 2)).collect());
        let got = prepare("m", Task::BinaryClassification, &set, &(0..60).collect::<Vec<_>>()).unwrap();
        assert_eq!(got.inputs.len(), 1);
        assert_eq!(
            got.notes,
            ["`id` is left out: it looks like an id, with 60 different values in 60 training rows"]
        );
    }

    #[test]
    fn a_set_without_a_usable_input_or_with_a_wrong_label_is_refused() {
        let constant = Table::new().with("same", Column::Int(vec![Some(7); 3]));
        let error = prepare(
            "m",
            Task::Regression,
            &set(constant.clone(), vec![1.0, 2.0, 3.0]),
            &[0, 1, 2],
        )
        .unwrap_err();
        assert!(error.to_string().contains("`same` is left out"), "{error}");
        let error = prepare(
            "m",
            Task::BinaryClassification,
            &set(constant, vec![1.0, 2.0, 3.0]),
            &[0],
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("not 0 or 1") && error.to_string().contains("row=`1`"),
            "{error}"
        );
    }

    #[test]
    fn refunds_count_as_no_value() {
        let mut plans = plans();
        plans.label[2] = -5.0;
        let got = prepare("m", Task::LifetimeValue, &plans, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(got.data.y[2], 0.0);
        assert!(got.notes[0].starts_with("1 labels below 0"), "{:?}", got.notes);
    }

    #[test]
    fn one_class_is_refused() {
        let error = check_classes("churn", "training", &[1.0, 1.0]).unwrap_err().to_string();
        assert!(error.contains("all 2 training labels are 1"), "{error}");
        assert!(check_classes("churn", "training", &[1.0, 0.0]).is_ok());
    }
}
