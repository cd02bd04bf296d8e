//! Forecasts of every method, with states that have gaps, short histories and shifted levels.

use std::path::Path;

use foretell_features::row::KeyPart;
use foretell_features::{ColumnKind, DataType, EntityKey, Span, Timestamp};
use foretell_inference::forecast::fixture::tiny_forecast_package;
use foretell_inference::forecast::loaded::ForecastParts;
use foretell_inference::forecast::{
    BoostedLags, Bucket, ExponentialSmoothing, ForecastIntervals, ForecastState, Future, KnownColumn, LagLayout,
    LoadedForecast, SeasonalNaive, Seasons, SeriesEncoders, SeriesSignature,
};
use foretell_inference::manifest::MANIFEST_FILE;
use foretell_inference::predictor::Forecaster;
use foretell_inference::tree::Combine;
use foretell_inference::tree::Form;
use foretell_inference::{
    Encoder, Input, InputEncoding, Link, Manifest, Model, Node, PredictOptions, Tree, TreeEnsemble,
};
use serde_json::{Map, json};

use super::Draws;

const STORES: [&str; 12] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"];

/// Parts of a forecast and how many past covariates its file takes.
pub(super) struct Case {
    parts: ForecastParts,
    known_memory: usize,
    memory: usize,
    season: usize,
}

pub(super) fn all() -> Vec<(&'static str, Case)> {
    let day = Span::DAY;
    let hour = Span(Span::DAY.0 / 24);
    vec![
        ("forecast_naive", naive()),
        ("forecast_smoothing", smoothing(false)),
        ("forecast_smoothing_idle", smoothing(true)),
        (
            "forecast_lags_daily",
            lags(
                day,
                28,
                Seasons {
                    short: 7,
                    long: Some(364),
                },
                2,
                false,
            ),
        ),
        (
            "forecast_lags_idle",
            lags(day, 14, Seasons { short: 7, long: None }, 0, true),
        ),
        (
            "forecast_lags_hourly",
            lags(
                hour,
                30,
                Seasons {
                    short: 24,
                    long: Some(168),
                },
                1,
                false,
            ),
        ),
        (
            "forecast_lags_no_season",
            lags(Span(7 * day.0), 9, Seasons { short: 1, long: None }, 0, false),
        ),
    ]
}

pub(super) fn write(folder: &Path, name: &str, case: Case) -> Result<(), Box<dyn std::error::Error>> {
    let Case {
        parts,
        known_memory,
        memory,
        season,
    } = case;
    let states = parts.states.clone();
    let (signature, encoders, futures) = (parts.signature.clone(), parts.encoders.clone(), parts.futures.clone());
    let mut files = LoadedForecast::assemble(parts)?.to_files()?;
    let mut manifest: Manifest = serde_json::from_slice(&tiny_forecast_package()[MANIFEST_FILE])?;
    manifest.series = Some(signature.clone());
    files.insert(MANIFEST_FILE.to_owned(), manifest.to_bytes());
    let model = Model::load(&files)?;

    let mut inputs = Map::new();
    inputs.insert(
        "recent".to_owned(),
        states.iter().map(|it| json!(padded(&it.recent, memory, 1))).collect(),
    );
    inputs.insert("spread".to_owned(), states.iter().map(|it| json!(it.spread)).collect());
    if !states[0].numbers.is_empty() {
        let numbers = |it: &ForecastState| json!(smoothing_numbers(&it.numbers, season));
        inputs.insert("numbers".to_owned(), states.iter().map(numbers).collect());
    }
    if known_memory > 0 {
        inputs.insert(
            "last_time".to_owned(),
            states.iter().map(|it| json!(it.last_time.0)).collect(),
        );
        let n = signature.known.len();
        for (column, input) in signature.known.iter().enumerate() {
            let line = |(state, future): (&ForecastState, &Future)| {
                let past = padded(&state.recent_known, known_memory, n);
                let ahead = (1..=signature.horizon).flat_map(|step| (0..n).map(move |it| (step, it)));
                let ahead = ahead.map(|(step, it)| number(future.get(step, it)));
                let all: Vec<Option<f64>> = past.into_iter().chain(ahead).collect();
                let line = all.iter().skip(column).step_by(n);
                json!(
                    line.map(|it| raw(*it, &encoders.known.inputs[column]))
                        .collect::<Vec<_>>()
                )
            };
            inputs.insert(input.name.clone(), states.iter().zip(&futures).map(line).collect());
        }
        let names = signature
            .key
            .iter()
            .map(|it| &it.0)
            .chain(signature.statics.iter().map(|it| &it.name));
        let encodings = encoders.key.inputs.iter().chain(&encoders.statics.inputs);
        for (column, (name, encoding)) in names.zip(encodings).enumerate() {
            let value = |it: &ForecastState| raw(number(it.statics[column]), encoding);
            inputs.insert(name.clone(), states.iter().map(value).collect());
        }
    }
    let mut outputs: Map<String, serde_json::Value> = Map::new();
    let mut put = |name: &str, value: serde_json::Value| {
        let list = outputs.entry(name.to_owned()).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it was made as a list").push(value);
    };
    for state in &states {
        let it = model.predict_series(&state.key, None, None, PredictOptions::default())?;
        put("value", json!(it.steps.iter().map(|it| it.value).collect::<Vec<_>>()));
        put("lower", json!(it.steps.iter().map(|it| it.lower).collect::<Vec<_>>()));
        put("upper", json!(it.steps.iter().map(|it| it.upper).collect::<Vec<_>>()));
        put("total", json!(it.total.0));
        put("total_lower", json!(it.total.1));
        put("total_upper", json!(it.total.2));
    }
    super::write(folder, name, &model, &json!({"inputs": inputs, "outputs": outputs}))
}

