//! LightGBM's text models.

use foretell_inference::Task;

use crate::support::{changed, check_cuts, check_library, check_refused, check_tasks, fixtures};

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

#[test]
fn a_lightgbm_file_cut_anywhere_before_its_end_of_trees_is_refused() {
    let text = lightgbm("binary.txt");
    check_cuts(
        "model.txt",
        text.as_bytes(),
        text.find("end of trees").unwrap() + "end of trees".len(),
    );
}
