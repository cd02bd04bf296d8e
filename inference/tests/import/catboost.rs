//! CatBoost's JSON models.

use foretell_inference::Task;

use crate::support::{changed, check_cuts, check_library, check_refused, check_tasks, fixtures};

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
