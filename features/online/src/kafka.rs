//! Events from Kafka: rows as JSON objects, one per message, from one topic per source.
//!
//! Offsets are committed only after the rows of a batch are written, so whatever happens every message is seen at least once,
//! and an event that is seen again counts once. No batch is asked for while one is being written: when the store is slow or
//! gone, messages stay with the brokers. A message that cannot be a row is logged with its place, goes to a file of dead
//! letters and stops nobody.
//!
//! Two messages of the same content are the same event to a window; give events something that tells them apart.

mod dead_letters;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foretell_features::{Timestamp, Value};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use self::dead_letters::DeadLetters;
use crate::ingest::IngestReport;
use crate::online_features::OnlineFeatures;
use crate::store::OnlineError;
use crate::write::SourceRows;

/// Messages written at once.
const BATCH: usize = 500;
/// How long a batch waits to become full.
const LINGER: Duration = Duration::from_millis(5);
/// Memory for messages that were fetched ahead, per partition, in KiB.
const FETCHED_AHEAD: &str = "16384";
/// How long after its death the partitions of a member go to the others, in ms.
const TAKEN_OVER_AFTER: &str = "10000";
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to read, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// The consumer group: its members share the partitions.
    pub group: String,
    /// The topic of each source.
    pub topics: BTreeMap<String, String>,
    /// Where messages go that cannot be rows, one JSON object a line.
    pub dead_letters: PathBuf,
}

/// What came so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct KafkaCounts {
    /// Messages whose rows are written.
    pub written: u64,
    /// Messages that could not be rows.
    pub dead: u64,
}

/// A consumer of the topics of sources.
pub struct KafkaIngest {
    settings: KafkaSettings,
    /// Sources by topic.
    sources: BTreeMap<String, String>,
    consumer: StreamConsumer,
    written: AtomicU64,
    dead: AtomicU64,
}

/// A message, taken over.
struct Taken {
    topic: String,
    partition: i32,
    offset: i64,
    payload: Vec<u8>,
}

/// Messages of one source with the same columns.
type Groups = BTreeMap<(String, Vec<String>), Vec<(Taken, Vec<Value>)>>;

impl KafkaIngest {
    /// Joins the group; brokers that cannot be reached yet are tried again for ever.
    ///
    /// # Errors
    /// Two sources with one topic, settings that cannot be.
    pub fn open(settings: KafkaSettings) -> Result<Self, OnlineError> {
        let sources: BTreeMap<String, String> = settings
            .topics
            .iter()
            .map(|(source, topic)| (topic.clone(), source.clone()))
            .collect();
        if sources.len() != settings.topics.len() {
            return Err(failed(
                &settings,
                "two sources have the same topic; one topic feeds one source",
            ));
        }
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("group.id", &settings.group);
        config
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        config
            .set("queued.max.messages.kbytes", FETCHED_AHEAD)
            .set("session.timeout.ms", TAKEN_OVER_AFTER);
        let consumer: StreamConsumer = config.create().map_err(|error| failed(&settings, &error.to_string()))?;
        let topics: Vec<&str> = sources.keys().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|error| failed(&settings, &error.to_string()))?;
        Ok(Self {
            settings,
            sources,
            consumer,
            written: AtomicU64::new(0),
            dead: AtomicU64::new(0),
        })
    }

    /// What came so far.
    pub fn counts(&self) -> KafkaCounts {
        KafkaCounts {
            written: self.written.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
        }
    }

    /// Writes what comes, until it is dropped: at any point that is safe, what was not committed comes again. A store that is
    /// gone is waited for.
    ///
    /// # Errors
    /// Dead letters cannot be written: nothing further is taken, so that no message is lost.
    pub async fn run(
        &self,
        features: &OnlineFeatures,
        now: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Result<(), OnlineError> {
        loop {
            let batch = self.next_batch().await;
            let ends = ends(&batch);
            self.write(features, batch, now()).await?;
            if let Err(error) = self.consumer.commit(&ends, CommitMode::Async) {
                tracing::warn!(%error, "an offset could not be committed; its messages may come again");
            }
        }
    }

    async fn next_batch(&self) -> Vec<Taken> {
        let mut batch = vec![self.next().await];
        while batch.len() < BATCH {
            match tokio::time::timeout(LINGER, self.next()).await {
                Ok(message) => batch.push(message),
                Err(_) => break,
            }
        }
        batch
    }

    async fn next(&self) -> Taken {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    return Taken {
                        topic: message.topic().to_owned(),
                        partition: message.partition(),
                        offset: message.offset(),
                        payload: message.payload().unwrap_or_default().to_owned(),
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, brokers = self.settings.brokers, "Kafka does not answer; it is tried again");
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
            }
        }
    }

    async fn write(&self, features: &OnlineFeatures, batch: Vec<Taken>, now: Timestamp) -> Result<(), OnlineError> {
        let mut dead = DeadLetters::default();
        for ((source, columns), messages) in self.grouped(batch, &mut dead) {
            let (messages, rows): (Vec<Taken>, Vec<Vec<Value>>) = messages.into_iter().unzip();
            let report = taken(features, &source, &SourceRows { columns, rows }, now).await;
            self.written.fetch_add(report.accepted, Ordering::Relaxed);
            report
                .refused
                .iter()
                .for_each(|it| dead.add(&messages[it.row], &it.reason));
        }
        self.dead.fetch_add(dead.len(), Ordering::Relaxed);
        dead.write(&self.settings.dead_letters).await
    }

    fn grouped(&self, batch: Vec<Taken>, dead: &mut DeadLetters) -> Groups {
        let mut groups = Groups::new();
        for message in batch {
            let Some(source) = self.sources.get(&message.topic) else {
                continue;
            };
            match serde_json::from_slice::<BTreeMap<String, Value>>(&message.payload) {
                Ok(row) => {
                    let (columns, values) = row.into_iter().unzip();
                    groups
                        .entry((source.clone(), columns))
                        .or_default()
                        .push((message, values));
                }
                Err(error) => dead.add(&message, &format!("not a JSON object of columns and values: {error}")),
            }
        }
        groups
    }
}

/// Asks the store until it answers.
async fn taken(features: &OnlineFeatures, source: &str, rows: &SourceRows, now: Timestamp) -> IngestReport {
    let mut pause = FIRST_PAUSE;
    loop {
        match features.ingest(source, rows.clone(), now).await {
            Ok(report) => return report,
            Err(error) => tracing::warn!(%error, "events from Kafka wait"),
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Where each partition goes on after these messages.
fn ends(batch: &[Taken]) -> TopicPartitionList {
    let mut next: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for it in batch {
        let end = next.entry((&it.topic, it.partition)).or_default();
        *end = (*end).max(it.offset + 1);
    }
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in next {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .expect("an offset of a message is one");
    }
    list
}

fn failed(settings: &KafkaSettings, reason: &str) -> OnlineError {
    OnlineError::Storage {
        reason: format!("Kafka at {} cannot be read: {reason}", settings.brokers),
    }
}

impl fmt::Debug for KafkaIngest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaIngest")
            .field("settings", &self.settings)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
