//! What one row costs: each evaluator on ensembles of several shapes, 10 % of the cells missing.
//! `cargo bench -p foretell-inference --bench trees`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
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

fn one_row(c: &mut Criterion) {
    let mut group = c.benchmark_group("one row");
    for shape in SHAPES {
        let ensemble = random_ensemble(shape, 1);
        let rows = random_rows(shape.features, 64, 2);
        for evaluator in ensemble.evaluators() {
            let mut at = 0;
            group.bench_function(BenchmarkId::new(format!("{evaluator:?}"), format!("{shape:?}")), |it| {
                it.iter(|| {
                    at = (at + 1) % rows.n_rows();
                    black_box(ensemble.raw_row_by(evaluator, rows.row(at)))
                });
            });
        }
    }
}

fn reasons(c: &mut Criterion) {
    let mut group = c.benchmark_group("reasons of one row");
    for shape in SHAPES {
        let ensemble = random_ensemble(shape, 1);
        let rows = random_rows(shape.features, 8, 2);
        let mut at = 0;
        group.bench_function(format!("{shape:?}"), |it| {
            it.iter(|| {
                at = (at + 1) % rows.n_rows();
                black_box(ensemble.contributions_row(rows.row(at)))
            });
        });
    }
}

criterion_group!(benches, one_row, reasons);
criterion_main!(benches);
