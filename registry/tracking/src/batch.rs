use std::collections::BTreeMap;

use sqlx::{QueryBuilder, SqliteConnection};

use crate::rules::{self, MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE};
use crate::{Batch, Lifecycle, Metric, RUN_NAME_TAG, RunId, Tracking, TrackingError, metrics, runs};

/// Rows in one statement, far from the database's limit on bound values.
pub(crate) const ROWS: usize = 200;

impl Tracking {
    /// Writes metrics, parameters and tags to an active run: all of it or nothing.
    ///
    /// The same metric (key, step, time, value) again, or the same parameter again, changes nothing, so a retry is
    /// harmless. Values of parameters and tags are cut at 6000 and 8000 characters.
    ///
    /// # Errors
    /// `Invalid` (keys, counts), `NoRun`, `RunLifecycle`, `ParamChanged`, `Database`.
    pub async fn log_batch(&self, id: &RunId, batch: &Batch) -> Result<(), TrackingError> {
        rules::check_batch(batch)?;
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?;
        put_params(&mut tx, id, run, &batch.params).await?;
        metrics::put(&mut tx, run, &batch.metrics).await?;
        put_tags(&mut tx, run, &batch.tags).await?;
        Ok(tx.commit().await?)
    }

    /// Writes one metric.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn log_metric(&self, id: &RunId, metric: Metric) -> Result<(), TrackingError> {
        self.log_batch(
            id,
            &Batch {
                metrics: vec![metric],
                ..Batch::default()
            },
        )
        .await
    }

    /// Writes one parameter.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn log_param(&self, id: &RunId, key: &str, value: &str) -> Result<(), TrackingError> {
        let params = vec![(key.to_owned(), value.to_owned())];
        self.log_batch(
            id,
            &Batch {
                params,
                ..Batch::default()
            },
        )
        .await
    }

    /// Writes one tag; `mlflow.runName` renames the run.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn set_tag(&self, id: &RunId, key: &str, value: &str) -> Result<(), TrackingError> {
        let tags = vec![(key.to_owned(), value.to_owned())];
        self.log_batch(
            id,
            &Batch {
                tags,
                ..Batch::default()
            },
        )
        .await
    }
}

/// Inserts those that are new; fails if a known one differs.
async fn put_params(
    tx: &mut SqliteConnection,
    id: &RunId,
    run: i64,
    params: &[(String, String)],
) -> Result<(), TrackingError> {
    if params.is_empty() {
        return Ok(());
    }
    let known = "SELECT key, value FROM params WHERE run = ?";
    let known: Vec<(String, String)> = sqlx::query_as(known).bind(run).fetch_all(&mut *tx).await?;
    let known: BTreeMap<_, _> = known.into_iter().collect();
    let cut = params
        .iter()
        .map(|(key, value)| (key, rules::cut(value, MAX_PARAM_VALUE)));
    let mut new = Vec::new();
    for (key, value) in cut {
        match known.get(key) {
            None => new.push((key.as_str(), value)),
            Some(old) if old == value => {}
            Some(old) => return Err(changed(id, key, old, value)),
        }
    }
    insert_words(tx, "INSERT INTO params (run, key, value) ", run, &new, "").await
}

fn changed(run: &RunId, key: &str, old: &str, new: &str) -> TrackingError {
    let (run, key, old, new) = (run.clone(), key.to_owned(), old.to_owned(), new.to_owned());
    TrackingError::ParamChanged { run, key, old, new }
}

/// Upserts tags, the last of a key wins, and keeps the run's name equal to its tag.
pub(crate) async fn put_tags(
    tx: &mut SqliteConnection,
    run: i64,
    tags: &[(String, String)],
) -> Result<(), TrackingError> {
    let last: BTreeMap<&str, &str> = tags
        .iter()
        .map(|(key, value)| (key.as_str(), rules::cut(value, MAX_RUN_TAG_VALUE)))
        .collect();
    let rows: Vec<_> = last.iter().map(|(key, value)| (*key, *value)).collect();
    let upsert = " ON CONFLICT (run, key) DO UPDATE SET value = excluded.value";
    insert_words(tx, "INSERT INTO tags (run, key, value) ", run, &rows, upsert).await?;
    if let Some(name) = last.get(RUN_NAME_TAG) {
        sqlx::query("UPDATE runs SET name = ? WHERE run = ?")
            .bind(*name)
            .bind(run)
            .execute(tx)
            .await?;
    }
    Ok(())
}

async fn insert_words(
    tx: &mut SqliteConnection,
    insert: &'static str,
    run: i64,
    rows: &[(&str, &str)],
    conflict: &'static str,
) -> Result<(), TrackingError> {
    for rows in rows.chunks(ROWS) {
        let mut sql = QueryBuilder::new(insert);
        sql.push_values(rows, |mut row, (key, value)| {
            row.push_bind(run)
                .push_bind((*key).to_owned())
                .push_bind((*value).to_owned());
        });
        sql.push(conflict).build().persistent(false).execute(&mut *tx).await?;
    }
    Ok(())
}
