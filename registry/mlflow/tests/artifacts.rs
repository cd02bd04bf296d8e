//! Files up and down through the artifacts proxy.

mod common;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use common::{Client, refused};
use serde_json::{Value, json};

const INVALID: &str = "INVALID_PARAMETER_VALUE";

async fn listed(client: &Client, folder: &str) -> String {
    let path = format!("/api/2.0/mlflow-artifacts/artifacts?path={}", common::quoted(folder));
    let (status, answer) = client.raw(&path).await;
    assert_eq!(status, 200, "{answer}");
    said(&answer)
}

fn said(answer: &Value) -> String {
    let files = answer["files"].as_array().cloned().unwrap_or_default();
    let file = |it: &Value| match it["is_dir"].as_bool().unwrap() {
        true => format!("{}/", it["path"].as_str().unwrap()),
        false => format!("{} {}", it["path"].as_str().unwrap(), it["file_size"]),
    };
    files.iter().map(file).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_file_comes_down_as_it_went_up() {
    let client = Client::new().await;
    for (path, content) in [
        ("0/r/artifacts/a.txt", "hello"),
        ("0/r/artifacts/empty", ""),
        ("0/r/artifacts/a%20b/%C3%BC%25.bin", "odd"),
        ("0/r/artifacts/deep/er/x.json", "{}"),
    ] {
        client.upload(path, content).await;
        let (status, bytes) = client.download(path).await;
        assert_eq!((status.as_u16(), &bytes[..]), (200, content.as_bytes()), "{path}");
    }
    client.upload("0/r/artifacts/a.txt", "hello again").await;
    let request = Request::get("/ajax-api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/a.txt");
    let response = client.response(request.body(Body::empty()).unwrap()).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("content-length"), "11");
    assert_eq!(header("content-type"), "text/plain");
    assert!(header("content-disposition").starts_with("attachment; filename=\"a.txt\""));
    assert_eq!(header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_large_file_goes_through_in_parts() {
    let client = Client::new().await;
    let chunk = Bytes::from((0..=255u8).cycle().take(1 << 20).collect::<Vec<_>>());
    let parts = chunk.clone();
    let chunks = (0..40).map(move |_| Ok::<_, std::io::Error>(parts.clone()));
    let body = Body::from_stream(futures::stream::iter(chunks));
    let (status, answer) = client.put("0/r/artifacts/large.bin", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(listed(&client, "0/r/artifacts").await, "large.bin 41943040");
    let (_, bytes) = client.download("0/r/artifacts/large.bin").await;
    assert!(bytes.chunks(1 << 20).all(|it| it == chunk) && bytes.len() == 40 << 20);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there() {
    let client = Client::new().await;
    client.upload("0/r/artifacts/a", "before").await;
    for megabytes in [1, 30] {
        let chunk = Bytes::from(vec![7; 1 << 20]);
        let good = (0..megabytes).map(move |_| Ok(chunk.clone()));
        let broken = good.chain([Err(std::io::Error::other("the line went dead"))]);
        let answer = client
            .put("0/r/artifacts/a", Body::from_stream(futures::stream::iter(broken)))
            .await;
        refused(answer, 400, INVALID, "the line went dead");
        assert_eq!(client.download("0/r/artifacts/a").await.1, "before");
        assert_eq!(listed(&client, "0/r/artifacts").await, "a 6");
    }
}

#[tokio::test]
async fn folders_are_listed_one_level_deep_by_name_alone() {
    let client = Client::new().await;
    for path in [
        "0/r/artifacts/b.txt",
        "0/r/artifacts/m/x",
        "0/r/artifacts/m/d/y",
        "0/r/artifacts/m%2Fd/z w",
    ] {
        client.upload(&path.replace(' ', "%20"), "12345").await;
    }
    assert_eq!(listed(&client, "0/r/artifacts").await, "b.txt 5, m/");
    assert_eq!(listed(&client, "0/r/artifacts/m").await, "d/, x 5");
    assert_eq!(listed(&client, "0/r/artifacts/m/d/").await, "y 5, z w 5");
    assert_eq!(
        listed(&client, "0/r/artifacts/b.txt").await,
        "",
        "a file has nothing in it"
    );
    assert_eq!(listed(&client, "0/nope").await, "");
    assert_eq!(listed(&client, "").await, "0/");
}

#[tokio::test]
async fn a_run_lists_its_artifacts_from_its_root_on() {
    let client = Client::new().await;
    let run = client.run().await;
    client.upload(&format!("0/{run}/artifacts/m/a.txt"), "1").await;
    client.upload(&format!("0/{run}/artifacts/b.txt"), "22").await;
    let answer = client.found(&format!("artifacts/list?run_id={run}")).await;
    assert_eq!(answer["root_uri"], format!("mlflow-artifacts:/0/{run}/artifacts"));
    assert_eq!(said(&answer), "b.txt 2, m/");
    let answer = client.found(&format!("artifacts/list?run_uuid={run}&path=m")).await;
    assert_eq!(said(&answer), "m/a.txt 1");
    let answer = client.get(&format!("artifacts/list?run_id={run}&path=../x")).await;
    refused(answer, 400, INVALID, "Invalid path");
    let answer = client.get(&format!("artifacts/list?run_id={}", "0".repeat(32))).await;
    refused(answer, 404, "RESOURCE_DOES_NOT_EXIST", "not found");
}

#[tokio::test]
async fn files_and_folders_are_deleted_and_deleting_again_is_fine() {
    let client = Client::new().await;
    for path in ["0/r/a", "0/r/m/x", "0/r/m/d/y", "0/r2/z"] {
        client.upload(path, "1").await;
    }
    client.erase("0/r/a").await;
    client.erase("0/r/a").await;
    assert_eq!(client.download("0/r/a").await.0, 404);
    client.erase("0/r/m").await;
    assert_eq!(client.download("0/r/m/d/y").await.0, 404);
    assert_eq!(
        client.download("0/r2/z").await.0,
        200,
        "a name that only begins alike stays"
    );
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused() {
    let client = Client::new().await;
    client.upload("0/r/m/x", "1").await;
    for path in [
        "0/%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "0/%252e%252e/x",
        "%2Fetc/passwd",
        "0/a%5Cb",
        "0/a%23b",
        "0/a%00b",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let uri = format!("/api/2.0/mlflow-artifacts/artifacts/{path}");
            let request = Request::builder().method(method).uri(uri).body(Body::from("x"));
            let answer = client.send(request.unwrap()).await;
            refused(answer, 400, INVALID, "Invalid path");
        }
    }
    refused(client.put("0/r/", Body::from("x")).await, 400, INVALID, "filename");
    refused(
        client.put("0/r/m", Body::from("x")).await,
        400,
        INVALID,
        "'0/r/m' is both a file and a folder",
    );
    refused(
        client.put("0/r/m/x/y", Body::from("x")).await,
        400,
        INVALID,
        "is both a file and a folder",
    );
    refused(
        client.put(&"x".repeat(300), Body::from("x")).await,
        400,
        INVALID,
        "longer than 255",
    );
    let answer = client.raw("/api/2.0/mlflow-artifacts/artifacts/0/r/m").await;
    refused(answer, 400, INVALID, "refers to a directory, not a file");
    let answer = client.raw("/api/2.0/mlflow-artifacts/artifacts/0/r/nope").await;
    refused(answer, 404, "RESOURCE_DOES_NOT_EXIST", "No such artifact: '0/r/nope'");
}

#[tokio::test]
async fn a_published_package_is_read_like_artifacts_and_never_written() {
    let client = Client::new().await;
    client.publish("a b", 1, Value::Null).await;
    assert_eq!(listed(&client, "foretell/models/a b/1").await, "model.bin 5");
    assert_eq!(
        listed(&client, "foretell/models/a%20b/1").await,
        "model.bin 5",
        "as clients ask for it"
    );
    let (status, bytes) = client.download("foretell/models/a%20b/1/model.bin").await;
    assert_eq!((status.as_u16(), &bytes[..]), (200, &b"a b 1"[..]));
    let forbidden = |answer| refused(answer, 403, "PERMISSION_DENIED", "versions do not change");
    forbidden(client.put("foretell/models/a%20b/1/model.bin", Body::from("x")).await);
    forbidden(client.put("foretell/x", Body::from("x")).await);
    forbidden(client.delete("foretell/models/a%20b/1").await);
    for (path, status) in [
        ("foretell/models/a%20b/1", 400),
        ("foretell/models/a%20b/1/nope", 404),
        ("foretell/models/a%20b/9/model.bin", 404),
        ("foretell/models/nope/1/model.bin", 404),
    ] {
        assert_eq!(client.download(path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_what_was_published_are_never_whole() {
    let client = Client::new().await;
    client.publish("m", 1, Value::Null).await;
    let version = client.registry.model("m").await.unwrap().version(1).unwrap();
    let file = client.registry.manifest(&version).await.unwrap().files.remove(0);
    client.damage(&file.sha256.hex(), "other").await;
    let request = Request::get("/api/2.0/mlflow-artifacts/artifacts/foretell/models/m/1/model.bin");
    let response = client.response(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "the head is out before the bytes are known"
    );
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(body.is_err(), "the transfer breaks off");
    client.lose(&file.sha256.hex()).await;
    let answer = client
        .raw("/api/2.0/mlflow-artifacts/artifacts/foretell/models/m/1/model.bin")
        .await;
    refused(answer, 500, "DATA_LOSS", "file `model.bin` of m@1 is damaged");
}

async fn upload_step(client: &Client, step: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(format!("/api/2.0/mlflow-artifacts/mpu/{step}/0/r/artifacts"))
        .header("content-type", "application/json")
        .header("authorization", "Bearer t")
        .header("host", "models.example:8000");
    client.send(request.body(body.to_string().into()).unwrap()).await
}

async fn parts_sent(client: &Client, contents: &[&str]) -> (String, Vec<Value>) {
    let body = json!({"path": "/home/ann/large.bin", "num_parts": contents.len()});
    let (status, begun) = upload_step(client, "create", body).await;
    assert_eq!(status, 200, "{begun}");
    let mut parts = Vec::new();
    for (credential, content) in begun["credentials"].as_array().unwrap().iter().zip(contents) {
        assert_eq!(credential["headers"], json!({"Authorization": "Bearer t"}));
        let path = credential["url"]
            .as_str()
            .unwrap()
            .strip_prefix("http://models.example:8000")
            .unwrap();
        let request = Request::put(path).body(Body::from(content.to_string())).unwrap();
        let response = client.response(request).await;
        assert_eq!(response.status(), 200);
        let tag = response.headers()["etag"].to_str().unwrap();
        parts.push(json!({"part_number": credential["part_number"], "etag": tag, "url": credential["url"]}));
    }
    (begun["upload_id"].as_str().unwrap().to_owned(), parts)
}

#[tokio::test]
async fn a_file_goes_up_in_parts_when_a_client_asks_for_it() {
    let client = Client::new().await;
    let (id, parts) = parts_sent(&client, &["one ", "two ", "three"]).await;
    assert_eq!(
        client.download("0/r/artifacts/large.bin").await.0,
        404,
        "not before it is whole"
    );
    let body = json!({"path": "/home/ann/large.bin", "upload_id": id, "parts": parts});
    assert_eq!(upload_step(&client, "complete", body.clone()).await.0, 200);
    assert_eq!(client.download("0/r/artifacts/large.bin").await.1, "one two three");
    assert_eq!(listed(&client, "").await, "0/", "the parts are gone");
    refused(
        upload_step(&client, "complete", body).await,
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "",
    );
    let (id, _) = parts_sent(&client, &["never"]).await;
    let body = json!({"path": "large.bin", "upload_id": id});
    assert_eq!(upload_step(&client, "abort", body).await.0, 200);
    assert_eq!(listed(&client, "").await, "0/");
    for (step, body) in [
        ("create", json!({"path": "a", "num_parts": 0})),
        ("create", json!({"path": "a", "num_parts": 10_001})),
        ("create", json!({"num_parts": 1})),
        ("create", json!({"path": "..", "num_parts": 1})),
        ("complete", json!({"path": "a", "upload_id": "x"})),
        ("abort", json!({"path": "a"})),
    ] {
        refused(upload_step(&client, step, body).await, 400, INVALID, "");
    }
    for id in ["../../0", "%2e%2e", "x"] {
        let body = json!({"path": "a", "upload_id": id, "parts": [{"part_number": 1}]});
        refused(
            upload_step(&client, "complete", body).await,
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "No such",
        );
    }
}

#[tokio::test]
async fn a_file_comes_down_in_parts_when_a_client_asks_for_it() {
    let client = Client::new().await;
    client.upload("0/r/a%20b.bin", "0123456789").await;
    let presigned = |path: &str| {
        let request = Request::get(format!("/api/2.0/mlflow-artifacts/presigned/{path}")).header("host", "h:1");
        client.send(request.body(Body::empty()).unwrap())
    };
    let (_, answer) = presigned("0/r/a%20b.bin").await;
    let url = "http://h:1/api/2.0/mlflow-artifacts/artifacts/0/r/a%20b.bin";
    assert_eq!(answer, json!({"url": url, "headers": {}, "file_size": 10}));
    for (range, status, content, shown) in [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-99", 206, "789", "bytes 7-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
    ] {
        let request = Request::get("/api/2.0/mlflow-artifacts/artifacts/0/r/a%20b.bin").header("range", range);
        let response = client.response(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-range"]),
            (status, &shown.parse().unwrap())
        );
        let body = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body, content, "{range}");
    }
    client.publish("m", 1, Value::Null).await;
    let answer = presigned("foretell/models/m/1/model.bin").await;
    refused(answer, 501, "NOT_IMPLEMENTED", "Multipart download is not supported");
    refused(presigned("0/nope").await, 404, "RESOURCE_DOES_NOT_EXIST", "");
    let body = json!({"run_id": "r", "path": "a"});
    let answer = client.post("artifacts/presigned-upload-url", body).await;
    refused(answer, 400, INVALID, "proxied artifact storage");
}

#[tokio::test]
async fn web_pages_read_and_write_files_by_what_they_belong_to() {
    let client = Client::new().await;
    let run = client.run().await;
    let path = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=plots/a.txt");
    let send = |path: String, body: Vec<u8>| client.send(Request::post(path).body(Body::from(body)).unwrap());
    assert_eq!(send(path.clone(), b"drawn".to_vec()).await.0, 200);
    let answer = client
        .found(&format!("get-artifact?run_id={run}&path=plots/a.txt"))
        .await;
    assert_eq!(answer, "drawn");
    let large = send(path, vec![0; 10 * 1024 * 1024 + 1]).await;
    refused(large, 400, INVALID, "Max size is 10MB");
    for (query, message) in [
        ("", "run_uuid"),
        (&format!("run_uuid={run}")[..], "path"),
        (&format!("run_uuid={run}&path=../x")[..], "Invalid path"),
    ] {
        let answer = send(format!("/ajax-api/2.0/mlflow/upload-artifact?{query}"), b"x".to_vec()).await;
        refused(answer, 400, INVALID, message);
    }
    client.publish("m", 1, Value::Null).await;
    let answer = client
        .found("model-versions/get-artifact?name=m&version=1&path=model.bin")
        .await;
    assert_eq!(answer, "m 1");
    let made = client
        .done("logged-models", json!({"experiment_id": "0", "name": "x"}))
        .await;
    let info = &made["model"]["info"];
    let (id, uri) = (
        info["model_id"].as_str().unwrap(),
        info["artifact_uri"].as_str().unwrap(),
    );
    client
        .upload(&format!("{}/d/MLmodel", &uri["mlflow-artifacts:/".len()..]), "flavors")
        .await;
    let answer = client.found(&format!("logged-models/{id}/artifacts/directories")).await;
    assert_eq!((said(&answer).as_str(), &answer["root_uri"]), ("d/", &json!(uri)));
    let listed = format!("logged-models/{id}/artifacts/directories?artifact_directory_path=d");
    assert_eq!(said(&client.found(&listed).await), "d/MLmodel 7");
    let file = format!("logged-models/{id}/artifacts/files?artifact_file_path=d%2FMLmodel");
    assert_eq!(client.found(&file).await, "flavors");
}

#[tokio::test]
async fn a_reset_leaves_nothing_and_is_not_there_unless_asked_for() {
    let client = Client::new().await;
    let run = client.run().await;
    client.upload(&format!("0/{run}/artifacts/a"), "1").await;
    client.publish("m", 1, Value::Null).await;
    let reset = || Request::post("/__reset").body(Body::empty()).unwrap();
    for _ in 0..2 {
        let (status, answer) = client.send(reset()).await;
        assert_eq!((status.as_u16(), answer), (200, json!({})));
        assert_eq!(client.found("registered-models/search").await, json!({}));
        assert_eq!(client.get(&format!("runs/get?run_id={run}")).await.0, 404);
        assert_eq!(listed(&client, "").await, "");
        let experiment = client.found("experiments/get?experiment_id=0").await;
        assert_eq!(experiment["experiment"]["name"], "Default");
    }
    client.publish("m", 1, Value::Null).await;
    assert_eq!(client.registry.model("m").await.unwrap().latest().unwrap().version, 1);
    let status = client.without_reset().await.response(reset()).await.status();
    assert_eq!(status, StatusCode::NOT_FOUND);
}
