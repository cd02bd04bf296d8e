//! A loaded package: the one path from raw rows to predictions, for training's tests, `foretell predict` and the server.

mod finish;
mod row_predictor;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foretell_features::spelling::hint;
use foretell_features::{EntityKey, FeatureMatrix, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::error::InferenceError;
use crate::forecast::LoadedForecast;
use crate::golden::{GOLDEN_FILE, Golden};
use crate::manifest::{FORMAT, MANIFEST_FILE, Manifest, PackageFiles, Task};
use crate::preprocessing::{RawRow, RowEncoder};
use finish::Finish;
pub use row_predictor::RowPredictor;

/// Level of an interval where the caller names none.
pub const DEFAULT_INTERVAL: f64 = 0.9;

/// A package, loaded, its golden rows replayed.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
    positions: HashMap<String, usize>,
    encoder: RowEncoder,
    arithmetic: Arithmetic,
}

/// What the package computes.
#[derive(Debug)]
enum Arithmetic {
    Rows(Box<RowSide>),
    Series(Box<LoadedForecast>),
}

/// What only models of rows have.
#[derive(Debug)]
struct RowSide {
    rows: RowPredictor,
    finish: Finish,
}

/// Where one row is worked on; a thread keeps it from row to row.
#[derive(Debug, Default)]
struct Scratch {
    encoded: Vec<f64>,
    raw: Vec<f64>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What to say beside the value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PredictOptions {
    /// The k strongest reasons; 0 for none.
    pub explain: usize,
    /// Level of the interval, `0.9`; `None` for the default 0.9 where the model has intervals.
    pub interval: Option<f64>,
}

/// Why: one input's part in the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Input name.
    pub feature: String,
    /// Its value in this row.
    pub value: Value,
    /// Its part of the raw score (log-odds for probabilities, log for Tweedie), relative to the average row.
    pub contribution: f64,
}

/// The answer for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPrediction {
    /// Calibrated probability, or the expected number; of several classes the greatest probability.
    pub value: f64,
    /// The most probable class, where the classes have names.
    pub class: Option<Arc<str>>,
    /// One per class of a multiclass model, in the manifest's order; else empty.
    pub probabilities: Vec<f64>,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end of the interval.
    pub upper: Option<f64>,
    /// What to do.
    pub decision: Option<Arc<Decision>>,
    /// Strongest first.
    pub reasons: Vec<Reason>,
}

/// One step of a forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The step's time.
    pub time: Timestamp,
    /// Expected value.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// The answer for one series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPrediction {
    /// Steps `1..=horizon`.
    pub steps: Vec<Step>,
    /// Sum over the steps, with its interval.
    pub total: (f64, f64, f64),
    /// Named parts per step.
    pub components: Vec<(String, Vec<f64>)>,
}

impl Model {
    /// Reads a package and replays its golden rows.
    ///
    /// # Errors
    /// A file is missing, damaged, of a newer format, or a golden row does not reproduce.
    pub fn load(files: &PackageFiles) -> Result<Self, InferenceError> {
        let manifest = read_manifest(files)?;
        if manifest.task == Task::Forecast {
            return Self::load_forecast(manifest, files);
        }
        let predictor = RowPredictor::load(&manifest.predictor, files)?;
        let mut model = Self::assemble(manifest, predictor)?;
        let golden = Golden::from_bytes(file(files, GOLDEN_FILE)?)?;
        model.tune(&golden);
        golden.replay(&model)?;
        Ok(model)
    }

    /// A row model from its parts, without golden rows: what training records them with.
    ///
    /// # Errors
    /// The manifest does not hold together, or the predictor has another width.
    pub fn assemble(manifest: Manifest, predictor: RowPredictor) -> Result<Self, InferenceError> {
        manifest.check()?;
        let encoder = manifest.encoder.compile(&manifest.inputs)?;
        predictor.check_width(&manifest)?;
        let finish = Finish::of(&manifest, predictor.predictor().n_outputs(), predictor.link())?;
        let positions = manifest
            .inputs
            .iter()
            .enumerate()
            .map(|(at, it)| (it.name.clone(), at))
            .collect();
        Ok(Self {
            manifest,
            positions,
            encoder,
            arithmetic: Arithmetic::Rows(Box::new(RowSide {
                rows: predictor,
                finish,
            })),
        })
    }

    /// Chooses the fastest way to compute, on the golden rows.
    fn tune(&mut self, golden: &Golden) {
        let rows: Vec<_> = golden.rows.iter().map(|it| it.inputs.clone()).collect();
        let (x, _) = self.encode(&rows);
        if let Arithmetic::Rows(side) = &mut self.arithmetic {
            side.rows.predictor.tune(&x);
        }
    }

