//! The main job on a small scale: files to predictions, the same number on every road.

mod support;

use serde_json::{Value, json};
use support::{Project, eventually};

const ROW: [(&str, &str); 4] = [
    ("plan", "basic"),
    ("months", "3"),
    ("complaints", "2"),
    ("price", "25.0"),
];

fn trained() -> Project {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    project.json(&["features", "materialize"]);
    project
}

#[test]
fn training_reports_what_the_design_promises() {
    let project = Project::churn();
    let report = &project.json(&["train", "churn"])[0];
    for (field, kind) in [
        ("model", "string"),
        ("version", "number"),
        ("task", "string"),
        ("algorithm", "string"),
        ("seconds", "number"),
    ] {
        let it = &report[field];
        assert!(
            if kind == "string" {
                it.is_string()
            } else {
                it.is_number()
            },
            "{field}: {report}"
        );
    }
    let n = report["n_train"].as_u64().unwrap_or(0) + report["n_test"].as_u64().unwrap_or(0);
    assert_eq!(n, 1500, "every row is in training or in the test");
    let auc = report["metrics"]["roc_auc"].as_f64().unwrap_or(0.0);
    assert!(auc > 0.75, "the pattern is learned: {auc}");
    let algorithms: Vec<&str> = report["candidates"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["algorithm"].as_str())
        .collect();
    assert!(
        algorithms.contains(&"logistic") && algorithms.contains(&"boosted_trees"),
        "{algorithms:?}"
    );
    assert!(
        algorithms.len() >= 3,
        "a baseline is among the candidates: {algorithms:?}"
    );
    let listed = project.json(&["models", "list"]);
    assert_eq!(listed[0]["aliases"], json!(["challenger", "champion"]));
    for field in ["algorithm", "metrics", "candidates", "n_train"] {
        assert_eq!(
            listed[0][field], report[field],
            "the list says what training said of {field}"
        );
    }
}

#[test]
fn the_same_data_and_seed_give_the_same_package() {
    let digests: Vec<Value> = (0..2)
        .map(|_| {
            let project = Project::churn();
            project.json(&["train", "churn", "--seed", "5"]);
            project.json(&["models", "list"])[0]["digest"].clone()
        })
        .collect();
    assert!(digests[0].is_string());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn without_logged_requests_parity_asks_the_online_store_itself() {
    let project = Project::churn();
    let before = project.run(&["features", "parity", "churn"]);
    assert_eq!(before.code, Some(1), "nothing is materialized: {}", before.stdout);
    assert!(before.stderr.contains("features materialize"), "{}", before.stderr);
    project.json(&["features", "materialize"]);
    let report = project.json(&["features", "parity", "churn", "--sample", "200"]);
    assert_eq!(
        (&report["rows"], &report["unequal"]),
        (&json!(200), &json!(0)),
        "{report}"
    );
}

#[test]
fn command_line_rest_grpc_and_open_inference_give_the_same_number() {
    let project = trained();
    let entity = json!({ "customer_id": "C7" });
    let alone = project.json(&["predict", "churn", "--entity", "customer_id=C7"]);
    let server = project.serve();
    let over_server = project.json(&["predict", "churn", "--entity", "customer_id=C7"]);
    let rest = server.post("/v1/predict/churn", &json!({ "entities": [entity], "explain": 3 }));
    let endpoint = server.post("/api/predict/churn", &entity);
    let inputs = json!([{ "name": "customer_id", "shape": [1, 1], "datatype": "BYTES", "data": ["C7"] }]);
    let oip = server.post("/v2/models/churn/infer", &json!({ "id": "7", "inputs": inputs }));
    let grpc = grpc(&server.grpc, "C7");
    let expected = value(&rest);
    assert!((0.0..=1.0).contains(&expected), "{rest}");
    for (road, got) in [
        ("predict", value(&alone)),
        ("predict through the server", value(&over_server)),
        ("endpoint", endpoint["churn_probability"].as_f64().unwrap_or(f64::NAN)),
        ("OIP", oip_output(&oip, "churn_probability")),
        ("gRPC", grpc.0),
        ("OIP over gRPC", grpc.1),
    ] {
        assert_eq!(got.to_bits(), expected.to_bits(), "{road} says {got}, REST {expected}");
    }
    assert_eq!(oip["id"], json!("7"));
    assert_eq!(rest["version"], json!("1"));
    assert!(rest["digest"].as_str().is_some_and(|it| it.starts_with("sha256:")));
    assert_eq!(
        rest["predictions"][0]["reasons"].as_array().map(Vec::len),
        Some(3),
        "{rest}"
    );
    assert!(endpoint["risk_level"].is_string(), "{endpoint}");
}

#[test]
fn the_same_row_by_values_gives_the_same_number_everywhere() {
    let project = trained();
    let server = project.serve();
    let row: serde_json::Map<String, Value> = ROW
        .iter()
        .map(|(name, text)| {
            (
                (*name).to_owned(),
                serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            )
        })
        .collect();
    let rest = server.post("/v1/predict/churn", &json!({ "rows": [row] }));
    project.write("rows.json", &json!([row]).to_string());
    let names: Vec<&str> = ROW.iter().map(|it| it.0).collect();
    let cells: Vec<&str> = ROW.iter().map(|it| it.1).collect();
    project.write("rows.csv", &format!("{}\n{}\n", names.join(","), cells.join(",")));
    let expected = value(&rest);
    for file in ["rows.json", "rows.csv"] {
        let path = project.path(file).display().to_string();
        let got = value(&project.json(&["predict", "churn", "--rows", &path]));
        assert_eq!(got.to_bits(), expected.to_bits(), "{file}: {got} and {expected}");
    }
    let batch = server.post("/api/predict/churn", &json!([row, row]));
    assert_eq!(batch.as_array().map(Vec::len), Some(2), "an array is a batch: {batch}");
    assert_eq!(
        batch[1]["churn_probability"].as_f64().map(f64::to_bits),
        Some(expected.to_bits())
    );
}

#[test]
fn the_server_follows_champion_without_a_failed_request() {
    let project = trained();
    project.json(&["train", "churn", "--seed", "9"]);
    let server = project.serve();
    let body = json!({ "entities": [{ "customer_id": "C7" }] });
    for turn in 0..6 {
        let wanted = if turn % 2 == 0 { "2" } else { "1" };
        project.json(&["models", "promote", "churn", wanted]);
        eventually("the server serves the champion", || {
            server.post("/v1/predict/churn", &body)["version"] == json!(wanted)
        });
    }
    let (_, metrics) = server.request("GET", "/metrics", "");
    assert!(metrics.as_str().is_some_and(|it| it.contains("foretell_")), "{metrics}");
}

#[test]
fn commands_reach_the_online_store_through_the_running_server() {
    let project = trained();
    let alone = project.json(&["features", "get", "profile", "--entity", "customer_id=C7"]);
    let server = project.serve();
    let through = project.json(&["features", "get", "profile", "--entity", "customer_id=C7"]);
    let values = |rows: &Value| {
        rows.as_array()
            .into_iter()
            .flatten()
            .map(|it| (it["feature"].clone(), it["value"].clone()))
            .collect::<Vec<_>>()
    };
    let by_name = |mut rows: Vec<(Value, Value)>| {
        rows.sort_by_key(|it| it.0.to_string());
        rows
    };
    assert_eq!(by_name(values(&alone)), by_name(values(&through)));
    assert_eq!(values(&alone).len(), 4);
    project.json(&["features", "materialize", "profile"]);
    drop(server);
    // The killed server left its file behind; the next command finds nobody there and opens the store itself.
    eventually("the store is free again", || {
        project
            .run(&["features", "get", "profile", "--entity", "customer_id=C7"])
            .code
            == Some(0)
    });
}

#[test]
fn requests_are_logged_as_parquet() {
    let project = trained();
    let server = project.serve();
    for _ in 0..5 {
        server.post("/v1/predict/churn", &json!({ "entities": [{ "customer_id": "C7" }] }));
    }
    let stopped = std::process::Command::new("kill")
        .arg(server.id().to_string())
        .status()
        .expect("kill runs");
    assert!(stopped.success());
    let segments = || {
        let entries = std::fs::read_dir(project.path(".foretell/requests"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|it| it.path())
            .filter(|it| it.extension().is_some_and(|it| it == "parquet"))
            .collect::<Vec<_>>()
    };
    eventually("a segment is closed", || !segments().is_empty());
    let path = segments()[0].display().to_string();
    let bytes = std::fs::read(&path).expect("the segment can be read");
    assert!(
        bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
        "a whole Parquet file"
    );
}

fn value(answer: &Value) -> f64 {
    answer["predictions"][0]["value"]
        .as_f64()
        .unwrap_or_else(|| panic!("a value: {answer}"))
}

fn oip_output(answer: &Value, name: &str) -> f64 {
    let outputs = answer["outputs"].as_array().into_iter().flatten();
    let output = outputs
        .into_iter()
        .find(|it| it["name"] == json!(name))
        .unwrap_or_else(|| panic!("output {name}: {answer}"));
    output["data"][0].as_f64().unwrap_or(f64::NAN)
}

/// The native service and the Open Inference service over gRPC, for one customer.
fn grpc(address: &str, customer: &str) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        (
            native_grpc(address, customer).await,
            open_inference_grpc(address, customer).await,
        )
    })
}

