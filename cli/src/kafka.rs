//! Events from Kafka into the online store of a running server.

use anyhow::{Result, bail};
use foretell_features_online::{KafkaIngest, KafkaSettings, OnlineFeatures};
use foretell_serving::Clock;
use tokio::task::JoinHandle;

use crate::project::{Kafka, Project};

/// Ends when it is dropped: what is not written by then comes again.
#[derive(Debug)]
pub(crate) struct Events(JoinHandle<()>);

impl Events {
    /// Starts, where the project has `[ingest.kafka]`.
    pub(crate) fn start(project: &Project, online: &OnlineFeatures) -> Result<Option<Self>> {
        let Some(kafka) = project.settings.kafka.clone() else {
            return Ok(None);
        };
        check_sources(project, &kafka)?;
        let Kafka { brokers, group, topics } = kafka;
        let ingest = KafkaIngest::open(KafkaSettings {
            brokers,
            group,
            topics,
            dead_letters: project.state("dead_letters/kafka.jsonl"),
        })?;
        let (clock, online) = (Clock::of(project.settings.as_of), online.clone());
        let run = async move {
            if let Err(error) = ingest.run(&online, &|| clock.now()).await {
                tracing::error!("events from Kafka are no longer taken: {error}");
            }
        };
        Ok(Some(Self(tokio::spawn(run))))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Features that are broken are said elsewhere; a topic for a source that is not defined would wait for ever.
fn check_sources(project: &Project, kafka: &Kafka) -> Result<()> {
    let Ok(checked) = project.check() else { return Ok(()) };
    let sources = &checked.definitions.sources;
    if let Some(source) = kafka.topics.keys().find(|it| !sources.contains_key(*it)) {
        let hint = foretell_features::spelling::hint(source, sources.keys().map(String::as_str));
        bail!("unknown source `{source}` in `[ingest.kafka] topics`{hint}");
    }
    Ok(())
}
