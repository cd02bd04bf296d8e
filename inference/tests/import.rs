//! Imported models answer what the libraries that trained them answer.
//!
//! `tests/fixtures/make_models.py` made the models, the rows and the libraries' own answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foretell_features::{FeatureMatrix, Value};
use foretell_inference::import::{Imported, import};
use foretell_inference::manifest::Input;
use foretell_inference::preprocessing::Encoder;
use foretell_inference::{InferenceError, Task};
use serde::Deserialize;

/// `NAME.expected.json` beside each model.
#[derive(Deserialize)]
struct Expected {
    columns: Vec<String>,
    /// As a caller sends them.
    rows: Vec<Vec<Value>>,
    /// `[rows][outputs]`, after the link.
    predictions: Vec<Vec<f64>>,
    /// `[rows][outputs][columns + 1]`, before the link; for the first rows.
    #[serde(default)]
    contributions: Vec<Vec<Vec<f64>>>,
}

fn fixtures(library: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(library)
}

/// Names of the models in a folder.
fn models(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut models: Vec<String> = names
        .filter(|it| it.contains('.') && !it.ends_with(".expected.json"))
        .collect();
    models.sort();
    models
}

fn read(bytes: Vec<u8>, name: &str) -> Result<Imported, InferenceError> {
    import(&BTreeMap::from([(name.to_owned(), bytes)]), name)
}

fn encode(imported: &Imported, rows: &[Vec<Value>]) -> FeatureMatrix {
    let inputs: Vec<Input> = imported
        .inputs
        .iter()
        .map(|it| Input {
            name: it.name.clone(),
            data_type: it.data_type,
        })
        .collect();
    let encodings = imported.inputs.iter().map(|it| it.encoding.clone()).collect();
    let encoder = Encoder { inputs: encodings }.compile(&inputs).unwrap();
    let mut matrix = vec![0.0; rows.len() * inputs.len()];
    for (row, encoded) in rows.iter().zip(matrix.chunks_exact_mut(inputs.len())) {
        encoder.encode_into(&row[..], encoded).unwrap();
    }
    FeatureMatrix::from_rows(inputs.len(), matrix)
}

/// Equal to 1e-6 of the library's answer; where that is nearer 0 than the answers of all rows are on average, of their average
/// size instead: sums of float32 are no better there.
fn check_predictions(name: &str, imported: &Imported, x: &FeatureMatrix, expected: &Expected) {
    let predictor = imported.predictor.predictor();
    let n_outputs = predictor.n_outputs();
    let mut got = predictor.predict(x).unwrap();
    got.chunks_exact_mut(n_outputs)
        .for_each(|row| imported.predictor.link().apply_all(row));
    let all = || expected.predictions.iter().flatten();
    let size = all().map(|it| it.abs()).sum::<f64>() / all().count() as f64;
    assert_eq!(got.len(), all().count(), "{name}");
    for (row, (got, expected)) in got.chunks_exact(n_outputs).zip(&expected.predictions).enumerate() {
        assert_eq!(n_outputs, expected.len(), "{name}");
        for (got, expected) in got.iter().zip(expected) {
            let close = (got - expected).abs() <= 1e-6 * expected.abs().max(size);
            assert!(close, "{name} row {row}: {got}, expected {expected}");
        }
    }
}

/// Equal to 1e-5 of the row's greatest contribution.
fn check_contributions(name: &str, imported: &Imported, x: &FeatureMatrix, expected: &Expected) {
    for (row, outputs) in expected.contributions.iter().enumerate() {
        for (output, expected) in outputs.iter().enumerate() {
            let got = imported.predictor.contributions(x, row, output).unwrap();
            assert_eq!(got.len(), expected.len(), "{name}");
            let size = expected.iter().fold(0.0, |size: f64, it| size.max(it.abs()));
            for (got, expected) in got.iter().zip(expected) {
                let close = (got - expected).abs() <= 1e-5 * size;
                assert!(close, "{name} row {row} output {output}: {got}, expected {expected}");
            }
        }
    }
}