async fn channel(address: &str) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("gRPC listens")
}

async fn native_grpc(address: &str, customer: &str) -> f64 {
    use foretell_serving::grpc::foretell_v1::prediction_service_client::PredictionServiceClient;
    use foretell_serving::grpc::foretell_v1::value::Kind;
    use foretell_serving::grpc::foretell_v1::{PredictRequest, Row, Value};
    let mut client = PredictionServiceClient::new(channel(address).await);
    let key = Value {
        kind: Some(Kind::StringValue(customer.to_owned())),
    };
    let row = Row {
        values: [("customer_id".to_owned(), key)].into(),
    };
    let request = PredictRequest {
        model: "churn".to_owned(),
        entities: vec![row],
        ..Default::default()
    };
    let answer = client.predict(request).await.expect("gRPC answers").into_inner();
    answer.predictions[0].value.expect("a value")
}

async fn open_inference_grpc(address: &str, customer: &str) -> f64 {
    use foretell_serving::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
    use foretell_serving::grpc::inference::model_infer_request::InferInputTensor;
    use foretell_serving::grpc::inference::{InferTensorContents, ModelInferRequest};
    let mut client = GrpcInferenceServiceClient::new(channel(address).await);
    let contents = InferTensorContents {
        bytes_contents: vec![customer.as_bytes().to_vec()],
        ..Default::default()
    };
    let input = InferInputTensor {
        name: "customer_id".to_owned(),
        datatype: "BYTES".to_owned(),
        shape: vec![1, 1],
        contents: Some(contents),
        ..Default::default()
    };
    let request = ModelInferRequest {
        model_name: "churn".to_owned(),
        inputs: vec![input],
        ..Default::default()
    };
    let answer = client
        .model_infer(request)
        .await
        .expect("OIP over gRPC answers")
        .into_inner();
    let at = answer
        .outputs
        .iter()
        .position(|it| it.name == "churn_probability")
        .expect("the output is there");
    let raw: [u8; 8] = answer.raw_output_contents[at][..8].try_into().expect("an FP64 value");
    f64::from_le_bytes(raw)
}
