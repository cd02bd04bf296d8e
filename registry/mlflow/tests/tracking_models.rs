//! Logged models as clients see them.

mod common;

use common::{Client, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";

async fn model(client: &Client, name: &str) -> String {
    let made = client
        .done("logged-models", json!({"experiment_id": "0", "name": name}))
        .await;
    made["model"]["info"]["model_id"].as_str().unwrap().to_owned()
}

async fn ok(client: &Client, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = client.with_body(method, path, body).await;
    assert_eq!(status.as_u16(), 200, "{method} {path}: {answer}");
    answer
}

#[tokio::test]
async fn a_logged_model_is_made_filled_finished_and_deleted() {
    let client = Client::new().await;
    let run = client.run().await;
    let body = json!({
        "experiment_id": "0", "name": "trees", "model_type": "boosted", "source_run_id": run,
        "params": [{"key": "depth", "value": "6"}], "tags": [{"key": "team", "value": "crm"}],
    });
    let made = client.done("logged-models", body).await["model"].clone();
    let id = made["info"]["model_id"].as_str().unwrap().to_owned();
    let time = made["info"]["creation_timestamp_ms"].clone();
    assert_eq!(
        made["info"],
        json!({
            "model_id": id, "experiment_id": "0", "name": "trees", "model_type": "boosted", "source_run_id": run,
            "creation_timestamp_ms": time, "last_updated_timestamp_ms": time, "status": "LOGGED_MODEL_PENDING",
            "artifact_uri": format!("mlflow-artifacts:/0/models/{id}/artifacts"),
            "tags": [{"key": "team", "value": "crm"}],
        })
    );
    let metric = json!({
        "run_id": run, "key": "auc", "value": 0.5, "timestamp": 7, "step": 1,
        "model_id": id, "dataset_name": "orders", "dataset_digest": "d",
    });
    client.done("runs/log-metric", metric.clone()).await;
    client
        .done("runs/log-batch", json!({"run_id": run, "metrics": [metric]}))
        .await;
    let path = format!("logged-models/{id}");
    client
        .done(
            &format!("{path}/params"),
            json!({"params": [{"key": "rate", "value": "0.1"}]}),
        )
        .await;
    ok(
        &client,
        "PATCH",
        &format!("{path}/tags"),
        json!({"tags": [{"key": "a/b c", "value": "x"}]}),
    )
    .await;
    let ready = json!({"model_id": id, "status": "LOGGED_MODEL_READY"});
    let finished = ok(&client, "PATCH", &path, ready).await;
    assert_eq!(finished["model"]["info"]["status"], "LOGGED_MODEL_READY");

    let found = client.found(&path).await["model"].clone();
    let measured = json!({
        "key": "auc", "value": 0.5, "timestamp": 7, "step": 1, "model_id": id, "run_id": run,
        "dataset_name": "orders", "dataset_digest": "d",
    });
    let params = json!([{"key": "depth", "value": "6"}, {"key": "rate", "value": "0.1"}]);
    assert_eq!(found["data"], json!({"params": params, "metrics": [measured]}));
    ok(&client, "DELETE", &format!("{path}/tags/a%2Fb%20c"), json!({})).await;
    let gone = client
        .with_body("DELETE", &format!("{path}/tags/a%2Fb%20c"), json!({}))
        .await;
    refused(
        gone,
        404,
        ABSENT,
        &format!("No tag with key 'a/b c' found for model with ID '{id}'."),
    );

    assert_eq!(ok(&client, "DELETE", &path, json!({})).await, json!({}));
    refused(
        client.get(&path).await,
        404,
        ABSENT,
        &format!("Logged model with ID '{id}' not found."),
    );
    let deleted = client.found(&format!("{path}?allow_deleted=true")).await;
    assert_eq!(deleted["model"]["info"]["model_id"], json!(id));
}

#[tokio::test]
async fn a_logged_model_that_breaks_a_rule_is_refused() {
    let client = Client::new().await;
    let id = model(&client, "m").await;
    refused(
        client.post("logged-models", json!({"name": "x"})).await,
        400,
        INVALID,
        "'experiment_id'",
    );
    let named = client
        .post("logged-models", json!({"experiment_id": "0", "name": "a/b"}))
        .await;
    refused(named, 400, INVALID, "Invalid model name ('a/b') provided.");
    let nowhere = client.post("logged-models", json!({"experiment_id": "9"})).await;
    refused(nowhere, 404, ABSENT, "No Experiment with id=9 exists");
    let status = client
        .with_body("PATCH", &format!("logged-models/{id}"), json!({"status": "DONE"}))
        .await;
    refused(
        status,
        400,
        INVALID,
        "Invalid value \"DONE\" for parameter 'status' supplied.",
    );
    for ghost in ["m-0", "..%2Fx"] {
        refused(
            client.get(&format!("logged-models/{ghost}")).await,
            404,
            ABSENT,
            "not found",
        );
    }
    let run = client.run().await;
    let metric = json!({"run_id": run, "key": "auc", "value": 1, "timestamp": 1, "model_id": "m-0"});
    refused(
        client.post("runs/log-metric", metric).await,
        404,
        ABSENT,
        "Logged model with ID 'm-0' not found.",
    );
}

fn names(answer: &Value) -> String {
    let models = answer["models"].as_array().cloned().unwrap_or_default();
    models
        .iter()
        .map(|it| it["info"]["name"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn logged_models_are_searched_and_a_token_fits_its_query_only() {
    let client = Client::new().await;
    let run = client.run().await;
    for (name, auc) in [("a", 0.7), ("b", 0.9), ("c", 0.8)] {
        let id = model(&client, name).await;
        let metric = json!({
            "run_id": run, "key": "auc", "value": auc, "timestamp": 1, "model_id": id, "dataset_name": "test",
        });
        client.done("runs/log-metric", metric).await;
    }
    let search = async |part: Value| {
        let mut body = json!({"experiment_ids": ["0"]});
        body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        client.post("logged-models/search", body).await
    };
    let found = async |part: Value| search(part).await.1;
    let by_auc = |ascending: bool| json!([{"field_name": "metrics.auc", "ascending": ascending}]);
    assert_eq!(names(&found(json!({"order_by": by_auc(true)})).await), "a c b");
    assert_eq!(
        names(&found(json!({"filter": "metrics.auc > 0.75", "order_by": by_auc(false)})).await),
        "b c"
    );
    assert_eq!(names(&found(json!({"filter": "attributes.name = 'a'"})).await), "a");
    assert_eq!(
        names(&found(json!({"filter": "name IN ('a', 'c')", "order_by": by_auc(true)})).await),
        "a c"
    );
    assert_eq!(
        names(&found(json!({"datasets": [{"dataset_name": "other"}]})).await),
        ""
    );

    let first = found(json!({"order_by": by_auc(true), "max_results": 2})).await;
    assert_eq!(names(&first), "a c");
    let token = first["next_page_token"].clone();
    let rest = found(json!({"order_by": by_auc(true), "max_results": 2, "page_token": token})).await;
    assert_eq!((names(&rest).as_str(), rest.get("next_page_token")), ("b", None));
    for (part, message) in [
        (
            json!({"page_token": token}),
            "Order by in the page token does not match",
        ),
        (
            json!({"page_token": token, "order_by": by_auc(true), "filter": "name = 'a'"}),
            "Filter string in the page",
        ),
        (json!({"page_token": "x"}), "Invalid page token"),
        (
            json!({"datasets": [{}]}),
            "`dataset_name` in the `datasets` clause must be specified.",
        ),
        (
            json!({"order_by": [{"field_name": "params.x"}]}),
            "Only metrics are supported.",
        ),
        (json!({"filter": "foo.x = '1'"}), "Invalid entity type: 'foo'."),
        (json!({"experiment_ids": []}), "'experiment_ids'"),
    ] {
        refused(search(part).await, 400, INVALID, message);
    }
}

#[tokio::test]
async fn old_clients_note_their_models_in_a_tag() {
    let client = Client::new().await;
    let run = client.run().await;
    let model = |path: &str| {
        json!({"artifact_path": path, "flavors": {}, "utc_time_created": "now", "run_id": run}).to_string()
    };
    for path in ["one", "two"] {
        let body = json!({"run_id": run, "model_json": model(path)});
        assert_eq!(client.done("runs/log-model", body).await, json!({}));
    }
    let data = client.found(&format!("runs/get?run_id={run}")).await["run"]["data"].clone();
    let tag = data["tags"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["key"] == "mlflow.log-model.history")
        .unwrap();
    let noted: Value = serde_json::from_str(tag["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&noted[0]["artifact_path"], &noted[1]["artifact_path"]),
        (&json!("one"), &json!("two"))
    );
    let post = |text: &str| client.post("runs/log-model", json!({"run_id": run, "model_json": text}));
    refused(post("{").await, 400, INVALID, "Malformed model info.");
    refused(
        post("{}").await,
        400,
        INVALID,
        "Model json is missing mandatory fields: {'artifact_path', ",
    );
}
