//! gRPC on a socket: the native service, the Open Inference Protocol, health.

use axum::Router;
use foretell_inference::PackageFiles;
use foretell_inference::testing::tiny_churn_package;
use foretell_serving::grpc::foretell_v1::prediction_service_client::PredictionServiceClient;
use foretell_serving::grpc::foretell_v1::{PredictRequest, Row, Value, value::Kind};
use foretell_serving::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use foretell_serving::grpc::inference::model_infer_request::InferInputTensor;
use foretell_serving::grpc::inference::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest, ServerLiveRequest,
};
use foretell_serving::{PredictRequest as Native, RunningServer, ServerSettings, start};
use tonic::transport::Channel;

use crate::house::dependencies;

#[tokio::test(flavor = "multi_thread")]
async fn all_wires_give_the_same_number() {
    let server = server().await;
    let ann = [("customer_id".to_owned(), foretell_features::Value::text("ann"))].into();
    let native = server
        .service()
        .predict("churn", Native::entities(vec![ann]))
        .await
        .unwrap();
    let expected = native.predictions[0].value.unwrap();

    let mut client = PredictionServiceClient::new(channel(&server).await);
    let entity = Row {
        values: [("customer_id".to_owned(), text("ann"))].into(),
    };
    let request = PredictRequest {
        model: "churn".into(),
        entities: vec![entity],
        explain: 2,
        ..Default::default()
    };
    let answer = client.predict(request).await.unwrap().into_inner();
    assert_eq!(answer.digest, native.digest);
    assert_eq!(answer.predictions[0].value, Some(expected));
    assert_eq!(answer.predictions[0].reasons.len(), 2);
    assert_eq!(answer.predictions[0].reasons[0].age, Some(86400.0));
    let features = [
        ("plan", text("pro")),
        ("spend_90d", number(120.5)),
        ("orders_90d", number(5.0)),
    ];
    let row = Row {
        values: features.map(|(name, it)| (name.to_owned(), it)).into(),
    };
    let request = PredictRequest {
        model: "churn".into(),
        rows: vec![row],
        ..Default::default()
    };
    assert_eq!(
        client.predict(request).await.unwrap().into_inner().predictions[0].value,
        Some(expected)
    );

    let mut client = GrpcInferenceServiceClient::new(channel(&server).await);
    let contents = InferTensorContents {
        bytes_contents: vec![b"ann".to_vec()],
        ..Default::default()
    };
    let typed = infer("BYTES", Some(contents), vec![]);
    let raw = infer("BYTES", None, vec![[3u32.to_le_bytes().as_slice(), b"ann"].concat()]);
    for request in [typed, raw] {
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!((answer.id.as_str(), answer.model_version.as_str()), ("7", "1"));
        assert_eq!(answer.outputs[0].name, "churn_probability");
        assert_eq!(
            answer.outputs.len(),
            answer.raw_output_contents.len(),
            "answers are raw"
        );
        assert_eq!(answer.raw_output_contents[0], expected.to_le_bytes());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_codes_of_the_protocol() {
    let server = server().await;
    let mut client = PredictionServiceClient::new(channel(&server).await);
    let request = |model: &str| PredictRequest {
        model: model.into(),
        ..Default::default()
    };
    let unknown = client
        .predict(PredictRequest {
            entities: vec![Row::default()],
            ..request("chrun")
        })
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    assert_eq!(unknown.message(), "unknown model `chrun`; did you mean `churn`?");
    assert_eq!(
        client.predict(request("churn")).await.unwrap_err().code(),
        tonic::Code::InvalidArgument
    );

    let mut client = GrpcInferenceServiceClient::new(channel(&server).await);
    assert!(
        client
            .server_live(ServerLiveRequest {})
            .await
            .unwrap()
            .into_inner()
            .live
    );
    let ready = |name: &str, version: &str| ModelReadyRequest {
        name: name.into(),
        version: version.into(),
    };
    for (name, version, expected) in [("churn", "1", true), ("nope", "", false), ("churn", "2", false)] {
        let answer = client.model_ready(ready(name, version)).await.unwrap();
        assert_eq!(answer.into_inner().ready, expected, "{name} {version}");
    }
    let metadata = ModelMetadataRequest {
        name: "churn".into(),
        version: String::new(),
    };
    let metadata = client.model_metadata(metadata).await.unwrap().into_inner();
    assert_eq!((metadata.inputs.len(), metadata.versions), (4, vec!["1".to_owned()]));
    let both = InferTensorContents {
        bytes_contents: vec![b"ann".to_vec()],
        ..Default::default()
    };
    let wrong = [
        infer("BYTES", Some(both), vec![vec![]]),
        infer("BYTES", None, vec![vec![9, 0, 0, 0, 1]]),
        infer("BYTES", None, vec![vec![], vec![]]),
        infer("FP16", None, vec![vec![0, 0]]),
    ];
    for request in wrong {
        assert_eq!(
            client.model_infer(request).await.unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
    }
    server.stop().await;
}

/// A socket without TCP_NODELAY shows itself by answers that take 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_waits_for_an_acknowledgement() {
    let server = server().await;
    let mut client = GrpcInferenceServiceClient::new(channel(&server).await);
    let mut slow = 0;
    for _ in 0..200 {
        let start = std::time::Instant::now();
        client.server_live(ServerLiveRequest {}).await.unwrap();
        slow += usize::from(start.elapsed().as_millis() >= 38);
    }
    assert!(slow < 40, "{slow} of 200 calls took 38 ms or more");
    server.stop().await;
}

pub(crate) async fn server() -> RunningServer {
    server_of(&[tiny_churn_package()]).await
}

pub(crate) async fn server_of(packages: &[PackageFiles]) -> RunningServer {
    let (dependencies, _) = dependencies(packages).await;
    let settings = ServerSettings {
        http: "127.0.0.1:0".into(),
        grpc: Some("127.0.0.1:0".into()),
        ..Default::default()
    };
    start(settings, dependencies, Router::new()).await.unwrap()
}

pub(crate) async fn channel(server: &RunningServer) -> Channel {
    let address = format!("http://{}", server.grpc_addr.unwrap());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

fn infer(datatype: &str, contents: Option<InferTensorContents>, raw: Vec<Vec<u8>>) -> ModelInferRequest {
    let input = InferInputTensor {
        name: "customer_id".into(),
        datatype: datatype.into(),
        shape: vec![1, 1],
        contents,
        ..Default::default()
    };
    ModelInferRequest {
        model_name: "churn".into(),
        id: "7".into(),
        inputs: vec![input],
        raw_input_contents: raw,
        ..Default::default()
    }
}

pub(crate) fn text(it: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(it.to_owned())),
    }
}

pub(crate) fn number(it: f64) -> Value {
    Value {
        kind: Some(Kind::DoubleValue(it)),
    }
}
