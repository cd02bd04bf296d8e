//! Messages that cannot be rows, kept for whoever repairs their sender.

use std::path::Path;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::Taken;
use crate::store::OnlineError;

/// The dead of one batch.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    lines: String,
    n: u64,
}

impl DeadLetters {
    pub(super) fn add(&mut self, message: &Taken, reason: &str) {
        let Taken {
            topic,
            partition,
            offset,
            payload,
        } = message;
        tracing::warn!(topic, partition, offset, reason, "a message from Kafka is no row");
        let payload = String::from_utf8_lossy(payload);
        let line =
            json!({ "topic": topic, "partition": partition, "offset": offset, "reason": reason, "payload": payload });
        self.lines.push_str(&format!("{line}\n"));
        self.n += 1;
    }

    pub(super) fn len(&self) -> u64 {
        self.n
    }

    /// Appends them; they are on disk when this returns.
    pub(super) async fn write(self, path: &Path) -> Result<(), OnlineError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let append = async {
            if let Some(folder) = path.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            let mut file = tokio::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .await?;
            file.write_all(self.lines.as_bytes()).await?;
            file.sync_data().await
        };
        append.await.map_err(|error: std::io::Error| OnlineError::Storage {
            reason: format!(
                "dead letters cannot be written to `{}` ({error}); make room or correct its rights",
                path.display()
            ),
        })
    }
}
