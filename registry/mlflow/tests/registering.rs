//! Where a version may come from, and what becomes of its files.

mod common;

use common::{Client, refused};
use foretell_registry::{ModelVersion, VersionRef};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";

async fn with_model() -> Client {
    let client = Client::new().await;
    client.done("registered-models/create", json!({"name": "m"})).await;
    client
}

fn create(client: &Client, body: Value) -> impl Future<Output = (axum::http::StatusCode, Value)> {
    let mut all = json!({"name": "m"});
    all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    client.post("model-versions/create", all)
}

async fn published(client: &Client, model: &str, number: u64) -> ModelVersion {
    let version = VersionRef::Version(number);
    client.registry.resolve(model, &version).await.unwrap()
}

async fn files(client: &Client, version: &ModelVersion) -> String {
    let files = client.registry.fetch(version).await.unwrap();
    let files = files
        .iter()
        .map(|it| format!("{}={}", it.path, String::from_utf8_lossy(&it.bytes)));
    files.collect::<Vec<_>>().join(" ")
}

async fn download_uri(client: &Client, model: &str, number: u64) -> Value {
    let path = format!("model-versions/get-download-uri?name={model}&version={number}");
    client.found(&path).await["artifact_uri"].clone()
}

#[tokio::test]
async fn the_files_of_a_run_are_taken_into_the_package() {
    let client = with_model().await;
    let run = client.run().await;
    let root = format!("0/{run}/artifacts");
    client.upload(&format!("{root}/model/MLmodel"), "flavors").await;
    client.upload(&format!("{root}/model/data/weights.bin"), "1 2 3").await;
    client.upload(&format!("{root}/model2/other"), "x").await;
    let source = format!("mlflow-artifacts:/{root}/model");
    let (status, answer) = create(
        &client,
        json!({"source": source, "run_id": run, "run_link": "http://ui/run"}),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let shown = &answer["model_version"];
    assert_eq!(
        (&shown["source"], &shown["run_id"], &shown["run_link"], &shown["status"]),
        (&json!(source), &json!(run), &json!("http://ui/run"), &json!("READY"))
    );
    let version = published(&client, "m", 1).await;
    assert_eq!(files(&client, &version).await, "MLmodel=flavors data/weights.bin=1 2 3");
    assert!(client.registry.verify().await.unwrap().is_ok());
    assert_eq!(download_uri(&client, "m", 1).await, source);

    let by_run = json!({"source": format!("runs:/{run}/model"), "run_id": run});
    create(&client, by_run).await;
    let again = published(&client, "m", 2).await;
    assert_eq!(again.digest, version.digest, "the same files are the same package");
    assert_eq!(
        download_uri(&client, "m", 2).await,
        source,
        "where the files were found"
    );
    let nothing = json!({"source": format!("runs:/{run}/nothing"), "run_id": run});
    create(&client, nothing).await;
    assert_eq!(download_uri(&client, "m", 3).await, format!("runs:/{run}/nothing"));
}

#[tokio::test]
async fn a_version_outlives_the_artifacts_it_came_from() {
    let client = with_model().await;
    let run = client.run().await;
    client.upload(&format!("0/{run}/artifacts/model/a.txt"), "kept").await;
    let source = format!("mlflow-artifacts:/0/{run}/artifacts/model");
    create(&client, json!({"source": source, "run_id": run})).await;
    client.erase(&format!("0/{run}")).await;
    assert_eq!(
        download_uri(&client, "m", 1).await,
        "mlflow-artifacts:/foretell/models/m/1"
    );
    let (status, bytes) = client.download("foretell/models/m/1/a.txt").await;
    assert_eq!((status.as_u16(), &bytes[..]), (200, &b"kept"[..]));
}

#[tokio::test]
async fn a_source_without_files_is_only_referred_to() {
    let client = with_model().await;
    let run = client.run().await;
    for source in [
        "s3://bucket/path/model".to_owned(),
        "hdfs://host/path".into(),
        format!("mlflow-artifacts:/0/{run}/artifacts/nothing"),
    ] {
        let (status, answer) = create(&client, json!({"source": source, "run_id": run})).await;
        assert_eq!(status, 200, "{answer}");
        let number: u64 = answer["model_version"]["version"].as_str().unwrap().parse().unwrap();
        assert_eq!(download_uri(&client, "m", number).await, source);
        assert_eq!(files(&client, &published(&client, "m", number).await).await, "");
    }
}

#[tokio::test]
async fn a_copy_has_the_package_and_the_metadata_of_its_original() {
    let client = with_model().await;
    client
        .publish("churn", 1, json!({"task": "binary_classification", "run_id": "r1"}))
        .await;
    client
        .done(
            "registered-models/alias",
            json!({"name": "churn", "alias": "best", "version": "1"}),
        )
        .await;
    let original = published(&client, "churn", 1).await;
    for (number, source) in [
        (1, "models:/churn/1"),
        (2, "models:/churn@best"),
        (3, "models:/churn/latest"),
    ] {
        let (status, answer) = create(&client, json!({"source": source})).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["model_version"]["source"], &answer["model_version"]["run_id"]),
            (&json!("models:/churn/1"), &json!("r1"))
        );
        let copy = published(&client, "m", number).await;
        assert_eq!(
            (copy.digest, &copy.metadata["task"]),
            (original.digest, &original.metadata["task"])
        );
        let own = format!("mlflow-artifacts:/foretell/models/m/{number}");
        assert_eq!(download_uri(&client, "m", number).await, own);
    }
    let wrong = json!({"source": "models:/churn/1", "run_id": "other"});
    refused(
        create(&client, wrong).await,
        400,
        INVALID,
        "must match the referenced model version",
    );
    for (source, status, code) in [
        ("models:/churn/9", 404, ABSENT),
        ("models:/nope/1", 404, ABSENT),
        ("models:/churn@nope", 400, INVALID),
        ("models:/churn/Staging", 404, ABSENT),
        ("models:/churn/nostage", 400, INVALID),
        ("models:/a/b/c", 400, INVALID),
    ] {
        refused(create(&client, json!({"source": source})).await, status, code, "");
    }
}