fn number(it: f64) -> Option<f64> {
    (!it.is_nan()).then_some(it)
}

/// The last `rows` rows of `width`, missing ones before the first.
fn padded(values: &[f64], rows: usize, width: usize) -> Vec<Option<f64>> {
    let n = rows * width;
    let before = n.saturating_sub(values.len());
    let values = values[values.len().saturating_sub(n)..].iter().map(|it| number(*it));
    std::iter::repeat_n(None, before).chain(values).collect()
}

/// A state without season has none of its numbers; the file wants them all.
fn smoothing_numbers(numbers: &[f64], season: usize) -> Vec<f64> {
    let mut numbers = numbers.to_vec();
    if numbers[0] == 0.0 {
        numbers.splice(7..7, vec![0.0; season]);
    }
    numbers
}

/// As a caller sends it: text where it is a code.
fn raw(it: Option<f64>, encoding: &InputEncoding) -> serde_json::Value {
    match (it, encoding) {
        (Some(code), InputEncoding::Category { categories }) => {
            json!(categories.get(code as usize).map_or("never seen", String::as_str))
        }
        (it, _) => json!(it),
    }
}

fn state(at: usize, n: usize, chance: &mut Draws) -> ForecastState {
    let size = 10_f64.powi(at as i32 % 4);
    let value = |place: usize, chance: &mut Draws| match chance.below(20) {
        0 => f64::NAN,
        1..=3 => 0.0,
        // One series has grown threefold of late.
        _ if at == 5 && place + 40 > n => size * (3.0 + chance.unit()),
        _ => size * (0.5 + chance.unit() + (place % 7) as f64 / 7.0),
    };
    let recent = match at {
        // One is new, one is all gaps.
        1 => vec![size; 3],
        2 => vec![f64::NAN; 40],
        _ => (0..n).map(|place| value(place, chance)).collect(),
    };
    ForecastState {
        key: EntityKey(vec![KeyPart::Str(STORES[at].into())]),
        last_time: Timestamp(Span::DAY.0 * (chance.below(40_000) as i64 - 9_000)),
        recent,
        recent_known: Vec::new(),
        statics: Vec::new(),
        numbers: Vec::new(),
        spread: 0.5 + chance.unit(),
    }
}

fn intervals(horizon: usize, exponent: f64) -> ForecastIntervals {
    let scores = |width: f64| (-40..=50).map(|it| f64::from(it) * width).collect();
    let bucket = |last_step: usize, width: f64| Bucket {
        last_step,
        steps: scores(width),
        totals: scores(width / 3.0),
    };
    ForecastIntervals {
        exponent,
        floor: 0.1,
        level_window: 21,
        buckets: vec![bucket(2, 0.01), bucket(horizon / 2, 0.02), bucket(horizon, 0.03)],
        lower_bound: (exponent < 1.0).then_some(0.0),
    }
}

