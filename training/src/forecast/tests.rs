use std::collections::BTreeMap;
use std::sync::Arc;

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, ForecastTest, Series, SeriesSet, SeriesSpec, Span, Timestamp, Value};
use foretell_inference::forecast::LoadedForecast;
use foretell_inference::{Manifest, PredictOptions, Task};
use foretell_models::{CandidateSpec, GateRule, ModelSpec, Subject};

use super::chance::Chance;
use super::lags::BoostedLagsEstimator;
use super::naive::SeasonalNaiveEstimator;
use super::smoothing::ExponentialSmoothingEstimator;
use super::*;

const HORIZON: usize = 14;
const WEEK: [f64; 7] = [1.0, 0.9, 0.95, 1.0, 1.2, 1.5, 0.7];

/// Five shops over `days` days: a size, a weekday, promotions on irregular days that sell half as much again, noise of a tenth.
/// Closed every seventh Sunday.
fn shops(days: usize) -> SeriesSet {
    SeriesSet {
        step: Span::DAY,
        series: (0..5).map(|shop| one_shop(shop, days)).collect(),
        known_types: vec![
            ("promo".to_owned(), DataType::Boolean),
            ("open".to_owned(), DataType::Boolean),
        ],
        static_types: vec![("region".to_owned(), DataType::String)],
    }
}

fn one_shop(shop: usize, days: usize) -> Series {
    let mut chance = Chance::new(11, shop as u64);
    let mut noise = move || (0..12).map(|_| chance.unit()).sum::<f64>() - 6.0;
    let mut promos = Chance::new(5, 0);
    let promo: Vec<bool> = (0..days + HORIZON).map(|_| promos.below(4) == 0).collect();
    let open = |day: usize| !(day % 7 == 6 && (day / 7).is_multiple_of(7));
    let size = 50.0 * (shop + 1) as f64;
    let mut value = |day: usize| {
        let lift = if promo[day] { 1.5 } else { 1.0 };
        if open(day) {
            size * WEEK[day % 7] * lift * (1.0 + 0.1 * noise())
        } else {
            0.0
        }
    };
    let bools = |of: &dyn Fn(usize) -> bool| (0..days + HORIZON).map(|day| Value::Bool(of(day))).collect();
    Series {
        key: EntityKey(vec![KeyPart::Str(Arc::from(format!("shop {shop}")))]),
        start: Timestamp(0),
        values: (0..days).map(&mut value).collect(),
        judged: (0..days).map(open).collect(),
        known: vec![bools(&|day| promo[day]), bools(&open)],
        statics: vec![Value::text(if shop < 3 { "north" } else { "south" })],
        test_start: days - HORIZON,
    }
}

fn spec(candidates: &[(&str, &[(&str, f64)])]) -> ModelSpec {
    let candidate = |(algorithm, parameters): &(&str, &[(&str, f64)])| CandidateSpec {
        algorithm: (*algorithm).to_owned(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), number(*value)))
            .collect(),
    };
    let series = SeriesSpec {
        source: "sales".to_owned(),
        key: vec!["shop".to_owned()],
        time: "day".to_owned(),
        value: "units".to_owned(),
        step: Span::DAY,
        horizon: HORIZON,
        known: Vec::new(),
        statics: Vec::new(),
        statics_from: None,
        judged: None,
        seasons: vec![7],
        test: ForecastTest::Last,
    };
    ModelSpec {
        name: "demand".to_owned(),
        task: Task::Forecast,
        subject: Subject::Series(series),
        candidates: candidates.iter().map(candidate).collect(),
        gates: vec![GateRule {
            metric: "wape".to_owned(),
            min: None,
            max: None,
            not_worse_than_champion_by: None,
            better_than_baseline: true,
        }],
        decision: None,
        endpoints: Vec::new(),
        file: "model.toml".into(),
    }
}

/// As TOML gives it.
fn number(it: f64) -> Value {
    if it.fract() == 0.0 {
        Value::Int(it as i64)
    } else {
        Value::Float(it)
    }
}

const SMALL_TREES: &[(&str, f64)] = &[("rows", 12_000.0), ("rounds", 150.0), ("learning_rate", 0.1)];

fn train(spec: &ModelSpec, set: &SeriesSet) -> Result<ForecastOutcome, ForecastError> {
    train_forecast(&ForecastTrainInput {
        spec,
        set,
        seed: 7,
        progress: &|_| (),
    })
}

fn panel(set: &SeriesSet, horizon: usize) -> Result<Panel, ForecastError> {
    let key = vec![("shop".to_owned(), DataType::String)];
    Panel::new(
        set,
        &PanelSpec {
            key,
            horizon,
            seasons: &[7],
        },
    )
}

fn fit<'a>(panel: &'a Panel, ends: &'a [usize]) -> Fit<'a> {
    Fit {
        panel,
        ends,
        watch: None,
        rounds: Some(30),
        seed: 1,
        progress: &|_| (),
    }
}

