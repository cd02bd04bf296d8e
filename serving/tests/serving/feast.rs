//! The feature server's routes.

use serde_json::json;

use crate::house::{House, NOW, key, purchases};

const READ: &str = "/get-online-features";

#[tokio::test]
async fn features_come_as_columns_with_statuses_and_times() {
    let house = House::new().await;
    let body = json!({
        "entities": {"customer_id": ["ann", "eve", "old", "bob", null, "ann"]},
        "features": ["purchases:orders_90d", "purchases:spend_90d"],
    });
    let answer = house.answer(READ, body).await;
    assert_eq!(
        answer["metadata"]["feature_names"],
        json!(["customer_id", "orders_90d", "spend_90d"])
    );
    assert_eq!(answer["results"][0]["statuses"][1], "PRESENT");
    let orders = &answer["results"][1];
    assert_eq!(orders["values"], json!([5, null, 5, null, null, 5]));
    assert_eq!(
        orders["statuses"],
        json!([
            "PRESENT",
            "NOT_FOUND",
            "OUTSIDE_MAX_AGE",
            "NULL_VALUE",
            "NOT_FOUND",
            "PRESENT"
        ])
    );
    assert_eq!(orders["event_timestamps"][0], "1970-04-10T00:00:00Z");
    assert_eq!(orders["event_timestamps"][1], "1970-01-01T00:00:00Z");
    assert_eq!(answer["results"][2]["values"][3], json!(10.0));
}

#[tokio::test]
async fn a_model_is_a_feature_service() {
    let house = House::new().await;
    let body = json!({"entities": {"customer_id": ["ann"]}, "feature_service": "churn", "full_feature_names": true});
    let answer = house.answer(READ, body).await;
    let names = json!([
        "customer_id",
        "purchases__orders_90d",
        "purchases__spend_90d",
        "purchases__plan"
    ]);
    assert_eq!(answer["metadata"]["feature_names"], names);
}

#[tokio::test]
async fn written_rows_are_read_and_late_ones_are_kept_out() {
    let house = House::new().await;
    let write = |time: &str, orders: i64| {
        json!({"feature_view_name": "purchases", "allow_registry_cache": false, "df": {
            "customer_id": ["eve"], "orders_90d": [orders], "spend_90d": [1], "plan": ["pro"],
            "event_timestamp": [time], "created": [null],
        }})
    };
    let orders = || async {
        let body = json!({"entities": {"customer_id": ["eve"]}, "features": ["purchases:orders_90d"]});
        house.answer(READ, body).await["results"][1]["values"][0].clone()
    };
    for (time, sent, read) in [
        ("1970-03-01T00:00:00", 3, 3),
        ("1970-02-01", 2, 3),
        ("1970-03-02T00:00:00Z", 4, 4),
    ] {
        assert_eq!(
            house.post("/write-to-online-store", write(time, sent)).await,
            (200, json!(null))
        );
        assert_eq!(orders().await, json!(read), "{time}");
    }
    let answer = house
        .answer("/v1/predict/churn", json!({"entities": [{"customer_id": "eve"}]}))
        .await;
    assert_eq!(
        answer["predictions"][0]["status"], "ok",
        "a written row is served at once"
    );
}

#[tokio::test]
async fn pushed_rows_are_computed_and_filtered_like_the_source() {
    let house = House::new().await;
    let df = json!({
        "customer_id": ["eve", "tom"], "plan": ["PRO", "PRO"], "amount": [30.0, -1.0], "orders": [2, 2],
        "seen_at": ["1970-04-01", "1970-04-01"],
    });
    let push = json!({"push_source_name": "customers", "df": df, "to": "online"});
    assert_eq!(house.post("/push", push).await.0, 200);
    let view = purchases(&house.online).await;
    let keys = [key("eve"), key("tom")];
    let read = house.online.read(&view, &keys, &view.project_all(), NOW).await.unwrap();
    let values: Vec<_> = read.row(0).iter().map(|it| &it.value).collect();
    assert_eq!(
        json!(values),
        json!(["pro", 60.0, 2]),
        "computed columns, expressions and casts as offline"
    );
    assert_eq!(read.found, [true, false], "the source's filter holds");
}

#[tokio::test]
async fn wrong_requests_are_named() {
    let house = House::new().await;
    let ann = json!({"customer_id": ["ann"]});
    let df = json!({"customer_id": ["x"], "event_timestamp": ["1970-01-01"]});
    let cases = [
        (
            404,
            READ,
            json!({"entities": ann, "features": ["purchase:plan"]}),
            "did you mean `purchases`?",
        ),
        (
            404,
            READ,
            json!({"entities": ann, "features": ["purchases:plam"]}),
            "did you mean `plan`?",
        ),
        (
            400,
            READ,
            json!({"entities": ann, "features": ["plan"]}),
            "not of the form view:feature",
        ),
        (
            400,
            READ,
            json!({"entities": {"customer": ["ann"]}, "features": ["purchases:plan"]}),
            "missing column `customer_id`",
        ),
        (
            400,
            READ,
            json!({"entities": {"customer_id": ["a"], "b": []}, "features": []}),
            "has 1 values",
        ),
        (
            400,
            READ,
            json!({"entities": ann}),
            "send `features` or `feature_service`",
        ),
        (
            400,
            "/write-to-online-store",
            json!({"feature_view_name": "purchases", "df": df}),
            "missing column",
        ),
        (
            404,
            "/write-to-online-store",
            json!({"feature_view_name": "x", "df": df}),
            "unknown feature view `x`",
        ),
        (
            404,
            "/push",
            json!({"push_source_name": "customer", "df": df}),
            "did you mean `customers`?",
        ),
        (
            501,
            "/push",
            json!({"push_source_name": "customers", "df": df, "to": "offline"}),
            "online store only",
        ),
        (
            501,
            "/materialize-incremental",
            json!({"end_ts": "2024-01-01"}),
            "no offline engine",
        ),
        (
            400,
            "/materialize",
            json!({"end_ts": "2024-01-01"}),
            "missing `start_ts`",
        ),
        (
            404,
            "/materialize-incremental",
            json!({"end_ts": "2024-01-01", "feature_views": ["x"]}),
            "unknown feature view",
        ),
    ];
    for (status, path, body, message) in cases {
        let error = house.error(status, path, body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
    }
}
