//! Experiments, runs and tags as clients rename, delete and restore them.

mod common;

use common::{Client, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";

async fn experiment(client: &Client, name: &str) -> String {
    let made = client.done("experiments/create", json!({"name": name})).await;
    made["experiment_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_experiment_is_deleted_with_its_runs_and_restored() {
    let client = Client::new().await;
    let id = experiment(&client, "churn").await;
    let run = client.done("runs/create", json!({"experiment_id": id})).await;
    let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let body = json!({"experiment_id": id});
    let stage = async |path: &str, of: &str| client.found(path).await[of]["lifecycle_stage"].clone();
    let both = async || {
        let run = client.found(&format!("runs/get?run_id={run}")).await["run"]["info"]["lifecycle_stage"].clone();
        (
            stage(&format!("experiments/get?experiment_id={id}"), "experiment").await,
            run,
        )
    };

    assert_eq!(client.done("experiments/delete", body.clone()).await, json!({}));
    assert_eq!(both().await, (json!("deleted"), json!("deleted")));
    let again = client.post("experiments/delete", body.clone()).await;
    refused(again, 404, ABSENT, &format!("No Experiment with id={id} exists"));
    let rename = json!({"experiment_id": id, "new_name": "x"});
    let renamed = client.post("experiments/update", rename).await;
    refused(renamed, 500, "INVALID_STATE", "Cannot rename a non-active experiment.");
    let started = client.post("runs/create", body.clone()).await;
    refused(
        started,
        400,
        INVALID,
        "must be in the 'active' state. Current state is deleted.",
    );
    let tagged = json!({"experiment_id": id, "key": "a", "value": "b"});
    refused(
        client.post("experiments/set-experiment-tag", tagged).await,
        400,
        INVALID,
        "must be in the 'active' state",
    );
    let name_taken = client.post("experiments/create", json!({"name": "churn"})).await;
    refused(name_taken, 400, "RESOURCE_ALREADY_EXISTS", "already exists");

    assert_eq!(client.done("experiments/restore", body.clone()).await, json!({}));
    assert_eq!(both().await, (json!("active"), json!("active")));
    refused(
        client.post("experiments/restore", body).await,
        404,
        ABSENT,
        "No Experiment with id=",
    );
}

#[tokio::test]
async fn an_experiment_is_renamed_and_tagged() {
    let client = Client::new().await;
    let id = experiment(&client, "churn").await;
    client
        .done(
            "experiments/update",
            json!({"experiment_id": id, "new_name": "churn 2"}),
        )
        .await;
    let tag = |value: &str| json!({"experiment_id": id, "key": "team", "value": value});
    client.done("experiments/set-experiment-tag", tag("crm")).await;
    client.done("experiments/set-experiment-tag", tag("growth")).await;
    let found = client.found("experiments/get-by-name?experiment_name=churn%202").await;
    assert_eq!(found["experiment"]["tags"], json!([{"key": "team", "value": "growth"}]));
    client.done("experiments/delete-experiment-tag", tag("")).await;
    let found = client.found(&format!("experiments/get?experiment_id={id}")).await;
    assert_eq!(found["experiment"].get("tags"), None);
    let gone = client.post("experiments/delete-experiment-tag", tag("")).await;
    refused(
        gone,
        404,
        ABSENT,
        &format!("No tag with name: team in experiment with id {id}"),
    );

    let taken = json!({"experiment_id": id, "new_name": "Default"});
    refused(
        client.post("experiments/update", taken).await,
        400,
        "RESOURCE_ALREADY_EXISTS",
        "already exists",
    );
    let unnamed = client.post("experiments/update", json!({"experiment_id": id})).await;
    refused(
        unnamed,
        400,
        INVALID,
        "Missing value for required parameter 'new_name'.",
    );
    let long = json!({"experiment_id": id, "key": "k", "value": "v".repeat(20_001)});
    let long = client.post("experiments/set-experiment-tag", long).await;
    refused(
        long,
        400,
        INVALID,
        "'value' exceeds the maximum length of 20000 characters",
    );
    let long = client
        .post("experiments/create", json!({"name": "n".repeat(501)}))
        .await;
    refused(
        long,
        400,
        INVALID,
        "'name' exceeds the maximum length of 500 characters",
    );
}

#[tokio::test]
async fn a_run_is_deleted_restored_and_loses_a_tag() {
    let client = Client::new().await;
    let id = client.run().await;
    let body = json!({"run_id": id});
    for _ in 0..2 {
        assert_eq!(
            client.done("runs/delete", body.clone()).await,
            json!({}),
            "a retry is harmless"
        );
    }
    let tag = json!({"run_id": id, "key": "team", "value": "crm"});
    let state = format!("The run {id} must be in the 'active' state. Current state is deleted.");
    refused(client.post("runs/set-tag", tag.clone()).await, 400, INVALID, &state);
    let searched = async |view: &str| {
        let query = json!({"experiment_ids": ["0"], "run_view_type": view});
        client.done("runs/search", query).await["runs"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(
        (
            searched("ACTIVE_ONLY").await,
            searched("DELETED_ONLY").await,
            searched("ALL").await
        ),
        (0, 1, 1)
    );
    client.done("runs/restore", body).await;
    client.done("runs/set-tag", tag.clone()).await;
    client.done("runs/delete-tag", tag.clone()).await;
    let gone = client.post("runs/delete-tag", tag).await;
    refused(
        gone,
        404,
        ABSENT,
        &format!("No tag with name: team in run with id {id}"),
    );
    let ghost = json!({"run_id": "0".repeat(32)});
    refused(client.post("runs/delete", ghost).await, 404, ABSENT, "not found");
}

#[tokio::test]
async fn a_broken_batch_is_refused_in_the_words_of_mlflow() {
    let client = Client::new().await;
    let id = client.run().await;
    client
        .done("runs/log-parameter", json!({"run_id": id, "key": "p", "value": "1"}))
        .await;
    let check = async |part: Value, message: &str| {
        let mut body = json!({"run_id": id, "tags": [{"key": "mark", "value": "x"}]});
        body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        refused(client.post("runs/log-batch", body).await, 400, INVALID, message);
    };
    let metric = |name: &str| json!({"key": name, "value": 1.0, "timestamp": 1});
    let metrics = |count: usize| json!({"metrics": vec![metric("m"); count]});
    check(
        json!({"metrics": [{"value": 1, "timestamp": 1}]}),
        "Missing value for required parameter 'metrics[0].key'.",
    )
    .await;
    check(
        json!({"metrics": [metric("a"), {"key": "b", "value": 1}]}),
        "Missing value for required parameter 'metrics[1].timestamp'.",
    )
    .await;
    check(
        json!({"params": [{"value": "1"}]}),
        "Missing value for required parameter 'params[0].key'.",
    )
    .await;
    check(
        json!({"metrics": "many"}),
        "Invalid value \"many\" for parameter 'metrics' supplied.",
    )
    .await;
    check(
        json!({"metrics": [metric("a$b")]}),
        "Invalid value \"a$b\" for parameter 'metrics[0].name' supplied: Names may only contain",
    )
    .await;
    check(
        json!({"metrics": [metric("a/../b")]}),
        "must not resolve to other names",
    )
    .await;
    check(
        json!({"metrics": [metric(&"k".repeat(251))]}),
        "'Metric name' exceeds the maximum length of 250 characters",
    )
    .await;
    check(
        metrics(1001),
        "A batch logging request can contain at most 1000 metrics. Got 1001 metrics.",
    )
    .await;
    check(metrics(1000), "at most 1000 metrics, params, and tags. Got 1001").await;
    check(
        json!({"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]}),
        "Duplicate parameter keys have been submitted: ['a'].",
    )
    .await;
    check(
        json!({"params": [{"key": "p", "value": "2"}]}),
        "Params were already logged='[{'key': 'p', 'old_value': '1', 'new_value': '2'}]' for run ID=",
    )
    .await;
    let data = client.found(&format!("runs/get?run_id={id}")).await["run"]["data"].clone();
    assert!(
        !data.to_string().contains("mark"),
        "nothing of a refused batch is written: {data}"
    );
}

#[tokio::test]
async fn long_values_of_runs_are_cut() {
    let client = Client::new().await;
    let id = client.run().await;
    let long = "ä".repeat(9000);
    client
        .done("runs/log-parameter", json!({"run_id": id, "key": "p", "value": long}))
        .await;
    client
        .done(
            "runs/log-batch",
            json!({"run_id": id, "tags": [{"key": "a", "value": long}]}),
        )
        .await;
    let data = client.found(&format!("runs/get?run_id={id}")).await["run"]["data"].clone();
    let length = |it: &Value| it["value"].as_str().unwrap().chars().count();
    assert_eq!((length(&data["params"][0]), length(&data["tags"][0])), (6000, 8000));
}
