//! The feature service of gRPC on a socket.

use foretell_serving::grpc::foretell_v1::feature_service_client::FeatureServiceClient;
use foretell_serving::grpc::foretell_v1::{
    FeatureStatus, GetOnlineFeaturesRequest, IngestRequest, PushRequest, Row, Value, value::Kind,
};
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

use crate::grpc::{channel, number, server, text};
use crate::house::House;

type Client = FeatureServiceClient<Channel>;

fn row<const N: usize>(values: [(&str, Value); N]) -> Row {
    Row {
        values: values.map(|(name, it)| (name.to_owned(), it)).into(),
    }
}

fn order(customer: &str, amount: f64) -> Row {
    row([
        ("customer_id", text(customer)),
        ("plan", text("PRO")),
        ("amount", number(amount)),
        (
            "orders",
            Value {
                kind: Some(Kind::IntValue(2)),
            },
        ),
        ("seen_at", text("1970-04-01")),
    ])
}

async fn spend(client: &mut Client, customer: &str) -> Option<Kind> {
    let request = GetOnlineFeaturesRequest {
        features: vec!["purchases:spend_90d".into()],
        entities: vec![row([("customer_id", text(customer))])],
        ..Default::default()
    };
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    answer.columns[1].values[0].kind.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_those_that_http_gives() {
    let server = server().await;
    let mut client = FeatureServiceClient::new(channel(&server).await);
    let customers = ["ann", "old", "nobody", "bob", "ann"];
    let request = GetOnlineFeaturesRequest {
        feature_service: "checkout".into(),
        entities: customers
            .map(|it| row([("customer_id", text(it)), ("cart_value", number(1.5))]))
            .into(),
        full_feature_names: true,
        ..Default::default()
    };
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    let house = House::new().await;
    let body = json!({
        "entities": {"customer_id": customers, "cart_value": [1.5, 1.5, 1.5, 1.5, 1.5]},
        "feature_service": "checkout", "full_feature_names": true,
    });
    let expected = house.answer("/get-online-features", body).await;
    let names: Vec<&str> = answer.columns.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(json!(names), expected["metadata"]["feature_names"]);
    for (at, column) in answer.columns.iter().enumerate() {
        let status = |it: &i32| FeatureStatus::try_from(*it).unwrap().as_str_name();
        let statuses: Vec<&str> = column.statuses.iter().map(status).collect();
        assert_eq!(json!(statuses), expected["results"][at]["statuses"], "{}", column.name);
        let values: Vec<serde_json::Value> = column.values.iter().map(plain).collect();
        assert_eq!(json!(values), expected["results"][at]["values"], "{}", column.name);
    }
    assert_eq!(answer.views, ["purchases", "rates"]);
}

fn plain(value: &Value) -> serde_json::Value {
    match &value.kind {
        None => json!(null),
        Some(Kind::BoolValue(it)) => json!(it),
        Some(Kind::IntValue(it)) => json!(it),
        Some(Kind::DoubleValue(it)) => json!(it),
        Some(Kind::StringValue(it)) => json!(it),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_rows_are_read_and_wrong_requests_have_their_code() {
    let server = server().await;
    let mut client = FeatureServiceClient::new(channel(&server).await);
    let push = |source: &str, rows: Vec<Row>| PushRequest {
        source: source.into(),
        rows,
    };
    let answer = client
        .push(push("customers", vec![order("eve", 30.0), order("tom", 40.0)]))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().accepted, 2);
    assert_eq!(spend(&mut client, "tom").await, Some(Kind::DoubleValue(80.0)));
    let wrong = order("eve", 50.0);
    let cases = [
        (
            push("custmers", vec![wrong.clone()]),
            Code::NotFound,
            "did you mean `customers`?",
        ),
        (
            push("customers", vec![wrong, row([("amount", text("many"))])]),
            Code::InvalidArgument,
            "row 1",
        ),
    ];
    for (request, code, message) in cases {
        let status = client.push(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(message), "{status}");
    }
    assert_eq!(
        spend(&mut client, "eve").await,
        Some(Kind::DoubleValue(60.0)),
        "all rows or none"
    );
    let request = GetOnlineFeaturesRequest {
        features: vec!["purchase:plan".into()],
        ..Default::default()
    };
    assert_eq!(
        client.get_online_features(request).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_answered_batch_by_batch_and_a_wrong_row_holds_up_nobody() {
    let server = server().await;
    let mut client = FeatureServiceClient::new(channel(&server).await);
    let batch = |sequence: u64, rows: Vec<Row>| IngestRequest {
        sequence,
        source: "customers".into(),
        rows,
    };
    let bad = row([
        ("customer_id", text("eve")),
        ("amount", text("many")),
        ("seen_at", text("1970-04-01")),
    ]);
    let batches = [
        batch(7, vec![order("eve", 1.0)]),
        batch(8, vec![order("tom", 2.0), bad, order("kim", 3.0)]),
        batch(9, vec![]),
    ];
    let mut answers = client
        .ingest(futures::stream::iter(batches))
        .await
        .unwrap()
        .into_inner();
    let mut got = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let refused: Vec<u32> = answer.refused.iter().map(|it| it.row).collect();
        got.push((answer.sequence, answer.accepted, refused));
        for it in answer.refused {
            assert!(it.reason.contains("amount"), "{}", it.reason);
        }
    }
    assert_eq!(got, [(7, 1, vec![]), (8, 2, vec![1]), (9, 0, vec![])]);
    assert_eq!(spend(&mut client, "kim").await, Some(Kind::DoubleValue(6.0)));
    let too_many = batch(1, vec![Row::default(); 10_001]);
    let mut answers = client
        .ingest(futures::stream::iter([too_many]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
}