    /// Its golden series are replayed by the forecast itself.
    fn load_forecast(manifest: Manifest, files: &PackageFiles) -> Result<Self, InferenceError> {
        let forecast = LoadedForecast::load(&manifest, files)?;
        let encoder = manifest.encoder.compile(&manifest.inputs)?;
        let arithmetic = Arithmetic::Series(Box::new(forecast));
        Ok(Self {
            manifest,
            positions: HashMap::new(),
            encoder,
            arithmetic,
        })
    }

    /// The forecast behind a forecast model: its series and their states.
    pub fn forecast(&self) -> Option<&LoadedForecast> {
        match &self.arithmetic {
            Arithmetic::Rows(_) => None,
            Arithmetic::Series(it) => Some(it),
        }
    }

    /// Everything about it that is small enough to read.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The predictor of rows in its file form, names and bytes; none for forecasts.
    pub fn predictor_files(&self) -> Vec<(String, Vec<u8>)> {
        let files = |it: &RowPredictor| {
            let mut files = vec![it.predictor.to_file()];
            files.extend(it.predictor.more_files());
            files
        };
        self.row_predictor().map(files).unwrap_or_default()
    }

    /// The predictor of rows; `None` for forecasts.
    pub fn row_predictor(&self) -> Option<&RowPredictor> {
        self.row_side().ok().map(|it| &it.rows)
    }

