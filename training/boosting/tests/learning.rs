//! What the booster learns, keeps and refuses, seen from outside.

use foretell_boosting::{BoostData, BoostError, Booster, Fitted, Loss, Monotone, Parameters};
use foretell_features::{ColumnKind, FeatureMatrix};
use foretell_inference::{Predictor, TreeEnsemble};

/// Rows made by a rule from a seed.
struct Rows {
    x: FeatureMatrix,
    kinds: Vec<ColumnKind>,
    label: Vec<f64>,
}

const NUMBER: ColumnKind = ColumnKind::Numeric;

fn category(cardinality: u32) -> ColumnKind {
    ColumnKind::Category { cardinality }
}

/// A number in `[0, 1)` for an item (SplitMix64).
fn chance(item: u64) -> f64 {
    let z = item.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl Rows {
    /// `rule` turns a source of chances into a row and its label.
    fn make(
        kinds: &[ColumnKind],
        n_rows: u64,
        seed: u64,
        rule: impl Fn(&mut dyn FnMut() -> f64) -> (Vec<f64>, f64),
    ) -> Self {
        let mut x = FeatureMatrix::with_capacity(kinds.len(), n_rows as usize);
        let mut label = Vec::new();
        for row in 0..n_rows {
            let mut draw = (seed * n_rows + row) << 8;
            let (values, y) = rule(&mut || {
                draw += 1;
                chance(draw)
            });
            x.push_row(&values);
            label.push(y);
        }
        Self {
            x,
            kinds: kinds.to_vec(),
            label,
        }
    }

    fn data(&self) -> BoostData<'_> {
        BoostData::new(&self.x, &self.kinds, &self.label)
    }
}

fn fit(parameters: Parameters, train: &BoostData, valid: Option<&BoostData>) -> Result<Fitted, BoostError> {
    Booster::new(parameters).fit(train, valid, 7, &mut |_, _| {})
}

fn answers(ensemble: &TreeEnsemble, x: &FeatureMatrix) -> Vec<f64> {
    ensemble
        .predict(x)
        .unwrap()
        .iter()
        .map(|it| ensemble.link().apply(*it))
        .collect()
}

fn mean_error(got: &[f64], label: &[f64]) -> f64 {
    got.iter().zip(label).map(|(a, b)| (a - b).abs()).sum::<f64>() / label.len() as f64
}

/// Fits 200 rounds and judges the mean absolute error on fresh rows of the same rule.
fn check_learns(
    parameters: Parameters,
    kinds: &[ColumnKind],
    bar: f64,
    rule: impl Fn(&mut dyn FnMut() -> f64) -> (Vec<f64>, f64),
) {
    let (train, test) = (Rows::make(kinds, 4000, 1, &rule), Rows::make(kinds, 1000, 2, &rule));
    let fitted = fit(
        Parameters {
            rounds: 200,
            ..parameters
        },
        &train.data(),
        None,
    )
    .unwrap();
    let error = mean_error(&answers(&fitted.ensemble, &test.x), &test.label);
    assert!(error <= bar, "mean error {error}");
}

#[test]
fn a_step_is_learned() {
    check_learns(Parameters::default(), &[NUMBER], 0.01, |draw| {
        let x = draw();
        (vec![x], if x > 0.37 { 2.0 } else { -1.0 })
    });
}

#[test]
fn an_interaction_without_main_effects_is_learned() {
    check_learns(Parameters::for_loss(Loss::Logistic), &[NUMBER; 3], 0.05, |draw| {
        let (a, b, noise) = (draw() - 0.5, draw() - 0.45, draw());
        (vec![a, b, noise], f64::from(u8::from((a > 0.0) != (b > 0.0))))
    });
}

