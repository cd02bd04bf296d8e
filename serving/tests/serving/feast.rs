//! The feature server's routes.

use std::sync::{Arc, Mutex};

use foretell_features::{
    ErasureReceipt, ErasureRequest, MaterializeReport, MaterializeRequest, Offline, OfflineError, SourceName, Table,
    Value,
};
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
async fn wrong_requests_raise_the_right_class_in_the_client() {
    let house = House::new().await;
    let ann = json!({"customer_id": ["ann"]});
    let df = json!({"customer_id": ["x"], "event_timestamp": ["1970-01-01"]});
    let read = |features: serde_json::Value| json!({"entities": ann, "features": features});
    let cases = [
        (
            404,
            READ,
            read(json!(["purchase:plan"])),
            "FeatureViewNotFoundException",
            "did you mean `purchases`?",
        ),
        (
            404,
            READ,
            read(json!(["purchases:plam"])),
            "SpecifiedFeaturesNotPresentError",
            "did you mean `plan`?",
        ),
        (
            404,
            READ,
            read(json!(["plan"])),
            "OnDemandFeatureViewNotFoundException",
            "write `profile:plan`",
        ),
        (
            400,
            READ,
            json!({"entities": {"customer": ["ann"]}, "features": ["purchases:plan"]}),
            "FeastError",
            "missing column `customer_id`",
        ),
        (
            400,
            READ,
            json!({"entities": {"customer_id": ["a"], "b": []}, "features": ["purchases:plan"]}),
            "FeastError",
            "column `customer_id` has 1 values, `b` has 0",
        ),
        (
            400,
            READ,
            json!({"entities": ann}),
            "FeastError",
            "send `features` or `feature_service`",
        ),
        (
            404,
            READ,
            json!({"entities": ann, "feature_service": "chrn"}),
            "FeatureServiceNotFoundException",
            "Feature service chrn does not exist; did you mean `churn`?",
        ),
        (
            400,
            READ,
            read(json!(["purchases:plan", "profile:plan"])),
            "FeatureNameCollisionError",
            "Duplicate features named plan found.\nTo resolve this collision, either use the full feature name",
        ),
        (
            404,
            READ,
            read(json!(["spend_and_cart"])),
            "RequestDataNotFoundInEntityRowsException",
            "send `cart_value` among the entities",
        ),
        (
            400,
            "/write-to-online-store",
            json!({"feature_view_name": "purchases", "df": df}),
            "FeastError",
            "missing column",
        ),
        (
            404,
            "/write-to-online-store",
            json!({"feature_view_name": "x", "df": df}),
            "FeatureViewNotFoundException",
            "unknown feature view `x`",
        ),
        (
            422,
            "/push",
            json!({"push_source_name": "customer", "df": df}),
            "PushSourceNotFoundException",
            "did you mean `customers`?",
        ),
        (
            501,
            "/push",
            json!({"push_source_name": "customers", "df": df, "to": "offline"}),
            "FeastError",
            "no offline engine",
        ),
        (
            501,
            "/materialize-incremental",
            json!({"end_ts": "1970-01-02"}),
            "FeastError",
            "no offline engine",
        ),
        (
            400,
            "/materialize-incremental",
            json!({"end_ts": "1970-05-01"}),
            "FeastError",
            "`end_ts` 1970-05-01T00:00:00Z is in the future",
        ),
        (
            400,
            "/materialize",
            json!({"end_ts": "1970-01-02"}),
            "FeastError",
            "missing `start_ts`",
        ),
        (
            404,
            "/materialize-incremental",
            json!({"end_ts": "1970-01-02", "feature_views": ["x"]}),
            "FeatureViewNotFoundException",
            "unknown feature view",
        ),
    ];
    for (status, path, body, class, message) in cases {
        let (raised, error) = house.raised(status, path, body).await;
        assert!(error.contains(message), "expected `{message}` in `{error}`");
        assert_eq!(raised, class, "{error}");
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_told_as_the_client_expects() {
    let house = House::new().await;
    let cases = [
        (json!({"features": []}).to_string(), json!(["body", "entities"])),
        ("{".to_owned(), json!(["body"])),
        (r#"{"entities": {"a": [1], "a": [2]}}"#.to_owned(), json!(["body"])),
        (json!({"entities": {"a": 1}}).to_string(), json!(["body"])),
    ];
    for (body, place) in cases {
        let (status, answer) = house.send("POST", READ, body).await;
        assert_eq!((status, &answer["detail"][0]["loc"]), (422, &place), "{answer}");
    }
}

#[tokio::test]
async fn features_of_several_entities_are_joined_in_the_order_asked_for() {
    let house = House::new().await;
    // As text: the order of the columns counts.
    let body = |units: &str| {
        format!(
            r#"{{"entities": {{"item": ["2", 1, 1, 3], "unknown": [1, 2, 3, 4], "customer_id": ["bob", "ann", "ann", "old"],
            "store": ["s", "s", "t", "s"], "cart_value": [1, 2.5, null, 4]}}, "include_feature_view_version_metadata": true,
            "features": ["spend_and_cart", "{units}", "purchases@v2:plan", "rates:*", "{units}"]}}"#
        )
    };
    let (status, answer) = house.send("POST", READ, body("stock:units@v2")).await;
    assert_eq!(status, 404, "only views have versions: {answer}");
    let (status, answer) = house.send("POST", READ, body("stock:units")).await;
    assert_eq!(status, 200, "{answer}");
    let names = json!([
        "item",
        "customer_id",
        "store",
        "spend_and_cart",
        "units",
        "plan",
        "dollar"
    ]);
    assert_eq!(answer["metadata"]["feature_names"], names);
    let values: Vec<&serde_json::Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["values"])
        .collect();
    let expected = [
        json!([2, 1, 1, 3]),
        json!(["bob", "ann", "ann", "old"]),
        json!(["s", "s", "t", "s"]),
        // What is too old does not count: `old` has spent nothing that is known.
        json!([11.0, 123.0, null, null]),
        json!([20, 10, null, null]),
        json!([null, "pro", "pro", "pro"]),
        json!([1.5, 1.5, 1.5, 1.5]),
    ];
    assert_eq!(values, expected.iter().collect::<Vec<_>>());
    let statuses = |at: usize| answer["results"][at]["statuses"].clone();
    assert_eq!(statuses(3), json!(["PRESENT", "PRESENT", "NULL_VALUE", "NULL_VALUE"]));
    assert_eq!(statuses(4), json!(["PRESENT", "PRESENT", "NOT_FOUND", "NOT_FOUND"]));
    let views =
        json!([{"name": "purchases", "version": 0}, {"name": "rates", "version": 0}, {"name": "stock", "version": 0}]);
    assert_eq!(answer["metadata"]["feature_view_metadata"], views);
}

