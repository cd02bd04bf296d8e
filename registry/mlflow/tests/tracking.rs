//! Experiments, runs and metrics as MLflow's clients see them.

mod common;

use axum::body::Body;
use axum::http::Request;
use common::{Client, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";

#[tokio::test]
async fn an_experiment_is_created_and_found() {
    let client = Client::new().await;
    let body = json!({"name": "churn", "tags": [{"key": "team", "value": "growth"}]});
    let id = client.done("experiments/create", body.clone()).await["experiment_id"].clone();
    assert_eq!(id, "1");
    let by_id = client.found("experiments/get?experiment_id=1").await;
    assert_eq!(
        by_id,
        client.found("experiments/get-by-name?experiment_name=churn").await
    );
    let it = &by_id["experiment"];
    assert_eq!(
        (&it["name"], &it["artifact_location"]),
        (&json!("churn"), &json!("mlflow-artifacts:/1"))
    );
    assert_eq!((&it["lifecycle_stage"], &it["tags"]), (&json!("active"), &body["tags"]));
    assert!(it["creation_time"].is_i64() && it["creation_time"] == it["last_update_time"]);

    let again = client.post("experiments/create", body).await;
    refused(
        again,
        400,
        "RESOURCE_ALREADY_EXISTS",
        "Experiment(name=churn) already exists.",
    );
    refused(
        client.get("experiments/get?experiment_id=9").await,
        404,
        ABSENT,
        "No Experiment with id=9 exists",
    );
    refused(
        client.get("experiments/get?experiment_id=x").await,
        400,
        INVALID,
        "Invalid experiment ID 'x'. Experiment ID must be a valid integer.",
    );
    let missing = client.get("experiments/get-by-name?experiment_name=nope").await;
    refused(missing, 404, ABSENT, "Could not find experiment with name 'nope'");
    let unnamed = client.post("experiments/create", json!({})).await;
    refused(unnamed, 400, INVALID, "Missing value for required parameter 'name'.");
}

#[tokio::test]
async fn experiments_are_searched_by_get_and_by_post() {
    let client = Client::new().await;
    for name in ["a", "b"] {
        client.done("experiments/create", json!({"name": name})).await;
    }
    let body = json!({"max_results": 2, "order_by": ["name ASC"]});
    let first = client.done("experiments/search", body).await;
    let names = |answer: &Value| {
        answer["experiments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].to_string())
            .collect::<String>()
    };
    assert_eq!(names(&first), r#""Default""a""#);
    let token = first["next_page_token"].as_str().unwrap();
    let rest = client
        .found(&format!(
            "experiments/search?max_results=2&order_by=name&page_token={token}"
        ))
        .await;
    assert_eq!((names(&rest).as_str(), rest.get("next_page_token")), (r#""b""#, None));
    let filtered = client
        .done(
            "experiments/search",
            json!({"max_results": 9, "filter": "name LIKE 'Def%'"}),
        )
        .await;
    assert_eq!(names(&filtered), r#""Default""#);
    refused(
        client.post("experiments/search", json!({})).await,
        400,
        INVALID,
        "'max_results'",
    );
    let view = client
        .post("experiments/search", json!({"max_results": 9, "view_type": "SOME"}))
        .await;
    refused(
        view,
        400,
        INVALID,
        "Invalid value \"SOME\" for parameter 'view_type' supplied.",
    );
}

#[tokio::test]
async fn a_run_goes_from_start_to_end() {
    let client = Client::new().await;
    let body = json!({"experiment_id": "0", "user_id": "ann", "run_name": "first", "start_time": "1000"});
    let run = client.done("runs/create", body).await["run"].clone();
    let id = run["info"]["run_id"].as_str().unwrap();
    assert_eq!(
        run["info"],
        json!({
            "run_id": id, "run_uuid": id, "run_name": "first", "experiment_id": "0", "user_id": "ann", "status": "RUNNING",
            "start_time": 1000, "artifact_uri": format!("mlflow-artifacts:/0/{id}/artifacts"), "lifecycle_stage": "active",
        })
    );
    assert_eq!(
        run["data"],
        json!({"tags": [{"key": "mlflow.runName", "value": "first"}]})
    );

    let update = json!({"run_id": id, "run_uuid": id, "status": "FINISHED", "end_time": 2000});
    let info = client.done("runs/update", update).await["run_info"].clone();
    assert_eq!(
        (&info["status"], &info["end_time"], &info["run_name"]),
        (&json!("FINISHED"), &json!(2000), &json!("first"))
    );
    assert_eq!(
        client.found(&format!("runs/get?run_uuid={id}")).await["run"]["info"],
        info
    );

    let bad = client
        .post("runs/update", json!({"run_id": id, "status": "DONE"}))
        .await;
    refused(
        bad,
        400,
        INVALID,
        "Invalid value \"DONE\" for parameter 'status' supplied.",
    );
    let ghost = "0".repeat(32);
    refused(
        client.get(&format!("runs/get?run_id={ghost}")).await,
        404,
        ABSENT,
        &format!("Run with id={ghost} not found"),
    );
    refused(
        client.get("runs/get?run_id=a%2Fb").await,
        400,
        INVALID,
        "Invalid value \"a/b\" for parameter 'run_id' supplied.",
    );
    refused(
        client.post("runs/create", json!({"experiment_id": "7"})).await,
        404,
        ABSENT,
        "No Experiment with id=7 exists",
    );
}

#[tokio::test]
async fn metrics_parameters_and_tags_are_logged_one_by_one() {
    let client = Client::new().await;
    let id = client.run().await;
    let metric =
        |value: Value, step: Value| json!({"run_id": id, "key": "auc", "value": value, "timestamp": 5, "step": step});
    client.done("runs/log-metric", metric(json!(0.5), json!(0))).await;
    client.done("runs/log-metric", metric(json!("NaN"), json!("1"))).await;
    client
        .done(
            "runs/log-parameter",
            json!({"run_id": id, "key": "depth", "value": "6"}),
        )
        .await;
    client
        .done("runs/set-tag", json!({"run_id": id, "key": "empty", "value": ""}))
        .await;
    let data = client.found(&format!("runs/get?run_id={id}")).await["run"]["data"].clone();
    assert_eq!(
        data["metrics"],
        json!([{"key": "auc", "value": "NaN", "timestamp": 5, "step": 1}])
    );
    assert_eq!(data["params"], json!([{"key": "depth", "value": "6"}]));
    assert_eq!(data["tags"][0], json!({"key": "empty", "value": ""}));

    let changed = client
        .post(
            "runs/log-parameter",
            json!({"run_id": id, "key": "depth", "value": "7"}),
        )
        .await;
    refused(
        changed,
        400,
        INVALID,
        "Changing param values is not allowed. Param with key='depth' was already logged with value='6'",
    );
    let odd = client.post("runs/log-metric", metric(json!([1]), json!(0))).await;
    refused(
        odd,
        400,
        INVALID,
        "Invalid value [1] for parameter 'value' supplied. Hint: Value was of type 'list'.",
    );
    let untimed = client
        .post("runs/log-metric", json!({"run_id": id, "key": "auc", "value": 1}))
        .await;
    refused(
        untimed,
        400,
        INVALID,
        "Missing value for required parameter 'timestamp'.",
    );
}

#[tokio::test]
async fn a_batch_is_logged_and_its_history_read_in_pages() {
    let client = Client::new().await;
    let id = client.run().await;
    let metrics: Vec<_> = (0..5)
        .map(|i| json!({"key": "loss", "value": 1.0, "timestamp": i, "step": i}))
        .collect();
    let batch = json!({"run_id": id, "metrics": metrics, "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "x"}]});
    for _ in 0..2 {
        assert_eq!(
            client.done("runs/log-batch", batch.clone()).await,
            json!({}),
            "a retry is harmless"
        );
    }
    let history = client
        .found(&format!("metrics/get-history?run_id={id}&metric_key=loss"))
        .await;
    assert_eq!(history, json!({"metrics": metrics}));
    let page = client
        .found(&format!(
            "metrics/get-history?run_id={id}&metric_key=loss&max_results=3"
        ))
        .await;
    let token = page["next_page_token"].as_str().unwrap();
    let rest = client
        .found(&format!(
            "metrics/get-history?run_id={id}&metric_key=loss&max_results=3&page_token={token}"
        ))
        .await;
    assert_eq!(rest, json!({"metrics": metrics[3..]}));

    let many: Vec<_> = (0..101)
        .map(|i| json!({"key": format!("p{i}"), "value": "1"}))
        .collect();
    refused(
        client
            .post("runs/log-batch", json!({"run_id": id, "params": many}))
            .await,
        400,
        INVALID,
        "at most 100",
    );
}

#[tokio::test]
async fn runs_are_searched_with_filter_and_order() {
    let client = Client::new().await;
    for (name, auc) in [("a", 0.7), ("b", 0.9), ("c", 0.8)] {
        let body = json!({"experiment_id": "0", "run_name": name, "start_time": 1});
        let id = client.done("runs/create", body).await["run"]["info"]["run_id"].clone();
        let metrics = json!([{"key": "roc auc", "value": auc, "timestamp": 1}]);
        client
            .done("runs/log-batch", json!({"run_id": id, "metrics": metrics}))
            .await;
    }
    let query = json!({
        "experiment_ids": ["0"], "filter": "metrics.`roc auc` > 0.75 AND attributes.run_name != 'x'",
        "order_by": ["metrics.\"roc auc\" DESC"], "run_view_type": "ACTIVE_ONLY", "max_results": 10,
    });
    let runs = client.done("runs/search", query).await["runs"].clone();
    let names: Vec<_> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["info"]["run_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(
        client.done("runs/search", json!({})).await,
        json!({}),
        "no experiments, no runs"
    );
    let wrong = client
        .post(
            "runs/search",
            json!({"experiment_ids": ["0"], "filter": "metrics.a = 'x'"}),
        )
        .await;
    refused(wrong, 400, INVALID, "Expected numeric value type for metric. Found 'x'");
}

#[tokio::test]
async fn a_body_of_the_wrong_kind_is_refused() {
    let client = Client::new().await;
    let post = |kind: Option<&str>, body: &str| {
        let mut request = Request::post("/api/2.0/mlflow/experiments/create");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        client.send(request.body(Body::from(body.to_owned())).unwrap())
    };
    refused(
        post(None, "{}").await,
        400,
        INVALID,
        "Bad Request. Content-Type header is missing.",
    );
    refused(
        post(Some("text/plain"), "{}").await,
        400,
        INVALID,
        "Content-Type must be application/json",
    );
    refused(
        post(Some("application/json"), "{").await,
        400,
        INVALID,
        "Malformed JSON",
    );
    let (status, _) = post(Some("application/json"), r#""{\"name\": \"twice\"}""#).await;
    assert_eq!(status, 200, "old clients send JSON inside a JSON string");
}