#[test]
fn a_high_cardinality_category_is_learned() {
    let parameters = Parameters {
        cat_smooth: 5.0,
        cat_l2: 1.0,
        l2: 1.0,
        min_data_in_leaf: 5,
        ..Parameters::default()
    };
    check_learns(parameters, &[category(150), NUMBER], 0.15, |draw| {
        let code = (draw() * 150.0).floor();
        let effect = if chance(code as u64 + 99) > 0.5 { 1.0 } else { -1.0 };
        (vec![code, draw()], effect + 0.1 * (draw() - 0.5))
    });
}

#[test]
fn more_categories_than_bins_are_learned_where_they_are_frequent() {
    check_learns(Parameters::default(), &[category(5000)], 0.45, |draw| {
        let code = (5000.0 * draw().powi(8)).floor();
        (vec![code], if (code as u64).is_multiple_of(2) { 1.0 } else { -1.0 })
    });
}

#[test]
fn missing_values_learn_their_side() {
    for kind in [NUMBER, category(10)] {
        for missing in [5.0, -5.0] {
            check_learns(Parameters::default(), &[kind, NUMBER], 0.1, |draw| {
                let (x, absent, other) = ((draw() * 10.0).floor(), draw() < 0.3, draw());
                if absent {
                    (vec![f64::NAN, other], missing)
                } else {
                    (vec![x, other], if x < 4.0 { -2.0 } else { 2.0 })
                }
            });
        }
    }
}

#[test]
fn what_was_never_seen_is_answered_like_most_rows() {
    let rows = Rows::make(&[category(5), NUMBER], 2000, 1, |draw| {
        let code = if draw() < 0.1 {
            0.0
        } else {
            1.0 + (draw() * 4.0).floor()
        };
        (vec![code, draw()], if code == 0.0 { 10.0 } else { 1.0 })
    });
    let fitted = fit(
        Parameters {
            rounds: 200,
            ..Parameters::default()
        },
        &rows.data(),
        None,
    )
    .unwrap();
    let odd = [
        [5.0, 0.5],
        [f64::NAN, 0.5],
        [1e9, 0.5],
        [-3.0, f64::NAN],
        [2.0, f64::INFINITY],
    ];
    for got in answers(&fitted.ensemble, &FeatureMatrix::from_rows(2, odd.concat())) {
        assert!((got - 1.0).abs() < 0.1, "{got}");
    }
}

#[test]
fn a_monotone_column_moves_the_answer_one_way() {
    let rule = |draw: &mut dyn FnMut() -> f64| {
        let (a, b, noise) = (draw() * 6.0, draw(), draw() - 0.5);
        (vec![a, b], (a * 1.5).sin() + a / 3.0 + b * a.cos() + noise)
    };
    let rows = Rows::make(&[NUMBER; 2], 3000, 1, rule);
    for (monotone, sign) in [(Monotone::Rising, 1.0), (Monotone::Falling, -1.0)] {
        let parameters = Parameters {
            rounds: 100,
            monotone: vec![monotone, Monotone::Free],
            ..Parameters::default()
        };
        let ensemble = fit(parameters, &rows.data(), None).unwrap().ensemble;
        for b in [0.0, 0.2, 0.5, 0.8, 1.0] {
            let line = FeatureMatrix::from_rows(2, (0..600).flat_map(|it| [f64::from(it) / 100.0, b]).collect());
            let line = answers(&ensemble, &line);
            assert!(
                line.windows(2).all(|it| sign * (it[1] - it[0]) >= -1e-9),
                "{monotone:?} at {b}"
            );
        }
    }
}

#[test]
fn a_monotone_column_of_categories_is_refused() {
    let rows = Rows::make(&[category(3)], 100, 1, |draw| (vec![(draw() * 3.0).floor()], draw()));
    let parameters = Parameters {
        monotone: vec![Monotone::Rising],
        ..Parameters::default()
    };
    assert_eq!(
        fit(parameters, &rows.data(), None),
        Err(BoostError::MonotoneCategory { column: 0 })
    );
}

