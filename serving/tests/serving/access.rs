//! Who may do what, over HTTP without a socket and over gRPC on one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::any;
use axum::{Extension, Router};
use foretell_inference::testing::tiny_churn_package;
use foretell_registry::Actor;
use foretell_serving::grpc::foretell_v1::feature_service_client::FeatureServiceClient;
use foretell_serving::grpc::foretell_v1::prediction_service_client::PredictionServiceClient;
use foretell_serving::grpc::foretell_v1::{PredictRequest, PushRequest};
use foretell_serving::grpc::inference::ServerLiveRequest;
use foretell_serving::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use foretell_serving::{Access, AccessToken, Limits, Role, ServerSettings, TokenHash, routes, start};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tonic::Code;
use tonic::transport::Channel;
use tower::ServiceExt;

use crate::house::{House, dependencies};

const ROLES: [Role; 6] = Role::ALL;

/// Everybody's token is their name with `-token` behind it; one person for each role.
fn access() -> Arc<Access> {
    let one = |role: Role| AccessToken {
        actor: format!("the {role}"),
        sha256: TokenHash::of(&format!("{role}-token")),
        roles: [role].into(),
    };
    Arc::new(Access::new(ROLES.map(one)).unwrap())
}

/// Routes of another crate that say who they think is calling.
fn extra() -> Router {
    let who = |actor: Option<Extension<Actor>>| async move { actor.map_or("nobody".to_owned(), |it| it.0.0) };
    Router::new()
        .route("/api/2.0/mlflow/registered-models/{*rest}", any(who))
        .route("/api/2.0/mlflow/model-versions/{*rest}", any(who))
        .route("/api/2.0/mlflow/runs/{*rest}", any(who))
}

async fn guarded() -> Router {
    let limits = Limits {
        body: 100_000,
        time: Duration::from_secs(5),
    };
    routes(House::new().await.service, limits, Some(access()), extra())
}

async fn send(router: &Router, line: &str, authorization: Option<&str>) -> Response<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    router
        .clone()
        .oneshot(request.body(Body::from("{}")).unwrap())
        .await
        .unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The roles that get past the layer, by name.
async fn allowed(router: &Router, line: &str) -> String {
    let mut allowed = Vec::new();
    for role in ROLES {
        let answer = send(router, line, Some(&format!("Bearer {role}-token"))).await;
        assert_ne!(answer.status(), 401, "{line} by {role}");
        if answer.status() != 403 {
            allowed.push(role.as_str());
        }
    }
    allowed.join(" ")
}

#[tokio::test]
async fn each_kind_of_route_lets_its_roles_in_and_nobody_else() {
    let router = guarded().await;
    let cases = [
        ("POST /v1/predict/churn", "viewer predictor admin"),
        ("GET /v1/models", "viewer predictor admin"),
        ("POST /v2/models/churn/infer", "viewer predictor admin"),
        ("POST /api/predict/churn", "viewer predictor admin"),
        ("POST /get-online-features", "viewer predictor admin"),
        ("GET /metrics", "viewer admin"),
        ("POST /push", "writer admin"),
        ("POST /v1/ingest", "writer admin"),
        ("POST /materialize", "writer admin"),
        ("POST /v1/erase", "admin"),
        (
            "GET /api/2.0/mlflow/registered-models/get",
            "viewer trainer promoter admin",
        ),
        ("POST /api/2.0/mlflow/runs/search", "viewer trainer promoter admin"),
        ("POST /api/2.0/mlflow/runs/log-batch", "trainer admin"),
        ("POST /api/2.0/mlflow/registered-models/create", "trainer admin"),
        ("POST /api/2.0/mlflow/registered-models/alias", "promoter admin"),
        ("POST /api/2.0/mlflow/model-versions/transition-stage", "promoter admin"),
        ("DELETE /api/2.0/mlflow/model-versions/delete", "admin"),
        ("DELETE /api/2.0/mlflow/registered-models/delete", "admin"),
    ];
    for (line, expected) in cases {
        assert_eq!(allowed(&router, line).await, expected, "{line}");
    }
}

#[tokio::test]
async fn probes_need_no_token() {
    let router = guarded().await;
    for line in [
        "GET /healthz",
        "GET /readyz",
        "GET /health",
        "GET /v2/health/live",
        "GET /v2/health/ready",
    ] {
        assert_eq!(send(&router, line, None).await.status(), 200, "{line}");
    }
}

