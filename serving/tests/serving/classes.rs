//! A model of several classes over every wire.

use foretell_inference::testing::tiny_species_package;
use foretell_serving::grpc::foretell_v1::prediction_service_client::PredictionServiceClient;
use foretell_serving::grpc::foretell_v1::{PredictRequest, Row, Value};
use foretell_serving::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use foretell_serving::grpc::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use foretell_serving::grpc::inference::{InferTensorContents, ModelInferRequest, ModelMetadataRequest};
use serde_json::{Value as Json, json};

use crate::grpc::{channel, number, server_of};
use crate::house::House;

const CLASSES: [&str; 3] = ["setosa", "versicolor", "virginica"];

async fn house() -> House {
    House::with(&[tiny_species_package()]).await
}

/// The softmax of the three stumps for a long and wide flower.
fn expected() -> [f64; 3] {
    let parts = [-1.0_f64, -0.6, 0.9].map(f64::exp);
    parts.map(|it| it / parts.iter().sum::<f64>())
}

fn close(got: &[f64], expected: &[f64]) {
    let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near && got.len() == expected.len(), "{got:?} is not {expected:?}");
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_f64().unwrap_or(f64::NAN))
        .collect()
}

#[tokio::test]
async fn the_native_answer_names_the_class_and_every_probability() {
    let rows = json!({"rows": [{"length": 5.9, "width": 2.1, "site": null}, {"length": "x", "width": 1, "site": ""}], "explain": 2});
    let answer = house().await.answer("/v1/predict/species", rows).await;
    let [got, refused] = [0, 1].map(|it| &answer["predictions"][it]);
    assert_eq!(got["class"], "virginica");
    close(
        &CLASSES.map(|it| got["probabilities"][it].as_f64().unwrap()),
        &expected(),
    );
    assert_eq!(got["value"], got["probabilities"]["virginica"]);
    let text = got["probabilities"].to_string();
    assert_eq!(CLASSES.map(|it| text.contains(it)), [true; 3]);
    assert_eq!(
        got["reasons"][0]["feature"], "width",
        "reasons are of the class that won"
    );
    assert!((got["reasons"][0]["contribution"].as_f64().unwrap() - 0.8).abs() < 1e-12);
    assert_eq!(refused["status"], "invalid");
    assert!(refused["class"].is_null() && refused["probabilities"].is_null());
}

#[tokio::test]
async fn the_open_protocol_has_one_column_per_class() {
    let house = house().await;
    let model = house.get("/v2/models/species").await.1;
    assert_eq!(model["properties"]["classes"], json!(CLASSES));
    let outputs = json!([
        {"name": "value", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "class", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
        {"name": "status", "datatype": "BYTES", "shape": [-1, 1]},
    ]);
    assert_eq!(model["outputs"], outputs);
    let inputs = json!([
        {"name": "length", "shape": [2, 1], "datatype": "FP64", "data": [5.9, 1.4]},
        {"name": "width", "shape": [2, 1], "datatype": "FP64", "data": [2.1, 0.2]},
        {"name": "site", "shape": [2, 1], "datatype": "BYTES", "data": ["hill", "coast"]},
    ]);
    let answer = house
        .answer("/v2/models/species/infer", json!({"inputs": inputs}))
        .await;
    let [value, class, probabilities, status] = [0, 1, 2, 3].map(|it| &answer["outputs"][it]);
    assert_eq!(
        (&class["data"], &status["data"]),
        (&json!(["virginica", "setosa"]), &json!(["ok", "ok"]))
    );
    assert_eq!(probabilities["shape"], json!([2, 3]));
    let got = numbers(&probabilities["data"]);
    close(&got[..3], &expected());
    close(&numbers(&value["data"]), &[got[2], got[3]]);
    let wanted = json!({"inputs": inputs, "outputs": [{"name": "probabilities"}]});
    let answer = house.answer("/v2/models/species/infer", wanted).await;
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    let error = house
        .error(
            400,
            "/v2/models/species/infer",
            json!({"inputs": inputs, "outputs": [{"name": "probability"}]}),
        )
        .await;
    assert_eq!(error, "unknown output `probability`; did you mean `probabilities`?");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_grpc_services_say_the_same() {
    let server = server_of(&[tiny_species_package()]).await;

    let mut native = PredictionServiceClient::new(channel(&server).await);
    let values = [
        ("length", number(5.9)),
        ("width", number(2.1)),
        ("site", Value { kind: None }),
    ];
    let request = PredictRequest {
        model: "species".into(),
        rows: vec![Row {
            values: values.map(|(name, it)| (name.to_owned(), it)).into(),
        }],
        ..Default::default()
    };
    let answer = native
        .predict(request)
        .await
        .unwrap()
        .into_inner()
        .predictions
        .remove(0);
    assert_eq!(answer.class.as_deref(), Some("virginica"));
    let classes: Vec<_> = answer.probabilities.iter().map(|it| it.class.as_str()).collect();
    assert_eq!(classes, CLASSES);
    let native: Vec<f64> = answer.probabilities.iter().map(|it| it.probability).collect();
    close(&native, &expected());

    let mut open = GrpcInferenceServiceClient::new(channel(&server).await);
    let named = ModelMetadataRequest {
        name: "species".into(),
        version: String::new(),
    };
    let metadata = open.model_metadata(named).await.unwrap().into_inner();
    assert_eq!(metadata.properties["classes"], json!(CLASSES).to_string());
    let column = |name: &str, datatype: &str, contents| InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: vec![1, 1],
        contents: Some(contents),
        ..Default::default()
    };
    let double = |name: &str, it: f64| {
        let contents = InferTensorContents {
            fp64_contents: vec![it],
            ..Default::default()
        };
        column(name, "FP64", contents)
    };
    let site = InferTensorContents {
        bytes_contents: vec![b"hill".to_vec()],
        ..Default::default()
    };
    let request = ModelInferRequest {
        model_name: "species".into(),
        inputs: vec![
            double("length", 5.9),
            double("width", 2.1),
            column("site", "BYTES", site),
        ],
        outputs: vec![InferRequestedOutputTensor {
            name: "probabilities".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = open.model_infer(request).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [1, 3]);
    let bytes = answer.raw_output_contents[0].as_chunks::<8>().0;
    let open: Vec<f64> = bytes.iter().map(|it| f64::from_le_bytes(*it)).collect();
    assert_eq!(open, native, "the same bits");
    server.stop().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_and_entities_that_nobody_stores_are_refused_by_name() {
    let house = house().await;
    let cases = [
        (
            json!({"rows": [{"length": 1.0, "width": 1.0}]}),
            "rows[0]: missing input `site` (string)",
        ),
        (
            json!({"rows": [{"lenght": 1.0}]}),
            "unknown input `lenght`; did you mean `length`?",
        ),
        (json!({"entities": [{"length": 1.0}]}), "missing input `width`"),
    ];
    for (body, expected) in cases {
        let error = house.error(400, "/v1/predict/species", body).await;
        assert!(error.contains(expected), "{error}");
    }
}
