//! The Open Inference Protocol over REST.

use axum::body::Body;
use axum::http::Request;
use foretell_serving::Limits;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::house::House;

const INFER: &str = "/v2/models/churn/infer";

#[tokio::test]
async fn metadata_names_every_tensor() {
    let house = House::new().await;
    let model = house.get("/v2/models/churn").await.1;
    let column = |name: &str, datatype: &str| json!({"name": name, "datatype": datatype, "shape": [-1, 1]});
    let inputs = [
        column("orders_90d", "INT64"),
        column("spend_90d", "FP64"),
        column("plan", "BYTES"),
        column("customer_id", "BYTES"),
    ];
    assert_eq!(model["inputs"], json!(inputs));
    assert_eq!(model["outputs"][0], column("churn_probability", "FP64"));
    assert_eq!(model["versions"], json!(["1"]));
    for path in ["/v2/models/churn/versions/1", "/v2/models/churn/versions/champion"] {
        assert_eq!(house.get(path).await, (200, model.clone()), "{path}");
    }
    for path in ["/v2", "/v2/"] {
        assert_eq!(house.get(path).await.1["name"], "foretell");
    }
    for path in ["/v2/health/live", "/v2/health/ready"] {
        assert_eq!(house.get(path).await.1, json!({"live": true, "ready": true}));
    }
    assert_eq!(
        house.get("/v2/models/churn/ready").await.1,
        json!({"name": "churn", "ready": true})
    );
    assert_eq!(house.get("/v2/models/nope/ready").await.0, 404);
    assert_eq!(house.get("/v2/models/churn/versions/3").await.0, 404);
}

