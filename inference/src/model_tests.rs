use foretell_features::Value;

use super::*;
use crate::testing::{tiny_churn_package, tiny_quantile_package, tiny_segment_package, tiny_species_package};

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
        check_edit(tiny_churn_package(), file, from, to, expected);
    }
}

/// A package with one text of one file replaced is refused.
fn check_edit(package: PackageFiles, file: &str, from: &str, to: &str, expected: &str) {
    let mut files = package;
    let text = String::from_utf8(files[file].to_vec()).unwrap();
    assert!(text.contains(from), "{file} has no {from} in {text}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    let error = Model::load(&files).unwrap_err().to_string();
    assert!(error.contains(expected), "{file} {from} -> {to}: {error}");
}

#[test]
fn a_package_whose_calibration_interval_decision_or_classes_were_edited_is_refused() {
    let whole = "not those that the golden rows were recorded with";
    let cases = [
        (tiny_churn_package(), "\"a\": 1.1", "\"a\": 1.1000000001"),
        (tiny_churn_package(), "\"b\": -0.05", "\"b\": 0.05"),
        // No golden row lies between the two thresholds, nor gets the advice.
        (tiny_churn_package(), "0.7\n", "0.7000000001\n"),
        (tiny_churn_package(), "call within 24 h", "wait"),
        (tiny_quantile_package(), "-0.5,", "-0.6,"),
        (tiny_quantile_package(), "\"lower_bound\": null", "\"lower_bound\": 0.0"),
        (tiny_segment_package(), "\"value\": \"hill\"", "\"value\": \"hall\""),
        (tiny_species_package(), "\"setosa\"", "\"setusa\""),
    ];
    for (package, from, to) in cases {
        check_edit(package, "manifest.json", from, to, whole);
    }
}

/// What the digest of the pipeline would also find: the rows themselves say it.
#[test]
fn golden_rows_hold_the_level_the_interval_and_the_probabilities() {
    let cases = [
        (
            tiny_churn_package(),
            "\"level\":\"high\"",
            "\"level\":\"low\"",
            "gets another decision",
        ),
        (
            tiny_churn_package(),
            ",\"level\":\"high\"",
            "",
            "expected=`none`, got=`high`",
        ),
        (
            tiny_quantile_package(),
            "\"lower\":",
            "\"lower\":1",
            "does not reproduce",
        ),
        (
            tiny_segment_package(),
            "\"upper\":2",
            "\"upper\":3",
            "does not reproduce",
        ),
        (
            tiny_species_package(),
            "\"probabilities\":[0.",
            "\"probabilities\":[0.1",
            "does not reproduce",
        ),
        (
            tiny_species_package(),
            "\"probabilities\":[",
            "\"probabilities\":[0.0,",
            "does not reproduce",
        ),
    ];
    for (package, from, to, expected) in cases {
        check_edit(package, "golden.json", from, to, expected);
    }
}

#[test]
fn a_package_of_before_decisions_were_recorded_still_loads() {
    let mut files = tiny_churn_package();
    let mut golden: serde_json::Value = serde_json::from_slice(&files["golden.json"]).unwrap();
    golden.as_object_mut().unwrap().remove("pipeline").unwrap();
    for row in golden["rows"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("level").unwrap();
    }
    files.insert("golden.json".to_owned(), golden.to_string().into_bytes());
    assert!(Model::load(&files).is_ok());
}

#[test]
fn of_several_classes_the_most_probable_one_is_named_beside_the_probabilities() {
    let model = Model::load(&tiny_species_package()).unwrap();
    let iris = |length: f64, width: f64| vec![Value::Float(length), Value::Float(width), Value::Null];
    let cases = [
        (iris(1.4, 0.2), "setosa", [1.5, 0.8, -0.7]),
        (iris(4.5, 1.5), "versicolor", [-1.0, 0.8, -0.7]),
        (iris(5.9, 2.1), "virginica", [-1.0, -0.6, 0.9]),
    ];
    for (row, class, raw) in cases {
        let options = PredictOptions {
            explain: 3,
            interval: None,
        };
        let got = predict(&model, row, options).unwrap();
        let total: f64 = raw.iter().map(|it: &f64| it.exp()).sum();
        for (got, raw) in got.probabilities.iter().zip(raw) {
            assert!((got - raw.exp() / total).abs() < 1e-12);
        }
        let greatest = got.probabilities.iter().copied().fold(0.0, f64::max);
        assert_eq!((got.class.as_deref(), got.value), (Some(class), greatest));
        // The reasons are of the class that won: its one stump's leaf against the mean of both.
        let winner = ["setosa", "versicolor", "virginica"]
            .iter()
            .position(|it| *it == class)
            .unwrap();
        let mean = [0.25, 0.1, 0.1][winner];
        assert_eq!(got.reasons.len(), 1);
        assert!(
            (got.reasons[0].contribution - (raw[winner] - mean)).abs() < 1e-12,
            "{got:?}"
        );
    }
}

#[test]
fn a_binary_model_with_named_classes_says_the_more_probable_one() {
    let mut manifest = churn().manifest().clone();
    manifest.classes = vec!["stays".to_owned(), "leaves".to_owned()];
    let model = Model::assemble(manifest, churn_predictor()).unwrap();
    for (orders, class) in [(0, "leaves"), (9, "stays")] {
        let got = predict(
            &model,
            row(orders, 40.0 * orders as f64, "pro"),
            PredictOptions::default(),
        )
        .unwrap();
        assert_eq!(got.class.as_deref(), Some(class), "{got:?}");
        assert!(got.probabilities.is_empty());
    }
}

fn churn_predictor() -> RowPredictor {
    RowPredictor::load("linear.json", &tiny_churn_package()).unwrap()
}

#[test]
fn an_interval_is_made_of_the_predictors_quantiles_or_of_the_rows_segment() {
    let ask = |package: PackageFiles, length: f64, site: &str, level: f64| {
        let row = vec![Value::Float(length), Value::Null, Value::text(site)];
        let options = PredictOptions {
            explain: 0,
            interval: Some(level),
        };
        let got = predict(&Model::load(&package).unwrap(), row, options).unwrap();
        (got.value, got.lower.unwrap(), got.upper.unwrap())
    };
    // 20 * 0.9 = 18: the 18th of 19 scores is 1.2; the 10th is 0.4.
    let close = |got: (f64, f64, f64), expected: (f64, f64, f64)| {
        let differences = [got.0 - expected.0, got.1 - expected.1, got.2 - expected.2];
        assert!(
            differences.iter().all(|it| it.abs() < 1e-9),
            "{got:?} is not {expected:?}"
        );
    };
    close(ask(tiny_quantile_package(), 1.0, "hill", 0.9), (10.0, 6.8, 14.2));
    close(ask(tiny_quantile_package(), 3.0, "hill", 0.5), (20.0, 14.6, 30.4));
    for site in ["coast", "elsewhere"] {
        close(ask(tiny_segment_package(), 1.0, site, 0.9), (10.0, 9.0, 12.0));
    }
    close(ask(tiny_segment_package(), 1.0, "hill", 0.9), (10.0, 6.0, 15.0));
    close(ask(tiny_segment_package(), 1.0, "hill", 0.8), (10.0, 6.0, 15.0));
}

#[test]
fn one_row_is_answered_as_among_others() {
    for package in [
        tiny_churn_package(),
        tiny_species_package(),
        tiny_quantile_package(),
        tiny_segment_package(),
    ] {
        let golden = Golden::from_bytes(&package["golden.json"]).unwrap();
        let model = Model::load(&package).unwrap();
        let options = PredictOptions {
            explain: 3,
            interval: Some(0.8),
        };
        let rows: Vec<_> = golden.rows.into_iter().map(|it| it.inputs).collect();
        let together = model.predict_rows(&rows, options).unwrap();
        for (row, together) in rows.iter().zip(together) {
            assert_eq!(model.predict_row(row, options).unwrap(), together.unwrap());
        }
    }
}

#[test]
fn outputs_that_the_manifest_does_not_speak_of_are_refused() {
    let cases = [
        (
            tiny_species_package(),
            "\"multiclass_classification\"",
            "\"regression\"",
            "cannot have the classes",
        ),
        (
            tiny_species_package(),
            "\"setosa\",",
            "",
            "3 outputs, which do not fit task multiclass_classification with 2 classes",
        ),
        (
            tiny_species_package(),
            "\"setosa\"",
            "\"virginica\"",
            "cannot have the classes",
        ),
        (
            tiny_quantile_package(),
            "\"quantiles\"",
            "\"value\"",
            "3 outputs, which do not fit task regression",
        ),
        (
            tiny_segment_package(),
            "\"input\": \"site\"",
            "\"input\": \"width\"",
            "not an input of categories",
        ),
    ];
    for (package, from, to, expected) in cases {
        check_edit(package, "manifest.json", from, to, expected);
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
    let refused = model
        .predict_rows(&[Vec::<Value>::new()], PredictOptions::default())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "model task is forecast: it forecasts series; send `series`"
    );
    let refused = churn()
        .predict_series(&series, None, None, PredictOptions::default())
        .unwrap_err();
    assert!(refused.to_string().contains("send `entities` or `rows`"));
}