#[tokio::test]
async fn a_service_gives_what_it_lists_and_global_views_need_no_entity() {
    let house = House::new().await;
    let body = json!({
        "entities": {"customer_id": ["ann"], "cart_value": ["7"]},
        "feature_service": "checkout", "features": [], "full_feature_names": true,
    });
    let answer = house.answer(READ, body).await;
    let names = json!([
        "customer_id",
        "purchases__plan",
        "purchases__spend_90d",
        "rates__dollar",
        "customer__spend_and_cart"
    ]);
    assert_eq!(answer["metadata"]["feature_names"], names);
    assert_eq!(answer["results"][4]["values"], json!([127.5]));
    let answer = house
        .answer(READ, json!({"entities": {}, "features": ["rates:dollar"]}))
        .await;
    assert_eq!(answer["metadata"]["feature_names"], json!(["dollar"]));
    assert_eq!(answer["results"][0]["values"], json!([1.5]));
}

#[tokio::test]
async fn rows_belong_to_their_entities_however_they_are_shuffled_and_repeated() {
    let house = House::new().await;
    let names = ["ann", "old", "bob", "ann", "ann", "eve", "bob", "old", "ann"];
    for turn in 0..names.len() {
        let mut asked = names.to_vec();
        asked.rotate_left(turn);
        let spend: Vec<Option<f64>> = asked
            .iter()
            .map(|it| match *it {
                "ann" | "old" => Some(120.5),
                "bob" => Some(10.0),
                _ => None,
            })
            .collect();
        let body = json!({"entities": {"customer_id": asked}, "features": ["purchases:spend_90d"]});
        let answer = house.answer(READ, body).await;
        assert_eq!(answer["results"][1]["values"], json!(spend), "{asked:?}");
    }
}

