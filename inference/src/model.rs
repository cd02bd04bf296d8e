//! A loaded package: the one path from raw rows to predictions, for training's tests, `foretell predict` and the server.

use std::collections::{BTreeMap, HashMap};

use foretell_features::spelling::hint;
use foretell_features::{EntityKey, FeatureMatrix, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::error::InferenceError;
use crate::forecast::LoadedForecast;
use crate::golden::{GOLDEN_FILE, Golden};
use crate::linear::{LINEAR_FILE, Linear};
use crate::manifest::{FORMAT, MANIFEST_FILE, Manifest, PackageFiles, Task};
use crate::predictor::Predictor;
use crate::preprocessing::RowEncoder;
use crate::tree::{Link, TREES_FILE, TreeEnsemble};

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
    Rows(RowPredictor),
    Series(Box<LoadedForecast>),
}

/// A predictor of rows with the link that turns its sums into answers.
#[derive(Debug)]
pub struct RowPredictor {
    predictor: Box<dyn Predictor>,
    link: Link,
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
    /// Calibrated probability, or the expected number.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: Option<f64>,
    /// Upper end of the interval.
    pub upper: Option<f64>,
    /// What to do.
    pub decision: Option<Decision>,
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
            arithmetic: Arithmetic::Rows(predictor),
        })
    }

    /// Chooses the fastest way to compute, on the golden rows.
    fn tune(&mut self, golden: &Golden) {
        let rows: Vec<_> = golden.rows.iter().map(|it| it.inputs.clone()).collect();
        let (x, _) = self.encode(&rows);
        if let Arithmetic::Rows(RowPredictor { predictor, .. }) = &mut self.arithmetic {
            predictor.tune(&x);
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

    /// The predictor of rows in its file form, name and bytes; `None` for forecasts.
    pub fn predictor_file(&self) -> Option<(String, Vec<u8>)> {
        self.row_predictor().ok().map(|it| it.predictor.to_file())
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

    /// Predictions for raw rows, each with one value per input in signature order (cast by the caller or not: text that spells
    /// a number is read). A row that cannot be scored is an `Err` in its place; the others are unharmed.
    ///
    /// # Errors
    /// The model is a forecast, or the interval's level is not between 0 and 1.
    pub fn predict_rows(
        &self,
        rows: &[Vec<Value>],
        options: PredictOptions,
    ) -> Result<Vec<Result<RowPrediction, InferenceError>>, InferenceError> {
        let level = check_level(options.interval)?;
        let RowPredictor { predictor, link } = self.row_predictor()?;
        let (x, encoded) = self.encode(rows);
        let raw = predictor.predict(&x)?;
        let mut scored = 0..x.n_rows();
        let answers = rows.iter().zip(encoded).map(|(row, encoded)| {
            encoded?;
            let at = scored.next().expect("one matrix row per encoded row");
            let mut answer = self.answer(link.apply(raw[at * predictor.n_outputs()]), level)?;
            if options.explain > 0 {
                answer.reasons = self.reasons(row, &predictor.contributions(&x, at, 0)?, options.explain);
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
    fn encode(&self, rows: &[Vec<Value>]) -> (FeatureMatrix, Vec<Result<(), InferenceError>>) {
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

    fn answer(&self, linked: f64, level: f64) -> Result<RowPrediction, InferenceError> {
        let calibrated = self.manifest.calibration.apply(linked);
        // A lifetime value is never negative, whatever the arithmetic behind it.
        let is_money = self.manifest.task == Task::LifetimeValue;
        let value = if is_money && calibrated < 0.0 { 0.0 } else { calibrated };
        if !value.is_finite() {
            return Err(InferenceError::Request(
                "the row's score is not a finite number; check its values".to_owned(),
            ));
        }
        let interval = self.manifest.conformal.as_ref().map(|it| it.interval(value, level));
        Ok(RowPrediction {
            value,
            lower: interval.map(|it| it.0),
            upper: interval.map(|it| it.1),
            decision: self.manifest.decision.as_ref().and_then(|it| it.decide(value)),
            reasons: Vec::new(),
        })
    }

    fn reasons(&self, row: &[Value], contributions: &[f64], k: usize) -> Vec<Reason> {
        let mut order: Vec<usize> = (0..row.len()).filter(|&it| contributions[it] != 0.0).collect();
        order.sort_by(|&a, &b| {
            contributions[b]
                .abs()
                .total_cmp(&contributions[a].abs())
                .then(a.cmp(&b))
        });
        let reason = |at: usize| Reason {
            feature: self.manifest.inputs[at].name.clone(),
            value: row[at].clone(),
            contribution: contributions[at],
        };
        order.into_iter().take(k).map(reason).collect()
    }

    fn row_predictor(&self) -> Result<&RowPredictor, InferenceError> {
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

impl RowPredictor {
    /// A linear predictor.
    pub fn linear(linear: Linear) -> Self {
        Self {
            link: linear.link,
            predictor: Box::new(linear),
        }
    }

    /// A tree ensemble.
    pub fn trees(trees: TreeEnsemble) -> Self {
        Self {
            link: trees.link(),
            predictor: Box::new(trees),
        }
    }

    /// Its arithmetic, before the link.
    pub fn predictor(&self) -> &dyn Predictor {
        self.predictor.as_ref()
    }

    /// What turns its sums into answers.
    pub fn link(&self) -> Link {
        self.link
    }

    /// The name of its file in a package.
    pub fn file_name(&self) -> String {
        self.predictor.to_file().0
    }

    /// Its file in a package: name and bytes.
    pub fn to_file(&self) -> (String, Vec<u8>) {
        self.predictor.to_file()
    }

    /// Parts of one of a row's raw scores by column, and the expected score last; see [`Predictor::contributions`].
    ///
    /// # Errors
    /// The matrix has another width.
    pub fn contributions(&self, x: &FeatureMatrix, row: usize, output: usize) -> Result<Vec<f64>, InferenceError> {
        self.predictor.contributions(x, row, output)
    }

    fn load(name: &str, files: &PackageFiles) -> Result<Self, InferenceError> {
        match name {
            LINEAR_FILE => Ok(Self::linear(Linear::from_bytes(file(files, LINEAR_FILE)?)?)),
            TREES_FILE => Ok(Self::trees(TreeEnsemble::from_bytes(file(files, TREES_FILE)?)?)),
            other => Err(damaged(
                MANIFEST_FILE,
                format!("unknown predictor `{other}`; use a newer foretell"),
            )),
        }
    }

    /// Encodes one row of nulls and predicts: a predictor of another width refuses it.
    fn check_width(&self, manifest: &Manifest) -> Result<(), InferenceError> {
        let width = manifest.inputs.len();
        let probe = FeatureMatrix::from_rows(width, vec![f64::NAN; width]);
        self.predictor
            .predict(&probe)
            .map(drop)
            .map_err(|error| damaged(&manifest.predictor, error.to_string()))
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