#[tokio::test]
async fn a_copy_of_a_referred_version_refers_to_the_same_place() {
    let client = with_model().await;
    create(&client, json!({"source": "s3://bucket/path/model"})).await;
    create(&client, json!({"source": "models:/m/1"})).await;
    assert_eq!(download_uri(&client, "m", 2).await, "s3://bucket/path/model");
}

#[tokio::test]
async fn a_source_that_is_not_the_runs_own_is_refused() {
    let client = with_model().await;
    let (run, other) = (client.run().await, client.run().await);
    client.upload(&format!("0/{other}/artifacts/secret"), "s").await;
    let theirs = format!("mlflow-artifacts:/0/{other}/artifacts/secret");
    let cases = [
        (theirs.clone(), None),
        (theirs.clone(), Some(&run)),
        (format!("mlflow-artifacts:/0/{run}/artifacts/../../{other}"), Some(&run)),
        (format!("mlflow-artifacts:/0/{run}/artifacts/%2e%2e/x"), Some(&run)),
        (format!("mlflow-artifacts:/0/{run}/artifacts%00"), Some(&run)),
        (format!("mlflow-artifacts://evil/0/{run}/artifacts"), Some(&run)),
        (
            format!("http://h/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts"),
            Some(&run),
        ),
        (format!("runs:/{other}/secret"), Some(&run)),
        (format!("runs:/{other}/secret"), None),
        ("/etc/passwd".into(), None),
        ("/etc/passwd".into(), Some(&run)),
        ("file:///etc/passwd".into(), Some(&run)),
        ("model".into(), Some(&run)),
        ("s3://bucket/a/../b".into(), None),
        ("foretell/models/m/1".into(), None),
        ("mlflow-artifacts:/foretell/models/m/1".into(), None),
        ("models:/m-1234".into(), None),
    ];
    for (source, run) in cases {
        let answer = create(&client, json!({"source": source, "run_id": run})).await;
        refused(answer, 400, INVALID, "Invalid model version source");
    }
    let answer = create(&client, json!({"source": ""})).await;
    refused(answer, 400, INVALID, "Missing value for required parameter 'source'.");
    assert_eq!(
        client.found("model-versions/search").await,
        json!({}),
        "nothing was made"
    );
}