/// Spend: most spend nothing, the rest an amount that grows with `a`. The third column is the expected spend, for judging.
fn spend(draw: &mut dyn FnMut() -> f64) -> (Vec<f64>, f64) {
    let (a, b) = (draw(), draw());
    let (share, mean) = (0.3 + 0.4 * a, (1.0 + 4.0 * a).exp());
    let amount = if draw() < share {
        mean * -draw().max(1e-9).ln()
    } else {
        0.0
    };
    (vec![a, b, share * mean], amount)
}

/// The first `n_columns` columns.
fn narrowed(rows: &Rows, n_columns: usize) -> Rows {
    let values = rows.x.rows().flat_map(|row| row[..n_columns].to_vec()).collect();
    Rows {
        x: FeatureMatrix::from_rows(n_columns, values),
        kinds: rows.kinds[..n_columns].to_vec(),
        label: rows.label.clone(),
    }
}

#[test]
fn tweedie_and_poisson_come_close_to_the_best_reachable_and_keep_the_total() {
    let (train, judge) = (
        Rows::make(&[NUMBER; 3], 8000, 1, spend),
        Rows::make(&[NUMBER; 3], 8000, 2, spend),
    );
    let (train, test) = (narrowed(&train, 2), narrowed(&judge, 2));
    let mean = train.label.iter().sum::<f64>() / 8000.0;
    let (best, naive) = (
        mean_error(&judge.x.column(2), &test.label),
        mean_error(&[mean; 8000], &test.label),
    );
    for loss in [Loss::Tweedie { power: 1.5 }, Loss::Poisson] {
        let parameters = Parameters {
            rounds: 100,
            ..Parameters::for_loss(loss)
        };
        let got = answers(&fit(parameters, &train.data(), None).unwrap().ensemble, &test.x);
        let (total, error) = (
            got.iter().sum::<f64>() / test.label.iter().sum::<f64>(),
            mean_error(&got, &test.label),
        );
        assert!((0.93..1.07).contains(&total), "{loss:?}: total ratio {total}");
        assert!(
            error < 1.03 * best && error < naive,
            "{loss:?}: {error}, best {best}, mean {naive}"
        );
    }
}

#[test]
fn a_quantile_has_its_share_of_labels_below() {
    let rule = |draw: &mut dyn FnMut() -> f64| {
        let x = draw();
        (vec![x], 10.0 * x + (1.0 + 4.0 * x) * draw())
    };
    let (train, test) = (
        Rows::make(&[NUMBER], 6000, 1, rule),
        Rows::make(&[NUMBER], 6000, 2, rule),
    );
    for (loss, level) in [
        (Loss::Quantile { level: 0.9 }, 0.9),
        (Loss::Quantile { level: 0.1 }, 0.1),
        (Loss::Absolute, 0.5),
    ] {
        let parameters = Parameters {
            rounds: 200,
            ..Parameters::for_loss(loss)
        };
        let got = answers(&fit(parameters, &train.data(), None).unwrap().ensemble, &test.x);
        let below = got.iter().zip(&test.label).filter(|(a, b)| b <= a).count() as f64 / got.len() as f64;
        assert!((below - level).abs() < 0.03, "{loss:?}: {below} below");
    }
}

#[test]
fn huber_is_not_moved_by_outliers() {
    let rule = |draw: &mut dyn FnMut() -> f64| {
        let x = draw();
        (vec![x], if draw() < 0.02 { 1000.0 } else { 3.0 * x })
    };
    let train = Rows::make(&[NUMBER], 4000, 1, rule);
    let parameters = Parameters {
        rounds: 200,
        ..Parameters::for_loss(Loss::Huber { delta: 0.5 })
    };
    let ensemble = fit(parameters, &train.data(), None).unwrap().ensemble;
    let got = answers(&ensemble, &FeatureMatrix::from_rows(1, vec![0.1, 0.9]));
    assert!((got[0] - 0.3).abs() < 0.3 && (got[1] - 2.7).abs() < 0.3, "{got:?}");
}