#[tokio::test]
async fn materializing_in_the_background_is_accepted_once_at_a_time() {
    let engine = Arc::new(SlowEngine::default());
    let (dependencies, online) = crate::house::dependencies(&[]).await;
    let dependencies = foretell_serving::Dependencies {
        offline: Some(engine.clone()),
        ..dependencies
    };
    let house = House::of(dependencies, online).await;
    let start = |query: &'static str, views: serde_json::Value| {
        let body = json!({"end_ts": "1970-01-02", "feature_views": views});
        let house = &house;
        async move { house.post(&format!("/materialize-incremental{query}"), body).await }
    };
    let accepted = json!({"status": "accepted", "feature_views": ["purchases"]});
    assert_eq!(
        start("?async=true", json!(["purchases"])).await,
        (202, accepted.clone())
    );
    let (status, busy) = start("?async=true", json!(null)).await;
    assert_eq!((status, &busy["feature_views"]), (409, &json!(["purchases"])));
    assert!(busy["error"].as_str().unwrap().contains("force=true"), "{busy}");
    assert_eq!(
        start("?async=true&force=true", json!(["purchases"])).await,
        (202, accepted)
    );
    engine.go.add_permits(10);
    assert_eq!(start("", json!(["purchases"])).await, (200, json!(null)));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(start("?async=true", json!(["purchases"])).await.0, 202, "all are done");
    let runs = || engine.runs.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runs(), 4);
}

#[tokio::test]
async fn rows_pushed_offline_reach_the_source() {
    let engine = Arc::new(SlowEngine::default());
    let (dependencies, online) = crate::house::dependencies(&[]).await;
    let dependencies = foretell_serving::Dependencies {
        offline: Some(engine.clone()),
        ..dependencies
    };
    let house = House::of(dependencies, online).await;
    let df = json!({
        "customer_id": ["eve"], "plan": ["PRO"], "amount": [30], "orders": [2], "seen_at": ["1970-04-01"],
    });
    for (to, read) in [("offline", json!(null)), ("online_and_offline", json!("pro"))] {
        let push = json!({"push_source_name": "customers", "df": df, "to": to});
        assert_eq!(house.post("/push", push).await.0, 200);
        let body = json!({"entities": {"customer_id": ["eve"]}, "features": ["purchases:plan"]});
        assert_eq!(house.answer(READ, body).await["results"][1]["values"][0], read, "{to}");
    }
    let appended = std::mem::take(&mut *engine.appended.lock().unwrap());
    assert_eq!(appended.len(), 2);
    let (source, table) = &appended[0];
    assert_eq!((source.as_str(), table.n_rows()), ("customers", 1));
    assert_eq!(
        table.names(),
        ["amount", "customer_id", "orders", "plan", "seen_at"],
        "as sent"
    );
    assert_eq!(
        table.column("amount").unwrap().value(0),
        Value::Int(30),
        "raw, not computed"
    );
    let push = json!({"push_source_name": "customers", "df": df, "to": "nowhere"});
    assert_eq!(house.post("/push", push).await.0, 422);
}

/// An offline engine that waits to be let go.
struct SlowEngine {
    go: tokio::sync::Semaphore,
    runs: std::sync::atomic::AtomicUsize,
    appended: Mutex<Vec<(String, Table)>>,
}

impl Default for SlowEngine {
    fn default() -> Self {
        Self {
            go: tokio::sync::Semaphore::new(0),
            runs: Default::default(),
            appended: Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl Offline for SlowEngine {
    async fn materialize(&self, _: MaterializeRequest) -> Result<Vec<MaterializeReport>, OfflineError> {
        self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.go.acquire().await.unwrap().forget();
        Ok(Vec::new())
    }

    async fn append(&self, source: &SourceName, rows: Table) -> Result<(), OfflineError> {
        self.appended.lock().unwrap().push((source.clone(), rows));
        Ok(())
    }

    async fn erase(&self, _: &ErasureRequest) -> Result<ErasureReceipt, OfflineError> {
        Err(OfflineError("there are no files here".to_owned()))
    }
}