#[tokio::test]
async fn without_a_good_token_the_answer_is_401_and_a_challenge() {
    let router = guarded().await;
    let long = format!("Bearer {}", "x".repeat(10_000));
    let tokens = [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("viewer-token"),
        Some("Digest viewer-token"),
        Some("Basic %%%"),
        // The token as the name, without a password.
        Some("Basic dmlld2VyLXRva2VuOg=="),
        Some(long.as_str()),
    ];
    for token in tokens {
        for line in [
            "POST /v1/predict/churn",
            "GET /metrics",
            "POST /nothing",
            "GET /api/2.0/mlflow/runs/get",
        ] {
            let answer = send(&router, line, token).await;
            assert_eq!(answer.status(), 401, "{line} {token:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn refusals_have_the_shape_that_the_routes_clients_read() {
    let router = guarded().await;
    let cases = [
        ("GET /v1/models", None, "error", "FORETELL_TOKEN"),
        (
            "POST /push",
            Some("Bearer viewer-token"),
            "error",
            "`the viewer` is viewer; this takes writer or admin",
        ),
        (
            "POST /v1/erase",
            Some("Bearer writer-token"),
            "error",
            "`the writer` is writer; this takes admin",
        ),
        (
            "GET /api/2.0/mlflow/runs/get",
            None,
            "UNAUTHENTICATED",
            "MLFLOW_TRACKING_TOKEN",
        ),
        (
            "POST /api/2.0/mlflow/runs/create",
            Some("Bearer viewer-token"),
            "PERMISSION_DENIED",
            "this takes trainer or admin",
        ),
    ];
    for (line, token, kind, message) in cases {
        let body: Json = serde_json::from_str(&text(send(&router, line, token).await).await).unwrap();
        let said = match kind {
            "error" => &body["error"],
            code => {
                assert_eq!(body["error_code"], json!(code), "{line}");
                &body["message"]
            }
        };
        assert!(said.as_str().unwrap().contains(message), "{line}: {body}");
    }
}

#[tokio::test]
async fn a_bearer_token_or_a_basic_password_names_the_actor() {
    let router = guarded().await;
    // anybody:trainer-token
    for token in [
        "Bearer trainer-token",
        "bearer  trainer-token",
        "Basic YW55Ym9keTp0cmFpbmVyLXRva2Vu",
    ] {
        let answer = send(&router, "POST /api/2.0/mlflow/runs/create", Some(token)).await;
        assert_eq!(text(answer).await, "the trainer", "{token}");
    }
}

#[tokio::test]
async fn without_access_control_everything_is_open_and_nobody_is_named() {
    let limits = Limits {
        body: 100_000,
        time: Duration::from_secs(5),
    };
    let router = routes(House::new().await.service, limits, None, extra());
    let answer = send(
        &router,
        "POST /api/2.0/mlflow/runs/create",
        Some("Bearer trainer-token"),
    )
    .await;
    assert_eq!(text(answer).await, "nobody");
    assert_eq!(send(&router, "GET /metrics", None).await.status(), 200);
}

#[test]
fn two_holders_of_one_token_are_refused() {
    let holder = |actor: &str| AccessToken {
        actor: actor.to_owned(),
        sha256: TokenHash::of("same"),
        roles: [Role::Viewer].into(),
    };
    let error = Access::new([holder("ann"), holder("bob")]).unwrap_err();
    assert!(error.contains("`ann` and `bob` have the same token"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_asks_for_the_same_tokens() {
    let settings = ServerSettings {
        http: "127.0.0.1:0".to_owned(),
        grpc: Some("127.0.0.1:0".to_owned()),
        access: Some(access()),
        ..ServerSettings::default()
    };
    let house = dependencies(&[tiny_churn_package()]).await.0;
    let server = start(settings, house, Router::new()).await.unwrap();
    let address = format!("http://{}", server.grpc_addr.unwrap());
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();

    let mut open = GrpcInferenceServiceClient::new(channel.clone());
    assert!(
        open.server_live(ServerLiveRequest {}).await.is_ok(),
        "a probe needs no token"
    );
    let predict = |token: Option<&'static str>| {
        let mut client = PredictionServiceClient::new(channel.clone());
        let request = PredictRequest {
            model: "nothing".into(),
            ..Default::default()
        };
        async move { client.predict(with(token, request)).await.unwrap_err().code() }
    };
    let push = |token: Option<&'static str>| {
        let mut client = FeatureServiceClient::new(channel.clone());
        async move {
            client
                .push(with(token, PushRequest::default()))
                .await
                .unwrap_err()
                .code()
        }
    };
    assert_eq!(predict(None).await, Code::Unauthenticated);
    assert_eq!(predict(Some("wrong")).await, Code::Unauthenticated);
    assert_eq!(predict(Some("writer-token")).await, Code::PermissionDenied);
    assert_eq!(
        predict(Some("predictor-token")).await,
        Code::NotFound,
        "it reached the model that is not there"
    );
    assert_eq!(push(Some("predictor-token")).await, Code::PermissionDenied);
    assert!(!matches!(
        push(Some("writer-token")).await,
        Code::PermissionDenied | Code::Unauthenticated
    ));
    server.stop().await;
}

#[tokio::test]
async fn only_a_server_with_access_control_listens_beyond_this_machine() {
    let house = || async { dependencies(&[]).await.0 };
    let anywhere = |access| ServerSettings {
        http: "0.0.0.0:0".to_owned(),
        grpc: None,
        access,
        ..ServerSettings::default()
    };
    let refused = start(anywhere(None), house().await, Router::new()).await.unwrap_err();
    assert!(refused.to_string().contains("[access]"), "{refused}");
    let server = start(anywhere(Some(access())), house().await, Router::new())
        .await
        .unwrap();
    assert!(server.http_addr.ip().is_unspecified());
    server.stop().await;
}

fn with<T>(token: Option<&str>, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}
