use super::*;
use crate::linear::{Linear, LinearTerm};
use crate::testing::{Shape, random_ensemble, random_rows};
use crate::tree::Link;

const COLUMNS: usize = 6;

fn background(n_rows: usize) -> Background {
    Background::new(random_rows(COLUMNS, n_rows, 7)).unwrap()
}

fn trees() -> crate::tree::TreeEnsemble {
    let shape = Shape {
        trees: 8,
        depth: 4,
        leaves: 12,
        features: COLUMNS,
    };
    random_ensemble(shape, 3)
}

/// The definition: every subset of columns, weighted. Slow, and the judge.
fn exact(predictor: &dyn Predictor, background: &Background, row: &[f64]) -> Vec<f64> {
    let n = row.len();
    let worth: Vec<f64> = (0..1_usize << n)
        .map(|subset| {
            let mixed = background
                .rows()
                .rows()
                .flat_map(|from| (0..n).map(move |it| if subset >> it & 1 == 1 { row[it] } else { from[it] }));
            let rows = FeatureMatrix::from_rows(n, mixed.collect());
            predictor.predict(&rows).unwrap().iter().sum::<f64>() / background.n_rows() as f64
        })
        .collect();
    let factorial = |k: usize| (1..=k).map(|it| it as f64).product::<f64>();
    let part = |column: usize, subset: usize| {
        let size = subset.count_ones() as usize;
        let weight = factorial(size) * factorial(n - 1 - size) / factorial(n);
        weight * (worth[subset | 1 << column] - worth[subset])
    };
    let without = |column: usize| (0..1_usize << n).filter(move |it| it >> column & 1 == 0);
    (0..n)
        .map(|column| without(column).map(|it| part(column, it)).sum())
        .collect()
}

fn explain(
    predictor: &dyn Predictor,
    background: &Background,
    row: &[f64],
    sampling: Sampling,
) -> SampledContributions {
    sample(predictor, background, row, 0, sampling).unwrap()
}

#[test]
fn a_linear_model_is_explained_exactly_and_says_so() {
    let weights = [0.5, -2.0, 0.0, 3.0, 1.0, -0.25];
    let term = |weight: f64| LinearTerm::Numeric {
        mean: 0.0,
        scale: 1.0,
        clip: 10.0,
        weight,
        missing: 0.1,
    };
    let linear = Linear {
        intercept: 1.0,
        link: Link::Identity,
        terms: weights.map(term).to_vec(),
        expected: vec![0.0; COLUMNS],
    };
    let (background, rows) = (background(20), random_rows(COLUMNS, 5, 11));
    for row in rows.rows() {
        let got = explain(&linear, &background, row, Sampling { rounds: 2, seed: 1 });
        for (column, &x) in row.iter().enumerate() {
            let mean = background
                .rows()
                .column(column)
                .iter()
                .map(|&x| linear.terms[column].part(x))
                .sum::<f64>()
                / 20.0;
            let expected = linear.terms[column].part(x) - mean;
            assert!((got.values[column] - expected).abs() < 1e-12, "{column}: {got:?}");
            assert!(got.errors[column] < 1e-12, "{column}: {got:?}");
        }
    }
}

#[test]
fn values_and_the_expected_score_sum_to_the_score() {
    let (trees, background) = (trees(), background(9));
    for (seed, row) in (0..).zip(random_rows(COLUMNS, 20, 5).rows()) {
        let got = explain(&trees, &background, row, Sampling { rounds: 2, seed });
        let sum: f64 = got.into_contributions().iter().sum();
        let score = trees.raw_row(row).unwrap();
        assert!((sum - score).abs() < 1e-9, "{sum} is not {score}");
    }
}

