//! Registered models, versions and aliases as MLflow's clients see them.

mod common;

use common::{Client, quoted, refused};
use serde_json::{Value, json};

fn names(answer: &Value, list: &str) -> String {
    let items = answer[list].as_array().cloned().unwrap_or_default();
    let name = |it: &Value| match it["version"].as_str() {
        Some(version) => format!("{}@{version}", it["name"].as_str().unwrap()),
        None => it["name"].as_str().unwrap().to_owned(),
    };
    items.iter().map(name).collect::<Vec<_>>().join(" ")
}

async fn with_models() -> Client {
    let client = Client::new().await;
    client
        .publish(
            "churn",
            1,
            json!({"mlflow": {"run_id": "abc", "source": "s3://bucket/churn", "location": "s3://bucket/churn"}}),
        )
        .await;
    client.publish("churn", 3, Value::Null).await;
    client.publish("ltv", 2, Value::Null).await;
    client
}

#[tokio::test]
async fn a_model_is_shown_with_its_latest_version_and_aliases() {
    let client = with_models().await;
    client
        .done(
            "registered-models/alias",
            json!({"name": "churn", "alias": "champion", "version": "1"}),
        )
        .await;
    let answer = client.found("registered-models/get?name=churn").await;
    let model = &answer["registered_model"];
    assert_eq!(
        (&model["creation_timestamp"], &model["last_updated_timestamp"]),
        (&json!(1000), &json!(3000))
    );
    assert_eq!(model["aliases"], json!([{"alias": "champion", "version": "1"}]));
    assert_eq!(names(model, "latest_versions"), "churn@2");
    assert!(
        model.get("description").is_none() && model.get("tags").is_none(),
        "{model}"
    );
}

#[tokio::test]
async fn a_version_is_shown_with_all_that_clients_read() {
    let client = with_models().await;
    let answer = client.found("model-versions/get?name=churn&version=1").await;
    let expected = json!({
        "name": "churn", "version": "1", "creation_timestamp": 1000, "last_updated_timestamp": 1000, "user_id": "ann",
        "current_stage": "None", "source": "s3://bucket/churn", "run_id": "abc", "status": "READY",
    });
    assert_eq!(answer["model_version"], expected);
    let answer = client
        .found("model-versions/get-download-uri?name=churn&version=1")
        .await;
    assert_eq!(answer, json!({"artifact_uri": "s3://bucket/churn"}));
    let answer = client
        .found("model-versions/get-download-uri?name=churn&version=2")
        .await;
    assert_eq!(
        answer,
        json!({"artifact_uri": "mlflow-artifacts:/foretell/models/churn/2"})
    );
    let answer = client.found("model-versions/get?name=churn&version=2").await;
    let source = answer["model_version"]["source"].as_str().unwrap();
    assert!(source.starts_with("foretell:/sha256:"), "{answer}");
}

#[tokio::test]
async fn an_alias_is_set_moved_read_and_deleted() {
    let client = with_models().await;
    for version in ["1", "2"] {
        client
            .done(
                "registered-models/alias",
                json!({"name": "churn", "alias": "a", "version": version}),
            )
            .await;
        let answer = client.found("registered-models/alias?name=churn&alias=a").await;
        assert_eq!(answer["model_version"]["version"], version);
        assert_eq!(answer["model_version"]["aliases"], json!(["a"]));
    }
    let last = client.registry.history("churn").await.unwrap().pop().unwrap();
    assert_eq!(last.actor, "bob", "the access layer's actor is in the log");
    for _ in 0..2 {
        let body = json!({"name": "churn", "alias": "a"});
        let (status, answer) = client.with_body("DELETE", "registered-models/alias", body).await;
        assert_eq!((status.as_u16(), answer), (200, json!({})), "deleting is idempotent");
    }
    let answer = client.get("registered-models/alias?name=churn&alias=a").await;
    refused(
        answer,
        400,
        "INVALID_PARAMETER_VALUE",
        "Registered model alias a not found.",
    );
    let answer = client.found("registered-models/alias?name=churn&alias=Latest").await;
    assert_eq!(answer["model_version"]["version"], "2");
}