#[test]
fn boosted_lags_finds_promotions_that_seasonal_naive_cannot_and_its_intervals_hold() {
    let set = shops(500);
    let outcome = train(
        &spec(&[("exponential_smoothing", &[]), ("boosted_lags", SMALL_TREES)]),
        &set,
    )
    .unwrap();
    assert_eq!(outcome.algorithm, "boosted_lags");
    assert_eq!(outcome.chosen_by, "wape", "the first gate's metric");
    let [naive, smoothing, lags] = &outcome.candidates[..] else {
        panic!("the baseline and two candidates")
    };
    assert_eq!(naive.algorithm, "seasonal_naive");
    let wape = |it: &ForecastCandidate| it.metrics["wape"];
    // Noise of a tenth of the value leaves a mean absolute error of 0.08 to the best of forecasts.
    assert!(
        wape(lags) < 0.5 * wape(naive) && wape(lags) < 0.12,
        "{} {} {}",
        wape(lags),
        wape(smoothing),
        wape(naive)
    );
    for (name, nominal) in [("coverage_80", 0.8), ("coverage_90", 0.9), ("coverage_95", 0.95)] {
        let got = lags.metrics[name];
        let near = (got - nominal).abs() < 0.1;
        assert!(near, "{name} {got}");
    }
    assert_eq!(
        outcome.n_test,
        set.series
            .iter()
            .map(|it| it.judged[486..].iter().filter(|it| **it).count())
            .sum::<usize>()
    );
}

#[test]
fn exponential_smoothing_recovers_a_known_season_and_a_trend() {
    let value = |day: usize| 100.0 + 0.5 * day as f64 + 20.0 * WEEK[day % 7];
    let mut set = shops(160);
    set.series.truncate(1);
    set.series[0].values = (0..160).map(value).collect();
    set.series[0].judged = vec![true; 160];
    let panel = panel(&set, HORIZON).unwrap();
    let ends = panel.test_starts();
    let fitted = ExponentialSmoothingEstimator.fit(&fit(&panel, &ends)).unwrap();
    let got = fitted
        .forecaster()
        .forecast(
            &fitted.state(&panel, 0, ends[0]),
            HORIZON,
            &panel.future(&panel.series[0], ends[0]),
        )
        .unwrap();
    for (step, got) in got.iter().enumerate() {
        let expected = value(ends[0] + step);
        let close = (got - expected).abs() < 0.02 * expected;
        assert!(close, "{step}: {got}, not {expected}");
    }
}

#[test]
fn a_state_that_advances_equals_the_state_made_later() {
    let set = shops(200);
    let panel = panel(&set, HORIZON).unwrap();
    let ends = panel.test_starts();
    let lags = BoostedLagsEstimator {
        rows: 2_000,
        ..Default::default()
    };
    let estimators: [&dyn ForecastEstimator; 3] = [&SeasonalNaiveEstimator, &ExponentialSmoothingEstimator, &lags];
    for estimator in estimators {
        let fitted = estimator.fit(&fit(&panel, &ends)).unwrap();
        let mut state = fitted.state(&panel, 2, 150);
        for at in 150..170 {
            let known = &panel.series[2].known[at * 2..at * 2 + 2];
            fitted
                .forecaster()
                .advance(&mut state, panel.series[2].values[at], known)
                .unwrap();
        }
        assert_eq!(state, fitted.state(&panel, 2, 170), "{estimator:?}");
    }
}

#[test]
fn a_package_replays_its_golden_series_and_is_the_same_on_any_number_of_threads() {
    let set = shops(250);
    let model = spec(&[("boosted_lags", SMALL_TREES)]);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&model, &set).unwrap())
    };
    let outcome = on(1);
    assert_eq!(outcome.files, on(3).files);
    let manifest = Manifest {
        series: Some(outcome.signature.clone()),
        ..tiny_manifest()
    };
    let loaded = LoadedForecast::load(&manifest, &outcome.files).unwrap();
    let key = &set.series[1].key;
    let known = loaded.predict(key, None, None, PredictOptions::default()).unwrap();
    assert_eq!(known.steps.len(), HORIZON);
    assert_eq!(
        known.steps[0].time,
        Timestamp(250 * Span::DAY.0),
        "the package knows the series to its end"
    );
    for (step, it) in known.steps.iter().enumerate() {
        let sum: f64 = known.components.iter().map(|(_, part)| part[step]).sum();
        let sound = (sum - it.value).abs() < 1e-6 * it.value.max(1.0) && 0.0 <= it.lower && it.lower <= it.value;
        assert!(sound, "{step} {it:?} {sum}");
    }
    let parts: f64 = known.steps.iter().map(|it| it.upper - it.lower).sum();
    assert!(known.total.2 - known.total.1 < parts, "errors of a total partly cancel");
    let promo = |on: bool| {
        let row = BTreeMap::from([("promo".to_owned(), Value::Bool(on))]);
        loaded
            .predict(key, None, Some(&vec![row; HORIZON]), PredictOptions::default())
            .unwrap()
            .total
            .0
    };
    assert!(promo(true) > 1.2 * promo(false), "{} {}", promo(true), promo(false));
}