/// Numbers, categories, missing values and noise together.
fn mixed(draw: &mut dyn FnMut() -> f64) -> (Vec<f64>, f64) {
    let (a, code, b) = (draw() * 10.0, (draw() * 30.0).floor(), draw());
    let seen = if draw() < 0.1 { f64::NAN } else { a };
    let score = (a - 5.0) / 3.0 + if (code as u64).is_multiple_of(3) { 1.0 } else { -0.5 };
    let positive = draw() < 1.0 / (1.0 + (-score).exp());
    (
        vec![seen, if draw() < 0.05 { f64::NAN } else { code }, b],
        f64::from(u8::from(positive)),
    )
}

const MIXED: [ColumnKind; 3] = [NUMBER, ColumnKind::Category { cardinality: 29 }, NUMBER];

#[test]
fn early_stopping_keeps_the_best_round_and_its_loss_is_the_ensembles() {
    let (train, valid) = (Rows::make(&MIXED, 1500, 1, mixed), Rows::make(&MIXED, 1500, 2, mixed));
    let mut heard = Vec::new();
    let booster = Booster::new(Parameters {
        patience: 20,
        learning_rate: 0.2,
        ..Parameters::for_loss(Loss::Logistic)
    });
    let fitted = booster
        .fit(&train.data(), Some(&valid.data()), 7, &mut |round, loss| {
            heard.push((round, loss))
        })
        .unwrap();
    let least = fitted.history.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(fitted.history[fitted.best_iteration - 1], least);
    assert_eq!(fitted.ensemble.trees().len(), fitted.best_iteration);
    assert_eq!(fitted.history.len(), fitted.best_iteration + 20);
    assert_eq!(heard, (1..).zip(fitted.history.iter().copied()).collect::<Vec<_>>());
    let p = answers(&fitted.ensemble, &valid.x);
    let loss = p
        .iter()
        .zip(&valid.label)
        .map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln()))
        .sum::<f64>();
    assert!(
        (loss / p.len() as f64 - least).abs() < 1e-12,
        "the trees of bins and of values walk alike"
    );
}

#[test]
fn threads_do_not_show_in_the_bytes_and_the_seed_does() {
    let (train, valid) = (
        Rows::make(&MIXED, 40_000, 1, mixed),
        Rows::make(&MIXED, 20_000, 2, mixed),
    );
    let bytes = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let booster = Booster::new(Parameters {
            rounds: 12,
            ..Parameters::for_loss(Loss::Logistic)
        });
        pool.install(|| {
            booster
                .fit(&train.data(), Some(&valid.data()), seed, &mut |_, _| {})
                .unwrap()
                .ensemble
                .to_bytes()
        })
    };
    let one = bytes(1, 3);
    assert_eq!(one, bytes(4, 3));
    assert_ne!(one, bytes(1, 4));
}

#[test]
fn a_weight_is_a_number_of_equal_rows() {
    let rows = Rows::make(&MIXED, 2000, 1, mixed);
    let weight: Vec<f64> = (0..2000).map(|it| f64::from(it % 4)).collect();
    let repeated: Vec<usize> = (0..2000).flat_map(|row| vec![row; row % 4]).collect();
    let label: Vec<f64> = repeated.iter().map(|&row| rows.label[row]).collect();
    let x = rows.x.select(&repeated);
    let parameters = Parameters {
        rounds: 30,
        row_fraction: 1.0,
        min_data_in_leaf: 1,
        min_child_weight: 10.0,
        one_hot_categories: 0,
        ..Parameters::for_loss(Loss::Logistic)
    };
    let weighted = BoostData {
        weight: Some(&weight),
        ..rows.data()
    };
    let by_weight = fit(parameters.clone(), &weighted, None).unwrap();
    let by_rows = fit(parameters, &BoostData::new(&x, &rows.kinds, &label), None).unwrap();
    let difference = mean_error(
        &answers(&by_weight.ensemble, &rows.x),
        &answers(&by_rows.ensemble, &rows.x),
    );
    assert!(difference < 2e-3, "{difference}");
}

