//! From the predictor's answers to the outputs of the file: calibration, bounds, intervals, classes.

use super::super::graph::{Attribute, Dim, Graph, Tensor};
use super::super::proto::ElementType;
use super::rows::{Columns, ONE_COLUMN};
use super::sums::sigmoid;
use super::{LEVEL, cannot};
use crate::calibration::{Calibration, MIN_PROBABILITY};
use crate::conformal::{Around, Conformal, Segments};
use crate::decision::DecisionPolicy;
use crate::error::InferenceError;
use crate::manifest::{Manifest, Task};
use crate::preprocessing::InputEncoding;

/// What the predictor says of a row.
#[derive(Debug)]
struct Said {
    /// `[n, 1]`
    value: Tensor,
    /// What the interval begins and ends from.
    from: Tensor,
    to: Tensor,
}

pub(super) fn write(
    graph: &mut Graph,
    manifest: &Manifest,
    linked: &Tensor,
    n_outputs: usize,
    columns: &Columns,
) -> Result<(), InferenceError> {
    let is_classes = manifest.task == Task::MulticlassClassification;
    let has_quantiles = manifest
        .conformal
        .as_ref()
        .is_some_and(|it| it.around == Around::Quantiles);
    let said = match n_outputs {
        _ if is_classes => Said::value(graph.reduced("ReduceMax", linked, 1, true)),
        1 => Said::value(value(graph, manifest, linked)),
        2 => {
            let positive = graph.pick(linked, 1, &[1]);
            Said::value(value(graph, manifest, &positive))
        }
        3 if has_quantiles => {
            let [first, from, to] = [0, 1, 2].map(|at| graph.pick(linked, 1, &[at]));
            let value = at_least_if(graph, first, manifest.task == Task::LifetimeValue);
            Said { value, from, to }
        }
        n => return Err(cannot(format!("its predictor has {n} outputs, of which it uses one"))),
    };
    graph.output(
        &said.value,
        "value",
        ElementType::Double,
        &ONE_COLUMN,
        &value_doc(manifest),
    );
    if is_classes {
        classes(graph, manifest, linked, n_outputs)?;
    } else if let [negative, positive] = &manifest.classes[..] {
        let half = graph.number(0.5);
        let short = graph.op("Less", &[&said.value, &half]);
        let at = graph.cast(&short, ElementType::Int64);
        named(graph, &[positive, negative], &at, "class", "the more probable class");
    }
    if let Some(conformal) = &manifest.conformal {
        let (lower, upper) = interval(graph, manifest, conformal, &said, columns)?;
        let doc = |end: &str| format!("{end} end of the interval that holds the outcome with probability {LEVEL}");
        graph.output(&lower, "lower", ElementType::Double, &ONE_COLUMN, &doc("lower"));
        graph.output(&upper, "upper", ElementType::Double, &ONE_COLUMN, &doc("upper"));
    }
    if let Some(policy) = &manifest.decision {
        level(graph, policy, &said.value);
    }
    Ok(())
}

impl Said {
    fn value(value: Tensor) -> Self {
        Self {
            from: value.clone(),
            to: value.clone(),
            value,
        }
    }
}

/// Calibrated; a lifetime value is never negative.
fn value(graph: &mut Graph, manifest: &Manifest, linked: &Tensor) -> Tensor {
    let value = calibrated(graph, &manifest.calibration, linked);
    at_least_if(graph, value, manifest.task == Task::LifetimeValue)
}

fn at_least_if(graph: &mut Graph, value: Tensor, is_money: bool) -> Tensor {
    if is_money { at_least(graph, &value, 0.0) } else { value }
}

fn value_doc(manifest: &Manifest) -> String {
    match (manifest.task, &manifest.classes[..]) {
        (Task::BinaryClassification, [_, positive]) => format!("probability of `{positive}`"),
        (Task::BinaryClassification, _) => "probability".to_owned(),
        (Task::MulticlassClassification, _) => "the greatest probability".to_owned(),
        _ => "expected value".to_owned(),
    }
}

