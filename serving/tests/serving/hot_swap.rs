//! Champions move while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use foretell_inference::testing::tiny_churn_package;
use foretell_serving::{PredictRequest, Row, ServeError, ServerSettings, start};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::house::{dependencies, other_churn, promote, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_during_fifty_swaps() {
    let (dependencies, _) = dependencies(&[tiny_churn_package()]).await;
    let registry = Arc::clone(&dependencies.registry);
    publish(&registry, other_churn(1.0)).await;
    let server = start(fast(), dependencies, Router::new()).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..3)
        .map(|_| tokio::spawn(ask(server.service().clone(), Arc::clone(&done))))
        .collect();
    let over_http = tokio::spawn(ask_over_http(server.http_addr, Arc::clone(&done)));
    let first = served(&server).await;
    let values = [first.clone(), swapped(&server, &registry, 2).await];
    for swap in 0..49u64 {
        let version = swap % 2 + 1;
        let value = swapped(&server, &registry, version).await;
        assert_eq!(
            value,
            values[version as usize - 1],
            "the same version gives the same number"
        );
    }
    done.store(true, Ordering::Relaxed);
    for task in asking {
        let seen = task.await.unwrap();
        assert!(
            seen.iter().all(|it| values.contains(it)),
            "every answer is one of a whole version"
        );
        assert!(seen.len() > 50, "only {} requests ran beside the swaps", seen.len());
    }
    assert!(over_http.await.unwrap() > 50);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_model_is_served_without_a_restart() {
    let (dependencies, _) = dependencies(&[]).await;
    let registry = Arc::clone(&dependencies.registry);
    let server = start(fast(), dependencies, Router::new()).await.unwrap();
    assert!(matches!(
        server.service().predict("churn", ann()).await,
        Err(ServeError::NotFound(_))
    ));
    publish(&registry, tiny_churn_package()).await;
    promote(&registry, "churn", 1).await;
    for _ in 0..200 {
        if server.service().predict("churn", ann()).await.is_ok() {
            return server.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the new model is not served after two seconds");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let http = ServerSettings {
        http: address.to_string(),
        ..fast()
    };
    let grpc = ServerSettings {
        grpc: Some(address.to_string()),
        ..fast()
    };
    for (settings, flag) in [(http, "--http"), (grpc, "--grpc")] {
        let error = start(settings, dependencies(&[]).await.0, Router::new())
            .await
            .unwrap_err();
        let expected = format!(
            "port {} is in use by another program; choose another with {flag} HOST:PORT",
            address.port()
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn the_server_does_not_open_itself_to_the_network() {
    let settings = ServerSettings {
        http: "0.0.0.0:0".into(),
        ..fast()
    };
    let error = start(settings, dependencies(&[]).await.0, Router::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("this machine only"), "{error}");
    let settings = ServerSettings {
        http: "nonsense".into(),
        ..fast()
    };
    let error = start(settings, dependencies(&[]).await.0, Router::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("set --http HOST:PORT"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_within_the_grace_time_whatever_clients_do() {
    let (dependencies, _) = dependencies(&[]).await;
    let settings = ServerSettings {
        grace: Duration::from_millis(300),
        ..fast()
    };
    let server = start(settings, dependencies, Router::new()).await.unwrap();
    let mut slow = tokio::net::TcpStream::connect(server.http_addr).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(
        &mut slow,
        b"POST /v1/predict/x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
    )
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let start = std::time::Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

async fn swapped(
    server: &foretell_serving::RunningServer,
    registry: &foretell_registry::Registry,
    version: u64,
) -> String {
    promote(registry, "churn", version).await;
    for _ in 0..400 {
        let response = server.service().predict("churn", ann()).await.unwrap();
        if response.version == version.to_string() {
            return served(server).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("version {version} is not served after two seconds");
}

async fn served(server: &foretell_serving::RunningServer) -> String {
    let response = server.service().predict("churn", ann()).await.unwrap();
    format!("{} {:?}", response.version, response.predictions[0].value)
}

async fn ask(service: foretell_serving::PredictService, done: Arc<AtomicBool>) -> Vec<String> {
    let mut seen = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let response = service
            .predict("churn", ann())
            .await
            .expect("no request fails during a swap");
        seen.push(format!("{} {:?}", response.version, response.predictions[0].value));
        tokio::task::yield_now().await;
    }
    seen
}

/// How many requests were answered, all of them with 200.
async fn ask_over_http(address: std::net::SocketAddr, done: Arc<AtomicBool>) -> usize {
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let mut n = 0;
    while !done.load(Ordering::Relaxed) {
        let body = r#"{"customer_id": "ann"}"#.to_owned();
        let request = hyper::Request::post(format!("http://{address}/api/predict/churn"))
            .body(body)
            .unwrap();
        let response = client
            .request(request)
            .await
            .expect("no connection is lost during a swap");
        assert_eq!(response.status(), 200, "no request fails during a swap");
        n += 1;
    }
    n
}

fn fast() -> ServerSettings {
    ServerSettings {
        http: "127.0.0.1:0".into(),
        grpc: Some("127.0.0.1:0".into()),
        poll: Duration::from_millis(5),
        ..ServerSettings::default()
    }
}

fn ann() -> PredictRequest {
    let ann: Row = [("customer_id".to_owned(), foretell_features::Value::text("ann"))].into();
    PredictRequest::entities(vec![ann])
}
