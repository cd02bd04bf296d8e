//! XGBoost's JSON and UBJSON models.

use foretell_inference::Task;

use crate::support::{changed, check_cuts, check_library, check_refused, check_tasks, fixtures};

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
