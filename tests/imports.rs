//! `foretell models import` of other libraries' models: from a file or a folder to an answer.

mod support;

use serde_json::{Value, json};
use support::{Project, Said};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/tests/fixtures");

/// It ended with that code and said all of the words on stderr.
fn fails(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    for word in words {
        assert!(said.stderr.contains(word), "no `{word}` in {}", said.stderr);
    }
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}")
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// The origin's rows and predictions as one table.
fn rows_of(said: &Value, columns: &[&str], outputs: &[&str]) -> String {
    let cell = |it: &Value| {
        it.as_str()
            .map_or_else(|| it.to_string().replace("null", ""), |it| format!("\"{it}\""))
    };
    let line = |(row, predicted): (&Value, &Value)| {
        let cells = row.as_array().unwrap().iter().chain(predicted.as_array().unwrap());
        cells.map(cell).collect::<Vec<_>>().join(",")
    };
    let rows = said["rows"]
        .as_array()
        .unwrap()
        .iter()
        .zip(said["predictions"].as_array().unwrap());
    let header = columns.iter().chain(outputs).copied().collect::<Vec<_>>().join(",");
    std::iter::once(header)
        .chain(rows.map(line))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

const COLUMNS: [&str; 5] = ["column_0", "column_1", "column_2", "column_3", "column_4"];

#[test]
fn a_model_is_checked_registered_promoted_and_answers() {
    let project = Project::empty();
    let said = expected("xgboost/softprob.expected.json");
    project.write("rows.csv", &rows_of(&said, &COLUMNS, &["low", "middle", "high"]));
    let rows = project.path("rows.csv").display().to_string();
    let file = fixture("xgboost/softprob.json");
    let imported = project.json(&[
        "models",
        "import",
        &file,
        "--model",
        "grades",
        "--classes",
        "low,middle,high",
        "--rows",
        &rows,
        "--expect",
        "low,middle,high",
    ]);
    assert_eq!(
        (&imported["model"], &imported["version"]),
        (&json!("grades"), &json!(1))
    );
    assert_eq!(imported["task"], "multiclass_classification");
    assert!(
        imported["origin"].as_str().unwrap().starts_with("xgboost"),
        "{imported}"
    );
    assert_eq!(imported["checked"]["rows"], json!(60));
    assert_eq!(imported["inputs"], json!(COLUMNS));

    let promoted = project.json(&["models", "promote", "grades", "1"]);
    assert_eq!(promoted["alias"], "champion");
    let answer = project.json(&[
        "predict",
        "grades",
        "--rows",
        &rows_without_outputs(&project, &said),
        "--explain",
        "2",
    ]);
    for (got, said) in answer["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(said["predictions"].as_array().unwrap())
    {
        for (at, class) in ["low", "middle", "high"].iter().enumerate() {
            let (got, said) = (
                got["probabilities"][*class].as_f64().unwrap(),
                said[at].as_f64().unwrap(),
            );
            assert!((got - said).abs() < 1e-6, "{got} is not {said}");
        }
        assert!(got["class"].is_string() && got["reasons"].as_array().unwrap().len() <= 2);
    }
    let shown = project.json(&["models", "show", "grades@1"]);
    let from = &shown["manifest"]["lineage"]["imported"];
    assert_eq!(from["file"], "softprob.json");
    assert!(from["golden"].as_str().unwrap().contains("made up"), "{from}");
    fails(
        &project.run(&["models", "reproduce", "grades@1"]),
        1,
        &["it was imported from xgboost", "softprob.json"],
    );
}

fn rows_without_outputs(project: &Project, said: &Value) -> String {
    let only = json!({ "rows": said["rows"], "predictions": vec![json!([]); said["rows"].as_array().unwrap().len()] });
    project.write("asked.csv", &rows_of(&only, &COLUMNS, &[]));
    project.path("asked.csv").display().to_string()
}

#[test]
fn a_model_that_does_not_predict_what_its_origin_did_is_not_registered() {
    let project = Project::empty();
    let mut said = expected("xgboost/binary.expected.json");
    let right = rows_of(&said, &COLUMNS, &["probability"]);
    said["predictions"][7][0] = json!(said["predictions"][7][0].as_f64().unwrap() + 1e-3);
    project.write("wrong.csv", &rows_of(&said, &COLUMNS, &["probability"]));
    project.write("right.csv", &right);
    project.write("narrow.csv", &right.replacen("column_3", "other", 1));
    let file = fixture("xgboost/binary.json");
    let import = |rows: &str, expect: &str| {
        let rows = project.path(rows).display().to_string();
        project.run(&[
            "models", "import", &file, "--model", "buyers", "--rows", &rows, "--expect", expect,
        ])
    };
    fails(
        &import("wrong.csv", "probability"),
        1,
        &["row 7", "`probability`", "nothing was registered"],
    );
    fails(
        &import("narrow.csv", "probability"),
        1,
        &["row 0", "no column `column_3`, an input of the model"],
    );
    fails(
        &import("right.csv", "likelihood"),
        1,
        &["no column `likelihood` to check by"],
    );
    fails(
        &import("right.csv", "probability,other"),
        1,
        &["--expect has 2 columns", "answers one number"],
    );
    assert_eq!(project.json(&["models", "list"]), json!([]));
    assert_eq!(import("right.csv", "probability").code, Some(0));
}

#[test]
fn a_folder_of_mlflow_gives_the_file_and_the_names() {
    let project = Project::empty();
    let columns = ["age", "income", "visits", "basket", "recency"];
    let signature: Vec<Value> = columns.iter().map(|it| json!({"type": "double", "name": it})).collect();
    let signature = json!(signature);
    project.write(
        "brought/MLmodel",
        &format!("flavors:\n  xgboost:\n    data: model.json\nsignature:\n  inputs: '{signature}'\n"),
    );
    std::fs::copy(fixture("xgboost/unnamed.json"), project.path("brought/model.json")).unwrap();
    let folder = project.path("brought").display().to_string();
    let imported = project.json(&[
        "models",
        "import",
        &folder,
        "--model",
        "visitors",
        "--alias",
        "candidate",
    ]);
    assert_eq!(
        (&imported["inputs"], &imported["aliases"]),
        (&json!(columns), &json!(["candidate"]))
    );
    let names = "a,b,c,d,e";
    let again = project.json(&["models", "import", &folder, "--model", "visitors", "--inputs", names]);
    assert_eq!(
        (&again["inputs"], &again["version"]),
        (&json!(["a", "b", "c", "d", "e"]), &json!(2))
    );

    std::fs::remove_file(project.path("brought/MLmodel")).unwrap();
    let bare = project.json(&["models", "import", &folder, "--model", "visitors"]);
    assert_eq!(bare["inputs"][0], "f0");
    std::fs::copy(fixture("lightgbm/binary.txt"), project.path("brought/model.txt")).unwrap();
    fails(
        &project.run(&["models", "import", &folder, "--model", "visitors"]),
        1,
        &["several models: model.json, model.txt; name one of the files"],
    );
    project.write("brought/MLmodel", "flavors:\n  xgboost:\n    data: ../foretell.toml\n");
    fails(
        &project.run(&["models", "import", &folder, "--model", "visitors"]),
        1,
        &["names `../foretell.toml`, which is not a file of the folder"],
    );
}

#[test]
fn a_model_leaves_as_onnx_or_as_an_archive() {
    let project = Project::empty();
    let said = expected("xgboost/binary.expected.json");
    let rows = rows_without_outputs(&project, &said);
    project.json(&["models", "import", &fixture("xgboost/binary.json"), "--model", "buyers"]);
    let out = project.path("out").display().to_string();
    let written = project.json(&["models", "export", "buyers@1", &out, "--format", "onnx"]);
    let file = written["file"].as_str().unwrap();
    assert!(file.ends_with("buyers-1.onnx"), "{file}");
    assert!(std::fs::read(file).unwrap().len() > 1000);
    let archive = project.json(&["models", "export", "buyers@1", &out]);
    assert!(
        archive["file"].as_str().unwrap().ends_with("buyers-1.tar"),
        "the archive stays the usual form"
    );
    let answer = project.json(&["predict", "buyers@1", "--rows", &rows]);
    for (got, said) in answer["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(said["predictions"].as_array().unwrap())
    {
        let (got, said) = (got["value"].as_f64().unwrap(), said[0].as_f64().unwrap());
        assert!((got - said).abs() < 1e-6, "{got} is not {said}");
    }
    fails(
        &project.run(&["models", "export", "buyers@1", &out, "--format", "pickle"]),
        2,
        &["onnx"],
    );
}

#[test]
fn what_is_no_model_is_named_with_what_to_do() {
    let project = Project::empty();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(project.path(name), bytes).unwrap();
        project.path(name).display().to_string()
    };
    let cases: [(String, &[&str]); 7] = [
        (
            file("model.pkl", b"\x80\x04\x95"),
            &["it is a Python pickle", "skl2onnx"],
        ),
        (
            file("model.cbm", b"CBM1\x00"),
            &["CatBoost's binary form", "format=\"json\""],
        ),
        (
            file("model.xgb", b"binf\x00"),
            &["XGBoost's old binary form", "save_model"],
        ),
        (file("empty.json", b""), &["it is empty"]),
        (file("notes.txt", b"hello"), &["it is no model file that is known"]),
        (
            file(
                "cut.json",
                &std::fs::read(fixture("xgboost/binary.json")).unwrap()[..3000],
            ),
            &["cannot import `cut.json`"],
        ),
        (project.path("nothing.json").display().to_string(), &["nothing.json"]),
    ];
    for (file, said) in cases {
        fails(&project.run(&["models", "import", &file, "--model", "m"]), 1, said);
    }
    let good = fixture("xgboost/binary.json");
    fails(
        &project.run(&["models", "import", &good]),
        1,
        &["has no name here yet; name it with --model NAME"],
    );
    fails(
        &project.run(&["models", "import", &good, "--model", "m", "--alias", "champion"]),
        1,
        &["models promote"],
    );
    fails(
        &project.run(&["models", "import", &good, "--model", "m", "--inputs", "a,b"]),
        1,
        &["2 different names were given, the model has 5 inputs"],
    );
    assert_eq!(project.json(&["models", "list"]), json!([]));
}
