//! Models that an MLflow client registered: imported when they are loaded, or listed with the reason why not.

use foretell_registry::{PackageFile, PublishRequest};
use serde_json::{Value as Json, json};

use crate::house::{House, promote, stamp};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/tests/fixtures");

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{name}")).unwrap()
}

/// What the library that trained it says of its rows.
fn expected(name: &str) -> Json {
    serde_json::from_slice(&fixture(name)).unwrap()
}

/// An `MLmodel` as MLflow writes it, with a signature of doubles.
fn mlmodel(flavor: &str, key: &str, file: &str, columns: &[&str]) -> String {
    let columns: Vec<Json> = columns
        .iter()
        .map(|it| json!({"type": "double", "name": it, "required": true}))
        .collect();
    let inputs = json!(columns).to_string().replace('\'', "''");
    format!(
        "artifact_path: model\nflavors:\n  python_function:\n    data: {file}\n    env:\n      conda: conda.yaml\n    \
         loader_module: mlflow.{flavor}\n  {flavor}:\n    code: null\n    {key}: {file}\nmlflow_version: 3.1.0\nsignature:\n  \
         inputs: '{inputs}'\n  outputs: null\n  params: null\n"
    )
}

/// A registered folder that is champion of `model`.
async fn register(house: &House, model: &str, files: Vec<PackageFile>) {
    let request = PublishRequest::new(model, files, stamp());
    let version = house.registry.publish(request).await.unwrap();
    promote(&house.registry, model, version.version).await;
}

async fn of(flavor: &str, file: &str, bytes: Vec<u8>, columns: &[&str]) -> House {
    let house = House::new().await;
    let files = vec![
        PackageFile::new("MLmodel", mlmodel(flavor, "data", file, columns)),
        PackageFile::new("conda.yaml", "name: env\n"),
        PackageFile::new(file, bytes),
    ];
    register(&house, "brought", files).await;
    let report = house.service.refresh().await.unwrap();
    assert_eq!(report.swapped, ["brought@1"], "{:?}", house.get("/readyz").await.1);
    house
}

/// The same answer from rows and from both ways of sending tensors, as the library gave it.
async fn check(house: &House, columns: &[&str], said: &Json) {
    let rows = said["rows"].as_array().unwrap();
    let named = |row: &Json| -> Json {
        let cells = row.as_array().unwrap().iter().cloned();
        columns
            .iter()
            .map(|it| (*it).to_owned())
            .zip(cells)
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let rows_by_name: Vec<Json> = rows.iter().map(named).collect();
    let answer = house
        .answer("/v1/predict/brought", json!({ "rows": rows_by_name }))
        .await;
    let dense = json!([{"name": "features", "datatype": "FP64", "shape": [rows.len(), columns.len()], "data": rows}]);
    let by_column: Vec<Json> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let data: Vec<&Json> = rows.iter().map(|it| &it[at]).collect();
            json!({"name": name, "datatype": "FP64", "shape": [rows.len(), 1], "data": data})
        })
        .collect();
    for inputs in [dense, json!(by_column)] {
        let open = house
            .answer("/v2/models/brought/infer", json!({ "inputs": inputs }))
            .await;
        let outputs = open["outputs"].as_array().unwrap();
        let probabilities = outputs.iter().find(|it| it["name"] == "probabilities");
        let shown = probabilities.unwrap_or(&outputs[0]);
        let width = said["predictions"][0].as_array().unwrap().len();
        assert_eq!(shown["shape"], json!([rows.len(), width]));
        for (at, expected) in said["predictions"].as_array().unwrap().iter().enumerate() {
            for output in 0..width {
                let (got, expected) = (&shown["data"][at * width + output], expected[output].as_f64().unwrap());
                let got = got.as_f64().unwrap_or_else(|| panic!("row {at}: {open}"));
                assert!(
                    (got - expected).abs() <= 1e-6 * expected.abs().max(0.1),
                    "row {at}: {got} {expected}"
                );
            }
            assert_eq!(outputs[0]["data"][at], answer["predictions"][at]["value"], "row {at}");
        }
    }
}

