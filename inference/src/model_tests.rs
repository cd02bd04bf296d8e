use foretell_features::Value;

use super::*;
use crate::testing::tiny_churn_package;

fn churn() -> Model {
    Model::load(&tiny_churn_package()).unwrap()
}

fn predict(model: &Model, row: Vec<Value>, options: PredictOptions) -> Result<RowPrediction, InferenceError> {
    model.predict_rows(&[row], options).unwrap().remove(0)
}

fn row(orders: i64, spend: f64, plan: &str) -> Vec<Value> {
    vec![Value::Int(orders), Value::Float(spend), Value::text(plan)]
}

#[test]
fn a_row_gets_a_calibrated_value_a_decision_and_its_strongest_reasons() {
    let got = predict(
        &churn(),
        row(0, 0.0, "basic"),
        PredictOptions {
            explain: 2,
            interval: None,
        },
    )
    .unwrap();
    let score: f64 = 0.8 * 1.5 + 0.5 * 1.5 + 0.6;
    let expected = 1.0 / (1.0 + (-(1.1 * score - 0.05)).exp());
    assert!((got.value - expected).abs() < 1e-12, "{} is not {expected}", got.value);
    assert_eq!(got.decision.unwrap().level, "high");
    let reasons: Vec<_> = got
        .reasons
        .iter()
        .map(|it| (it.feature.as_str(), it.value.clone()))
        .collect();
    assert_eq!(
        reasons,
        [("orders_90d", Value::Int(0)), ("spend_90d", Value::Float(0.0))]
    );
    assert!((got.reasons[0].contribution - 1.2).abs() < 1e-12);
}

#[test]
fn a_row_that_cannot_be_scored_leaves_the_others_unharmed() {
    let model = churn();
    let wrong = vec![Value::text("many"), Value::Null, Value::Null];
    let rows = [row(1, 10.0, "pro"), wrong, vec![], row(2, 20.0, "pro")];
    let got = model.predict_rows(&rows, PredictOptions::default()).unwrap();
    let alone = |it: usize| predict(&model, rows[it].clone(), PredictOptions::default()).unwrap();
    assert_eq!(got[0].as_ref().unwrap(), &alone(0));
    assert_eq!(got[3].as_ref().unwrap(), &alone(3));
    assert_eq!(
        got[1].as_ref().unwrap_err().to_string(),
        "input `orders_90d` is not int64. got=`many`"
    );
    assert_eq!(
        got[2].as_ref().unwrap_err().to_string(),
        "a row has 0 values, the model has 3 inputs"
    );
}

#[test]
fn named_values_become_a_row_and_wrong_names_get_the_nearest_one() {
    let model = churn();
    let named = [
        ("plan", Value::text("pro")),
        ("orders_90d", Value::Int(1)),
        ("spend_90d", Value::Null),
    ];
    assert_eq!(
        model.row(named.clone()).unwrap(),
        [Value::Int(1), Value::Null, Value::text("pro")]
    );
    let unknown = model.row([("order_90d", Value::Int(1))]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "unknown input `order_90d`; did you mean `orders_90d`?"
    );
    let missing = model.row(named[..2].iter().cloned()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "missing input `spend_90d` (double); send it, null where unknown"
    );
}

#[test]
fn an_interval_level_outside_0_to_1_is_refused() {
    for level in [0.0, 1.0, -1.0, f64::NAN] {
        let options = PredictOptions {
            explain: 0,
            interval: Some(level),
        };
        assert!(churn().predict_rows(&[row(1, 1.0, "pro")], options).is_err(), "{level}");
    }
}

#[test]
fn a_package_that_was_edited_is_refused() {
    let edits = [
        (
            "golden.json",
            "\"value\":0.",
            "\"value\":0.1",
            "golden row does not reproduce",
        ),
        ("linear.json", "0.6", "0.7", "golden row does not reproduce"),
        ("linear.json", "0.6", "", "`linear.json` is damaged"),
        (
            "manifest.json",
            "\"format\": 1",
            "\"format\": 2",
            "use a newer foretell",
        ),
        (
            "manifest.json",
            "linear.json",
            "linear.exe",
            "unknown predictor `linear.exe`",
        ),
        ("manifest.json", "linear.json", "trees.bin", "no file `trees.bin`"),
        ("manifest.json", "\"spend_90d\"", "\"plan\"", "an input is there twice"),
        ("manifest.json", "\"pro\"", "\"basic\"", "a category twice"),
    ];
    for (file, from, to, expected) in edits {
        let mut files = tiny_churn_package();
        let text = String::from_utf8(files[file].clone()).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
        let error = Model::load(&files).unwrap_err().to_string();
        assert!(error.contains(expected), "{file} {from} -> {to}: {error}");
    }
}

#[test]
fn a_package_without_a_file_or_with_any_of_them_cut_short_is_refused() {
    for (name, bytes) in tiny_churn_package() {
        let mut files = tiny_churn_package();
        for len in 0..bytes.len() {
            files.insert(name.clone(), bytes[..len].to_vec());
            assert!(Model::load(&files).is_err(), "{name} cut at {len}");
        }
        files.remove(&name);
        assert_eq!(
            Model::load(&files).unwrap_err().to_string(),
            format!("the package has no file `{name}`")
        );
    }
}

#[test]
fn no_flipped_byte_makes_loading_panic() {
    for (name, bytes) in tiny_churn_package() {
        for at in (0..bytes.len()).step_by(3) {
            let mut files = tiny_churn_package();
            let mut wrong = bytes.clone();
            wrong[at] ^= 0b0001_0001;
            files.insert(name.clone(), wrong);
            let _ = Model::load(&files);
        }
    }
}

#[test]
fn a_forecast_package_forecasts_and_refuses_rows() {
    let model = Model::load(&crate::forecast::fixture::tiny_forecast_package()).unwrap();
    let series = model.forecast().unwrap().series().next().unwrap().clone();
    let got = model
        .predict_series(&series, Some(2), None, PredictOptions::default())
        .unwrap();
    assert_eq!(got.steps.len(), 2);
    let refused = model.predict_rows(&[vec![]], PredictOptions::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "model task is forecast: it forecasts series; send `series`"
    );
    let refused = churn()
        .predict_series(&series, None, None, PredictOptions::default())
        .unwrap_err();
    assert!(refused.to_string().contains("send `entities` or `rows`"));
}