/// How many models of a library are there, all of them right.
fn check_library(library: &str) -> BTreeMap<String, Imported> {
    let folder = fixtures(library);
    let mut all = BTreeMap::new();
    for file in models(&folder) {
        let (name, _) = file.rsplit_once('.').unwrap();
        let expected = std::fs::read(folder.join(format!("{name}.expected.json"))).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        let imported = read(std::fs::read(folder.join(&file)).unwrap(), &file).unwrap();
        let names: Vec<&String> = imported.inputs.iter().map(|it| &it.name).collect();
        assert_eq!(names, expected.columns.iter().collect::<Vec<_>>(), "{file}");
        let x = encode(&imported, &expected.rows);
        check_predictions(&file, &imported, &x, &expected);
        assert!(imported.cover_known || expected.contributions.is_empty(), "{file}");
        check_contributions(&file, &imported, &x, &expected);
        all.insert(name.to_owned(), imported);
    }
    all
}

fn check_tasks(models: &BTreeMap<String, Imported>, cases: &[(&str, Task, bool, &str)]) {
    for (name, task, is_probability, algorithm) in cases {
        let model = &models[*name];
        let got = (model.task, model.outputs_are_probabilities, model.algorithm.as_str());
        assert_eq!(got, (*task, *is_probability, *algorithm), "{name}");
        let is_multiclass = *task == Task::MulticlassClassification;
        let n_classes = if is_multiclass {
            model.predictor.predictor().n_outputs()
        } else {
            0
        };
        assert!(model.classes.len() == n_classes || !is_multiclass, "{name}");
    }
}

/// A file that must be refused, and a part of the sentence that says so.
fn check_refused(file: &str, bytes: &[u8], reason: &str) {
    let Err(error) = read(bytes.to_vec(), file) else {
        panic!("{file} was taken, which should have been refused: {reason}");
    };
    let error = error.to_string();
    assert!(error.starts_with(&format!("cannot import `{file}`: ")), "{error}");
    assert!(error.contains(reason), "{error}");
}

/// The text with one piece changed, which must be there.
fn changed(text: &str, from: &str, to: &str) -> Vec<u8> {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn lightgbm_models_answer_what_lightgbm_answers() {
    let models = check_library("lightgbm");
    assert!(models.len() >= 25);
    check_tasks(
        &models,
        &[
            ("binary", Task::BinaryClassification, true, "boosted_trees"),
            ("multiclass", Task::MulticlassClassification, true, "boosted_trees"),
            ("multiclassova", Task::MulticlassClassification, true, "boosted_trees"),
            ("forest_binary", Task::BinaryClassification, true, "random_forest"),
            ("regression", Task::Regression, false, "boosted_trees"),
        ],
    );
}

fn lightgbm(name: &str) -> String {
    std::fs::read_to_string(fixtures("lightgbm").join(name)).unwrap()
}

#[test]
fn lightgbm_models_that_ask_for_the_impossible_are_refused_with_what_to_do() {
    check_refused(
        "model.txt",
        lightgbm("refused/linear_tree.txt").as_bytes(),
        "train it with linear_tree=false",
    );
    let text = lightgbm("binary.txt");
    let cases = [
        (
            "left_child=",
            "left_child=0 ",
            "`left_child` has 8 numbers where 7 belong",
        ),
        ("split_feature=", "split_feature=900 9", "`split_feature` has 8 numbers"),
        (
            "num_leaves=8",
            "num_leaves=4000000000",
            "`leaf_value` has 8 numbers where 4000000000 belong",
        ),
        ("num_leaves=8", "num_leaves=0", "tree 0: `num_leaves` is 0"),
        (
            "num_leaves=8",
            "num_leaves=-8",
            "`num_leaves` has `-8` where a number belongs",
        ),
        ("threshold=", "threshold=nan ", "`threshold` has 8 numbers"),
        (
            "objective=binary",
            "objective=binery",
            "unknown objective `binery`; did you mean `binary`?",
        ),
        ("sigmoid:1", "sigmoid:-1", "`sigmoid:-1` is not a positive number"),
        (
            "max_feature_idx=4",
            "max_feature_idx=18446744073709551615",
            "5 feature names do not fit",
        ),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=0",
            "does not go with 0 trees",
        ),
        (
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=5",
            "does not go with 5 trees",
        ),
        ("end of trees", "", "it ends before its line `end of trees`"),
        ("end of parameters", "", "it ends before its line `end of parameters`"),
    ];
    for (from, to, reason) in cases {
        check_refused("model.txt", &changed(&text, from, to), reason);
    }
}

