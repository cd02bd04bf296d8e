//! Series as numbers: dictionaries fitted, covariates encoded, seasons found. What every forecaster is fitted on.

use std::collections::BTreeMap;

use foretell_features::row::KeyPart;
use foretell_features::{ColumnKind, DataType, EntityKey, Series, SeriesSet, Span, Timestamp, Value};
use foretell_inference::forecast::{Future, KnownColumn, Seasons, SeriesEncoders, SeriesSignature};
use foretell_inference::manifest::Input;
use foretell_inference::{Encoder, InputEncoding};

use super::ForecastError;

/// Covariates with at most this many distinct values are flags or kinds of days, not quantities.
const FEW_VALUES: usize = 12;

/// All series of a model, encoded.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What a caller of the model must know.
    pub signature: SeriesSignature,
    /// Raw values to numbers.
    pub encoders: SeriesEncoders,
    /// Season lengths.
    pub seasons: Seasons,
    /// The covariates as features see them.
    pub known: Vec<KnownColumn>,
    /// Key parts and static attributes as features see them.
    pub statics: Vec<(String, ColumnKind)>,
    /// No value before the test is below zero.
    pub nonnegative: bool,
    /// Steps that are not judged are zeros: the series rests there (a shop is closed).
    pub skip_zeros: bool,
    /// The series.
    pub series: Vec<PanelSeries>,
}

/// One series, encoded.
#[derive(Debug, Clone)]
pub struct PanelSeries {
    /// Its key.
    pub key: EntityKey,
    /// The instant of the first value.
    pub start: Timestamp,
    /// The values; a gap is NaN.
    pub values: Vec<f64>,
    /// Whether a value counts for metrics.
    pub judged: Vec<bool>,
    /// Covariates, row per step; may reach past the values.
    pub known: Vec<f64>,
    /// Key parts and static attributes.
    pub statics: Vec<f64>,
    /// Position of the first test value.
    pub test_start: usize,
}

/// What a panel is made from, beside the series.
#[derive(Debug, Clone)]
pub struct PanelSpec<'a> {
    /// Names and types of the key columns.
    pub key: Vec<(String, DataType)>,
    /// Greatest horizon, in steps.
    pub horizon: usize,
    /// Season lengths asked for; empty for the usual ones of the step.
    pub seasons: &'a [usize],
}

impl Panel {
    /// Encodes a series set. Dictionaries know what was seen before the test, and the keys of all series.
    ///
    /// # Errors
    /// No series, no value, a step that is no length of time, or a horizon longer than the data.
    pub fn new(set: &SeriesSet, spec: &PanelSpec<'_>) -> Result<Self, ForecastError> {
        check(set, spec.horizon)?;
        let inputs = |types: &[(String, DataType)]| -> Vec<Input> {
            types
                .iter()
                .map(|(name, data_type)| Input {
                    name: name.clone(),
                    data_type: *data_type,
                })
                .collect()
        };
        let signature = SeriesSignature {
            key: spec.key.clone(),
            step: set.step,
            horizon: spec.horizon,
            known: inputs(&set.known_types),
            statics: inputs(&set.static_types),
        };
        let encoders = SeriesEncoders {
            key: key_encoder(set, spec.key.len()),
            known: known_encoder(set),
            statics: static_encoder(set),
        };
        let series = encode(set, &signature, &encoders)?;
        let known = known_columns(&series, &signature, &encoders);
        let names = signature
            .key
            .iter()
            .map(|(name, _)| name)
            .chain(signature.statics.iter().map(|it| &it.name));
        let kinds = encoders.key.kinds().into_iter().chain(encoders.statics.kinds());
        Ok(Self {
            seasons: Seasons::of(set.step, spec.seasons),
            statics: names.cloned().zip(kinds).collect(),
            nonnegative: series
                .iter()
                .all(|it| it.history().iter().all(|it| it.is_nan() || *it >= 0.0)),
            skip_zeros: rests(&series),
            known,
            signature,
            encoders,
            series,
        })
    }

    /// Steps between two instants of a series.
    pub fn step(&self) -> Span {
        self.signature.step
    }

