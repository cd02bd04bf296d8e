//! Events from Kafka, against a broker that the client library plays itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use foretell_features::row::KeyPart;
use foretell_features::{DataType, Definitions, EntityKey, Timestamp, Value, ViewDefinition};
use foretell_features_online::store::{Change, See, Walk};
use foretell_features_online::{
    KafkaCounts, KafkaIngest, KafkaSettings, MemoryStore, OnlineError, OnlineFeatures, OnlineStore,
};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};

const TOPIC: &str = "shop.orders";
const NOW: Timestamp = Timestamp(1_000_000_000);

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_and_what_is_none_is_put_aside() {
    let house = House::new(MemoryStore::new()).await;
    let letters = house.folder.path().join("dead/kafka.jsonl");
    house.send(0..500).await;
    for bad in [
        "",
        "no JSON",
        "{\"id\": \"ann\", \"at\": \"1970-01-01T00:00:00Z\"}",
        "{\"id\": \"ann\", \"at\": \"later\", \"amount\": 1}",
    ] {
        house.send_text(bad.to_owned()).await;
    }
    house.send(500..1000).await;
    let running = house.run(&letters);
    house.wait(&running, KafkaCounts { written: 1000, dead: 4 }).await;
    assert_eq!(house.read().await, [1000, 999]);
    let text = std::fs::read_to_string(&letters).unwrap();
    let letters: Vec<serde_json::Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(letters.len(), 4);
    for (payload, reason) in [("no JSON", "not a JSON object"), ("1970", "amount"), ("later", "at")] {
        let has =
            |it: &serde_json::Value, name: &str, text: &str| it[name].as_str().is_some_and(|it| it.contains(text));
        let found = letters.iter().find(|it| has(it, "payload", payload)).unwrap();
        assert!(
            has(found, "reason", reason) && found["offset"].is_i64() && found["topic"] == TOPIC,
            "{found}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_killed_goes_on_without_losing_or_doubling() {
    let house = House::new(MemoryStore::new()).await;
    let letters = house.folder.path().join("dead.jsonl");
    for turn in 0..2 {
        house.send(turn * 300..(turn + 1) * 300).await;
        let running = house.run(&letters);
        // Killed in the middle; its partitions are given to the next after ten seconds.
        let until = if turn == 1 { 600 } else { 150 };
        house.wait_for_count(until).await;
        drop(running);
    }
    assert_eq!(house.read().await, [600, 599]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_waited_for() {
    let store = Arc::new(Gone::default());
    let house = House::over(Arc::clone(&store) as Arc<dyn OnlineStore>).await;
    store.gone.store(true, Ordering::Release);
    house.send(0..50).await;
    let running = house.run(&house.folder.path().join("dead.jsonl"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(running.ingest.counts(), KafkaCounts::default());
    store.gone.store(false, Ordering::Release);
    house.wait(&running, KafkaCounts { written: 50, dead: 0 }).await;
    assert_eq!(house.read().await, [50, 49]);
}

#[test]
fn one_topic_feeds_one_source() {
    let topics = [("orders", "events"), ("visits", "events")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into();
    let said = KafkaIngest::open(settings("localhost:1", topics, Path::new("dead")))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("localhost:1") && said.contains("two sources have the same topic"),
        "{said}"
    );
}

/// A broker, a view of orders, and a place for dead letters.
struct House {
    producer: FutureProducer,
    features: OnlineFeatures,
    folder: tempfile::TempDir,
    /// The last to go: whoever closes without it waits for its answer.
    broker: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
}

/// Ends with the test.
struct Running {
    ingest: Arc<KafkaIngest>,
    task: tokio::task::JoinHandle<()>,
}

impl House {
    async fn new(store: MemoryStore) -> Self {
        Self::over(Arc::new(store)).await
    }

    async fn over(store: Arc<dyn OnlineStore>) -> Self {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic(TOPIC, 3, 1).unwrap();
        let mut config = ClientConfig::new();
        let producer = config
            .set("bootstrap.servers", broker.bootstrap_servers())
            .create()
            .unwrap();
        let features = OnlineFeatures::open(store).await.unwrap();
        features.define(&orders()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            broker,
            producer,
            features,
            folder,
        }
    }

    /// Orders of ann; order `n` is of second `n` and has amount `n`.
    async fn send(&self, orders: std::ops::Range<i64>) {
        for n in orders {
            let at = Timestamp(n * 1_000_000);
            self.send_text(format!("{{\"id\": \"ann\", \"at\": \"{at}\", \"amount\": {n}}}"))
                .await;
        }
    }

    async fn send_text(&self, text: String) {
        let key = text.len().to_string();
        let record = FutureRecord::to(TOPIC).payload(&text).key(&key);
        self.producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    fn run(&self, letters: &Path) -> Running {
        let topics = [("orders".to_owned(), TOPIC.to_owned())].into();
        let ingest = Arc::new(KafkaIngest::open(settings(&self.broker.bootstrap_servers(), topics, letters)).unwrap());
        let (features, running) = (self.features.clone(), Arc::clone(&ingest));
        let task = tokio::spawn(async move { running.run(&features, &|| NOW).await.unwrap() });
        Running { ingest, task }
    }

    async fn wait(&self, running: &Running, counts: KafkaCounts) {
        let began = Instant::now();
        while running.ingest.counts() != counts {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{:?}",
                running.ingest.counts()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wait_for_count(&self, n: i64) {
        let began = Instant::now();
        while self.read().await[0] < n {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", self.read().await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// How many orders ann has, and the amount of the last.
    async fn read(&self) -> [i64; 2] {
        let view = self.features.view("orders", None).await.unwrap();
        let ann = EntityKey(vec![KeyPart::Str("ann".into())]);
        let reads = self
            .features
            .read(&view, &[ann], &view.project_all(), Timestamp(10_000_000_000))
            .await
            .unwrap();
        [0, 1].map(|it| {
            if let Value::Int(it) = reads.row(0)[it].value {
                it
            } else {
                -1
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        // Only when the task has let go of it is the consumer closed here, while the broker answers.
        let task = &mut self.task;
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(async { task.await.ok() }));
    }
}

fn settings(brokers: &str, topics: BTreeMap<String, String>, letters: &Path) -> KafkaSettings {
    KafkaSettings {
        brokers: brokers.to_owned(),
        group: "foretell".to_owned(),
        topics,
        dead_letters: letters.to_owned(),
    }
}

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

/// A store that may be gone for a while.
#[derive(Debug, Default)]
struct Gone {
    store: MemoryStore,
    gone: AtomicBool,
}

#[async_trait]
impl OnlineStore for Gone {
    async fn read(&self, space: &str, keys: &[Vec<u8>], see: See<'_>) -> Result<(), OnlineError> {
        self.store.read(space, keys, see).await
    }

    async fn update(&self, space: &str, keys: Vec<Vec<u8>>, change: Change) -> Result<u64, OnlineError> {
        if self.gone.load(Ordering::Acquire) {
            let reason = "gone".to_owned();
            return Err(OnlineError::Storage { reason });
        }
        self.store.update(space, keys, change).await
    }

    async fn walk(&self, space: &str, see: Walk<'_>) -> Result<(), OnlineError> {
        self.store.walk(space, see).await
    }

    async fn spaces(&self) -> Result<Vec<String>, OnlineError> {
        self.store.spaces().await
    }

    async fn remove(&self, space: &str) -> Result<(), OnlineError> {
        self.store.remove(space).await
    }

    async fn expire(&self, space: &str, before: Timestamp) -> Result<(), OnlineError> {
        self.store.expire(space, before).await
    }
}