/// Probabilities of all classes and the class of the greatest.
fn classes(graph: &mut Graph, manifest: &Manifest, linked: &Tensor, n: usize) -> Result<(), InferenceError> {
    if manifest.classes.len() != n {
        return Err(cannot(format!(
            "it has {n} outputs and {} classes",
            manifest.classes.len()
        )));
    }
    let best = graph.op_with("ArgMax", &[linked], &[("axis", Attribute::Int(1))]);
    let names: Vec<&String> = manifest.classes.iter().collect();
    named(graph, &names, &best, "class", "the most probable class");
    let doc = format!("by class: {}", manifest.classes.join(", "));
    let all = [Dim::Rows, Dim::Size(n)];
    graph.output(linked, "probabilities", ElementType::Double, &all, &doc);
    Ok(())
}

/// One of some names as an output, by its position.
fn named(graph: &mut Graph, names: &[&String], at: &Tensor, output: &str, doc: &str) {
    let names: Vec<&str> = names.iter().map(|it| it.as_str()).collect();
    let names = graph.texts(&names);
    let name = graph.look_up(&names, at);
    graph.output(&name, output, ElementType::String, &ONE_COLUMN, doc);
}

fn calibrated(graph: &mut Graph, calibration: &Calibration, score: &Tensor) -> Tensor {
    match calibration {
        Calibration::Identity => score.clone(),
        Calibration::Platt { a, b } => {
            let p = graph.clamp(score, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
            let one = graph.number(1.0);
            let rest = graph.sub(&one, &p);
            let odds = graph.div(&p, &rest);
            let log_odds = graph.op("Log", &[&odds]);
            let (a, b) = (graph.number(*a), graph.number(*b));
            let sloped = graph.mul(&log_odds, &a);
            let moved = graph.add(&sloped, &b);
            sigmoid(graph, &moved)
        }
        Calibration::Beta { a, b, c } => {
            let p = graph.clamp(score, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY);
            let one = graph.number(1.0);
            let rest = graph.sub(&one, &p);
            let (ends, rest) = (graph.op("Log", &[&p]), graph.op("Log", &[&rest]));
            let (a, b, c) = (graph.number(*a), graph.number(*b), graph.number(*c));
            let (rising, falling) = (graph.mul(&ends, &a), graph.mul(&rest, &b));
            let sloped = graph.sub(&rising, &falling);
            let moved = graph.add(&sloped, &c);
            sigmoid(graph, &moved)
        }
        Calibration::Isotonic { x, y } => interpolated(graph, x, y, score),
    }
}

/// Linear between points, constant outside: the first value and, for each stretch, how much of it is passed.
fn interpolated(graph: &mut Graph, x: &[f64], y: &[f64], at: &Tensor) -> Tensor {
    let n = x.len() - 1;
    let first = graph.number(y[0]);
    if n == 0 {
        let nothing = graph.sub(at, at);
        return graph.add(&nothing, &first);
    }
    let slopes: Vec<f64> = (0..n).map(|it| (y[it + 1] - y[it]) / (x[it + 1] - x[it])).collect();
    let lengths: Vec<f64> = x.windows(2).map(|it| it[1] - it[0]).collect();
    let (starts, lengths) = (graph.numbers(&[1, n], &x[..n]), graph.numbers(&[1, n], &lengths));
    let (slopes, zero) = (graph.numbers(&[n, 1], &slopes), graph.number(0.0));
    let passed = graph.sub(at, &starts);
    let passed = graph.op("Max", &[&passed, &zero]);
    let passed = graph.op("Min", &[&passed, &lengths]);
    let risen = graph.op("MatMul", &[&passed, &slopes]);
    graph.add(&risen, &first)
}

pub(super) fn at_least(graph: &mut Graph, it: &Tensor, bound: f64) -> Tensor {
    let bound = graph.number(bound);
    graph.op("Max", &[it, &bound])
}

/// Lower and upper end, by the scores of the row's segment, else of the value's bin.
fn interval(
    graph: &mut Graph,
    manifest: &Manifest,
    conformal: &Conformal,
    said: &Said,
    columns: &Columns,
) -> Result<(Tensor, Tensor), InferenceError> {
    let of_segments = conformal.segments.iter().flat_map(|it| &it.of).map(|it| &it.scores);
    let ends = conformal
        .scores
        .iter()
        .chain(of_segments)
        .map(|it| conformal.ends(it, LEVEL));
    let (low, high): (Vec<f64>, Vec<f64>) = ends.unzip();
    let mut place = bin(graph, &conformal.edges, &said.value);
    if let Some(segments) = &conformal.segments {
        let segment = segment(graph, manifest, segments, conformal.scores.len(), columns)?;
        let none = graph.ints(&[], &[0]);
        let has_none = graph.op("Less", &[&segment, &none]);
        place = graph.choose(&has_none, &place, &segment);
    }
    let (floor, slope) = (graph.number(conformal.scale_floor), graph.number(conformal.scale_slope));
    let size = graph.op("Abs", &[&said.value]);
    let sloped = graph.mul(&size, &slope);
    let scale = graph.add(&sloped, &floor);
    let mut end = |from: &Tensor, ends: &[f64]| {
        let table = graph.numbers(&[ends.len()], ends);
        let end = graph.look_up(&table, &place);
        let distance = graph.mul(&end, &scale);
        graph.add(from, &distance)
    };
    let (lower, upper) = (end(&said.from, &low), end(&said.to, &high));
    let lower = match conformal.lower_bound {
        Some(bound) => at_least(graph, &lower, bound),
        None => lower,
    };
    let lower = graph.op("Min", &[&lower, &said.value]);
    Ok((lower, graph.op("Max", &[&upper, &said.value])))
}

/// The place of the row's segment after the bins, -1 where its category has none.
fn segment(
    graph: &mut Graph,
    manifest: &Manifest,
    segments: &Segments,
    n_bins: usize,
    columns: &Columns,
) -> Result<Tensor, InferenceError> {
    let at = manifest.inputs.iter().position(|it| it.name == segments.input);
    let encoding = at.and_then(|it| manifest.encoder.inputs.get(it));
    let (Some(at), Some(InputEncoding::Category { categories })) = (at, encoding) else {
        return Err(cannot(format!(
            "its intervals are by `{}`, which is no category",
            segments.input
        )));
    };
    let place = |category: &String| {
        let found = segments.of.iter().position(|it| it.value == *category);
        found.map_or(-1, |it| (n_bins + it) as i64)
    };
    let n = categories.len();
    let places: Vec<i64> = categories.iter().map(place).chain([-1]).collect();
    let (table, last) = (graph.ints(&[n + 1], &places), graph.number(n as f64));
    let code = &columns.columns[at];
    let is_missing = graph.is_nan(code);
    let code = graph.choose(&is_missing, &last, code);
    let code = graph.cast(&code, ElementType::Int64);
    Ok(graph.look_up(&table, &code))
}

/// How many edges lie below the value, `[n, 1]`.
fn bin(graph: &mut Graph, edges: &[f64], value: &Tensor) -> Tensor {
    // Below minus infinity there is nothing: an edge that counts for none keeps the list from being empty.
    let edges: Vec<f64> = edges.iter().copied().chain([f64::INFINITY]).collect();
    let edges = graph.numbers(&[1, edges.len()], &edges);
    let passed = graph.op("Less", &[&edges, value]);
    let passed = graph.cast(&passed, ElementType::Int64);
    graph.sum(&passed, 1, true)
}

/// The first level whose least value is reached, else the last.
fn level(graph: &mut Graph, policy: &DecisionPolicy, value: &Tensor) {
    let Some((_, before_last)) = policy.levels.split_last() else {
        return;
    };
    let least: Vec<f64> = before_last.iter().map(|it| it.1).chain([f64::NEG_INFINITY]).collect();
    let least = graph.numbers(&[1, least.len()], &least);
    let short = graph.op("Less", &[value, &least]);
    let short = graph.cast(&short, ElementType::Int64);
    let at = graph.sum(&short, 1, true);
    let names: Vec<&String> = policy.levels.iter().map(|it| &it.0).collect();
    named(graph, &names, &at, "level", "level of the decision");
}
