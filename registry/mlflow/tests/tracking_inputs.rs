//! What runs read and made, and the histories that a plot reads.

mod common;

use common::{Client, quoted, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";

fn dataset(name: &str, context: &str) -> Value {
    json!({
        "tags": [{"key": "mlflow.data.context", "value": context}],
        "dataset": {"name": name, "digest": "d1", "source_type": "local", "source": "{}", "profile": "{\"rows\": 3}"},
    })
}

#[tokio::test]
async fn inputs_and_outputs_are_read_back_with_the_run() {
    let client = Client::new().await;
    let id = client.run().await;
    let inputs = json!({"run_id": id, "datasets": [dataset("orders", "train")], "models": [{"model_id": "m-1"}]});
    assert_eq!(client.done("runs/log-inputs", inputs).await, json!({}));
    let outputs = json!({"run_id": id, "models": [{"model_id": "m-2", "step": "4"}]});
    assert_eq!(client.done("runs/outputs", outputs).await, json!({}));
    let run = client.found(&format!("runs/get?run_id={id}")).await["run"].clone();
    let expected = json!({"dataset_inputs": [dataset("orders", "train")], "model_inputs": [{"model_id": "m-1"}]});
    assert_eq!(run["inputs"], expected);
    assert_eq!(
        run["outputs"],
        json!({"model_outputs": [{"model_id": "m-2", "step": 4}]})
    );

    let body = json!({"experiment_ids": ["0"]});
    let found = client.done("experiments/search-datasets", body).await;
    let summary = json!({"experiment_id": "0", "name": "orders", "digest": "d1", "context": "train"});
    assert_eq!(found, json!({"dataset_summaries": [summary]}));
    let search = |filter: &str| json!({"experiment_ids": ["0"], "filter": filter});
    let found = client
        .done(
            "runs/search",
            search("datasets.context = 'train' AND dataset.name LIKE 'ord%'"),
        )
        .await;
    assert_eq!(found["runs"][0]["inputs"], expected);
    assert_eq!(
        client.done("runs/search", search("datasets.name IN ('visits')")).await,
        json!({})
    );
}

#[tokio::test]
async fn inputs_that_are_not_whole_are_refused() {
    let client = Client::new().await;
    let id = client.run().await;
    let inputs = |dataset: Value| json!({"run_id": id, "datasets": [{"dataset": dataset}]});
    let unnamed = inputs(json!({"digest": "d", "source_type": "local", "source": "x"}));
    refused(
        client.post("runs/log-inputs", unnamed).await,
        400,
        INVALID,
        "Missing value for required parameter 'name'.",
    );
    let long = inputs(json!({"name": "n", "digest": "d".repeat(37), "source_type": "local", "source": "x"}));
    let long = client.post("runs/log-inputs", long).await;
    refused(
        long,
        400,
        INVALID,
        "'digest' exceeds the maximum length of 36 characters",
    );
    let none = client
        .post("runs/log-inputs", json!({"run_id": id, "datasets": [{"tags": []}]}))
        .await;
    refused(none, 400, INVALID, "'dataset'");
    refused(
        client.post("runs/outputs", json!({"run_id": id})).await,
        400,
        INVALID,
        "'models'",
    );
    let ghost = json!({"run_id": "0".repeat(32), "datasets": []});
    refused(
        client.post("runs/log-inputs", ghost).await,
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "not found",
    );
    let nowhere = client.post("experiments/search-datasets", json!({})).await;
    refused(
        nowhere,
        400,
        INVALID,
        "SearchDatasets request must specify at least one experiment_id.",
    );
    let many: Vec<String> = (0..21).map(|it| it.to_string()).collect();
    let many = client
        .post("experiments/search-datasets", json!({"experiment_ids": many}))
        .await;
    refused(
        many,
        400,
        INVALID,
        "cannot specify more than 20 experiment_ids. Received 21 experiment_ids.",
    );
}

/// A run with metric `loss` at `count` steps.
async fn with_history(client: &Client, count: i64) -> String {
    let id = client.run().await;
    let metrics: Vec<_> = (0..count)
        .map(|i| json!({"key": "loss", "value": i, "timestamp": 100 - i, "step": i}))
        .collect();
    client
        .done("runs/log-batch", json!({"run_id": id, "metrics": metrics}))
        .await;
    id
}

fn steps(answer: &Value) -> Vec<i64> {
    let metrics = answer["metrics"].as_array().cloned().unwrap_or_default();
    metrics.iter().map(|it| it["step"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn histories_of_several_runs_are_read_at_once_whole_or_thinned_out() {
    let client = Client::new().await;
    let (a, b) = (with_history(&client, 10).await, with_history(&client, 2).await);
    let bulk = format!("metrics/get-history-bulk?run_id={a}&run_id={b}&metric_key=loss");
    let found = client.found(&bulk).await;
    assert_eq!(found["metrics"].as_array().unwrap().len(), 12);
    assert_eq!(steps(&client.found(&format!("{bulk}&max_results=3")).await).len(), 3);
    let other = format!("metrics/get-history-bulk?run_id={a}&metric_key=other");
    assert_eq!(client.found(&other).await, json!({"metrics": []}));

    let interval = format!("metrics/get-history-bulk-interval?run_ids={a}&run_ids={b}&metric_key=loss");
    assert_eq!(
        steps(&client.found(&format!("{interval}&max_results=3")).await),
        [0, 4, 9, 0, 1]
    );
    let part = client.found(&format!("{interval}&start_step=3&end_step=5")).await;
    assert_eq!(steps(&part), [3, 4, 5]);
    assert_eq!(part["metrics"][0]["run_id"], json!(a));
    for (query, message) in [
        (
            "&start_step=3",
            "If either start step or end step are specified, both must be specified.",
        ),
        (
            "&start_step=3&end_step=2",
            "end_step must be greater than start_step. Found start_step=3 and end_step=2.",
        ),
        ("&max_results=0", "max_results must be between 1 and 2500."),
        ("&max_results=2501", "max_results must be between 1 and 2500."),
    ] {
        refused(client.get(&format!("{interval}{query}")).await, 400, INVALID, message);
    }
    let many = format!(
        "metrics/get-history-bulk-interval?metric_key=loss{}",
        format!("&run_ids={a}").repeat(101)
    );
    refused(
        client.get(&many).await,
        400,
        INVALID,
        "must specify at most 100 run_ids. Received 101 run_ids.",
    );
    let nobody = client.get("metrics/get-history-bulk?metric_key=loss").await;
    refused(nobody, 400, INVALID, "must specify at least one run_id.");
}

#[tokio::test]
async fn a_page_of_a_history_is_asked_for_by_a_positive_number() {
    let client = Client::new().await;
    let run = with_history(&client, 3).await;
    let path = format!("metrics/get-history?run_id={run}&metric_key=loss");
    assert_eq!(steps(&client.found(&path).await), [2, 1, 0], "by time");
    for wrong in ["0", "-1"] {
        let answer = client.get(&format!("{path}&max_results={wrong}")).await;
        refused(answer, 400, INVALID, "It must be a positive integer.");
    }
    let token = client
        .get(&format!("{path}&max_results=1&page_token={}", quoted("?")))
        .await;
    refused(token, 400, INVALID, "Invalid page token");
}
