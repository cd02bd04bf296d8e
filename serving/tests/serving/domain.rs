//! Endpoints that packages declare.

use foretell_inference::testing::tiny_churn_package;
use foretell_inference::{Manifest, PackageFiles};
use serde_json::{Value as Json, json};

use crate::house::House;

const PATH: &str = "/api/predict/churn";

#[tokio::test]
async fn the_answer_is_in_the_words_of_the_package() {
    let house = House::new().await;
    let native = house
        .answer("/v1/predict/churn", json!({"entities": [{"customer_id": "ann"}]}))
        .await;
    let native = &native["predictions"][0];
    let expected = json!({
        "churn_probability": native["value"],
        "risk_level": native["decision"]["level"],
        "recommendations": native["decision"]["recommendations"],
    });
    assert_eq!(house.answer(PATH, json!({"customer_id": "ann"})).await, expected);
    let features = json!({"orders_90d": 5, "spend_90d": 120.5, "plan": "pro"});
    assert_eq!(
        house.answer(PATH, features).await,
        expected,
        "a flat body is a row of features"
    );
    let text = house.send("POST", PATH, "{\"customer_id\": \"ann\"}").await;
    assert_eq!(text.1, expected);
}

#[tokio::test]
async fn an_array_is_a_batch() {
    let house = House::new().await;
    let batch = house
        .answer(PATH, json!([{"customer_id": "ann"}, {"customer_id": "eve"}]))
        .await;
    assert!(batch[0]["churn_probability"].is_f64());
    assert_eq!(batch[1]["status"], "not_found");
    assert!(batch[1]["error"].as_str().unwrap().contains("`eve`"));
    assert_eq!(house.answer(PATH, json!([])).await, json!([]));
}

#[tokio::test]
async fn one_row_that_cannot_be_scored_is_an_error() {
    let house = House::new().await;
    let cases = [
        (404, json!({"customer_id": "eve"}), "nothing is stored for `eve`"),
        (400, json!({"customer_id": null}), "key column `customer_id` is null"),
        (400, json!({"plan": "pro"}), "missing input `orders_90d`"),
        (
            400,
            json!({"plan": []}),
            "`plan` is not a null, boolean, number or text. got=`[]`",
        ),
        (400, json!(7), "row 0 is not an object"),
    ];
    for (status, body, message) in cases {
        let error = house.error(status, PATH, body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
}

#[tokio::test]
async fn a_key_may_come_from_the_path_and_values_from_the_query() {
    let endpoint = json!({"method": "GET", "path": "/churn/{customer_id}/now", "key": "path",
        "answer": [["who", "key"], ["p", "value"], ["score", "score_100"], ["why", "reasons"]]});
    let house = House::with(&[with_endpoint(tiny_churn_package(), endpoint)]).await;
    let (status, answer) = house.get("/churn/a%6En/now").await;
    assert_eq!((status, &answer["who"]), (200, &json!("ann")), "{answer}");
    assert_eq!(
        answer["score"],
        json!((answer["p"].as_f64().unwrap() * 100.0).round() as i64)
    );
    assert_eq!(answer["why"].as_array().unwrap().len(), 3);
    assert_eq!(house.get("/churn/eve/now").await.0, 404);
    assert_eq!(house.get("/churn/ann/then").await.0, 404);
    assert_eq!(
        house.get("/churn/ann/now?cart=1").await.0,
        400,
        "unknown values are refused"
    );
    assert_eq!(
        house.post(PATH, json!({})).await.0,
        404,
        "endpoints go with the package"
    );
}

#[tokio::test]
async fn a_forecast_answers_with_steps() {
    let endpoint = json!({"method": "POST", "path": "/demand", "key": "body",
        "answer": [["store", "key"], ["days", "steps"], ["sum", "total"]]});
    let package = with_endpoint(foretell_inference::forecast::fixture::tiny_forecast_package(), endpoint);
    let house = House::with(&[package]).await;
    let answer = house.answer("/demand", json!({"store": "south", "horizon": 2})).await;
    assert_eq!(
        (&answer["store"], &answer["sum"]["value"]),
        (&json!("south"), &json!(30.0))
    );
    assert_eq!(answer["days"].as_array().unwrap().len(), 2);
}

fn with_endpoint(mut package: PackageFiles, endpoint: Json) -> PackageFiles {
    let mut manifest: Manifest = serde_json::from_slice(&package["manifest.json"]).unwrap();
    manifest.endpoints = vec![serde_json::from_value(endpoint).unwrap()];
    package.insert("manifest.json".to_owned(), manifest.to_bytes());
    package
}