/// Replaces the first list of that name by what a function makes of it.
fn with_list(text: &str, name: &str, change: impl Fn(Vec<&str>) -> Vec<String>) -> Vec<u8> {
    let start = text.find(&format!("\n{name}=")).unwrap() + name.len() + 2;
    let end = start + text[start..].find('\n').unwrap();
    let list = change(text[start..end].split(' ').collect()).join(" ");
    format!("{}{list}{}", &text[..start], &text[end..]).into_bytes()
}

#[test]
fn lightgbm_trees_that_are_no_trees_are_refused() {
    let text = lightgbm("binary.txt");
    let all = |value: &'static str| move |list: Vec<&str>| list.iter().map(|_| value.to_owned()).collect();
    let first = |value: &'static str| {
        move |list: Vec<&str>| [value].iter().chain(&list[1..]).map(|it| (*it).to_owned()).collect()
    };
    check_refused(
        "m.txt",
        &with_list(&text, "left_child", all("0")),
        "tree 0: node 0 has two parents",
    );
    check_refused("m.txt", &with_list(&text, "right_child", all("-1")), "has two parents");
    check_refused(
        "m.txt",
        &with_list(&text, "left_child", first("900")),
        "it has a child 900 of 7 splits",
    );
    check_refused(
        "m.txt",
        &with_list(&text, "left_child", first("-900")),
        "it refers to node 906 of 15",
    );
    check_refused(
        "m.txt",
        &with_list(&text, "threshold", first("nan")),
        "a number that cannot be used",
    );
    check_refused(
        "m.txt",
        &with_list(&text, "leaf_value", first("inf")),
        "a number that cannot be used",
    );
    check_refused(
        "m.txt",
        &with_list(&text, "split_feature", first("5")),
        "it looks at column 5, past the last one",
    );
    check_refused(
        "m.txt",
        &with_list(&text, "decision_type", first("1")),
        "set of categories",
    );
    let sets = lightgbm("category_codes.txt");
    check_refused(
        "m.txt",
        &with_list(&sets, "cat_boundaries", all("4000000000")),
        "is cut short",
    );
    check_refused(
        "m.txt",
        &with_list(&sets, "cat_boundaries", |it| vec![it[0].to_owned()]),
        "is not there",
    );
    check_refused(
        "m.txt",
        &changed(&lightgbm("category_text.txt"), "[10, 20", "[\"x\", 20"),
        "are of several types",
    );
    check_refused(
        "m.txt",
        &changed(&lightgbm("category_text.txt"), "[[\"", "[[0], [\""),
        "cannot be told which columns",
    );
}

/// Cut anywhere, a file is an error or, past its trees, a model; it never panics.
fn check_cuts(file: &str, bytes: &[u8], whole_from: usize) {
    for end in 0..bytes.len() {
        let result = read(bytes[..end].to_vec(), file);
        assert!(result.is_err() || end >= whole_from, "{file} cut at {end}");
    }
}

#[test]
fn a_lightgbm_file_cut_anywhere_before_its_end_of_trees_is_refused() {
    let text = lightgbm("binary.txt");
    check_cuts(
        "model.txt",
        text.as_bytes(),
        text.find("end of trees").unwrap() + "end of trees".len(),
    );
}

#[test]
fn xgboost_models_answer_what_xgboost_answers() {
    let models = check_library("xgboost");
    assert!(models.len() >= 40);
    check_tasks(
        &models,
        &[
            ("binary", Task::BinaryClassification, true, "boosted_trees"),
            ("softmax", Task::MulticlassClassification, true, "boosted_trees"),
            ("vector_softprob", Task::MulticlassClassification, true, "boosted_trees"),
            ("forest", Task::Regression, false, "random_forest"),
            ("linear", Task::Regression, false, "linear"),
            ("two_labels", Task::Regression, true, "boosted_trees"),
        ],
    );
}

