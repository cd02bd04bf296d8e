//! The shared store passes the suite against a real server; what only a server can show is here. Where no `redis-server` is
//! installed the tests say so and end.

mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foretell_features::row::KeyPart;
use foretell_features::{DataType, Definitions, EntityKey, Timestamp, Value, ViewDefinition};
use foretell_features_online::conformance::check_online_store;
use foretell_features_online::store::Edit;
use foretell_features_online::{OnlineError, OnlineFeatures, OnlineStore, RedisStore, SourceRows, record};
use server::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_conforms() {
    let Some(server) = RedisServer::start(&[]) else { return };
    check_online_store(connect(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_see_each_others_views_and_lose_no_event() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let one = OnlineFeatures::open(connect(&server).await).await.unwrap();
    let other = OnlineFeatures::open(connect(&server).await).await.unwrap();
    let id = one.define(&orders()).await.unwrap().id.clone();
    // Definitions are read again when they are older than a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(
        other.view("orders", None).await.unwrap().id,
        id,
        "what one defines the other has"
    );

    let pusher = |(features, who): (OnlineFeatures, i64)| {
        tokio::spawn(async move {
            for turn in 0..60 {
                let rows = pushed(["ann", "bob", "cid"], 1_000_000 * (2 * turn + who));
                features.push("orders", &rows, Timestamp(1_000_000_000)).await.unwrap();
            }
        })
    };
    for task in [(one.clone(), 0), (other.clone(), 1)].map(pusher) {
        task.await.unwrap();
    }
    for features in [one, other] {
        let view = features.view("orders", None).await.unwrap();
        let keys = ["ann", "bob", "cid"].map(|it| EntityKey(vec![KeyPart::Str(it.into())]));
        let reads = features
            .read(&view, &keys, &view.project_all(), Timestamp(120_000_000))
            .await
            .unwrap();
        for key in 0..keys.len() {
            let values: Vec<&Value> = reads.row(key).iter().map(|it| &it.value).collect();
            assert_eq!(
                values,
                [&Value::Int(120), &Value::Int(119_000_000)],
                "every event counts, the newest is the latest"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_is_named_and_one_that_comes_back_is_used() {
    let Some(mut server) = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let store = connect(&server).await;
    write(&*store, b"before").await.unwrap();
    server.kill();
    for _ in 0..3 {
        let began = Instant::now();
        let said = write(&*store, b"meanwhile").await.unwrap_err().to_string();
        assert!(said.contains(&server.address()) && said.contains("start it"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for ever");
    }
    server.again();
    let began = Instant::now();
    while write(&*store, b"after").await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the connection is made again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        count(&*store).await,
        2,
        "what was acknowledged is there, and nothing else"
    );

    // Restarted while nobody asked: the next call does not notice.
    server.kill();
    server.again();
    write(&*store, b"unnoticed").await.unwrap();
    assert_eq!(count(&*store).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_given_up() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = connect(&server).await;
    server.signal("-STOP");
    let began = Instant::now();
    let said = write(&*store, b"key").await.unwrap_err().to_string();
    assert!(said.contains("did not answer within 5 s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    server.signal("-CONT");
    write(&*store, b"key").await.unwrap();
    assert_eq!(count(&*store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_log_in_is_told_what_to_write() {
    let Some(server) = RedisServer::start(&["--requirepass", "secret"]) else {
        return;
    };
    for login in ["", ":wrong@"] {
        let url = server.url().replace("://", &format!("://{login}"));
        let said = RedisStore::connect(&url).await.unwrap_err().to_string();
        assert!(said.contains("refuses the login") && !said.contains("wrong@"), "{said}");
    }
    let url = server.url().replace("://", "://:secret@");
    write(&RedisStore::connect(&url).await.unwrap(), b"key").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_cannot_do_is_told_with_what_to_change() {
    for (options, expected) in [
        (&["--cluster-enabled", "yes"][..], "name a single primary"),
        (&["--maxmemory", "1"], "raise its `maxmemory`"),
        (&["--replicaof", "127.0.0.1", "1"], "name the primary"),
    ] {
        let Some(server) = RedisServer::start(options) else {
            return;
        };
        let said = write(&*connect(&server).await, b"key").await.unwrap_err().to_string();
        assert!(said.contains(&server.address()) && said.contains(expected), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_news_for_longer_than_the_retention_go() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let store = connect(&server).await;
    let change = |at: usize, _: Option<&[u8]>| Ok(Edit::Write(record::encode(Timestamp(at as i64), None, None)));
    let keys: Vec<Vec<u8>> = (0..20_000u32).map(|it| it.to_be_bytes().to_vec()).collect();
    store.update("rows", keys, Arc::new(change)).await.unwrap();
    store.expire("rows", Timestamp(15_000)).await.unwrap();
    assert_eq!(count(&*store).await, 5_000);
    let see = &mut |_: &[u8], bytes: &[u8]| {
        assert!(record::newest(bytes).is_some_and(|it| it >= Timestamp(15_000)));
        Ok(true)
    };
    store.walk("rows", see).await.unwrap();
}

async fn connect(server: &RedisServer) -> Arc<dyn OnlineStore> {
    Arc::new(RedisStore::connect(&server.url()).await.unwrap())
}

async fn write(store: &dyn OnlineStore, key: &[u8]) -> Result<u64, OnlineError> {
    store
        .update("rows", vec![key.to_vec()], Arc::new(|_, _| Ok(Edit::Write(vec![1]))))
        .await
}

async fn count(store: &dyn OnlineStore) -> usize {
    let mut count = 0;
    let see = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        Ok(true)
    };
    store.walk("rows", see).await.unwrap();
    count
}

/// How many orders a day has, and when the last was.
fn orders() -> ViewDefinition {
    let text = r#"
        [entity.customer]
        key = { id = "string" }
        [source.orders]
        path = "orders.parquet"
        event_time = "at"
        [view.orders]
        entity = "customer"
        source = "orders"
        [view.orders.features]
        orders_1d = { count = "*", window = "1d", hop = "exact" }
        last_amount = { latest = "amount" }
    "#;
    let definitions = Definitions::parse(&[(PathBuf::from("orders.toml"), text.to_owned())]).unwrap();
    let inputs = [
        ("id", DataType::String),
        ("at", DataType::Timestamp),
        ("amount", DataType::Int64),
    ];
    ViewDefinition::of(
        &definitions,
        "orders",
        inputs.map(|(it, of)| (it.to_owned(), of)).into(),
    )
    .unwrap()
}

/// One order of each, whose amount is its time.
fn pushed<const N: usize>(names: [&str; N], at: i64) -> SourceRows {
    let row = |name: &str| vec![Value::text(name), Value::Time(Timestamp(at)), Value::Int(at)];
    SourceRows {
        columns: ["id", "at", "amount"].map(str::to_owned).into(),
        rows: names.map(row).into(),
    }
}
