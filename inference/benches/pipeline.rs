//! What the whole pipeline costs for one row beside its bare ensemble: 500 trees of depth 6 on 30 inputs (24 numbers, 3 whole
//! numbers, 3 categories; 10 % missing), calibration, a 90 % interval and a decision.
//! `cargo bench -p foretell-inference --bench pipeline`; figures are comparable within one run only.

use std::hint::black_box;
use std::time::{Duration, Instant};

use foretell_features::{DataType, FeatureMatrix, Value};
use foretell_inference::conformal::Conformal;
use foretell_inference::testing::{Shape, random_ensemble, random_rows, tiny_churn_package};
use foretell_inference::{
    Calibration, Encoder, Input, InputEncoding, Model, PredictOptions, RowPredictor, TreeEnsemble,
};

const SHAPE: Shape = Shape {
    trees: 500,
    depth: 6,
    leaves: 64,
    features: 30,
};
const ROWS: usize = 64;
/// Rounds of a measurement, bare and whole in turn; the fastest of each counts, since other work on the machine only slows.
const ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_millis(10);
const CATEGORIES: [&str; 6] = ["basic", "plus", "pro", "team", "enterprise", "trial"];

fn main() {
    let mut ensemble = random_ensemble(SHAPE, 1);
    let rows: Vec<Vec<Value>> = random_rows(SHAPE.features, ROWS, 2).rows().map(raw_row).collect();
    let x = encoded(&rows);
    ensemble.tune(&x);
    let points: Vec<f64> = (0..200).map(|it| f64::from(it) / 200.0).collect();
    let calibrations = [
        ("none", Calibration::Identity),
        ("platt", Calibration::Platt { a: 0.9, b: 0.1 }),
        ("beta", Calibration::Beta { a: 0.9, b: 1.1, c: 0.1 }),
        (
            "isotonic, 200 points",
            Calibration::Isotonic {
                x: points.clone(),
                y: points,
            },
        ),
    ];
    println!(
        "{} rows in turn, evaluator {:?}, microseconds per row",
        ROWS,
        ensemble.evaluator()
    );
    println!("{:<22} {:>6} {:>6} {:>6}", "calibration", "bare", "whole", "ratio");
    for (name, calibration) in calibrations {
        let model = model(calibration, ensemble.clone());
        let (bare, whole) = measure(&ensemble, &x, &model, &rows);
        println!("{name:<22} {bare:>6.2} {whole:>6.2} {:>6.2}", whole / bare);
    }
}

fn measure(ensemble: &TreeEnsemble, x: &FeatureMatrix, model: &Model, rows: &[Vec<Value>]) -> (f64, f64) {
    let (mut a, mut b) = (0, 0);
    let mut bare = || {
        a = (a + 1) % ROWS;
        black_box(ensemble.raw_row(x.row(a)).expect("a row of the ensemble's width"));
    };
    let mut whole = || {
        b = (b + 1) % ROWS;
        black_box(
            model
                .predict_row(&rows[b], PredictOptions::default())
                .expect("a row of the model"),
        );
    };
    let (mut best_bare, mut best_whole) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        best_bare = best_bare.min(round(&mut bare));
        best_whole = best_whole.min(round(&mut whole));
    }
    (best_bare, best_whole)
}

fn round(call: &mut impl FnMut()) -> f64 {
    let (began, mut calls) = (Instant::now(), 0_u32);
    while began.elapsed() < ROUND {
        (0..16).for_each(|_| call());
        calls += 16;
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// The churn package's manifest around the ensemble.
fn model(calibration: Calibration, ensemble: TreeEnsemble) -> Model {
    let mut manifest = Model::load(&tiny_churn_package())
        .expect("it is whole")
        .manifest()
        .clone();
    manifest.inputs = (0..SHAPE.features).map(input).collect();
    manifest.encoder = encoder();
    manifest.outputs.clear();
    manifest.plan = Default::default();
    manifest.calibration = calibration;
    manifest.conformal = Some(Conformal {
        edges: vec![0.2, 0.4, 0.6, 0.8],
        scores: vec![(0..1000).map(|it| f64::from(it) / 1000.0 - 0.5).collect(); 5],
        scale_floor: 0.5,
        scale_slope: 0.1,
        lower_bound: Some(0.0),
        ..Conformal::default()
    });
    Model::assemble(manifest, RowPredictor::trees(ensemble)).expect("the parts fit each other")
}

fn is_category(at: usize) -> bool {
    at % 10 == 3
}

fn is_whole(at: usize) -> bool {
    at % 10 == 7
}

fn input(at: usize) -> Input {
    Input {
        name: format!("f{at}"),
        data_type: match at {
            _ if is_category(at) => DataType::String,
            _ if is_whole(at) => DataType::Int64,
            _ => DataType::Double,
        },
    }
}

fn encoder() -> Encoder {
    let encoding = |at: usize| match is_category(at) {
        true => InputEncoding::Category {
            categories: CATEGORIES.map(str::to_owned).to_vec(),
        },
        false => InputEncoding::Numeric,
    };
    Encoder {
        inputs: (0..SHAPE.features).map(encoding).collect(),
    }
}

fn raw_row(row: &[f64]) -> Vec<Value> {
    let value = |(at, &x): (usize, &f64)| match x {
        _ if x.is_nan() => Value::Null,
        _ if is_category(at) => Value::text(CATEGORIES[(x * 6.0) as usize % 6]),
        _ if is_whole(at) => Value::Int((x * 3.0) as i64),
        _ => Value::Float(x),
    };
    row.iter().enumerate().map(value).collect()
}

fn encoded(rows: &[Vec<Value>]) -> FeatureMatrix {
    let inputs: Vec<Input> = (0..SHAPE.features).map(input).collect();
    let encoder = encoder().compile(&inputs).expect("an encoding per input");
    let mut x = FeatureMatrix::with_capacity(SHAPE.features, rows.len());
    let mut buffer = vec![0.0; SHAPE.features];
    for row in rows {
        encoder
            .encode_into(row, &mut buffer)
            .expect("values of the declared types");
        x.push_row(&buffer);
    }
    x
}