fn xgboost(name: &str) -> String {
    std::fs::read_to_string(fixtures("xgboost").join(name)).unwrap()
}

#[test]
fn xgboost_models_that_ask_for_the_impossible_are_refused_with_what_to_do() {
    let binary = xgboost("binary.json");
    let linear = xgboost("linear.json");
    let dart = xgboost("dart.json");
    let text = xgboost("category_text.json");
    let cases = [
        (
            &binary,
            "binary:logistic",
            "binary:logistik",
            "unknown objective `binary:logistik`; did you mean `binary:logistic`?",
        ),
        (
            &binary,
            "binary:logistic",
            "multi:softprob",
            "objective `multi:softprob` has 1 classes",
        ),
        (&binary, "\"gbtree\"}", "\"gbforest\"}", "unknown booster `gbforest`"),
        (
            &binary,
            "\"num_class\":\"0\",\"num_feature\":\"5\"",
            "\"num_class\":\"0\",\"num_feature\":\"4000000000\"",
            "it counts 4000000000 columns, more than a file of",
        ),
        (
            &binary,
            "\"num_class\":\"0\",\"num_feature\":\"5\"",
            "\"num_class\":\"0\",\"num_feature\":\"6\"",
            "it has 5 feature names for 6 columns",
        ),
        (
            &binary,
            "\"num_class\":\"0\"",
            "\"num_class\":\"18446744073709551615\"",
            "it counts 18446744073709551615 outputs",
        ),
        (
            &binary,
            "\"base_score\":\"[",
            "\"base_score\":\"[x,",
            "`base_score` is `[x,",
        ),
        (
            &binary,
            "\"base_score\":\"[",
            "\"base_score\":\"[0.1,",
            "`base_score` has 2 numbers for 1 outputs",
        ),
        (
            &binary,
            "\"base_score\":\"[",
            "\"base_score\":\"[1\",\"was\":\"[",
            "1 outputs that start at Some(inf)",
        ),
        (
            &binary,
            "\"left_children\":[1",
            "\"left_children\":[0",
            "tree 0: node 0 has two parents",
        ),
        (
            &binary,
            "\"left_children\":[1",
            "\"left_children\":[9000",
            "tree 0: it refers to node 9000 of",
        ),
        (
            &binary,
            "\"left_children\":[1",
            "\"left_children\":[-7",
            "tree 0: node 0: it has a child -7",
        ),
        (
            &binary,
            "\"left_children\":[1",
            "\"left_children\":[1,1",
            "which does not fit its",
        ),
        (
            &binary,
            "\"split_indices\":[",
            "\"split_indices\":[9,",
            "`split_indices` has",
        ),
        (&binary, "\"tree_info\":[0", "\"tree_info\":[0,0", "numbers for 5 trees"),
        (
            &binary,
            "\"tree_info\":[0",
            "\"tree_info\":[7",
            "it adds to output 7 of 1",
        ),
        (
            &binary,
            "\"size_leaf_vector\":\"1\"",
            "\"size_leaf_vector\":\"9999999999999999999\"",
            "`base_weights` has",
        ),
        (&binary, "\"trees\":[{", "\"trees\":[{},{", "missing field"),
        (
            &linear,
            "\"weights\":[",
            "\"weights\":[0,",
            "`weights` has 7 numbers for 5 columns",
        ),
        (
            &linear,
            "\"num_target\":\"1\"",
            "\"num_target\":\"2\"",
            "train one booster per output",
        ),
        (
            &dart,
            "\"weight_drop\":[",
            "\"weight_drop\":[1,",
            "`weight_drop` has not one number per tree",
        ),
        (
            &text,
            "\"categories_sizes\":[",
            "\"categories_sizes\":[9",
            "its set of categories is cut short",
        ),
        (
            &text,
            "\"categories_nodes\":[0",
            "\"categories_nodes\":[77",
            "its set of categories is not there",
        ),
        (
            &text,
            "\"categories\":[0",
            "\"categories\":[4294967295",
            "category 4294967295 is too great for so short a file",
        ),
        (
            &text,
            "\"offsets\":[0,6",
            "\"offsets\":[0,600",
            "letters 600 to 11 are not there",
        ),
    ];
    for (text, from, to, reason) in cases {
        check_refused("model.json", &changed(text, from, to), reason);
    }
    let start = binary.find("\"split_conditions\":[").unwrap() + "\"split_conditions\":[".len();
    let end = start + binary[start..].find(',').unwrap();
    let without_number = format!("{}NaN{}", &binary[..start], &binary[end..]);
    check_refused(
        "model.json",
        without_number.as_bytes(),
        "tree 0: node 0: a number that cannot be used",
    );
    check_refused(
        "model.json",
        xgboost("refused/category_accents.json").as_bytes(),
        "train it on ASCII text or on integer codes",
    );
}