#[tokio::test]
async fn boosters_of_each_library_are_served_as_they_were_registered() {
    let columns = ["column_0", "column_1", "column_2", "column_3", "column_4"];
    let own = ["f0", "f1", "f2", "f3", "f4"];
    let cases = [
        ("xgboost", "xgboost/binary_ubjson", "model.ubj", "ubj", columns),
        ("xgboost", "xgboost/softprob", "model.json", "json", columns),
        ("lightgbm", "lightgbm/multiclass", "model.lgb", "txt", columns),
        ("onnx", "sklearn/forest_multiclass", "model.onnx", "onnx", own),
    ];
    for (flavor, fixture_name, file, extension, columns) in cases {
        let bytes = fixture(&format!("{fixture_name}.{extension}"));
        let house = of(flavor, file, bytes, &columns).await;
        check(&house, &columns, &expected(&format!("{fixture_name}.expected.json"))).await;
        let models = house.get("/v1/models").await.1;
        assert_eq!(
            (&models[0]["name"], &models[0]["problem"]),
            (&json!("brought"), &Json::Null)
        );
    }
}

#[tokio::test]
async fn columns_without_names_get_those_of_the_signature() {
    let columns = [
        "sepal length",
        "sepal width",
        "petal length",
        "petal width",
        "owner's age",
    ];
    let house = of("xgboost", "model.json", fixture("xgboost/unnamed.json"), &columns).await;
    check(&house, &columns, &expected("xgboost/unnamed.expected.json")).await;
    let metadata = house.get("/v2/models/brought").await.1;
    assert_eq!(metadata["inputs"][4]["name"], "owner's age");
}

#[tokio::test]
async fn what_cannot_be_imported_is_listed_with_its_reason_and_does_not_unready_the_server() {
    let folder = |model: String, file: &str, bytes: &[u8]| {
        vec![
            PackageFile::new("MLmodel", model),
            PackageFile::new(file, bytes.to_vec()),
        ]
    };
    let truncated = &fixture("xgboost/binary.json")[..2000];
    let cases = [
        (
            folder(
                mlmodel("sklearn", "pickled_model", "model.pkl", &[]),
                "model.pkl",
                b"\x80\x04",
            ),
            "`model.pkl`: it is a Python pickle",
        ),
        (
            folder(
                mlmodel("catboost", "data", "model.cb", &[]),
                "model.cb",
                b"CBM1\x00\x00",
            ),
            "CatBoost's binary form",
        ),
        (
            folder(mlmodel("xgboost", "data", "model.xgb", &[]), "model.xgb", b"binf\x00"),
            "XGBoost's old binary form",
        ),
        (
            folder(mlmodel("pytorch", "data", "data", &[]), "data", b"PK"),
            "none of which can be read without executing it",
        ),
        (
            folder(mlmodel("xgboost", "data", "model.json", &[]), "model.json", truncated),
            "cannot import `model.json`",
        ),
        (
            folder(mlmodel("xgboost", "data", "model.json", &[]), "other.json", b"{}"),
            "names `model.json`, which is not among its files",
        ),
        (
            folder(
                mlmodel("xgboost", "data", "model.json", &["a", "b"]),
                "model.json",
                &fixture("xgboost/unnamed.json"),
            ),
            "2 different names were given, the model has 5 inputs",
        ),
        (
            folder("flavors: [1]\nx\n".to_owned(), "x", b""),
            "cannot import `MLmodel`: line 2",
        ),
    ];
    for (files, reason) in cases {
        let house = House::new().await;
        register(&house, "notebook", files).await;
        let report = house.service.refresh().await.unwrap();
        assert_eq!(report.refused, [], "no fault of this server");
        let (status, ready) = house.get("/readyz").await;
        let problem = ready["models"]["notebook"]["problem"].as_str().unwrap();
        assert!(
            problem.contains("registered in another format") && problem.contains(reason),
            "{problem}"
        );
        assert_eq!(status, 200);
        for version in [Json::Null, json!("1")] {
            let body = json!({"rows": [{"a": 1}], "version": version});
            let error = house.error(503, "/v1/predict/notebook", body).await;
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(house.get("/v2/models/notebook/ready").await.0, 503);
        assert!(house.service.servable("churn", None).await.is_ok());
    }
}
