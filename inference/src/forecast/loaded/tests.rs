use foretell_features::row::KeyPart;

use super::*;
use crate::forecast::fixture::{self, parts};

fn key(name: &str) -> EntityKey {
    EntityKey(vec![KeyPart::Str(name.into())])
}

fn package() -> (Manifest, PackageFiles) {
    let parts = parts();
    let manifest = fixture::manifest(parts.signature.clone());
    (manifest, LoadedForecast::assemble(parts).unwrap().to_files().unwrap())
}

#[test]
fn a_package_round_trip_answers_alike() {
    let (manifest, files) = package();
    let loaded = LoadedForecast::load(&manifest, &files).unwrap();
    let options = PredictOptions {
        explain: 0,
        interval: Some(0.8),
    };
    let fresh = LoadedForecast::assemble(parts())
        .unwrap()
        .predict(&key("south"), None, None, options)
        .unwrap();
    let read = loaded.predict(&key("south"), None, None, options).unwrap();
    assert_eq!(read, fresh);
    let values: Vec<f64> = read.steps.iter().map(|it| it.value).collect();
    assert_eq!(values, [10.0, 20.0, 30.0, 10.0, 20.0]);
    assert_eq!(read.total.0, 90.0);
    assert_eq!(read.steps[0].time, "1970-01-12".parse().unwrap());
    assert!(read.steps.iter().all(|it| it.lower < it.value && it.value < it.upper));
}

#[test]
fn a_changed_package_is_refused() {
    let (manifest, files) = package();
    for name in [
        STATES_FILE,
        FUTURE_FILE,
        INTERVALS_FILE,
        SERIES_FILE,
        FORECASTER_FILE,
        GOLDEN_SERIES_FILE,
    ] {
        let mut less = files.clone();
        let bytes = less.remove(name).unwrap();
        assert!(
            matches!(
                LoadedForecast::load(&manifest, &less),
                Err(InferenceError::MissingFile { .. })
            ),
            "{name}"
        );
        let mut cut = files.clone();
        cut.insert(name.to_owned(), bytes[..bytes.len() / 2].to_vec());
        assert!(
            matches!(
                LoadedForecast::load(&manifest, &cut),
                Err(InferenceError::Damaged { .. })
            ),
            "{name}"
        );
    }
    let mut other = files;
    let golden = String::from_utf8(other[GOLDEN_SERIES_FILE].clone())
        .unwrap()
        .replacen("10.0", "11.0", 1);
    other.insert(GOLDEN_SERIES_FILE.to_owned(), golden.into_bytes());
    assert!(matches!(
        LoadedForecast::load(&manifest, &other),
        Err(InferenceError::Golden { .. })
    ));
}

#[test]
fn wrong_requests_say_what_is_wrong() {
    let loaded = LoadedForecast::assemble(parts()).unwrap();
    let ask = |series: &str, horizon: Option<usize>, future: Option<Vec<(&str, Value)>>, interval: Option<f64>| {
        let rows = future.map(|row| vec![row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(); 5]);
        let options = PredictOptions { explain: 0, interval };
        loaded
            .predict(&key(series), horizon, rows.as_deref(), options)
            .map(drop)
            .map_err(|it| it.to_string())
    };
    let cases = [
        (
            ask("nort", None, None, None),
            "unknown series `nort`; did you mean `north`?",
        ),
        (
            ask("north", Some(6), None, None),
            "horizon 6 is not within 1..=5, the model's horizon",
        ),
        (
            ask("north", Some(0), None, None),
            "horizon 0 is not within 1..=5, the model's horizon",
        ),
        (
            ask("north", None, Some(vec![("promos", Value::Bool(true))]), None),
            "unknown input `promos`; did you mean `promo`?",
        ),
        (
            ask("north", None, Some(vec![("promo", Value::text("x"))]), None),
            "input `promo` is not boolean. got=`x`",
        ),
        (
            ask("north", None, None, Some(1.0)),
            "interval must lie between 0 and 1, such as 0.9. got=`1`",
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, Err(expected.to_owned()));
    }
    let short = [BTreeMap::new()];
    assert!(
        loaded
            .predict(&key("north"), Some(2), Some(&short), PredictOptions::default())
            .is_err()
    );
}

#[test]
fn an_advanced_state_starts_later_in_what_the_package_knows_of_the_future() {
    let loaded = LoadedForecast::assemble(parts()).unwrap();
    let mut state = loaded.state(&key("south")).unwrap().clone();
    assert_eq!(loaded.packaged_future(&state, 5).values, [1.0; 5]);
    for _ in 0..3 {
        loaded.advance(&mut state, 5.0, &BTreeMap::new()).unwrap();
    }
    let future = loaded.packaged_future(&state, 5).values;
    assert!(
        future[..2] == [1.0, 1.0] && future[2..].iter().all(|it| it.is_nan()),
        "{future:?}"
    );
    let steps = loaded
        .predict_from(&state, None, None, PredictOptions::default())
        .unwrap()
        .steps;
    assert_eq!((steps[0].value, steps[0].time), (5.0, "1970-01-15".parse().unwrap()));
}
