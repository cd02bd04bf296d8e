//! `POST /v1/predict/{model}`.

use foretell_inference::testing::tiny_churn_package;
use serde_json::{Value as Json, json};

use crate::house::{House, other_churn};

const PREDICT: &str = "/v1/predict/churn";

#[tokio::test]
async fn an_entity_and_its_features_get_the_same_number() {
    let house = House::new().await;
    let by_key = house
        .answer(PREDICT, json!({"entities": [{"customer_id": "ann"}], "explain": 2}))
        .await;
    let row = json!({"orders_90d": 5, "spend_90d": 120.5, "plan": "pro"});
    let by_row = house.answer(PREDICT, json!({"rows": [row], "explain": 2})).await;
    let (by_key, by_row) = (&by_key["predictions"][0], &by_row["predictions"][0]);
    assert_eq!(by_key["value"], by_row["value"]);
    assert_eq!(by_key["decision"], by_row["decision"]);
    assert_eq!(by_key["entity"], json!({"customer_id": "ann"}));
    assert_eq!(by_row.get("entity"), None);
    let reasons = by_key["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 2);
    assert_eq!(
        reasons[0]["age"],
        json!(86400.0),
        "reasons of stored values carry their age in seconds"
    );
    assert_eq!(by_row["reasons"][0]["age"], Json::Null);
    assert_eq!(reasons[0]["contribution"], by_row["reasons"][0]["contribution"]);
}

#[tokio::test]
async fn every_answer_names_its_version_and_digest() {
    let house = House::with(&[tiny_churn_package(), other_churn(1.0)]).await;
    let ask = |with: &str| {
        let mut body: Json = serde_json::from_str(with).unwrap();
        body["entities"] = json!([{"customer_id": "ann"}]);
        house.answer(PREDICT, body)
    };
    let (champion, second) = (ask("{}").await, ask(r#"{"version": "2"}"#).await);
    assert_eq!((&champion["version"], &second["version"]), (&json!("1"), &json!("2")));
    assert_ne!(champion["digest"], second["digest"]);
    assert_ne!(champion["predictions"], second["predictions"]);
    assert_eq!(ask(r#"{"version": 2}"#).await, second);
    assert_eq!(ask(r#"{"alias": "champion"}"#).await, champion);
}

#[tokio::test]
async fn a_row_that_cannot_be_scored_has_a_status_and_the_others_are_unharmed() {
    let house = House::new().await;
    let entities = json!([{"customer_id": "eve"}, {"customer_id": "ann"}, {"customer_id": null}]);
    let answer = house.answer(PREDICT, json!({ "entities": entities })).await;
    let statuses: Vec<_> = answer["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].clone())
        .collect();
    assert_eq!(statuses, ["not_found", "ok", "invalid"]);
    assert_eq!(answer["predictions"][0].get("value"), None);
    assert!(answer["predictions"][1]["value"].is_f64());
    let rows = json!([
        {"orders_90d": "many", "spend_90d": 1, "plan": "pro"},
        {"orders_90d": "5", "spend_90d": null, "plan": 7},
    ]);
    let answer = house.answer(PREDICT, json!({ "rows": rows })).await;
    let (wrong, right) = (&answer["predictions"][0], &answer["predictions"][1]);
    assert_eq!(wrong["status"], "invalid");
    assert_eq!(wrong["message"], "input `orders_90d` is not int64. got=`many`");
    assert_eq!(right["status"], "ok");
}

#[tokio::test]
async fn stored_values_carry_their_status_and_old_ones_count_as_null() {
    let house = House::new().await;
    let answer = house
        .answer(
            PREDICT,
            json!({"entities": [{"customer_id": "old"}, {"customer_id": "bob"}]}),
        )
        .await;
    let old = &answer["predictions"][0];
    let all = json!({"orders_90d": "OUTSIDE_MAX_AGE", "spend_90d": "OUTSIDE_MAX_AGE", "plan": "OUTSIDE_MAX_AGE"});
    assert_eq!(old["statuses"], all);
    assert_eq!(
        answer["predictions"][1]["statuses"],
        json!({"orders_90d": "NULL_VALUE", "plan": "NULL_VALUE"})
    );
    let nulls = json!({"rows": [{"orders_90d": null, "spend_90d": null, "plan": null}]});
    assert_eq!(
        old["value"],
        house.answer(PREDICT, nulls).await["predictions"][0]["value"]
    );
    let then = json!({"entities": [{"customer_id": "old"}], "as_of": "1969-01-01"});
    let then = house.answer(PREDICT, then).await;
    assert_eq!(
        then["predictions"][0].get("statuses"),
        None,
        "ages are measured at as_of"
    );
}

#[tokio::test]
async fn derived_inputs_are_computed_from_stored_and_request_values() {
    let house = House::derived().await;
    let by_key = json!({"entities": [{"customer_id": "ann"}], "request": {"cart_value": 40}});
    let by_key = house.answer(PREDICT, by_key).await["predictions"][0]["value"].clone();
    let whole = json!({"orders_90d": 5, "spend_90d": 120.5, "plan": "pro", "cart_value": 40, "spend_per_order": 24.1});
    let mut without = whole.clone();
    without.as_object_mut().unwrap().remove("spend_per_order");
    let house = &house;
    let value = |row: Json| async move {
        house.answer(PREDICT, json!({"rows": [row]})).await["predictions"][0]["value"].clone()
    };
    assert_eq!(by_key, value(whole.clone()).await);
    assert_eq!(by_key, value(without).await);
    let own = json!({"entities": [{"customer_id": "ann", "cart_value": 40}]});
    assert_eq!(
        by_key,
        house.answer(PREDICT, own).await["predictions"][0]["value"],
        "an entity may carry its own"
    );
    let unsent = house
        .answer(PREDICT, json!({"entities": [{"customer_id": "ann"}]}))
        .await;
    assert_eq!(unsent["predictions"][0]["statuses"], json!({"cart_value": "NOT_FOUND"}));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named_with_the_fix() {
    let house = House::derived().await;
    let entity = json!([{"customer_id": "ann"}]);
    let row = |extra: Json| {
        let mut row = json!({"orders_90d": 5, "spend_90d": 1.0, "plan": "pro", "cart_value": 2});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"rows": [row]})
    };
    let cases = [
        (
            404,
            "chrun",
            json!({"entities": entity}),
            "unknown model `chrun`; did you mean `churn`?",
        ),
        (
            404,
            "churn",
            json!({"entities": entity, "version": "9"}),
            "unknown version `9` of model `churn`",
        ),
        (
            404,
            "churn",
            json!({"entities": entity, "alias": "champoin"}),
            "unknown alias `champoin` of model `churn`",
        ),
        (
            400,
            "churn",
            json!({"entities": entity, "version": "x"}),
            "`version` is a number like \"7\"",
        ),
        (
            400,
            "churn",
            json!({"entities": entity, "version": "1", "alias": "champion"}),
            "not both",
        ),
        (
            400,
            "churn",
            json!({}),
            "send exactly one of `entities`, `rows` and `series`",
        ),
        (
            400,
            "churn",
            json!({"entities": entity, "rows": []}),
            "send exactly one of",
        ),
        (
            400,
            "churn",
            json!({"series": entity}),
            "model `churn` predicts rows; send `entities` or `rows`",
        ),
        (
            400,
            "churn",
            json!({"entities": [{"customer": "ann"}]}),
            "entities[0]: missing key column `customer_id`",
        ),
        (
            400,
            "churn",
            json!({"entities": [{"customer_id": "ann", "cart_valu": 1}]}),
            "did you mean `cart_value`?",
        ),
        (
            400,
            "churn",
            json!({"entities": entity, "request": {"plan": "pro"}}),
            "`plan` is neither a key column nor",
        ),
        (
            400,
            "churn",
            row(json!({"spent_90d": 1})),
            "rows[0]: unknown input `spent_90d`; did you mean `spend_90d`?",
        ),
        (
            400,
            "churn",
            json!({"rows": [{"plan": "pro"}]}),
            "rows[0]: missing input `orders_90d` (int64)",
        ),
        (
            400,
            "churn",
            json!({"rows": [{"plan": {}}]}),
            "the body is not what is expected",
        ),
        (400, "churn", json!({"entities": entity, "interval": 1.5}), "1.5"),
        (400, "churn", json!({"entitys": entity}), "unknown field `entitys`"),
    ];
    for (status, model, body, message) in cases {
        let error = house.error(status, &format!("/v1/predict/{model}"), body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
}

#[tokio::test]
async fn hostile_bodies_are_refused_in_json() {
    let house = House::new().await;
    let cases = [
        (400, "".to_owned()),
        (400, "{".to_owned()),
        (400, "[".repeat(90_000)),
        (400, format!("{{\"rows\":{}", "[".repeat(5000))),
        (400, "{\"rows\":[{\"plan\":1e999}]}".to_owned()),
        (400, "\u{0}\u{1}".to_owned()),
        (400, format!("{{\"rows\":[{{\"{}\":1}}]}}", "x".repeat(90_000))),
        (413, " ".repeat(200_000)),
    ];
    for (expected, body) in cases {
        let start = body.chars().take(20).collect::<String>();
        let (status, answer) = house.send("POST", PREDICT, body).await;
        assert_eq!(status, expected, "{start}: {answer}");
        assert!(
            answer["error"].as_str().is_some_and(|it| it.len() < 3000),
            "{start}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_forecast_is_asked_by_series() {
    let house = House::with(&[foretell_inference::forecast::fixture::tiny_forecast_package()]).await;
    let series = json!([{"store": "north"}, {"store": "nowhere"}]);
    let answer = house
        .answer("/v1/predict/demand", json!({"series": series, "horizon": 4}))
        .await;
    let north = &answer["predictions"][0];
    let values: Vec<_> = north["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["value"].as_f64().unwrap())
        .collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 1.0]);
    assert_eq!(north["steps"][0]["time"], "1970-01-12T00:00:00Z");
    assert_eq!(north["total"]["value"], 7.0);
    assert_eq!(answer["predictions"][1]["status"], "not_found");
    let cases = [
        (
            json!({"series": [{"store": "north"}], "horizon": 6}),
            "horizon 6 is not within 1..=5",
        ),
        (json!({"series": [{"shop": "north"}]}), "`shop` is not a key column"),
        (json!({"series": [{}]}), "missing key column `store`"),
        (json!({"entities": [{"store": "north"}]}), "forecasts series"),
        (
            json!({"series": [{"store": "north"}], "horizon": 1, "future": [{"promotion": true}]}),
            "promo",
        ),
    ];
    for (body, message) in cases {
        let error = house.error(400, "/v1/predict/demand", body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
}
