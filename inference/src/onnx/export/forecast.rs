//! Forecasts: the state of each series in, the steps ahead out, up to the greatest horizon.
//!
//! A state travels as the caller knows it: the last values and covariates of the series, its attributes by name, and what its
//! method keeps. Moving a state on is not part of the file.

use foretell_features::DataType;

use super::super::graph::{Attribute, Dim, Graph, Tensor};
use super::super::proto::ElementType;
use super::answer::at_least;
use super::rows::{ONE_COLUMN, encoded_input};
use super::{LEVEL, cannot, lags};
use crate::error::InferenceError;
use crate::forecast::intervals::{Bucket, INTERVALS_FILE, quantile};
use crate::forecast::loaded::SERIES_FILE;
use crate::forecast::{
    ExponentialSmoothing, FORECASTER_FILE, ForecastIntervals, ForecasterForm, LagLayout, LoadedForecast, SeasonalNaive,
    SeriesEncoders, SeriesSignature,
};
use crate::manifest::{Input, PackageFiles};
use crate::preprocessing::Encoder;
use crate::tree::{TREES_FILE, TreeEnsemble};

/// What the graph of a series begins with.
#[derive(Debug)]
pub(super) struct Series {
    /// The last values, oldest first, `[n, memory]`.
    pub(super) recent: Tensor,
    pub(super) memory: usize,
    /// Steps that come out.
    pub(super) horizon: usize,
}

pub(super) fn write(forecast: &LoadedForecast, graph: &mut Graph) -> Result<(), InferenceError> {
    let files = forecast.to_files()?;
    let form: ForecasterForm = part(&files, FORECASTER_FILE)?;
    let intervals: ForecastIntervals = part(&files, INTERVALS_FILE)?;
    let memory = match &form {
        ForecasterForm::SeasonalNaive(it) => it.memory(),
        ForecasterForm::ExponentialSmoothing(it) => it.memory(),
        ForecasterForm::BoostedLags(layout) => layout.memory(),
    };
    let memory = memory.max(longest(forecast)).max(intervals.level_window);
    let doc = "the last values, oldest first; NaN where missing and before the first";
    let series = Series {
        recent: graph.input("recent", ElementType::Double, &[Dim::Rows, Dim::Size(memory)], doc),
        memory,
        horizon: forecast.signature().horizon,
    };
    let value = match form {
        ForecasterForm::SeasonalNaive(it) => naive(graph, &it, &series),
        ForecasterForm::ExponentialSmoothing(it) => smoothing(graph, &it, &series),
        ForecasterForm::BoostedLags(layout) => {
            let bytes = files.get(TREES_FILE).ok_or_else(|| cannot("its trees are not there"))?;
            boosted(
                graph,
                forecast.signature(),
                &part(&files, SERIES_FILE)?,
                &layout,
                bytes,
                &series,
            )?
        }
    };
    answer(graph, &intervals, &series, &value);
    Ok(())
}

fn part<T: for<'de> serde::Deserialize<'de>>(files: &PackageFiles, name: &str) -> Result<T, InferenceError> {
    let bytes = files.get(name).ok_or_else(|| cannot(format!("it has no `{name}`")))?;
    serde_json::from_slice(bytes).map_err(|error| cannot(format!("`{name}`: {error}")))
}

/// Most values that a state of the package holds.
fn longest(forecast: &LoadedForecast) -> usize {
    let lengths = forecast.series().filter_map(|it| forecast.state(it).ok());
    lengths.map(|it| it.recent.len()).max().unwrap_or(0)
}

/// The newest value of each step's phase, else of the season before it, else the newest of all, else 0.
fn naive(graph: &mut Graph, it: &SeasonalNaive, series: &Series) -> Tensor {
    let memory = series.memory;
    let backs = |step: usize| {
        let back = it.season - step % it.season;
        (back..=memory).step_by(it.season).map(|it| (memory - it) as i64)
    };
    let seasons = (0..series.horizon)
        .map(|it| backs(it).count())
        .max()
        .unwrap_or(0)
        .max(1);
    // The oldest place stands in where a phase has one season less; it comes last and is looked at last of all anyway.
    let places: Vec<i64> = (0..series.horizon)
        .flat_map(|step| backs(step).chain(std::iter::repeat(0)).take(seasons))
        .collect();
    let same_phase = first_present(graph, &series.recent, &[series.horizon, seasons], &places);
    let newest_first: Vec<i64> = (0..memory as i64).rev().collect();
    let newest = first_present(graph, &series.recent, &[1, memory], &newest_first);
    let zero = graph.number(0.0);
    let no_phase = graph.is_nan(&same_phase);
    let value = graph.choose(&no_phase, &newest, &same_phase);
    let nothing = graph.is_nan(&value);
    let value = graph.choose(&nothing, &zero, &value);
    clipped(graph, value, it.nonnegative)
}

