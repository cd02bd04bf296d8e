//! From the predictor's answers to the outputs of the file: calibration, bounds, intervals, classes.

use super::super::graph::{Attribute, Dim, Graph, Tensor};
use super::super::proto::ElementType;
use super::rows::{Columns, ONE_COLUMN};
use super::sums::sigmoid;
use super::{LEVEL, cannot};
use crate::calibration::{Calibration, MIN_PROBABILITY};
use crate::conformal::Conformal;
use crate::decision::DecisionPolicy;
use crate::error::InferenceError;
use crate::manifest::{Manifest, Task};

pub(super) fn write(
    graph: &mut Graph,
    manifest: &Manifest,
    linked: &Tensor,
    n_outputs: usize,
    _columns: &Columns,
) -> Result<(), InferenceError> {
    if manifest.task == Task::MulticlassClassification {
        return classes(graph, manifest, linked, n_outputs);
    }
    let first = if n_outputs == 1 {
        linked.clone()
    } else {
        graph.pick(linked, 1, &[0])
    };
    let mut value = calibrated(graph, &manifest.calibration, &first);
    if manifest.task == Task::LifetimeValue {
        value = at_least(graph, &value, 0.0);
    }
    graph.output(&value, "value", ElementType::Double, &ONE_COLUMN, &value_doc(manifest));
    if let Some(conformal) = &manifest.conformal {
        let (lower, upper) = interval(graph, conformal, &value);
        let doc = |end: &str| format!("{end} end of the interval that holds the outcome with probability {LEVEL}");
        graph.output(&lower, "lower", ElementType::Double, &ONE_COLUMN, &doc("lower"));
        graph.output(&upper, "upper", ElementType::Double, &ONE_COLUMN, &doc("upper"));
    }
    if let Some(policy) = &manifest.decision {
        level(graph, policy, &value);
    }
    Ok(())
}

fn value_doc(manifest: &Manifest) -> String {
    match (manifest.task, &manifest.classes[..]) {
        (Task::BinaryClassification, [_, positive]) => format!("probability of `{positive}`"),
        (Task::BinaryClassification, _) => "probability".to_owned(),
        _ => "expected value".to_owned(),
    }
}

/// Probabilities of all classes, the greatest one, and its class.
fn classes(graph: &mut Graph, manifest: &Manifest, linked: &Tensor, n: usize) -> Result<(), InferenceError> {
    if manifest.classes.len() != n {
        return Err(cannot(format!(
            "it has {n} outputs and {} classes",
            manifest.classes.len()
        )));
    }
    let value = graph.reduced("ReduceMax", linked, 1, true);
    let best = graph.op_with("ArgMax", &[linked], &[("axis", Attribute::Int(1))]);
    let names = graph.texts(&manifest.classes.iter().map(String::as_str).collect::<Vec<_>>());
    let class = graph.look_up(&names, &best);
    let all = [Dim::Rows, Dim::Size(n)];
    let names = manifest.classes.join(", ");
    graph.output(
        &value,
        "value",
        ElementType::Double,
        &ONE_COLUMN,
        "the greatest probability",
    );
    graph.output(
        &class,
        "class",
        ElementType::String,
        &ONE_COLUMN,
        "the most probable class",
    );
    graph.output(
        linked,
        "probabilities",
        ElementType::Double,
        &all,
        &format!("by class: {names}"),
    );
    Ok(())
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

pub(in super::super) fn at_least(graph: &mut Graph, it: &Tensor, bound: f64) -> Tensor {
    let bound = graph.number(bound);
    graph.op("Max", &[it, &bound])
}

/// Lower and upper end, by the scores of the value's bin.
fn interval(graph: &mut Graph, conformal: &Conformal, value: &Tensor) -> (Tensor, Tensor) {
    // The ends of each bin, in scales: what the bin alone says of an answer of 0 whose scale is 1.
    let ends = conformal.scores.iter().map(|scores| {
        let bin = Conformal {
            scores: vec![scores.clone()],
            scale_floor: 1.0,
            ..Conformal::default()
        };
        bin.interval(0.0, LEVEL)
    });
    let (low, high): (Vec<f64>, Vec<f64>) = ends.unzip();
    let bin = bin(graph, &conformal.edges, value);
    let (floor, slope) = (graph.number(conformal.scale_floor), graph.number(conformal.scale_slope));
    let size = graph.op("Abs", &[value]);
    let sloped = graph.mul(&size, &slope);
    let scale = graph.add(&sloped, &floor);
    let mut end = |ends: &[f64]| {
        let table = graph.numbers(&[ends.len()], ends);
        let end = graph.look_up(&table, &bin);
        let distance = graph.mul(&end, &scale);
        graph.add(value, &distance)
    };
    let (lower, upper) = (end(&low), end(&high));
    let lower = match conformal.lower_bound {
        Some(bound) => at_least(graph, &lower, bound),
        None => lower,
    };
    let lower = graph.op("Min", &[&lower, value]);
    (lower, graph.op("Max", &[&upper, value]))
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
    let names: Vec<&str> = policy.levels.iter().map(|it| it.0.as_str()).collect();
    let names = graph.texts(&names);
    let level = graph.look_up(&names, &at);
    graph.output(
        &level,
        "level",
        ElementType::String,
        &ONE_COLUMN,
        "level of the decision",
    );
}
