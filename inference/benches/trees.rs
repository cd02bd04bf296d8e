//! What one row costs: each evaluator on ensembles of several shapes, 10 % of the cells missing, and its reasons.
//! `cargo bench -p foretell-inference --bench trees`; figures are comparable within one run only.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foretell_inference::TreeEnsemble;
use foretell_inference::testing::{Shape, random_ensemble, random_rows};

const SHAPES: [Shape; 5] = [
    Shape {
        trees: 100,
        depth: 6,
        leaves: 64,
        features: 30,
    },
    Shape {
        trees: 500,
        depth: 6,
        leaves: 64,
        features: 30,
    },
    Shape {
        trees: 500,
        depth: 6,
        leaves: 64,
        features: 300,
    },
    Shape {
        trees: 1000,
        depth: 14,
        leaves: 64,
        features: 30,
    },
    Shape {
        trees: 300,
        depth: 10,
        leaves: 1024,
        features: 30,
    },
];
/// Rounds of a measurement; the fastest counts, since other work on the machine only slows.
const ROUNDS: usize = 20;
const ROUND: Duration = Duration::from_millis(20);

fn main() {
    println!(
        "{:>6} {:>6} {:>7} {:>9}  microseconds per row",
        "trees", "depth", "leaves", "features"
    );
    for shape in SHAPES {
        let ensemble = random_ensemble(shape, 1);
        let rows = random_rows(shape.features, 64, 2);
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % rows.n_rows();
            rows.row(at)
        };
        let Shape {
            trees,
            depth,
            leaves,
            features,
        } = shape;
        print!("{trees:>6} {depth:>6} {leaves:>7} {features:>9} ");
        for evaluator in ensemble.evaluators() {
            let mut out = [0.0];
            let micros = fastest(|| ensemble.raw_row_by(evaluator, next(), black_box(&mut out)));
            print!(" {evaluator:?} {micros:.2}");
        }
        let micros = fastest(|| drop(black_box(ensemble.contributions_row(next(), 0))));
        let bytes = Bytes::from(ensemble.to_bytes());
        let shared = TreeEnsemble::from_bytes(&bytes)
            .map(|_| bytes)
            .expect("it was just written");
        let load = fastest(|| drop(black_box(TreeEnsemble::from_shared(shared.clone()))));
        println!(" reasons {micros:.1} load {load:.0} of {} KiB", shared.len() / 1024);
    }
}

/// Microseconds of one call in the fastest round.
fn fastest(mut call: impl FnMut()) -> f64 {
    call();
    let mut round = || {
        let (began, mut calls) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            call();
            calls += 1;
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}