fn parts(forecaster: Box<dyn Forecaster>, horizon: usize, step: Span, states: Vec<ForecastState>) -> ForecastParts {
    let stores = InputEncoding::Category {
        categories: STORES[..9].iter().map(ToString::to_string).collect(),
    };
    ForecastParts {
        signature: SeriesSignature {
            key: vec![("store".to_owned(), DataType::String)],
            step,
            horizon,
            known: Vec::new(),
            statics: Vec::new(),
        },
        encoders: SeriesEncoders {
            key: Encoder { inputs: vec![stores] },
            ..SeriesEncoders::default()
        },
        forecaster,
        intervals: intervals(horizon, 0.5),
        futures: vec![Future::unknown(0); states.len()],
        states,
    }
}

fn naive() -> Case {
    let it = SeasonalNaive {
        step: Span::DAY,
        season: 7,
        horizon: 17,
        nonnegative: true,
    };
    let mut chance = Draws(60);
    let states = (0..STORES.len())
        .map(|at| state(at, it.memory(), &mut chance))
        .collect();
    Case {
        memory: it.memory(),
        parts: parts(Box::new(it), it.horizon, it.step, states),
        known_memory: 0,
        season: 7,
    }
}

fn smoothing(skip_zeros: bool) -> Case {
    let it = ExponentialSmoothing {
        step: Span::DAY,
        season: 5,
        horizon: 13,
        nonnegative: skip_zeros,
        skip_zeros,
    };
    let mut chance = Draws(61);
    let with_numbers = |at: usize, chance: &mut Draws| {
        let form = at % 3;
        let mut numbers = vec![
            form as f64,
            0.2,
            0.05,
            0.1,
            0.8 + chance.unit() / 5.0,
            50.0,
            chance.unit() * 8.0 - 4.0,
        ];
        let seasonal = |_| {
            if form == 2 {
                0.5 + chance.unit()
            } else {
                chance.unit() * 40.0 - 60.0
            }
        };
        let n_seasonal = if form == 0 { 0 } else { it.season };
        numbers.extend((0..n_seasonal).map(seasonal).collect::<Vec<f64>>());
        numbers.extend((0..it.season).map(|_| chance.unit()).collect::<Vec<f64>>());
        ForecastState {
            numbers,
            ..state(at, it.memory(), chance)
        }
    };
    let states = (0..STORES.len()).map(|at| with_numbers(at, &mut chance)).collect();
    Case {
        // The intervals look at 21 values.
        memory: it.memory().max(21).max(40),
        parts: parts(Box::new(it), it.horizon, it.step, states),
        known_memory: 0,
        season: it.season,
    }
}

fn lags(step: Span, horizon: usize, seasons: Seasons, years: usize, skip_zeros: bool) -> Case {
    let kinds: Vec<String> = ["plain", "holiday", "eve"].map(str::to_owned).to_vec();
    let known = |name: &str, kind: ColumnKind, usual: Option<f64>| KnownColumn {
        name: name.to_owned(),
        kind,
        usual,
    };
    let category = ColumnKind::Category { cardinality: 9 };
    let layout = LagLayout {
        step,
        horizon,
        seasons,
        years,
        scale_window: 28,
        nonnegative: true,
        skip_zeros,
        known: vec![
            known("promo", ColumnKind::Numeric, Some(0.0)),
            known("price", ColumnKind::Numeric, None),
            known("day_kind", ColumnKind::Category { cardinality: 3 }, Some(0.0)),
        ],
        statics: vec![("store".to_owned(), category), ("area".to_owned(), ColumnKind::Numeric)],
    };
    let mut chance = Draws(62 + horizon as u64);
    let trees = TreeEnsemble::from_form(lag_form(&layout, &mut chance)).expect("the trees are trees");
    let row = |chance: &mut Draws| {
        let flag = f64::from(u8::from(chance.unit() < 0.15));
        let cells = [flag, 5.0 + chance.unit() * 5.0, chance.below(4) as f64 * flag];
        cells.map(|it| if chance.unit() < 0.04 { f64::NAN } else { it })
    };
    let rows = |n: usize, chance: &mut Draws| (0..n).flat_map(|_| row(chance)).collect::<Vec<f64>>();
    let states: Vec<ForecastState> = (0..STORES.len())
        .map(|at| {
            let it = state(at, layout.memory(), &mut chance);
            let n = it.recent.len().min(layout.known_memory());
            ForecastState {
                recent_known: rows(n, &mut chance),
                statics: vec![at.min(9) as f64, if at == 4 { f64::NAN } else { 10.0 * at as f64 }],
                ..it
            }
        })
        .collect();
    let future = |at: usize, chance: &mut Draws| Future {
        n_columns: 3,
        values: rows(if at == 3 { 4 } else { horizon }, chance),
    };
    let futures: Vec<Future> = (0..states.len()).map(future_of(future, &mut chance)).collect();
    let (memory, known_memory) = (layout.memory(), layout.known_memory());
    let forecaster = BoostedLags::new(layout, trees).expect("the trees are of the layout's columns");
    let input = |name: &str, data_type: DataType| Input {
        name: name.to_owned(),
        data_type,
    };
    let mut parts = parts(Box::new(forecaster), horizon, step, states);
    parts.signature.known = vec![
        input("promo", DataType::Boolean),
        input("price", DataType::Double),
        input("day_kind", DataType::String),
    ];
    parts.signature.statics = vec![input("area", DataType::Double)];
    parts.encoders.known.inputs = vec![
        InputEncoding::Numeric,
        InputEncoding::Numeric,
        InputEncoding::Category { categories: kinds },
    ];
    parts.encoders.statics.inputs = vec![InputEncoding::Numeric];
    parts.futures = futures;
    parts.intervals = intervals(horizon, 1.0);
    Case {
        parts,
        known_memory,
        memory,
        season: 0,
    }
}