#[tokio::test]
async fn columns_keys_and_the_native_api_agree() {
    let house = House::new().await;
    let native = house
        .answer("/v1/predict/churn", json!({"entities": [{"customer_id": "ann"}]}))
        .await;
    let expected = &native["predictions"][0]["value"];
    let by_key = json!([bytes("customer_id", json!(["ann"]))]);
    let by_column = json!([
        {"name": "orders_90d", "shape": [1, 1], "datatype": "INT64", "data": [[5]]},
        {"name": "spend_90d", "shape": [1], "datatype": "FP64", "data": [120.5]},
        bytes("plan", json!(["pro"])),
    ]);
    for inputs in [by_key, by_column] {
        let answer = house.answer(INFER, json!({"id": "7", "inputs": inputs})).await;
        assert_eq!((&answer["id"], &answer["model_version"]), (&json!("7"), &json!("1")));
        let names: Vec<_> = answer["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].clone())
            .collect();
        assert_eq!(names, ["churn_probability", "risk_level", "recommendations", "status"]);
        assert_eq!(answer["outputs"][0]["shape"], json!([1, 1]));
        assert_eq!(&answer["outputs"][0]["data"][0], expected);
        assert_eq!(answer["outputs"][3]["data"], json!(["ok"]));
    }
}

#[tokio::test]
async fn only_the_outputs_asked_for_come_and_unscored_rows_are_null() {
    let house = House::new().await;
    let inputs = json!([{"name": "customer_id", "shape": [2, 1], "datatype": "BYTES", "data": ["eve", "ann"]}]);
    let outputs = json!([{"name": "status"}, {"name": "churn_probability"}]);
    let answer = house.answer(INFER, json!({"inputs": inputs, "outputs": outputs})).await;
    assert_eq!(answer.get("id"), None);
    assert_eq!(answer["outputs"][0]["data"], json!(["not_found", "ok"]));
    assert_eq!(answer["outputs"][1]["data"][0], Json::Null);
}

#[tokio::test]
async fn forecasts_have_a_column_per_step() {
    let house = House::with(&[foretell_inference::forecast::fixture::tiny_forecast_package()]).await;
    let inputs = json!([{"name": "store", "shape": [2, 1], "datatype": "BYTES", "data": ["south", "north"]}]);
    let body = json!({"inputs": inputs, "parameters": {"horizon": 3}});
    let answer = house.answer("/v2/models/demand/infer", body).await;
    assert_eq!(answer["outputs"][0]["shape"], json!([2, 3]));
    assert_eq!(answer["outputs"][0]["data"], json!([10.0, 20.0, 30.0, 1.0, 2.0, 3.0]));
}

#[tokio::test]
async fn what_is_wrong_with_a_tensor_is_named() {
    let house = House::new().await;
    let one = |input: Json| json!({"inputs": [input]});
    let cases = [
        (
            one(json!({"name": "plan", "shape": [2, 1], "datatype": "BYTES", "data": ["a"]})),
            "`plan` has 1 elements",
        ),
        (
            one(json!({"name": "plan", "shape": [-1, -1], "datatype": "BYTES", "data": ["a"]})),
            "its shape is [-1, -1]",
        ),
        (
            one(json!({"name": "plan", "shape": [1_000_000_000_000i64, 0], "datatype": "BYTES", "data": []})),
            "has 0 elements",
        ),
        (
            one(json!({"name": "plan", "shape": [i64::MAX, i64::MAX], "datatype": "BYTES", "data": []})),
            "has 0 elements",
        ),
        (
            one(json!({"name": "plan", "shape": [], "datatype": "BYTES", "data": ["a"]})),
            "no batch dimension",
        ),
        (
            one(json!({"name": "plan", "shape": [1, 1], "datatype": "FP16", "data": [1]})),
            "datatype `FP16`",
        ),
        (
            one(json!({"name": "plan", "shape": [1, 1], "datatype": "BYTES"})),
            "send `data` or binary_data_size",
        ),
        (
            one(json!({"name": "features", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]})),
            "all numbers",
        ),
        (
            one(json!({"name": "plam", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]})),
            "did you mean `plan`?",
        ),
        (
            json!({"inputs": [bytes("plan", json!(["a"])), bytes("plan", json!(["a"]))]}),
            "`plan` is there twice",
        ),
        (json!({"inputs": []}), "`inputs` is empty"),
        (
            json!({"inputs": [bytes("customer_id", json!(["ann"]))], "outputs": [{"name": "probability"}]}),
            "unknown output `probability`",
        ),
        (
            json!({"inputs": [bytes("customer_id", json!(["ann"]))], "parameters": {"explain": "x"}}),
            "parameter `explain`",
        ),
    ];
    for (body, message) in cases {
        let error = house.error(400, INFER, body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
}

#[tokio::test]
async fn raw_tensors_go_in_and_come_out() {
    let house = House::new().await;
    let raw = [3u32.to_le_bytes().as_slice(), b"ann"].concat();
    let head = json!({
        "inputs": [{"name": "customer_id", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": raw.len()}}],
        "outputs": [{"name": "churn_probability"}, {"name": "risk_level", "parameters": {"binary_data": false}}],
        "parameters": {"binary_data_output": true},
    });
    let (status, length, body) = send_raw(&house, &head, &raw, 0).await;
    assert_eq!(status, 200);
    let (json, tail) = body.split_at(length.unwrap());
    let json: Json = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 8);
    assert!(json["outputs"][1]["data"][0].is_string());
    let native = house
        .answer("/v1/predict/churn", json!({"entities": [{"customer_id": "ann"}]}))
        .await;
    let value = f64::from_le_bytes(tail.try_into().unwrap());
    assert_eq!(json!(value), native["predictions"][0]["value"]);
    for (extra, off) in [(&b"x"[..], 0), (b"", 1), (b"", -1), (b"", 9999)] {
        let raw = [&raw, extra].concat();
        assert_eq!(send_raw(&house, &head, &raw, off).await.0, 400, "{extra:?} {off}");
    }
}

async fn send_raw(house: &House, head: &Json, raw: &[u8], off: i64) -> (u16, Option<usize>, Vec<u8>) {
    let head = head.to_string();
    let length = head.len() as i64 + off;
    let body = Body::from([head.as_bytes(), raw].concat());
    let request = Request::post(INFER)
        .header("Inference-Header-Content-Length", length.to_string())
        .body(body)
        .unwrap();
    let limits = Limits {
        body: 100_000,
        time: std::time::Duration::from_secs(5),
    };
    let router = foretell_serving::routes(house.service.clone(), limits, None, axum::Router::new());
    let response = router.oneshot(request).await.unwrap();
    let length = response
        .headers()
        .get("inference-header-content-length")
        .map(|it| it.to_str().unwrap().parse().unwrap());
    (
        response.status().as_u16(),
        length,
        response.into_body().collect().await.unwrap().to_bytes().to_vec(),
    )
}

fn bytes(name: &str, data: Json) -> Json {
    json!({"name": name, "shape": [1, 1], "datatype": "BYTES", "data": data})
}
