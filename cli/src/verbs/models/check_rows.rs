//! An imported model against the predictions of its origin: rows of a file, and the columns that say what should come out.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use foretell_features::Value;
use foretell_inference::{Model, PredictOptions, RowPrediction, Task};
use serde::Serialize;
use serde_json::Value as Json;

use crate::verbs::predict::read_rows;

/// A number is the origin's where it differs by less than this share of its size: libraries that sum in float32 differ more
/// than 1e-7.
const TOLERANCE: f64 = 1e-5;

/// What was compared.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Checked {
    rows: usize,
    /// Of a number, relative to its size.
    greatest_difference: f64,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            greatest_difference,
        } = self;
        write!(
            f,
            "{rows} rows predict what they should, the greatest difference is {greatest_difference:.1e} of the size"
        )
    }
}

/// Predicts every row and holds it against `expect`: one column for a number or a class, one per class for probabilities.
pub(super) fn check(model: &Model, file: &Path, expect: &[String]) -> Result<Checked> {
    let rows = read_rows(file)?;
    if rows.is_empty() {
        bail!("`{}` has no rows to check by", file.display());
    }
    let by = By::of(model, expect)?;
    let mut greatest: f64 = 0.0;
    for (at, row) in rows.iter().enumerate() {
        let place = || format!("`{}`, row {at}", file.display());
        let difference = by
            .compare(row, &predict(model, row).with_context(place)?)
            .with_context(place)?;
        let close = difference <= TOLERANCE;
        if !close {
            bail!(
                "{}: the imported model does not predict what column `{}` says; {}; nothing was registered",
                place(),
                expect.join(", "),
                by.both(row, &predict(model, row)?)
            );
        }
        greatest = greatest.max(difference);
    }
    Ok(Checked {
        rows: rows.len(),
        greatest_difference: greatest,
    })
}

fn predict(model: &Model, row: &Json) -> Result<RowPrediction> {
    let inputs = &model.manifest().inputs;
    let value = |name: &str| -> Result<Value> {
        let sent = row
            .get(name)
            .with_context(|| format!("there is no column `{name}`, an input of the model"))?;
        Ok(serde_json::from_value(sent.clone())?)
    };
    let row: Vec<Value> = inputs.iter().map(|it| value(&it.name)).collect::<Result<_>>()?;
    Ok(model.predict_row(&row, PredictOptions::default())?)
}

/// What is compared.
enum By<'a> {
    Value(&'a str),
    Class(&'a str),
    Probabilities(&'a [String]),
}

impl<'a> By<'a> {
    fn of(model: &Model, expect: &'a [String]) -> Result<Self> {
        let manifest = model.manifest();
        match (manifest.task, expect) {
            (_, []) => bail!("--rows needs --expect COLUMN, the column that holds the origin's own predictions"),
            (Task::MulticlassClassification, [one]) => Ok(Self::Class(one)),
            (Task::MulticlassClassification, columns) if columns.len() == manifest.classes.len() => {
                Ok(Self::Probabilities(columns))
            }
            (Task::MulticlassClassification, columns) => bail!(
                "--expect has {} columns; give the one of the class, or one per class in this order: {}",
                columns.len(),
                manifest.classes.join(", ")
            ),
            (_, [one]) => Ok(Self::Value(one)),
            (task, columns) => bail!(
                "--expect has {} columns, a model of task {task} answers one number",
                columns.len()
            ),
        }
    }

    /// The difference relative to what is expected; infinite for another class.
    fn compare(&self, row: &Json, got: &RowPrediction) -> Result<f64> {
        match self {
            Self::Value(column) => Ok(relative(number(row, column)?, got.value)),
            Self::Class(column) => {
                let same = got.class.as_deref() == Some(text(cell(row, column)?).as_str());
                Ok(if same { 0.0 } else { f64::INFINITY })
            }
            Self::Probabilities(columns) => {
                let differences = columns.iter().zip(&got.probabilities);
                let differences = differences.map(|(column, got)| Ok(relative(number(row, column)?, *got)));
                let differences: Vec<f64> = differences.collect::<Result<_>>()?;
                Ok(differences.into_iter().fold(0.0, f64::max))
            }
        }
    }

    fn both(&self, row: &Json, got: &RowPrediction) -> String {
        let cells = |columns: &[String]| {
            columns
                .iter()
                .map(|it| text(&row[it.as_str()]))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Value(column) => format!("it says {}, the model {}", text(&row[*column]), got.value),
            Self::Class(column) => {
                format!(
                    "it says {}, the model {}",
                    text(&row[*column]),
                    got.class.as_deref().unwrap_or("nothing")
                )
            }
            Self::Probabilities(columns) => format!("it says {}, the model {:?}", cells(columns), got.probabilities),
        }
    }
}

/// Numbers near 0 (probabilities of next to nothing) are held to what float32 can say of numbers near 1.
fn relative(expected: f64, got: f64) -> f64 {
    (got - expected).abs() / expected.abs().max(1e-2)
}

fn cell<'a>(row: &'a Json, column: &str) -> Result<&'a Json> {
    row.get(column)
        .with_context(|| format!("there is no column `{column}` to check by"))
}

fn number(row: &Json, column: &str) -> Result<f64> {
    let cell = cell(row, column)?;
    let spelled = cell.as_str().and_then(|it| it.trim().parse().ok());
    cell.as_f64()
        .or(spelled)
        .with_context(|| format!("column `{column}` is not a number. got=`{cell}`"))
}

fn text(cell: &Json) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}