fn future_of<'a>(
    mut of: impl FnMut(usize, &mut Draws) -> Future + 'a,
    chance: &'a mut Draws,
) -> impl FnMut(usize) -> Future + 'a {
    move |at| of(at, chance)
}

/// Trees over all columns of a layout, at thresholds where its features lie.
fn lag_form(layout: &LagLayout, chance: &mut Draws) -> Form {
    let columns = layout.columns();
    let threshold = |name: &str, chance: &mut Draws| match name {
        "step" => chance.below(layout.horizon) as f64 + 0.5,
        "phase" => chance.below(layout.seasons.short) as f64 + 0.5,
        "hour" => chance.unit() * 24.0,
        "weekday" => chance.below(7) as f64 + 0.5,
        "day_of_month" => chance.below(31) as f64 + 0.5,
        "month" => chance.below(12) as f64 + 0.5,
        "day_of_year" => chance.below(366) as f64 + 0.5,
        "area" => chance.unit() * 100.0,
        _ if name.ends_with("_since") || name.ends_with("_until") => chance.below(14) as f64 + 0.5,
        _ if name.contains("zero_share") || name == "variation" => chance.unit() * 0.8,
        _ if name.starts_with("price") && !name.ends_with("relative") => 5.0 + chance.unit() * 5.0,
        _ => 0.4 + chance.unit() * 1.2,
    };
    let leaf = |chance: &mut Draws| Node::Leaf {
        value: (chance.unit() * 0.2 - 0.1).into(),
        cover: 1.0,
    };
    let tree = |at: usize, chance: &mut Draws| {
        let mut nodes = vec![leaf(chance)];
        let mut open = vec![0_usize];
        for _ in 0..9 {
            let slot = open.swap_remove(chance.below(open.len()));
            let left = nodes.len() as u32;
            // Each tree begins with another column, so that all are looked at.
            let feature = if nodes.len() == 1 {
                at % columns.len()
            } else {
                chance.below(columns.len())
            };
            let missing_left = chance.unit() < 0.5;
            nodes[slot] = match columns[feature].kind {
                ColumnKind::Numeric => Node::Numeric {
                    feature: feature as u32,
                    threshold: threshold(&columns[feature].name, chance),
                    missing_left,
                    left,
                    right: left + 1,
                    cover: 2.0,
                },
                ColumnKind::Category { .. } => Node::Category {
                    feature: feature as u32,
                    categories: vec![chance.next()],
                    missing_left,
                    left,
                    right: left + 1,
                    cover: 2.0,
                },
            };
            nodes.extend([leaf(chance), leaf(chance)]);
            open.extend([left as usize, left as usize + 1]);
        }
        Tree::new(nodes)
    };
    Form {
        n_features: columns.len(),
        base: vec![1.0],
        link: Link::Identity,
        combine: Combine::Sum,
        trees: (0..3 * columns.len()).map(|at| tree(at, chance)).collect(),
    }
}