#[test]
fn an_xgboost_file_cut_anywhere_is_refused() {
    let json = xgboost("linear_binary.json");
    check_cuts("model.json", json.as_bytes(), json.len());
    let binary = std::fs::read(fixtures("xgboost").join("vector_leaves_ubjson.ubj")).unwrap();
    check_cuts("model.ubj", &binary, binary.len());
}

#[test]
fn nesting_without_end_is_refused_at_once() {
    let json = format!("{{\"learner\":{{\"other\":{}", "[".repeat(2_000_000));
    check_refused("model.json", json.as_bytes(), "as JSON: EOF while parsing a list");
    let binary = [
        &b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{i\x05other"[..],
        &b"[".repeat(2_000_000),
    ]
    .concat();
    check_refused("model.ubj", &binary, "nesting too deep");
}

#[test]
fn catboost_models_answer_what_catboost_answers() {
    let models = check_library("catboost");
    assert!(models.len() >= 25);
    check_tasks(
        &models,
        &[
            ("binary", Task::BinaryClassification, true, "boosted_trees"),
            ("multiclass", Task::MulticlassClassification, true, "boosted_trees"),
            ("two_labels", Task::Regression, true, "boosted_trees"),
            ("lossguide", Task::Regression, false, "boosted_trees"),
        ],
    );
    assert_eq!(models["binary_named"].classes, ["no", "yes"]);
    assert_eq!(models["multiclass_named"].classes, ["low", "mid", "top"]);
}

fn catboost(name: &str) -> String {
    std::fs::read_to_string(fixtures("catboost").join(name)).unwrap()
}

#[test]
fn catboost_models_that_ask_for_the_impossible_are_refused_with_what_to_do() {
    let refused = catboost("refused/combinations.json");
    check_refused(
        "model.json",
        refused.as_bytes(),
        "train it with max_ctr_complexity=1 or a greater one_hot_max_size",
    );
    let plain = catboost("regression.json");
    let grown = catboost("lossguide.json");
    let one_hot = catboost("one_hot.json");
    let counted = catboost("statistics.json");
    let classes = catboost("multiclass.json");
    let cases = [
        (
            &plain,
            "\"RMSE\"",
            "\"RMSF\"",
            "unknown loss `RMSF`; did you mean `RMSE`?",
        ),
        (
            &plain,
            "\"RMSE\"",
            "\"RMSEWithUncertainty\"",
            "train on RMSE or MultiQuantile",
        ),
        (
            &plain,
            "\"params\"",
            "\"parms\"",
            "it does not say what loss it was trained on",
        ),
        (
            &plain,
            "\"leaf_values\": [",
            "\"leaf_values\": [0, ",
            "tree 0: 9 leaf values do not fit 3 splits",
        ),
        (
            &plain,
            "\"leaf_weights\": [",
            "\"leaf_weights\": [0, ",
            "tree 0: 9 leaf weights do not fit 3 splits",
        ),
        (
            &plain,
            "\"leaf_values\": [",
            "\"leaf_values\": [1e308, 1e999, ",
            "as JSON: number out of range",
        ),
        (
            &plain,
            "\"border\": ",
            "\"border\": null, \"was\": ",
            "tree 0: a split has no border",
        ),
        (
            &plain,
            "\"float_feature_index\": ",
            "\"float_feature_index\": 9",
            "tree 0: it splits on a numeric column that is not there",
        ),
        (
            &plain,
            "\"split_type\": \"FloatFeature\"",
            "\"split_type\": \"EstimatedFeature\"",
            "train it without them",
        ),
        (
            &plain,
            "\"flat_feature_index\": 0",
            "\"flat_feature_index\": 4000000000",
            "it counts 4000000001 columns, more than a file of",
        ),
        (
            &plain,
            "\"oblivious_trees\"",
            "\"oblivious\"",
            "it has neither `oblivious_trees` nor `trees`",
        ),
        (
            &plain,
            "\"oblivious_trees\": [{",
            "\"oblivious_trees\": [{}, {",
            "as JSON: missing field `leaf_values`",
        ),
        (
            &grown,
            "\"weight\"",
            "\"left\": {\"value\": 1}, \"weight\"",
            "neither a split with two children nor a leaf",
        ),
        (
            &grown,
            "\"value\": ",
            "\"value\": [1, 2], \"was\": ",
            "a leaf has 1 values for 2 outputs",
        ),
        (
            &one_hot,
            "\"cat_features_hash\"",
            "\"hashes\"",
            "save it with `pool=` of the training data",
        ),
        (
            &counted,
            "\"hash_stride\": 3",
            "\"hash_stride\": 0",
            "is not made of rows of 0",
        ),
        (
            &counted,
            "\"hash_map\": [\"",
            "\"hash_map\": [1, \"",
            "is not made of rows of 3",
        ),
        (
            &counted,
            "\"hash_map\": [\"",
            "\"hash_map\": [\"x",
            "a hash that is no whole number",
        ),
        (
            &counted,
            "\"ctr_type\": \"Borders\"",
            "\"ctr_type\": \"Orders\"",
            "unknown statistic `Orders` of categories",
        ),
        (
            &counted,
            "\"ctr_type\": \"Borders\"",
            "\"ctr_type\": \"Counter\"",
            "its table of 2 counts does not fit a `Counter`",
        ),
        (
            &counted,
            "\"target_border_idx\": 0",
            "\"target_border_idx\": 90",
            "its table of 2 counts does not fit a `Borders`",
        ),
        (
            &counted,
            "\"ctr_data\"",
            "\"ctr_dta\"",
            "its table of counts is not there",
        ),
        (
            &classes,
            "\"class_names\": [0, ",
            "\"class_names\": [",
            "2 names of classes do not fit 3 outputs",
        ),
        (&classes, "[1, [0, 0, 0]]", "[1, []]", "`scale_and_bias` has no output"),
    ];
    for (text, from, to, reason) in cases {
        check_refused("model.json", &changed(text, from, to), reason);
    }
    let deep = format!("{}{}", "{\"left\":".repeat(2_000_000), "}".repeat(2_000_000));
    check_refused(
        "model.json",
        &changed(&grown, "\"trees\": [", &format!("\"trees\": [{deep},")),
        "recursion limit exceeded",
    );
}

#[test]
fn a_catboost_file_cut_anywhere_is_refused() {
    for name in ["lossguide.json", "quantile.json"] {
        let json = catboost(name);
        check_cuts("model.json", json.as_bytes(), json.trim_end().len());
    }
}

#[test]
fn what_is_no_model_file_is_told_with_what_to_do() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("model.pkl", b"\x80\x04\x95", "convert it to ONNX (skl2onnx)"),
        (
            "model.cbm",
            b"CBM1\x00\x00",
            "save_model(\"model.json\", format=\"json\")",
        ),
        ("model.bin", b"binf\x00\x00", "save_model(\"model.json\")"),
        ("notes.txt", b"dear all", "it is no model file that is known"),
        ("model.json", b"", "it is empty"),
        ("model.json", b"{\"a\": 1}", "it is no model file that is known"),
    ];
    for (file, bytes, reason) in cases {
        check_refused(file, bytes, reason);
    }
    let files = BTreeMap::from([("model.txt".to_owned(), Vec::new())]);
    let error = import(&files, "modle.txt").unwrap_err().to_string();
    assert!(
        error.ends_with("there is no such file; did you mean `model.txt`?"),
        "{error}"
    );
}
