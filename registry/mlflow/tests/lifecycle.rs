//! Registered models and versions as MLflow's clients make, change and delete them.

mod common;

use common::{Client, quoted, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";
const ABSENT: &str = "RESOURCE_DOES_NOT_EXIST";
const EXISTS: &str = "RESOURCE_ALREADY_EXISTS";

/// A client with model `m` and its versions 1 to `n`, which refer to a bucket.
async fn with_versions(n: u64) -> Client {
    let client = Client::new().await;
    client.done("registered-models/create", json!({"name": "m"})).await;
    for _ in 0..n {
        client
            .done("model-versions/create", json!({"name": "m", "source": "s3://bucket/m"}))
            .await;
    }
    client
}

async fn version(client: &Client, number: &str) -> Value {
    let answer = client
        .found(&format!("model-versions/get?name=m&version={number}"))
        .await;
    answer["model_version"].clone()
}

async fn model(client: &Client) -> Value {
    client.found("registered-models/get?name=m").await["registered_model"].clone()
}

#[tokio::test]
async fn a_model_is_created_with_all_that_was_said() {
    let client = Client::new().await;
    let body = json!({"name": "m", "description": "who leaves", "tags": [{"key": "team", "value": "crm"}]});
    let answer = client.done("registered-models/create", body.clone()).await;
    let model = &answer["registered_model"];
    assert_eq!(
        (&model["name"], &model["description"], &model["tags"]),
        (
            &json!("m"),
            &json!("who leaves"),
            &json!([{"key": "team", "value": "crm"}])
        )
    );
    assert_eq!(model["creation_timestamp"], model["last_updated_timestamp"]);
    refused(
        client.post("registered-models/create", body).await,
        400,
        EXISTS,
        "Registered Model (name=m) already exists.",
    );
    for (name, message) in [
        ("", "Missing value for required parameter 'name'."),
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Names cannot contain '/' or ':'."),
        ("..", "Invalid"),
        (&"x".repeat(257), "'name' exceeds the maximum length of 256 characters"),
    ] {
        let answer = client.post("registered-models/create", json!({"name": name})).await;
        refused(answer, 400, INVALID, message);
    }
}

#[tokio::test]
async fn a_prompt_and_a_model_cannot_have_one_name() {
    let client = with_versions(0).await;
    let tags = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    let answer = client
        .post("registered-models/create", json!({"name": "m", "tags": tags}))
        .await;
    refused(answer, 400, EXISTS, "Tried to create a prompt with name 'm'");
    client
        .done("registered-models/create", json!({"name": "p", "tags": tags}))
        .await;
    let answer = client.post("registered-models/create", json!({"name": "p"})).await;
    refused(answer, 400, EXISTS, "already taken by a prompt");
    let answer = client
        .post("registered-models/create", json!({"name": "p", "tags": tags}))
        .await;
    refused(answer, 400, EXISTS, "Prompt (name=p) already exists.");
    let body = json!({"name": "p", "source": "s3://bucket/p", "tags": tags});
    refused(
        client.post("model-versions/create", body).await,
        400,
        INVALID,
        "Invalid prompt source",
    );
    let body = json!({"name": "p", "source": "dummy-source", "tags": tags});
    client.done("model-versions/create", body).await;
    assert_eq!(client.found("model-versions/search").await, json!({}));
    let filter = quoted("tags.`mlflow.prompt.is_prompt` = 'true'");
    let answer = client.found(&format!("model-versions/search?filter={filter}")).await;
    assert_eq!(answer["model_versions"][0]["name"], "p");
    let copy = json!({"name": "m", "source": "models:/p/1"});
    refused(
        client.post("model-versions/create", copy).await,
        400,
        INVALID,
        "Prompt versions cannot be used",
    );
}

#[tokio::test]
async fn a_model_is_renamed_with_its_versions_and_aliases() {
    let client = with_versions(2).await;
    client
        .done(
            "registered-models/alias",
            json!({"name": "m", "alias": "best", "version": "1"}),
        )
        .await;
    client.done("registered-models/create", json!({"name": "taken"})).await;
    let rename = |to: &str| client.post("registered-models/rename", json!({"name": "m", "new_name": to}));
    refused(rename("taken").await, 400, EXISTS, "(name=taken) already exists.");
    refused(
        rename("").await,
        400,
        INVALID,
        "Missing value for required parameter 'new_name'.",
    );
    refused(rename("a/b").await, 400, INVALID, "Names cannot contain");
    assert_eq!(rename("m").await.0, 200, "its own name is no clash");
    let (status, answer) = rename("n").await;
    assert_eq!(
        (status.as_u16(), &answer["registered_model"]["name"]),
        (200, &json!("n"))
    );
    let answer = client.found("registered-models/alias?name=n&alias=best").await;
    assert_eq!(answer["model_version"]["version"], "1");
    refused(client.get("registered-models/get?name=m").await, 404, ABSENT, "name=m");
}

#[tokio::test]
async fn descriptions_are_set_and_emptied_and_move_the_time() {
    let client = with_versions(1).await;
    let before = model(&client).await["last_updated_timestamp"].as_i64();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let (_, answer) = client
        .with_body(
            "PATCH",
            "registered-models/update",
            json!({"name": "m", "description": "d"}),
        )
        .await;
    assert_eq!(answer["registered_model"]["description"], "d");
    assert!(answer["registered_model"]["last_updated_timestamp"].as_i64() > before);
    let body = json!({"name": "m", "version": "1", "description": "dv"});
    let (_, answer) = client.with_body("PATCH", "model-versions/update", body).await;
    assert_eq!(answer["model_version"]["description"], "dv");
    let body = json!({"name": "m", "version": "1"});
    let (_, answer) = client.with_body("PATCH", "model-versions/update", body).await;
    assert_eq!(answer["model_version"].get("description"), None, "absent means empty");
    let body = json!({"name": "nope", "description": "d"});
    refused(
        client.with_body("PATCH", "registered-models/update", body).await,
        404,
        ABSENT,
        "nope",
    );
}

#[tokio::test]
async fn tags_are_set_and_deleted_without_moving_the_time() {
    let client = with_versions(1).await;
    let before = (
        model(&client).await["last_updated_timestamp"].clone(),
        version(&client, "1").await["last_updated_timestamp"].clone(),
    );
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    for (what, of) in [
        ("registered-models", json!({"name": "m"})),
        ("model-versions", json!({"name": "m", "version": "1"})),
    ] {
        let with = |more: Value| {
            let mut body = of.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let seq = client.registry.model("m").await.unwrap().seq();
        for _ in 0..2 {
            client
                .done(
                    &format!("{what}/set-tag"),
                    with(json!({"key": "a b/c", "value": "x'y"})),
                )
                .await;
        }
        let records = client.registry.model("m").await.unwrap().seq() - seq;
        assert_eq!(records, 1, "what is so already is not recorded");
        client
            .done(&format!("{what}/set-tag"), with(json!({"key": "empty"})))
            .await;
        let shown = match what {
            "model-versions" => version(&client, "1").await,
            _ => model(&client).await,
        };
        let expected = json!([{"key": "a b/c", "value": "x'y"}, {"key": "empty", "value": ""}]);
        assert_eq!(shown["tags"], expected, "{what}");
        for _ in 0..2 {
            let answer = client
                .with_body("DELETE", &format!("{what}/delete-tag"), with(json!({"key": "empty"})))
                .await;
            assert_eq!((answer.0.as_u16(), answer.1), (200, json!({})), "{what}");
        }
        for (key, message) in [
            ("", "'key'"),
            ("a=b", "a=b"),
            ("../a", "../a"),
            (&"k".repeat(251), "250"),
        ] {
            let answer = client
                .post(&format!("{what}/set-tag"), with(json!({"key": key, "value": "v"})))
                .await;
            refused(answer, 400, INVALID, message);
        }
    }
    let after = (
        model(&client).await["last_updated_timestamp"].clone(),
        version(&client, "1").await["last_updated_timestamp"].clone(),
    );
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_deleted_version_is_gone_and_its_number_is_used_up() {
    let client = with_versions(2).await;
    client
        .done(
            "registered-models/alias",
            json!({"name": "m", "alias": "best", "version": "2"}),
        )
        .await;
    let delete = || client.with_body("DELETE", "model-versions/delete", json!({"name": "m", "version": "2"}));
    assert_eq!(delete().await.0, 200);
    let gone = "Model Version (name=m, version=2) not found";
    refused(delete().await, 404, ABSENT, gone);
    refused(
        client.get("model-versions/get?name=m&version=2").await,
        404,
        ABSENT,
        gone,
    );
    refused(
        client.get("registered-models/alias?name=m&alias=best").await,
        400,
        INVALID,
        "Registered model alias best not found.",
    );
    let body = json!({"name": "m", "source": "s3://bucket/m"});
    let answer = client.done("model-versions/create", body.clone()).await;
    assert_eq!(answer["model_version"]["version"], "3");
    client
        .with_body("DELETE", "registered-models/delete", json!({"name": "m"}))
        .await;
    refused(
        client.post("model-versions/create", body.clone()).await,
        404,
        ABSENT,
        "Registered Model with name=m not found",
    );
    client.done("registered-models/create", json!({"name": "m"})).await;
    let answer = client.done("model-versions/create", body).await;
    assert_eq!(answer["model_version"]["version"], "1", "a new model of an old name");
}

#[tokio::test]
async fn a_version_that_cannot_be_is_told_so() {
    let client = with_versions(1).await;
    for (text, status, code, message) in [
        (
            "abc",
            400,
            INVALID,
            "Parameter 'version' must be an integer, got 'abc'.",
        ),
        (
            "1.5",
            400,
            INVALID,
            "Parameter 'version' must be an integer, got '1.5'.",
        ),
        ("", 400, INVALID, "Missing value for required parameter 'version'."),
        ("0", 404, ABSENT, "Model Version (name=m, version=0) not found"),
        ("-1", 404, ABSENT, "Model Version (name=m, version=-1) not found"),
        ("99999999999999999999", 404, ABSENT, "not found"),
    ] {
        let answer = client.get(&format!("model-versions/get?name=m&version={text}")).await;
        refused(answer, status, code, message);
        let body = json!({"name": "m", "alias": "a", "version": text});
        refused(
            client.post("registered-models/alias", body).await,
            status,
            code,
            message,
        );
    }
    let body = json!({"name": "m", "alias": "a", "version": 1});
    let answer = client.post("registered-models/alias", body).await;
    refused(
        answer,
        400,
        INVALID,
        "Invalid value 1 for parameter 'version' supplied. Hint: Value was of type 'int'.",
    );
    for alias in ["a".repeat(256), "a b".into(), "LATEST".into(), "V7".into()] {
        let body = json!({"name": "m", "alias": alias, "version": "1"});
        refused(client.post("registered-models/alias", body).await, 400, INVALID, "");
    }
}

#[tokio::test]
async fn stages_move_and_archive_in_one_commit() {
    let client = with_versions(3).await;
    let go = |version: &str, stage: &str, archive: bool| {
        let body = json!({"name": "m", "version": version, "stage": stage, "archive_existing_versions": archive});
        client.post("model-versions/transition-stage", body)
    };
    assert_eq!(
        go("1", "production", false).await.1["model_version"]["current_stage"],
        "Production"
    );
    go("2", "Production", false).await;
    let seq = client.registry.model("m").await.unwrap().seq();
    go("3", "PRODUCTION", true).await;
    assert_eq!(client.registry.model("m").await.unwrap().seq(), seq + 1);
    let mut stages = Vec::new();
    for number in ["1", "2", "3"] {
        stages.push(version(&client, number).await["current_stage"].clone());
    }
    assert_eq!(stages, ["Archived", "Archived", "Production"]);
    let latest = |stages: Value| {
        client.post(
            "registered-models/get-latest-versions",
            json!({"name": "m", "stages": stages}),
        )
    };
    let numbers = |answer: Value| {
        let versions = answer["model_versions"].as_array().cloned().unwrap_or_default();
        versions
            .iter()
            .map(|it| it["version"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(latest(json!([])).await.1), ["2", "3"]);
    assert_eq!(numbers(latest(json!(["production"])).await.1), ["3"]);
    assert_eq!(numbers(latest(json!(["Staging"])).await.1), [""; 0]);
    let answer = client
        .found("registered-models/get-latest-versions?name=m&stages=Archived&stages=Production")
        .await;
    assert_eq!(numbers(answer), ["2", "3"]);
    assert_eq!(
        numbers(json!({"model_versions": model(&client).await["latest_versions"]})),
        ["2", "3"]
    );
    refused(
        latest(json!(["nope"])).await,
        400,
        INVALID,
        "Invalid Model Version stage: nope.",
    );
    refused(
        go("1", "nope", false).await,
        400,
        INVALID,
        "Invalid Model Version stage: nope.",
    );
    refused(go("1", "Archived", true).await, 400, INVALID, "is not an Active stage");
    refused(go("9", "Staging", true).await, 404, ABSENT, "version=9");
}

#[tokio::test]
async fn bodies_are_read_as_flask_reads_them() {
    let client = with_versions(0).await;
    let send = |kind: Option<&str>, body: &str| {
        let mut request = axum::http::Request::post("/api/2.0/mlflow/registered-models/create");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        client.send(request.body(body.to_owned().into()).unwrap())
    };
    refused(
        send(None, "{}").await,
        400,
        INVALID,
        "Bad Request. Content-Type header is missing.",
    );
    refused(send(Some("text/plain"), "{}").await, 400, INVALID, "Content-Type");
    refused(send(Some("application/json"), "{").await, 400, INVALID, "");
    refused(
        send(Some("application/json"), "").await,
        400,
        INVALID,
        "Missing value for required parameter 'name'.",
    );
    let answer = send(Some("application/json; charset=utf-8"), r#""{\"name\": \"twice\"}""#).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    let long = "x".repeat(3_000_000);
    let body = json!({"name": "long", "description": long});
    client.done("registered-models/create", body).await;
}

#[tokio::test]
async fn the_server_says_what_it_can_do() {
    let client = Client::new().await;
    for prefix in ["api", "ajax-api"] {
        let (status, answer) = client.raw(&format!("/{prefix}/3.0/mlflow/server-info")).await;
        assert_eq!(
            (status.as_u16(), &answer["multipart_uploads_enabled"]),
            (200, &json!(false))
        );
        assert_eq!(answer["features_enabled"], json!({"gateway": false}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_get_numbers_without_gaps_and_no_alias_is_lost() {
    let client = with_versions(0).await;
    let writers = (0..32).map(|at| {
        let client = &client;
        async move {
            let source = format!("s3://bucket/{at}");
            let answer = client
                .done("model-versions/create", json!({"name": "m", "source": source}))
                .await;
            let number = answer["model_version"]["version"].as_str().unwrap().to_owned();
            let body = json!({"name": "m", "alias": format!("a{at}"), "version": number});
            client.done("registered-models/alias", body).await;
            number.parse::<u64>().unwrap()
        }
    });
    let mut numbers = futures::future::join_all(writers).await;
    let shown = model(&client).await;
    for (at, number) in numbers.iter().enumerate() {
        let expected = json!({"alias": format!("a{at}"), "version": number.to_string()});
        assert!(shown["aliases"].as_array().unwrap().contains(&expected), "{expected}");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=32).collect::<Vec<_>>());
}