    /// Position of an input in the signature.
    pub fn input_position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// A raw row in signature order from named values.
    ///
    /// # Errors
    /// A name that is no input (with the nearest one), or an input without a value: an unknown one is sent as null.
    pub fn row<'a>(&self, named: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Vec<Value>, InferenceError> {
        let mut row: Vec<Option<Value>> = vec![None; self.manifest.inputs.len()];
        for (name, value) in named {
            let at = self.input_position(name).ok_or_else(|| self.unknown_input(name))?;
            row[at] = Some(value);
        }
        let sent = row.into_iter().zip(&self.manifest.inputs).map(|(value, input)| {
            let missing = || InferenceError::MissingInput {
                name: input.name.clone(),
                data_type: input.data_type,
            };
            value.ok_or_else(missing)
        });
        sent.collect()
    }

    /// The error for a name that is no input.
    pub fn unknown_input(&self, name: &str) -> InferenceError {
        let names = self.manifest.inputs.iter().map(|it| it.name.as_str());
        InferenceError::UnknownInput {
            name: name.to_owned(),
            hint: hint(name, names),
        }
    }

    /// The prediction for one raw row: one value per input in signature order (cast by the caller or not: text that spells a
    /// number is read). Nothing is allocated per input.
    ///
    /// # Errors
    /// The row cannot be scored; the model is a forecast; the interval's level is not between 0 and 1.
    pub fn predict_row<R: RawRow + ?Sized>(
        &self,
        row: &R,
        options: PredictOptions,
    ) -> Result<RowPrediction, InferenceError> {
        let level = check_level(options.interval)?;
        let side = self.row_side()?;
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { encoded, raw } = scratch;
            encoded.resize(self.encoder.width(), 0.0);
            raw.resize(side.rows.predictor.n_outputs(), 0.0);
            self.encoder.encode_into(row, encoded)?;
            side.rows.predictor.predict_row_into(encoded, raw)?;
            let mut answer = side.finish.answer(&self.manifest, raw, encoded, level)?;
            if options.explain > 0 {
                let x = FeatureMatrix::from_rows(encoded.len(), encoded.clone());
                self.explain(side, row, (&x, 0), options.explain, &mut answer)?;
            }
            Ok(answer)
        })
    }

    /// Predictions for raw rows, see [`Model::predict_row`]. A row that cannot be scored is an `Err` in its place; the others
    /// are unharmed.
    ///
    /// # Errors
    /// The model is a forecast, or the interval's level is not between 0 and 1.
    pub fn predict_rows<R: RawRow>(
        &self,
        rows: &[R],
        options: PredictOptions,
    ) -> Result<Vec<Result<RowPrediction, InferenceError>>, InferenceError> {
        let level = check_level(options.interval)?;
        let side = self.row_side()?;
        if let [row] = rows {
            return Ok(vec![self.predict_row(row, options)]);
        }
        let (x, encoded) = self.encode(rows);
        let mut raw = side.rows.predictor.predict(&x)?;
        let mut scored = x
            .rows()
            .zip(raw.chunks_exact_mut(side.rows.predictor.n_outputs()))
            .enumerate();
        let answers = rows.iter().zip(encoded).map(|(row, encoded)| {
            encoded?;
            let (at, (encoded, raw)) = scored.next().expect("one matrix row per encoded row");
            let mut answer = side.finish.answer(&self.manifest, raw, encoded, level)?;
            if options.explain > 0 {
                self.explain(side, row, (&x, at), options.explain, &mut answer)?;
            }
            Ok(answer)
        });
        Ok(answers.collect())
    }

    /// The forecast of one series. `future` rows are maps from known-covariate names to values, one per step; `None` uses what
    /// the package knows of the future (training's known future), NaN past its end.
    ///
    /// # Errors
    /// Unknown series, horizon out of range, unknown covariate, or the model is not a forecast.
    pub fn predict_series(
        &self,
        series: &EntityKey,
        horizon: Option<usize>,
        future: Option<&[BTreeMap<String, Value>]>,
        options: PredictOptions,
    ) -> Result<SeriesPrediction, InferenceError> {
        match self.forecast() {
            Some(forecast) => forecast.predict(series, horizon, future, options),
            None => Err(self.wrong_task("it predicts rows; send `entities` or `rows`")),
        }
    }

    /// Encodes the rows that can be; the others keep their place in the list of results only.
    pub(crate) fn encode<R: RawRow>(&self, rows: &[R]) -> (FeatureMatrix, Vec<Result<(), InferenceError>>) {
        let width = self.manifest.inputs.len();
        let mut x = FeatureMatrix::with_capacity(width, rows.len());
        let mut buffer = vec![0.0; width];
        let encoded = rows.iter().map(|row| {
            self.encoder.encode_into(row, &mut buffer)?;
            x.push_row(&buffer);
            Ok(())
        });
        let encoded = encoded.collect();
        (x, encoded)
    }

    /// The k strongest reasons for the answer; of several classes, for the one that won.
    fn explain<R: RawRow + ?Sized>(
        &self,
        side: &RowSide,
        row: &R,
        (x, at): (&FeatureMatrix, usize),
        k: usize,
        answer: &mut RowPrediction,
    ) -> Result<(), InferenceError> {
        let output = side.finish.explained(answer);
        let contributions = side.rows.contributions(x, at, output)?;
        let mut order: Vec<usize> = (0..row.width()).filter(|&it| contributions[it] != 0.0).collect();
        order.sort_by(|&a, &b| {
            contributions[b]
                .abs()
                .total_cmp(&contributions[a].abs())
                .then(a.cmp(&b))
        });
        let reason = |at: usize| Reason {
            feature: self.manifest.inputs[at].name.clone(),
            value: row.value(at).clone(),
            contribution: contributions[at],
        };
        answer.reasons = order.into_iter().take(k).map(reason).collect();
        Ok(())
    }

    fn row_side(&self) -> Result<&RowSide, InferenceError> {
        match &self.arithmetic {
            Arithmetic::Rows(it) => Ok(it),
            Arithmetic::Series(_) => Err(self.wrong_task("it forecasts series; send `series`")),
        }
    }

    fn wrong_task(&self, reason: &str) -> InferenceError {
        InferenceError::WrongTask {
            task: self.manifest.task.to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// Reads the format first, so that a newer package is called newer and not damaged.
fn read_manifest(files: &PackageFiles) -> Result<Manifest, InferenceError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let bytes = file(files, MANIFEST_FILE)?;
    let refuse = |error: serde_json::Error| damaged(MANIFEST_FILE, error.to_string());
    let head: Head = serde_json::from_slice(bytes).map_err(refuse)?;
    if head.format > FORMAT {
        return Err(InferenceError::Format {
            got: head.format,
            supported: FORMAT,
        });
    }
    serde_json::from_slice(bytes).map_err(refuse)
}

fn check_level(level: Option<f64>) -> Result<f64, InferenceError> {
    let level = level.unwrap_or(DEFAULT_INTERVAL);
    if level > 0.0 && level < 1.0 {
        Ok(level)
    } else {
        Err(InferenceError::Request(format!(
            "interval must lie between 0 and 1, such as 0.9. got=`{level}`"
        )))
    }
}

fn file<'a>(files: &'a PackageFiles, name: &str) -> Result<&'a [u8], InferenceError> {
    let missing = || InferenceError::MissingFile { file: name.to_owned() };
    files.get(name).map(Vec::as_slice).ok_or_else(missing)
}

fn damaged(file: &str, reason: String) -> InferenceError {
    InferenceError::Damaged {
        file: file.to_owned(),
        reason,
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
