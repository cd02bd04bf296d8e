//! Rows as applications send them, taken as far as they fit: one wrong row does not hold up the others.

use std::collections::{BTreeMap, BTreeSet};

use foretell_features::{Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::online_features::OnlineFeatures;
use crate::store::OnlineError;
use crate::write::SourceRows;

/// What became of the rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IngestReport {
    /// Rows taken: as durable as the store is set to be.
    pub accepted: u64,
    /// Rows that cannot be taken, in order.
    pub refused: Vec<RefusedRow>,
}

/// A row that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRow {
    /// 0-based place in the batch.
    pub row: usize,
    /// Why, and what to do.
    pub reason: String,
}

impl SourceRows {
    /// Rows of named values; what one of them lacks is null there.
    pub fn of(rows: Vec<BTreeMap<String, Value>>) -> Self {
        let columns: BTreeSet<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
        let columns: Vec<String> = columns.into_iter().cloned().collect();
        let row =
            |mut it: BTreeMap<String, Value>| columns.iter().map(|name| it.remove(name).unwrap_or_default()).collect();
        Self {
            rows: rows.into_iter().map(row).collect(),
            columns,
        }
    }
}

impl OnlineFeatures {
    /// Writes the rows of a source that fit and tells about the others. The same batch again is a retry.
    ///
    /// # Errors
    /// No view on the source, the store. Rows that do not fit are no error.
    pub async fn ingest(&self, source: &str, rows: SourceRows, now: Timestamp) -> Result<IngestReport, OnlineError> {
        let accepted = rows.rows.len() as u64;
        match self.push(source, &rows, now).await {
            Ok(_) => Ok(IngestReport {
                accepted,
                refused: Vec::new(),
            }),
            Err(OnlineError::Schema { .. }) => self.ingest_what_fits(source, rows, now).await,
            Err(error) => Err(error),
        }
    }

    /// The rows that fit are written in one call: equal rows of a batch are as many events.
    async fn ingest_what_fits(
        &self,
        source: &str,
        rows: SourceRows,
        now: Timestamp,
    ) -> Result<IngestReport, OnlineError> {
        let mut fitting = SourceRows {
            columns: rows.columns,
            rows: Vec::with_capacity(rows.rows.len()),
        };
        let mut one = SourceRows {
            columns: fitting.columns.clone(),
            rows: Vec::new(),
        };
        let mut refused = Vec::new();
        for (at, row) in rows.rows.into_iter().enumerate() {
            one.rows = vec![row];
            match self.check(source, &one, now) {
                Ok(()) => fitting.rows.append(&mut one.rows),
                Err(OnlineError::Schema { view, reason }) => refused.push(RefusedRow {
                    row: at,
                    reason: format!("view `{view}`: {}", reason.trim_start_matches("row 0: ")),
                }),
                Err(error) => return Err(error),
            }
        }
        let accepted = fitting.rows.len() as u64;
        if accepted > 0 {
            self.push(source, &fitting, now).await?;
        }
        Ok(IngestReport { accepted, refused })
    }
}
