//! Health, readiness, metrics, the list of models, and paths that nothing answers.

use foretell_registry::{PackageFile, PublishRequest};
use serde_json::json;

use crate::house::{House, promote, stamp};

#[tokio::test]
async fn a_bad_package_never_replaces_a_good_one_and_is_shown() {
    let house = House::new().await;
    let damaged = vec![PackageFile::new("manifest.json", "{}")];
    house
        .registry
        .publish(PublishRequest::new("churn", damaged, stamp()))
        .await
        .unwrap();
    promote(&house.registry, "churn", 2).await;
    let report = house.service.refresh().await.unwrap();
    assert_eq!(report.refused.len(), 1);
    let answer = house
        .answer("/v1/predict/churn", json!({"entities": [{"customer_id": "ann"}]}))
        .await;
    assert_eq!(answer["version"], "1");
    let (status, ready) = house.get("/readyz").await;
    assert_eq!((status, &ready["ready"]), (200, &json!(true)));
    assert!(
        ready["models"]["churn"]["problem"]
            .as_str()
            .unwrap()
            .starts_with("version 2: "),
        "{ready}"
    );
    let metrics = house.get("/metrics").await.1;
    assert!(
        metrics.as_str().unwrap().contains("foretell_swaps_refused_total 1\n"),
        "{metrics}"
    );
    let error = house
        .error(503, "/v1/predict/churn", json!({"entities": [], "version": 2}))
        .await;
    assert!(error.contains("churn@2 cannot be served"), "{error}");
    assert_eq!(
        house.service.refresh().await.unwrap().refused,
        [],
        "what is damaged is not read again and again"
    );
}

#[tokio::test]
async fn a_server_whose_only_package_is_bad_is_not_ready() {
    let house = House::with(&[]).await;
    assert_eq!(house.get("/readyz").await.0, 200, "nothing to load is ready");
    let damaged = vec![PackageFile::new("manifest.json", "{}")];
    house
        .registry
        .publish(PublishRequest::new("churn", damaged, stamp()))
        .await
        .unwrap();
    promote(&house.registry, "churn", 1).await;
    house.service.refresh().await.unwrap();
    for path in ["/readyz", "/health", "/v2/health/ready"] {
        assert_eq!(house.get(path).await.0, 503, "{path}");
    }
    assert_eq!(house.get("/healthz").await, (200, json!({"status": "ok"})));
}

#[tokio::test]
async fn a_champion_of_another_format_is_listed_and_does_not_unready_the_server() {
    let house = House::new().await;
    let pickled = vec![PackageFile::new("MLmodel", "flavors: {}")];
    for (model, files) in [("notebook", pickled), ("reference", Vec::new())] {
        house
            .registry
            .publish(PublishRequest::new(model, files, stamp()))
            .await
            .unwrap();
        promote(&house.registry, model, 1).await;
    }
    assert_eq!(
        house.service.refresh().await.unwrap().refused,
        [],
        "no fault of this server"
    );
    let (status, ready) = house.get("/readyz").await;
    assert_eq!(status, 200);
    let problem = ready["models"]["notebook"]["problem"].as_str().unwrap();
    assert!(problem.contains("registered in another format"), "{problem}");
    let error = house.service.servable("notebook", None).await.unwrap_err().to_string();
    assert!(
        error.contains("notebook@1 cannot be served: it was registered in another format"),
        "{error}"
    );
    assert!(house.service.servable("churn", None).await.is_ok());
}

#[tokio::test]
async fn a_model_without_champion_says_how_to_get_one() {
    let house = House::new().await;
    house
        .registry
        .delete_alias("churn", "champion", &stamp())
        .await
        .unwrap();
    house.service.refresh().await.unwrap();
    let error = house.error(404, "/v1/predict/churn", json!({"entities": []})).await;
    assert_eq!(
        error,
        "model `churn` has no champion; promote one with `foretell models promote churn 1`"
    );
    let by_version = house
        .answer(
            "/v1/predict/churn",
            json!({"entities": [{"customer_id": "ann"}], "version": 1}),
        )
        .await;
    assert_eq!(by_version["version"], "1");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let house = House::new().await;
    let cases = [
        ("GET", "/nothing", 404, "nothing answers /nothing"),
        ("POST", "/api/predict/chrun", 404, "did you mean `/api/predict/churn`?"),
        ("GET", "/v1/predict/churn", 405, "/v1/predict/churn does not answer GET"),
        (
            "GET",
            "/api/predict/churn",
            405,
            "/api/predict/churn does not answer GET",
        ),
        ("DELETE", "/v2/models/churn", 405, "does not answer DELETE"),
        ("POST", "/v1/predict/%FF", 400, ""),
    ];
    for (method, path, expected, message) in cases {
        let (status, answer) = house.send(method, path, "{}").await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        let error = answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn requests_rows_and_models_are_counted() {
    let house = House::new().await;
    house
        .answer(
            "/v1/predict/churn",
            json!({"entities": [{"customer_id": "ann"}, {"customer_id": "eve"}]}),
        )
        .await;
    house.error(404, "/v1/predict/x", json!({"entities": []})).await;
    house.answer("/api/predict/churn", json!({"customer_id": "ann"})).await;
    let metrics = house.get("/metrics").await.1.as_str().unwrap().to_owned();
    let lines = [
        "foretell_requests_total{route=\"predict\",status=\"200\"} 1",
        "foretell_requests_total{route=\"predict\",status=\"404\"} 1",
        "foretell_requests_total{route=\"endpoint\",status=\"200\"} 1",
        "foretell_request_seconds_count{route=\"predict\"} 2",
        "foretell_request_seconds_bucket{route=\"predict\",le=\"+Inf\"} 2",
        "foretell_rows_total{status=\"ok\"} 2",
        "foretell_rows_total{status=\"not_found\"} 1",
        "foretell_models_loaded 1",
        "foretell_swaps_total 1",
    ];
    for line in lines {
        assert!(metrics.lines().any(|it| it == line), "no `{line}` in\n{metrics}");
    }
}

#[tokio::test]
async fn models_are_listed_with_what_serves_them() {
    let house = House::new().await;
    let models = house.get("/v1/models").await.1;
    assert_eq!(models[0]["name"], "churn");
    assert_eq!(models[0]["version"], "1");
    assert_eq!(models[0]["task"], "binary_classification");
    assert_eq!(models[0]["endpoints"], json!(["/api/predict/churn"]));
}