fn tiny_manifest() -> Manifest {
    let files = foretell_inference::forecast::fixture::tiny_forecast_package();
    serde_json::from_slice(&files["manifest.json"]).unwrap()
}

#[test]
fn the_test_decides_nothing() {
    let seen = shops(250);
    let mut other = seen.clone();
    for series in &mut other.series {
        series.values[250 - HORIZON..].iter_mut().for_each(|it| *it *= 3.0);
    }
    let model = spec(&[("exponential_smoothing", &[]), ("boosted_lags", SMALL_TREES)]);
    let (a, b) = (train(&model, &seen).unwrap(), train(&model, &other).unwrap());
    for (a, b) in a.candidates.iter().zip(&b.candidates) {
        assert_eq!(a.validation, b.validation);
        assert_ne!(a.metrics, b.metrics);
    }
    assert_eq!(a.files["intervals.json"], b.files["intervals.json"]);
}

#[test]
fn a_series_of_its_own_and_one_with_gaps_are_forecast() {
    let mut set = shops(300);
    set.series.truncate(1);
    set.series[0]
        .values
        .iter_mut()
        .step_by(11)
        .for_each(|it| *it = f64::NAN);
    let outcome = train(
        &spec(&[("exponential_smoothing", &[]), ("boosted_lags", SMALL_TREES)]),
        &set,
    )
    .unwrap();
    assert_eq!(outcome.algorithm, "boosted_lags");
    assert!(outcome.metrics["wape"] < outcome.candidates[0].metrics["wape"]);
}

#[test]
fn what_cannot_be_trained_says_why() {
    let change = |of: &dyn Fn(&mut SeriesSet)| {
        let mut set = shops(100);
        of(&mut set);
        set
    };
    let plain = spec(&[]);
    let wrong = |name: &str, parameters: &'static [(&'static str, f64)]| spec(&[(name, parameters)]);
    let cases = [
        (plain.clone(), change(&|it| it.series.clear()), "there is no series"),
        (
            plain.clone(),
            change(&|it| it.step = Span(0)),
            "the step of the series must be longer than 0",
        ),
        (
            plain.clone(),
            change(&|it| it.series.iter_mut().for_each(|it| it.values.fill(f64::NAN))),
            "no series has a value",
        ),
        (
            plain.clone(),
            change(&|it| it.series.iter_mut().for_each(|it| it.test_start = 15)),
            "horizon 14 is too long",
        ),
        (
            plain.clone(),
            change(&|it| it.series[0].judged.truncate(99)),
            "series `shop 0` is irregular",
        ),
        (
            plain.clone(),
            change(&|it| drop(it.series[0].known.pop())),
            "series `shop 0` is irregular",
        ),
        (
            wrong("boosted_lag", &[]),
            shops(100),
            "unknown forecast algorithm `boosted_lag`; did you mean `boosted_lags`?",
        ),
        (
            wrong("exponential_smoothing", &[("alpha", 0.5)]),
            shops(100),
            "`exponential_smoothing` has no parameter `alpha`",
        ),
        (
            wrong("boosted_lags", &[("rows", -1.0)]),
            shops(100),
            "parameter `rows` must be a number of at least 0",
        ),
        (wrong("boosted_lags", &[("leaves", 5.0)]), shops(100), "leaves"),
    ];
    for (model, set, expected) in cases {
        let error = train(&model, &set).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "`{error}` does not say `{expected}`");
    }
}

#[test]
fn metrics_are_those_of_the_competitions() {
    let set = shops(100);
    let panel = panel(&set, HORIZON).unwrap();
    let window = Window {
        series: 0,
        origin: 86,
        len: 3,
    };
    let fitted = SeasonalNaiveEstimator.fit(&fit(&panel, &[86; 5])).unwrap();
    let mut trial = windows::try_windows(&panel, fitted.as_ref(), &[window])
        .unwrap()
        .remove(0);
    (trial.values, trial.observed, trial.judged) =
        (vec![8.0, 3.0, 50.0], vec![10.0, 0.0, 1.0], vec![true, true, false]);
    let history = panel.series[0].history();
    let naive = |season: usize| {
        history
            .windows(season + 1)
            .map(|it| it[season] - it[0])
            .collect::<Vec<f64>>()
    };
    let mean = |it: Vec<f64>| it.iter().sum::<f64>() / it.len() as f64;
    let got = metrics::point_metrics(&panel, &[trial]);
    let cases = [
        ("mae", 2.5),
        ("rmse", 6.5_f64.sqrt()),
        ("wape", 0.5),
        ("bias", 0.1),
        ("rmspe", 0.2),
        ("smape", (200.0 * 2.0 / 18.0 + 200.0) / 2.0),
        ("mase", 2.5 / mean(naive(7).iter().map(|it| it.abs()).collect())),
        (
            "rmsse",
            (6.5 / mean(naive(1).iter().map(|it| it * it).collect())).sqrt(),
        ),
    ];
    for (name, expected) in cases {
        let close = (got[name] - expected).abs() < 1e-9;
        assert!(close, "{name}: {}, not {expected}", got[name]);
    }
}