#[tokio::test]
async fn a_local_path_counts_only_inside_the_runs_own_folder() {
    let client = with_model().await;
    let body = json!({"name": "local", "artifact_location": "file:///data/runs"});
    let experiment = client.done("experiments/create", body).await["experiment_id"].clone();
    let run = client.done("runs/create", json!({"experiment_id": experiment})).await;
    let run = run["run"]["info"]["run_id"].as_str().unwrap();
    let inside = format!("file:///data/runs/{run}/artifacts/model");
    let (status, answer) = create(&client, json!({"source": inside, "run_id": run})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(download_uri(&client, "m", 1).await, inside);
    for source in [
        format!("file:///data/runs/{run}/artifacts/../../other"),
        format!("/data/runs/{run}x/artifacts"),
        "/data/runs".into(),
    ] {
        let answer = create(&client, json!({"source": source, "run_id": run})).await;
        refused(answer, 400, INVALID, "To use a local path as a model version source");
    }
}

#[tokio::test]
async fn a_logged_model_becomes_a_version_and_says_so() {
    let client = with_model().await;
    let run = client.run().await;
    let body = json!({"experiment_id": "0", "name": "churn", "source_run_id": run});
    let made = client.done("logged-models", body).await;
    let info = &made["model"]["info"];
    let (id, uri) = (
        info["model_id"].as_str().unwrap(),
        info["artifact_uri"].as_str().unwrap(),
    );
    let place = uri.strip_prefix("mlflow-artifacts:/").unwrap();
    client.upload(&format!("{place}/MLmodel"), "flavors").await;
    let source = format!("models:/{id}");
    let (status, answer) = create(&client, json!({"source": source, "model_id": id})).await;
    assert_eq!(status, 200, "{answer}");
    let shown = &answer["model_version"];
    assert_eq!(
        (&shown["source"], &shown["model_id"], &shown["run_id"]),
        (&json!(source), &json!(id), &json!(run)),
        "the run is that of the model"
    );
    assert_eq!(
        files(&client, &published(&client, "m", 1).await).await,
        "MLmodel=flavors"
    );
    assert_eq!(download_uri(&client, "m", 1).await, uri);
    create(&client, json!({"source": format!("{uri}/MLmodel"), "model_id": id})).await;
    assert_eq!(
        files(&client, &published(&client, "m", 2).await).await,
        "MLmodel=flavors"
    );
    let model = client.found(&format!("logged-models/{id}")).await;
    let tags = model["model"]["info"]["tags"].as_array().unwrap();
    let noted = tags.iter().find(|it| it["key"] == "mlflow.modelVersions").unwrap();
    let noted: Value = serde_json::from_str(noted["value"].as_str().unwrap()).unwrap();
    assert_eq!(noted, json!([{"name": "m", "version": 1}, {"name": "m", "version": 2}]));
    let nobody = format!("m-{}", "0".repeat(32));
    for (source, model_id, status, code) in [
        (source.as_str(), nobody.as_str(), 404, ABSENT),
        (source.as_str(), "", 400, INVALID),
        (&format!("models:/{nobody}"), id, 400, INVALID),
        (&format!("runs:/{run}/model"), id, 400, INVALID),
        ("mlflow-artifacts:/0/models/other", id, 400, INVALID),
        ("/etc/passwd", id, 400, INVALID),
    ] {
        let answer = create(&client, json!({"source": source, "model_id": model_id})).await;
        refused(answer, status, code, "");
    }
}