#[tokio::test]
async fn what_cannot_be_an_alias_is_refused() {
    let client = with_models().await;
    let set = |alias: &str, version: &str| {
        client.post(
            "registered-models/alias",
            json!({"name": "churn", "alias": alias, "version": version}),
        )
    };
    let invalid = "INVALID_PARAMETER_VALUE";
    refused(
        set("latest", "1").await,
        400,
        invalid,
        "'latest' alias name (case insensitive) is reserved.",
    );
    refused(
        set("v1", "1").await,
        400,
        invalid,
        "Version alias name 'v1' is reserved.",
    );
    refused(
        set("a", "abc").await,
        400,
        invalid,
        "Parameter 'version' must be an integer, got 'abc'.",
    );
    refused(
        set("", "1").await,
        400,
        invalid,
        "Missing value for required parameter 'alias'.",
    );
    refused(
        set("a", "9").await,
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Model Version (name=churn, version=9) not found",
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_words_of_mlflow() {
    let client = Client::new().await;
    let absent = "RESOURCE_DOES_NOT_EXIST";
    let answer = client.get("registered-models/get?name=nope").await;
    refused(answer, 404, absent, "Registered Model with name=nope not found");
    let answer = client.get("model-versions/get?name=nope&version=1").await;
    refused(answer, 404, absent, "nope");
    let answer = client.get("registered-models/get?name=a%2Fb").await;
    refused(
        answer,
        400,
        "INVALID_PARAMETER_VALUE",
        "Invalid model name 'a/b'. Names cannot contain '/' or ':'.",
    );
    let answer = client.get("registered-models/get").await;
    refused(
        answer,
        400,
        "INVALID_PARAMETER_VALUE",
        "Missing value for required parameter 'name'.",
    );
    assert_eq!(
        client.found("registered-models/search").await,
        json!({}),
        "an empty list is left out"
    );
}

#[tokio::test]
async fn models_are_found_by_filter_in_order_and_by_page() {
    let client = with_models().await;
    client.publish("demand", 9, Value::Null).await;
    let check = |query: String, expected: &'static str| {
        let client = &client;
        async move {
            let answer = client.found(&format!("registered-models/search?{query}")).await;
            assert_eq!(names(&answer, "registered_models"), expected, "{query}");
        }
    };
    check(String::new(), "churn demand ltv").await;
    let mandatory = " AND tag.`mlflow.prompt.is_prompt` != 'true'";
    check(
        format!("filter={}", quoted(&format!("name LIKE '%n%'{mandatory}"))),
        "churn demand",
    )
    .await;
    check(format!("filter={}", quoted("name = 'ltv'")), "ltv").await;
    check(format!("filter={}", quoted("name = 'nope'")), "").await;
    check(format!("filter={}", quoted("name NOT IN ('ltv', 'churn')")), "demand").await;
    check(format!("filter={}", quoted("tags.a != 'x'")), "").await;
    check(
        format!("filter={}", quoted("tag.`mlflow.prompt.is_prompt` = 'true'")),
        "",
    )
    .await;
    check("order_by=name%20DESC".into(), "ltv demand churn").await;
    check(
        "order_by=last_updated_timestamp%20DESC&order_by=name".into(),
        "demand churn ltv",
    )
    .await;

    let page = client.found("registered-models/search?max_results=2").await;
    assert_eq!(names(&page, "registered_models"), "churn demand");
    let token = page["next_page_token"].as_str().unwrap();
    let page = client
        .found(&format!("registered-models/search?max_results=2&page_token={token}"))
        .await;
    assert_eq!(
        (names(&page, "registered_models").as_str(), page.get("next_page_token")),
        ("ltv", None)
    );
}

#[tokio::test]
async fn versions_are_found_by_filter_newest_change_first() {
    let client = with_models().await;
    client
        .done(
            "registered-models/alias",
            json!({"name": "churn", "alias": "champion", "version": "1"}),
        )
        .await;
    for (filter, expected) in [
        ("", "churn@2 ltv@1 churn@1"),
        ("name = 'churn'", "churn@2 churn@1"),
        ("name='churn' and version_number > 1", "churn@2"),
        ("run_id = 'abc'", "churn@1"),
        ("run_id IN ('x', 'abc')", "churn@1"),
        ("source_path LIKE 's3://%'", "churn@1"),
    ] {
        let answer = client
            .found(&format!("model-versions/search?filter={}", quoted(filter)))
            .await;
        assert_eq!(names(&answer, "model_versions"), expected, "{filter}");
    }
    let answer = client
        .found("model-versions/search?order_by=version_number%20ASC&order_by=name%20DESC")
        .await;
    assert_eq!(names(&answer, "model_versions"), "ltv@1 churn@1 churn@2");
    assert_eq!(
        answer["model_versions"][1]["aliases"],
        json!(["champion"]),
        "search fills aliases"
    );
}

#[tokio::test]
async fn searches_that_are_not_understood_are_refused() {
    let client = Client::new().await;
    for query in [
        format!("filter={}", quoted("name = 'a' OR name = 'b'")),
        format!("filter={}", quoted("flavour = 'a'")),
        "order_by=flavour".into(),
        "max_results=1001".into(),
        "max_results=0".into(),
        "max_results=x".into(),
        "page_token=garbage".into(),
    ] {
        let answer = client.get(&format!("registered-models/search?{query}")).await;
        refused(answer, 400, "INVALID_PARAMETER_VALUE", "Invalid");
    }
}

#[tokio::test]
async fn a_path_that_is_not_served_answers_as_an_endpoint_that_is_not_there() {
    let client = Client::new().await;
    for path in ["webhooks", "gateway/secrets/create", "registered-models"] {
        refused(client.post(path, json!({})).await, 404, "ENDPOINT_NOT_FOUND", path);
    }
}