/// For each row of `places`, the first of these columns that is present; NaN where none is.
fn first_present(graph: &mut Graph, of: &Tensor, dims: &[usize; 2], places: &[i64]) -> Tensor {
    let n = dims[1];
    let index = graph.ints(dims, places);
    let found = graph.op_with("Gather", &[of, &index], &[("axis", Attribute::Int(1))]);
    let order: Vec<f64> = (0..n).map(|it| it as f64).collect();
    let (order, none) = (graph.numbers(&[1, 1, n], &order), graph.number(n as f64));
    let is_missing = graph.is_nan(&found);
    let rank = graph.choose(&is_missing, &none, &order);
    let first = graph.reduced("ReduceMin", &rank, 2, true);
    let is_first = graph.op("Equal", &[&rank, &first]);
    let (zero, missing) = (graph.number(0.0), graph.number(f64::NAN));
    // Missing ones are equal to each other where nothing is present; they add nothing.
    let present = graph.choose(&is_missing, &zero, &found);
    let one = graph.choose(&is_first, &present, &zero);
    let sum = graph.sum(&one, 2, false);
    let first = graph.reduced("ReduceMin", &rank, 2, false);
    let is_none = graph.op("Equal", &[&first, &none]);
    graph.choose(&is_none, &missing, &sum)
}

/// Level, damped trend and season of each series' own parameters.
fn smoothing(graph: &mut Graph, it: &ExponentialSmoothing, series: &Series) -> Tensor {
    let (season, horizon) = (it.season, series.horizon);
    let doc = format!(
        "form (0 without season, 1 additive, 2 multiplicative), alpha, beta, gamma, phi, level, trend, {season} seasonals from the \
         next step on (0 without season), {season} shares of idle steps from the next step on"
    );
    let width = 7 + 2 * season;
    let numbers = graph.input("numbers", ElementType::Double, &[Dim::Rows, Dim::Size(width)], &doc);
    let mut column = |at: i64| graph.pick(&numbers, 1, &[at]);
    let (form, phi, level, trend) = (column(0), column(4), column(5), column(6));
    let phases = |from: usize| -> Vec<i64> { (0..horizon).map(|step| (from + step % season) as i64).collect() };
    let seasonal = graph.pick(&numbers, 1, &phases(7));
    let idle = graph.pick(&numbers, 1, &phases(7 + season));
    // Powers of phi, and of them the sums up to each step.
    let exponents: Vec<f64> = (1..=horizon).map(|it| it as f64).collect();
    let triangle: Vec<f64> = (0..horizon * horizon)
        .map(|at| f64::from(u8::from(at / horizon <= at % horizon)))
        .collect();
    let (exponents, triangle) = (
        graph.numbers(&[1, horizon], &exponents),
        graph.numbers(&[horizon, horizon], &triangle),
    );
    let powers = graph.op("Pow", &[&phi, &exponents]);
    let damping = graph.op("MatMul", &[&powers, &triangle]);
    let grown = graph.mul(&damping, &trend);
    let base = graph.add(&level, &grown);
    let [zero, half, one, two] = [0.0, 0.5, 1.0, 2.0].map(|it| graph.number(it));
    let is_additive = graph.op("Equal", &[&form, &one]);
    let is_multiplicative = graph.op("Equal", &[&form, &two]);
    let added = graph.add(&base, &seasonal);
    let multiplied = graph.mul(&base, &seasonal);
    let value = graph.choose(&is_additive, &added, &base);
    let mut value = graph.choose(&is_multiplicative, &multiplied, &value);
    if it.skip_zeros {
        let is_idle = graph.op("Greater", &[&idle, &half]);
        value = graph.choose(&is_idle, &zero, &value);
    }
    clipped(graph, value, it.nonnegative)
}

fn clipped(graph: &mut Graph, value: Tensor, nonnegative: bool) -> Tensor {
    if nonnegative {
        at_least(graph, &value, 0.0)
    } else {
        value
    }
}

/// The trees' ratio times the size of the series.
fn boosted(
    graph: &mut Graph,
    signature: &SeriesSignature,
    encoders: &SeriesEncoders,
    layout: &LagLayout,
    trees: &[u8],
    series: &Series,
) -> Result<Tensor, InferenceError> {
    let trees = TreeEnsemble::from_bytes(trees)?;
    let key: Vec<Input> = signature.key.iter().map(|(name, kind)| input(name, *kind)).collect();
    let mut names: Vec<&str> = key
        .iter()
        .chain(&signature.known)
        .chain(&signature.statics)
        .map(|it| it.name.as_str())
        .collect();
    names.extend(["recent", "last_time", "spread"]);
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|it| it[0] == it[1]) {
        return Err(cannot(format!(
            "two of its inputs would be named `{}`; rename the column",
            pair[0]
        )));
    }
    let steps = layout.known_memory() + layout.horizon;
    let doc = format!(
        "the last {} steps and {} ahead: ",
        layout.known_memory(),
        layout.horizon
    );
    let known = inputs(
        graph,
        &signature.known,
        &encoders.known,
        &[Dim::Rows, Dim::Size(steps)],
        &doc,
    )?;
    let mut statics = inputs(graph, &key, &encoders.key, &ONE_COLUMN, "")?;
    statics.extend(inputs(graph, &signature.statics, &encoders.statics, &ONE_COLUMN, "")?);
    let last_time = graph.input(
        "last_time",
        ElementType::Int64,
        &ONE_COLUMN,
        "UTC microseconds since 1970 of the last value",
    );
    let past = lags::Past::new(graph, layout, series);
    let ratio = lags::ratios(graph, layout, &past, &known, &statics, &last_time, trees.form());
    let value = graph.mul(&ratio, past.scale());
    Ok(clipped(graph, value, layout.nonnegative))
}