#[test]
fn the_exact_value_lies_within_the_stated_error_as_often_as_it_says() {
    let (trees, background) = (trees(), background(30));
    let (mut drawn, mut within_one, mut within_margin) = (0.0, 0.0, 0.0);
    for row in random_rows(COLUMNS, 10, 5).rows() {
        let exact = exact(&trees, &background, row);
        for seed in 0..100 {
            let got = explain(&trees, &background, row, Sampling { rounds: 3, seed });
            for (column, exact) in exact.iter().enumerate() {
                let off = (got.values[column] - exact).abs();
                drawn += 1.0;
                within_one += f64::from(u8::from(off <= got.errors[column] + 1e-12));
                within_margin += f64::from(u8::from(off <= got.margins[column] + 1e-12));
            }
        }
    }
    // 6,000 draws: 0.683 of a normal within one error, 0.95 within the margin, each rate known to better than 0.01.
    let (one, margin) = (within_one / drawn, within_margin / drawn);
    assert!(
        (0.65..0.71).contains(&one) && (0.935..0.97).contains(&margin),
        "{one} {margin}"
    );
}

#[test]
fn students_quantile_is_that_of_the_tables() {
    for (degrees, expected) in [(3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (1e9, 1.960)] {
        assert!(
            (quantile(degrees) / expected - 1.0_f64).abs() < 0.02,
            "{degrees}: {}",
            quantile(degrees)
        );
    }
}

#[test]
fn more_rounds_shrink_the_error_by_their_root() {
    let (trees, background) = (trees(), background(30));
    let row = random_rows(COLUMNS, 1, 6);
    let error = |rounds| {
        let got = explain(&trees, &background, row.row(0), Sampling { rounds, seed: 1 });
        got.errors.iter().sum::<f64>()
    };
    let ratio = error(4) / error(64);
    assert!((3.0..5.2).contains(&ratio), "{ratio} should be near 4");
}

#[test]
fn the_seed_decides_everything() {
    let (trees, background) = (trees(), background(8));
    let row = random_rows(COLUMNS, 1, 6);
    let with = |seed| explain(&trees, &background, row.row(0), Sampling { rounds: 2, seed });
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn a_row_of_the_background_that_is_the_row_itself_needs_no_walk() {
    let row = random_rows(COLUMNS, 1, 6);
    let only = Background::new(row.clone()).unwrap();
    let got = explain(&trees(), &only, row.row(0), Sampling { rounds: 2, seed: 1 });
    assert_eq!((got.values, got.margins), (vec![0.0; COLUMNS], vec![0.0; COLUMNS]));
}

#[test]
fn what_cannot_be_explained_is_refused_in_a_sentence() {
    let (trees, background) = (trees(), background(8));
    let cases = [
        (COLUMNS, 0, 1, "at least 2 rounds"),
        (COLUMNS - 1, 0, 2, "5 columns, the background 6"),
        (COLUMNS, 1, 2, "none to explain at 1"),
    ];
    for (width, output, rounds, expected) in cases {
        let sampling = Sampling { rounds, seed: 1 };
        let error = sample(&trees, &background, &vec![0.0; width], output, sampling).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_background_reads_back_and_damaged_files_are_refused() {
    let own = background(5);
    let bytes = own.to_bytes();
    let read = Background::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!((read.n_rows(), read.rows().n_columns()), (5, COLUMNS));
    for at in 0..bytes.len() {
        assert!(Background::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    let hostile = [
        r#"{"columns":0,"values":[]}"#,
        r#"{"columns":2,"values":[]}"#,
        r#"{"columns":2,"values":[1,2,3]}"#,
        r#"{"columns":18446744073709551615,"values":[1]}"#,
        r#"{"columns":1,"values":[1e999]}"#,
        r#"{"columns":1,"values":["a"]}"#,
    ];
    for text in hostile {
        assert!(Background::from_bytes(text.as_bytes()).is_err(), "{text}");
    }
    let many = format!(r#"{{"columns":1,"values":[{}1]}}"#, "1,".repeat(MAX_BACKGROUND));
    assert!(
        Background::from_bytes(many.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("more than 256")
    );
}

#[test]
fn a_drawn_background_holds_rows_of_the_data_without_repeats() {
    let rows = FeatureMatrix::from_rows(1, (0..1000).map(f64::from).collect());
    let drawn = Background::draw(&rows, 50, 3).unwrap();
    let values = drawn.rows().values();
    assert!(values.len() == 50 && values.windows(2).all(|it| it[0] < it[1]));
    assert_eq!(Background::draw(&rows, 50, 3).unwrap(), drawn);
    assert_eq!(Background::draw(&rows, 5000, 3).unwrap().n_rows(), MAX_BACKGROUND);
}