    /// Greatest horizon.
    pub fn horizon(&self) -> usize {
        self.signature.horizon
    }

    /// The instant of value `at` of a series.
    pub fn time(&self, series: &PanelSeries, at: usize) -> Timestamp {
        series
            .start
            .plus(Span(self.step().0 * i64::try_from(at).expect("a series is short")))
    }

    /// The instant of the last value before `end`.
    pub fn last_time(&self, series: &PanelSeries, end: usize) -> Timestamp {
        self.time(series, end).minus(self.step())
    }

    /// The covariates of the `horizon` steps from `end` on.
    pub fn future(&self, series: &PanelSeries, end: usize) -> Future {
        let n_columns = self.known.len();
        let to = ((end + self.horizon()) * n_columns).min(series.known.len());
        let values = series.known.get(end * n_columns..to).unwrap_or_default().to_vec();
        Future { n_columns, values }
    }

    /// By series, where the test begins.
    pub fn test_starts(&self) -> Vec<usize> {
        self.series.iter().map(|it| it.test_start).collect()
    }

    /// By series, the number of values.
    pub fn lengths(&self) -> Vec<usize> {
        self.series.iter().map(|it| it.values.len()).collect()
    }
}

impl PanelSeries {
    /// The values before the test.
    pub fn history(&self) -> &[f64] {
        &self.values[..self.test_start]
    }
}

fn check(set: &SeriesSet, horizon: usize) -> Result<(), ForecastError> {
    if set.series.is_empty() {
        return Err(ForecastError::NoSeries);
    }
    if set.step.0 <= 0 {
        return Err(ForecastError::Step { step: set.step });
    }
    let is_regular = |it: &&Series| {
        it.judged.len() == it.values.len()
            && it.test_start <= it.values.len()
            && it.known.len() == set.known_types.len()
            && it.statics.len() == set.static_types.len()
    };
    if let Some(odd) = set.series.iter().find(|it| !is_regular(it)) {
        return Err(ForecastError::Irregular {
            series: odd.key.to_string(),
        });
    }
    let longest = set.series.iter().map(|it| it.test_start).max().unwrap_or(0);
    if horizon == 0 || longest < horizon + 2 {
        return Err(ForecastError::Horizon {
            horizon,
            steps: longest,
        });
    }
    let has_value = |it: &Series| it.values[..it.test_start].iter().any(|it| !it.is_nan());
    if set.series.iter().any(has_value) {
        Ok(())
    } else {
        Err(ForecastError::NoValues)
    }
}

/// A shop that is closed sells nothing: the steps that are not judged exist and are all zero.
fn rests(series: &[PanelSeries]) -> bool {
    let unjudged = || {
        let pairs = series.iter().flat_map(|it| it.history().iter().zip(&it.judged));
        pairs
            .filter(|(value, judged)| !**judged && !value.is_nan())
            .map(|(value, _)| *value)
    };
    unjudged().next().is_some() && unjudged().all(|it| it == 0.0)
}

/// Keys are categories by their text, in order: every series is known.
fn key_encoder(set: &SeriesSet, n_parts: usize) -> Encoder {
    let texts = |at: usize| {
        let mut texts: Vec<String> = set
            .series
            .iter()
            .filter_map(|it| it.key.0.get(at))
            .map(part_text)
            .collect();
        texts.sort_unstable();
        texts.dedup();
        InputEncoding::Category { categories: texts }
    };
    Encoder {
        inputs: (0..n_parts).map(texts).collect(),
    }
}

fn part_text(part: &KeyPart) -> String {
    part.value().to_string()
}

fn known_encoder(set: &SeriesSet) -> Encoder {
    let column = |(at, (_, data_type)): (usize, &(String, DataType))| {
        let values = || {
            set.series
                .iter()
                .flat_map(move |it| it.known[at].iter().take(it.test_start))
        };
        encoding(*data_type, values())
    };
    Encoder {
        inputs: set.known_types.iter().enumerate().map(column).collect(),
    }
}

