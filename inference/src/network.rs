//! Networks for tables: multilayer perceptrons and residual ones, their weights as safetensors, their architecture beside them.
//!
//! [`architecture`] says what can be written. Weights are read in any of the format's floats and computed in float64. Rows go
//! through loops of our own, inline; with the feature `neural`, candle computes on other devices and in float32 ([`Device`]).
//! Training networks is not here.

pub mod architecture;
mod build;
#[cfg(feature = "neural")]
mod candle;
mod dense;
mod safetensors;
mod steps;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;

use foretell_features::{DataType, FeatureMatrix};
use rayon::prelude::*;

use crate::error::InferenceError;
use crate::import::{Imported, ImportedInput, refused};
use crate::manifest::Task;
use crate::model::RowPredictor;
use crate::predictor::Predictor;
use crate::preprocessing::InputEncoding;
use crate::sampling::{Background, SampledContributions, unexplained};
use crate::tree::Link;
use architecture::{Architecture, FORMAT, InputKind, InputLayer};
use build::Column;
#[cfg(feature = "neural")]
pub use candle::{CandleNetwork, Device, Precision};
use safetensors::Tensors;
use steps::{Scratch, Step};

/// File name of the architecture in a package.
pub const NETWORK_FILE: &str = "network.json";

/// File name of the weights in a package.
pub const WEIGHTS_FILE: &str = "network.safetensors";

/// Rows that go through the network side by side: small enough that what lies between two layers stays in the cache.
const TILE: usize = 32;

/// Multiplications from which a batch is split across cores, and at least so many to each.
const SPLIT_FROM: usize = 1 << 20;

/// A network with its weights, ready to predict.
#[derive(Debug, Clone)]
pub struct Network {
    columns: Vec<Column>,
    /// Numbers that the first step sees.
    width: usize,
    steps: Vec<Step>,
    n_outputs: usize,
    link: Link,
    architecture: Vec<u8>,
    weights: Vec<u8>,
    background: Option<Background>,
}

impl Network {
    /// Reads both files of a package.
    ///
    /// # Errors
    /// `Damaged`: not of this form, tensors that are missing, left over, of another shape or not finite.
    pub fn from_files(architecture: &[u8], weights: &[u8]) -> Result<Self, InferenceError> {
        Ok(read(architecture, weights).map_err(damaged)?.1)
    }

    /// What turns its outputs into answers.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Number of columns of the matrices that it takes.
    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    /// The first step's rows.
    fn spread<'a>(&self, rows: impl Iterator<Item = &'a [f64]>, out: &mut Vec<f64>) {
        for row in rows {
            for (column, &x) in self.columns.iter().zip(row) {
                column.spread(x, out);
            }
        }
    }

    fn run(&self, x: &[f64], out: &mut [f64]) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with_borrow_mut(|scratch| self.run_in(scratch, x, out));
    }

    fn run_in(&self, scratch: &mut Scratch, x: &[f64], out: &mut [f64]) {
        let n = self.columns.len();
        for (rows, out) in x.chunks(TILE * n).zip(out.chunks_mut(TILE * self.n_outputs)) {
            scratch.rows.clear();
            self.spread(rows.chunks_exact(n), &mut scratch.rows);
            scratch.run(&self.steps, self.width);
            out.copy_from_slice(&scratch.rows);
        }
    }

    fn check_width(&self, n_columns: usize) -> Result<(), InferenceError> {
        if n_columns == self.columns.len() {
            return Ok(());
        }
        Err(InferenceError::Request(format!(
            "a row has {n_columns} columns, the network takes {}",
            self.columns.len()
        )))
    }
}

impl Column {
    /// One value's part of the first step's row.
    fn spread(&self, x: f64, out: &mut Vec<f64>) {
        match self {
            Column::Numeric {
                mean,
                scale,
                fill,
                indicator,
            } => {
                out.push((if x.is_nan() { *fill } else { x } - mean) / scale);
                if *indicator {
                    out.push(f64::from(u8::from(x.is_nan())));
                }
            }
            Column::Embedding {
                n_categories,
                width,
                table,
            } => {
                let n_rows = table.len() / width;
                let row = code(x, *n_categories).unwrap_or(n_categories + 1);
                // One row beyond the categories is for both: what is not known and what is not there.
                let row = if n_rows == n_categories + 1 {
                    row.min(*n_categories)
                } else {
                    row
                };
                match table.get(row * width..(row + 1) * width) {
                    Some(row) => out.extend_from_slice(row),
                    None => out.extend(std::iter::repeat_n(0.0, *width)),
                }
            }
            Column::OneHot { n_categories } => {
                let start = out.len();
                out.resize(start + n_categories, 0.0);
                if let Some(slot) = code(x, *n_categories).and_then(|it| out[start..].get_mut(it)) {
                    *slot = 1.0;
                }
            }
        }
    }
}

/// The category, `n` where it is not in the dictionary; `None` where it is missing.
fn code(x: f64, n: usize) -> Option<usize> {
    match x {
        x if x.is_nan() => None,
        x if x >= 0.0 && x < n as f64 => Some(x as usize),
        _ => Some(n),
    }
}

impl Predictor for Network {
    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn predict_into(&self, x: &FeatureMatrix, out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(x.n_columns())?;
        if out.len() != x.n_rows() * self.n_outputs {
            let reason = format!("{} rows do not fit {} outputs", x.n_rows(), out.len());
            return Err(InferenceError::Request(reason));
        }
        let cost = steps::weight(&self.steps).max(1);
        if x.n_rows() * cost < 2 * SPLIT_FROM {
            self.run(x.values(), out);
            return Ok(());
        }
        let rows = (SPLIT_FROM / cost).next_multiple_of(TILE).max(TILE);
        let parts = x.values().par_chunks(rows * x.n_columns());
        parts
            .zip(out.par_chunks_mut(rows * self.n_outputs))
            .for_each(|(x, out)| self.run(x, out));
        Ok(())
    }