#[test]
fn an_offset_is_learned_around_and_left_out_of_the_ensemble() {
    let exposure: Vec<f64> = (0..4000).map(|it| 1.0 + f64::from(it % 5)).collect();
    let mut rows = Rows::make(&[NUMBER], 4000, 1, |draw| {
        let x = draw();
        (vec![x], if x > 0.5 { 2.0 } else { 1.0 })
    });
    rows.label
        .iter_mut()
        .zip(&exposure)
        .for_each(|(label, exposure)| *label *= exposure);
    let offset: Vec<f64> = exposure.iter().map(|it| it.ln()).collect();
    let data = BoostData {
        offset: Some(&offset),
        ..rows.data()
    };
    let ensemble = fit(
        Parameters {
            rounds: 300,
            ..Parameters::for_loss(Loss::Poisson)
        },
        &data,
        None,
    )
    .unwrap()
    .ensemble;
    let got = answers(&ensemble, &FeatureMatrix::from_rows(1, vec![0.2, 0.8]));
    assert!((got[0] - 1.0).abs() < 0.02 && (got[1] - 2.0).abs() < 0.02, "{got:?}");
}

#[test]
fn what_cannot_be_fitted_is_refused_with_a_sentence() {
    let rows = Rows::make(&[NUMBER; 2], 50, 1, |draw| {
        (vec![draw(), draw()], f64::from(u8::from(draw() > 0.5)))
    });
    let logistic = || Parameters::for_loss(Loss::Logistic);
    let (none, negative, nan) = (vec![0.0; 50], vec![-1.0; 50], vec![f64::NAN; 50]);
    let good = rows.data();
    let cases = [
        (
            "one value per row",
            logistic(),
            BoostData {
                label: &rows.label[1..],
                ..good
            },
        ),
        (
            "one value per column",
            logistic(),
            BoostData {
                kinds: &rows.kinds[1..],
                ..good
            },
        ),
        (
            "weight must be",
            logistic(),
            BoostData {
                weight: Some(&negative),
                ..good
            },
        ),
        (
            "weight above 0",
            logistic(),
            BoostData {
                weight: Some(&none),
                ..good
            },
        ),
        (
            "offset must be",
            logistic(),
            BoostData {
                offset: Some(&nan),
                ..good
            },
        ),
        (
            "label must be a number from 0 to 1",
            logistic(),
            BoostData {
                label: &negative,
                ..good
            },
        ),
        ("all labels are 0", logistic(), BoostData { label: &none, ..good }),
        (
            "all labels are 0",
            Parameters::for_loss(Loss::Poisson),
            BoostData { label: &none, ..good },
        ),
        (
            "label must be a finite number",
            Parameters::default(),
            BoostData { label: &nan, ..good },
        ),
        (
            "learning_rate",
            Parameters {
                learning_rate: f64::NAN,
                ..logistic()
            },
            good,
        ),
        (
            "monotone must have",
            Parameters {
                monotone: vec![Monotone::Rising],
                ..logistic()
            },
            good,
        ),
    ];
    for (expected, parameters, data) in cases {
        let refused = fit(parameters, &data, None).unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}

#[test]
fn nothing_to_split_gives_the_base() {
    let constant = Rows::make(&[NUMBER, category(3)], 500, 1, |draw| (vec![1.0, f64::NAN], draw()));
    let fitted = fit(Parameters::default(), &constant.data(), None).unwrap();
    let mean = constant.label.iter().sum::<f64>() / 500.0;
    let got = answers(&fitted.ensemble, &FeatureMatrix::from_rows(2, vec![f64::NAN, 2.0]));
    assert!((got[0] - mean).abs() < 0.02, "{got:?} against {mean}");
}