fn static_encoder(set: &SeriesSet) -> Encoder {
    let column = |(at, (_, data_type)): (usize, &(String, DataType))| {
        encoding(*data_type, set.series.iter().map(move |it| &it.statics[at]))
    };
    Encoder {
        inputs: set.static_types.iter().enumerate().map(column).collect(),
    }
}

/// Text becomes categories by falling frequency, ties by text; the rest is numeric.
fn encoding<'a>(data_type: DataType, values: impl Iterator<Item = &'a Value>) -> InputEncoding {
    if data_type != DataType::String {
        return InputEncoding::Numeric;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in values.filter_map(Value::as_str) {
        *counts.entry(text).or_default() += 1;
    }
    let mut by_count: Vec<(&str, usize)> = counts.into_iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    InputEncoding::Category {
        categories: by_count.into_iter().map(|(text, _)| text.to_owned()).collect(),
    }
}

fn encode(
    set: &SeriesSet,
    signature: &SeriesSignature,
    encoders: &SeriesEncoders,
) -> Result<Vec<PanelSeries>, ForecastError> {
    let key_inputs: Vec<Input> = signature
        .key
        .iter()
        .map(|(name, _)| Input {
            name: name.clone(),
            data_type: DataType::String,
        })
        .collect();
    let key = encoders.key.compile(&key_inputs)?;
    let known = encoders.known.compile(&signature.known)?;
    let statics = encoders.statics.compile(&signature.statics)?;
    let one = |series: &Series| -> Result<PanelSeries, ForecastError> {
        let n_parts = signature.key.len();
        if series.key.0.len() != n_parts {
            return Err(ForecastError::Irregular {
                series: series.key.to_string(),
            });
        }
        let mut codes = vec![0.0; n_parts + series.statics.len()];
        let parts: Vec<Value> = series.key.0.iter().map(|it| Value::text(part_text(it))).collect();
        key.encode_into(&parts, &mut codes[..n_parts])?;
        statics.encode_into(&series.statics, &mut codes[n_parts..])?;
        Ok(PanelSeries {
            key: series.key.clone(),
            start: series.start,
            values: series.values.clone(),
            judged: series
                .judged
                .iter()
                .zip(&series.values)
                .map(|(judged, value)| *judged && !value.is_nan())
                .collect(),
            known: encode_known(series, &known)?,
            statics: codes,
            test_start: series.test_start,
        })
    };
    set.series.iter().map(one).collect()
}

fn encode_known(series: &Series, encoder: &foretell_inference::RowEncoder) -> Result<Vec<f64>, ForecastError> {
    let n_columns = series.known.len();
    let n_rows = series.known.iter().map(Vec::len).max().unwrap_or(0);
    let mut encoded = vec![f64::NAN; n_rows * n_columns];
    let mut row = vec![Value::Null; n_columns];
    for (at, slots) in encoded.chunks_exact_mut(n_columns.max(1)).enumerate() {
        for (slot, column) in row.iter_mut().zip(&series.known) {
            *slot = column.get(at).cloned().unwrap_or_default();
        }
        encoder.encode_into(&row, slots)?;
    }
    Ok(encoded)
}

fn known_columns(series: &[PanelSeries], signature: &SeriesSignature, encoders: &SeriesEncoders) -> Vec<KnownColumn> {
    let n = signature.known.len();
    let kinds = encoders.known.kinds();
    let column = |at: usize| {
        let values = series
            .iter()
            .flat_map(|it| it.known.iter().skip(at).step_by(n).take(it.test_start));
        KnownColumn {
            name: signature.known[at].name.clone(),
            kind: kinds[at],
            usual: usual(values.copied()),
        }
    };
    (0..n).map(column).collect()
}

/// The most frequent value, the least one on a tie; `None` where values are many.
fn usual(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for value in values.filter(|it| !it.is_nan()) {
        *counts.entry(value.to_bits()).or_default() += 1;
        if counts.len() > FEW_VALUES {
            return None;
        }
    }
    let most = counts.values().max().copied()?;
    let found = counts.into_iter().find(|(_, count)| *count == most);
    found.map(|(bits, _)| f64::from_bits(bits))
}