    fn predict_row_into(&self, row: &[f64], out: &mut [f64]) -> Result<(), InferenceError> {
        self.check_width(row.len())?;
        if out.len() != self.n_outputs {
            let reason = format!("{} outputs do not fit the network's {}", out.len(), self.n_outputs);
            return Err(InferenceError::Request(reason));
        }
        self.run(row, out);
        Ok(())
    }

    fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError> {
        let sampled = self.sampled(x, row, output)?.ok_or_else(unexplained)?;
        Ok(sampled.into_contributions())
    }

    fn sampled(
        &self,
        x: &FeatureMatrix,
        row: usize,
        output: usize,
    ) -> Result<Option<SampledContributions>, InferenceError> {
        let explain = |it: &Background| it.explain(self, x.row(row), output);
        self.background.as_ref().map(explain).transpose()
    }

    fn explain_against(&mut self, background: Background) -> Result<(), InferenceError> {
        self.check_width(background.rows().n_columns())?;
        self.background = Some(background);
        Ok(())
    }

    fn to_file(&self) -> (String, Vec<u8>) {
        (NETWORK_FILE.to_owned(), self.architecture.clone())
    }

    fn more_files(&self) -> Vec<(String, Vec<u8>)> {
        let background = self.background.iter().map(Background::to_file);
        let weights = (WEIGHTS_FILE.to_owned(), self.weights.clone());
        [weights].into_iter().chain(background).collect()
    }
}

/// Reads the weights in `main` and the architecture beside them: `network.json`, or the name of the weights with `.json`.
///
/// # Errors
/// `Import` with a sentence: no architecture, or as [`Network::from_files`].
pub fn import(files: &BTreeMap<String, Vec<u8>>, main: &str) -> Result<Imported, InferenceError> {
    let own = format!("{}.json", main.rsplit_once('.').map_or(main, |(stem, _)| stem));
    let architecture = files.get(&own).or_else(|| files.get(NETWORK_FILE)).ok_or_else(|| {
        refused(main, format!("weights say nothing of what is computed; put the architecture beside them as `{own}` or `{NETWORK_FILE}`"))
    })?;
    let weights = files.get(main).ok_or_else(|| refused(main, "there is no such file"))?;
    let (architecture, network) = read(architecture, weights).map_err(|(_, reason)| refused(main, reason))?;
    Ok(Imported {
        task: architecture.task,
        classes: architecture.classes.into_iter().map(String::from).collect(),
        inputs: architecture.inputs.into_iter().map(imported_input).collect(),
        outputs_are_probabilities: matches!(network.link, Link::Logit | Link::Softmax | Link::Probit),
        predictor: RowPredictor::network(network),
        origin: "safetensors".to_owned(),
        algorithm: "network".to_owned(),
        cover_known: false,
    })
}

fn imported_input(input: InputLayer) -> ImportedInput {
    match input.kind {
        InputKind::Numeric => ImportedInput::number(input.name),
        InputKind::Category => ImportedInput {
            name: input.name.into(),
            data_type: DataType::String,
            encoding: InputEncoding::Category {
                categories: input.categories.into_iter().map(String::from).collect(),
            },
        },
    }
}

/// The file that is wrong, and what is wrong with it.
type Problem = (&'static str, String);

fn read(architecture: &[u8], weights: &[u8]) -> Result<(Architecture, Network), Problem> {
    let of_architecture = |reason| (NETWORK_FILE, reason);
    let of_weights = |reason| (WEIGHTS_FILE, reason);
    let parsed: Architecture =
        serde_json::from_slice(architecture).map_err(|error| of_architecture(error.to_string()))?;
    if parsed.format != FORMAT {
        return Err(of_architecture(format!(
            "it has format {}, this build reads {FORMAT}",
            parsed.format
        )));
    }
    let mut tensors = Tensors::read(weights).map_err(of_weights)?;
    let columns = build::columns(&parsed, &mut tensors).map_err(of_architecture)?;
    let width = columns.iter().map(Column::width).sum();
    let (steps, n_outputs) = build::steps(&parsed, width, &mut tensors).map_err(of_architecture)?;
    check_outputs(&parsed, n_outputs).map_err(of_architecture)?;
    if let Some(name) = tensors.unused() {
        return Err(of_architecture(format!("no layer uses the tensor `{name}`")));
    }
    let network = Network {
        columns,
        width,
        steps,
        n_outputs,
        link: parsed.link,
        architecture: architecture.to_vec(),
        weights: weights.to_vec(),
        background: None,
    };
    Ok((parsed, network))
}

fn check_outputs(architecture: &Architecture, n_outputs: usize) -> Result<(), String> {
    let n_classes = architecture.classes.len();
    match architecture.task {
        Task::Forecast => Err("a network predicts rows, it does not forecast series".to_owned()),
        Task::BinaryClassification if n_outputs != 1 => Err(format!(
            "a binary classification has one output, the score of the second class; this network has {n_outputs}"
        )),
        Task::BinaryClassification if n_classes != 0 && n_classes != 2 => {
            Err(format!("a binary classification has two classes. got=`{n_classes}`"))
        }
        Task::MulticlassClassification if n_classes != n_outputs || n_outputs < 2 => Err(format!(
            "a multiclass classification names a class per output: {n_classes} classes, {n_outputs} outputs"
        )),
        _ => Ok(()),
    }
}

fn damaged((file, reason): Problem) -> InferenceError {
    InferenceError::Damaged {
        file: file.to_owned(),
        reason,
    }
}