fn input(name: &str, data_type: DataType) -> Input {
    Input {
        name: name.to_owned(),
        data_type,
    }
}

fn inputs(
    graph: &mut Graph,
    inputs: &[Input],
    encoder: &Encoder,
    dims: &[Dim],
    doc: &str,
) -> Result<Vec<Tensor>, InferenceError> {
    let pairs = inputs.iter().zip(&encoder.inputs);
    pairs
        .map(|(input, encoding)| encoded_input(graph, input, encoding, dims, doc))
        .collect()
}

/// Steps and their total, with intervals.
fn answer(graph: &mut Graph, intervals: &ForecastIntervals, series: &Series, value: &Tensor) {
    let horizon = series.horizon;
    let doc = "how large the series' errors are beside those of its siblings; 1 where nothing is known";
    let spread = graph.input("spread", ElementType::Double, &ONE_COLUMN, doc);
    let scale = scale(graph, intervals, series, value, &spread);
    let bucket = |step: usize| -> &Bucket {
        let found = intervals.buckets.iter().find(|it| step <= it.last_step);
        found
            .or(intervals.buckets.last())
            .expect("there is at least one bucket, checked when read")
    };
    let tail = (1.0 - LEVEL) / 2.0;
    let lows: Vec<f64> = (1..=horizon)
        .map(|it| quantile(&bucket(it).steps, tail).min(0.0))
        .collect();
    let highs: Vec<f64> = (1..=horizon)
        .map(|it| quantile(&bucket(it).steps, 1.0 - tail).max(0.0))
        .collect();
    let totals = &bucket(horizon).totals;
    let total = graph.sum(value, 1, true);
    let total_scale = graph.sum(&scale, 1, true);
    let ends = [
        ("lower", value, &scale, lows),
        ("upper", value, &scale, highs),
        (
            "total_lower",
            &total,
            &total_scale,
            vec![quantile(totals, tail).min(0.0)],
        ),
        (
            "total_upper",
            &total,
            &total_scale,
            vec![quantile(totals, 1.0 - tail).max(0.0)],
        ),
    ];
    graph.output(
        value,
        "value",
        ElementType::Double,
        &[Dim::Rows, Dim::Size(horizon)],
        "expected value by step ahead",
    );
    graph.output(&total, "total", ElementType::Double, &ONE_COLUMN, "sum over the steps");
    for (name, around, scale, distances) in ends {
        let n = distances.len();
        let distances = graph.numbers(&[1, n], &distances);
        let distance = graph.mul(&distances, scale);
        let mut end = graph.add(around, &distance);
        if let Some(bound) = intervals.lower_bound {
            end = at_least(graph, &end, bound);
        }
        let doc = format!("end of the interval that holds the outcome with probability {LEVEL}");
        graph.output(&end, name, ElementType::Double, &[Dim::Rows, Dim::Size(n)], &doc);
    }
}

/// The unit of each step's error: `spread * max(value, floor * level)^exponent`.
fn scale(graph: &mut Graph, intervals: &ForecastIntervals, series: &Series, value: &Tensor, spread: &Tensor) -> Tensor {
    let window = intervals.level_window.min(series.memory);
    let places: Vec<i64> = (series.memory - window..series.memory).map(|it| it as i64).collect();
    let [zero, one] = [0.0, 1.0].map(|it| graph.number(it));
    let level = if window == 0 {
        one.clone()
    } else {
        let recent = graph.pick(&series.recent, 1, &places);
        let is_missing = graph.is_nan(&recent);
        let size = graph.op("Abs", &[&recent]);
        let size = graph.choose(&is_missing, &zero, &size);
        let counts = graph.choose(&is_missing, &zero, &one);
        let (sum, n) = (graph.sum(&size, 1, true), graph.sum(&counts, 1, true));
        let mean = graph.div(&sum, &n);
        let some = graph.op("Greater", &[&sum, &zero]);
        graph.choose(&some, &mean, &one)
    };
    let (floor, exponent) = (graph.number(intervals.floor), graph.number(intervals.exponent));
    let least = graph.mul(&level, &floor);
    let size = graph.op("Abs", &[value]);
    let size = graph.op("Max", &[&size, &least]);
    let power = graph.op("Pow", &[&size, &exponent]);
    graph.mul(&power, spread)
}
