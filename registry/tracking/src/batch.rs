use std::collections::BTreeMap;

use crate::database::Tx;
use crate::rules::{self, MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE, Place};
use crate::sql::Arg;
use crate::{
    Batch, Lifecycle, Metric, ModelMetric, RUN_NAME_TAG, RunId, TagOwner, Tracking, TrackingError, logged_models,
    metrics, runs,
};

const UPSERT_TAG: &str = " ON CONFLICT (run, key) DO UPDATE SET value = excluded.value";

impl Tracking {
    /// Writes metrics, parameters and tags to an active run: all of it or nothing.
    ///
    /// The same metric (key, step, time, value) again, or the same parameter again, changes nothing, so a retry is
    /// harmless. Values of parameters and tags are cut at 6000 and 8000 characters.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`, `TooMany`, `DuplicateParams`, `NoRun`, `RunLifecycle`, `NoModel`, `ParamChanged`, `Database`.
    pub async fn log_batch(&self, id: &RunId, batch: &Batch) -> Result<(), TrackingError> {
        self.write(id, batch, Place::Listed).await
    }

    /// Writes one metric.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn log_metric(&self, id: &RunId, metric: Metric) -> Result<(), TrackingError> {
        let metrics = vec![metric];
        let batch = Batch {
            metrics,
            ..Batch::default()
        };
        self.write(id, &batch, Place::Alone).await
    }

    /// Writes one metric of a logged model, to the run and to the model.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn log_model_metric(&self, id: &RunId, metric: ModelMetric) -> Result<(), TrackingError> {
        let model_metrics = vec![metric];
        let batch = Batch {
            model_metrics,
            ..Batch::default()
        };
        self.write(id, &batch, Place::Alone).await
    }

    /// Writes one parameter.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn log_param(&self, id: &RunId, key: &str, value: &str) -> Result<(), TrackingError> {
        let params = vec![(key.to_owned(), value.to_owned())];
        let batch = Batch {
            params,
            ..Batch::default()
        };
        self.write(id, &batch, Place::Alone).await
    }

    /// Writes one tag; `mlflow.runName` renames the run.
    ///
    /// # Errors
    /// As [`Tracking::log_batch`].
    pub async fn set_tag(&self, id: &RunId, key: &str, value: &str) -> Result<(), TrackingError> {
        let tags = vec![(key.to_owned(), value.to_owned())];
        let batch = Batch {
            tags,
            ..Batch::default()
        };
        self.write(id, &batch, Place::Alone).await
    }

    /// Adds an item, written as JSON, to the tag that is a JSON list; makes the tag if it is not there. It is not cut.
    ///
    /// # Errors
    /// `Invalid` when the tag is no list; `NoRun`, `RunLifecycle`, `Database`.
    pub async fn append_to_tag(&self, id: &RunId, key: &str, item: &str) -> Result<(), TrackingError> {
        rules::check_tag_key("key", key)?;
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?.key;
        let sql = tx.sql("SELECT value FROM tags WHERE run = $1 AND key = $2");
        let known = tx.first(sql.bind(run).bind(key)).await?;
        let known = known.map_or(Ok("[]".to_owned()), |it| it.text(0))?;
        let inside = known.trim().strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let inside = inside.ok_or_else(|| TrackingError::invalid(key, &known, "the tag is no JSON list"))?;
        let comma = if inside.trim().is_empty() { "" } else { ", " };
        let row = [run.into(), key.into(), format!("[{inside}{comma}{item}]").into()];
        tx.insert("INSERT INTO tags (run, key, value)", vec![row], UPSERT_TAG)
            .await?;
        tx.commit().await
    }

    /// Deletes a tag.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `NoTag`, `Database`.
    pub async fn delete_tag(&self, id: &RunId, key: &str) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?;
        let sql = tx.sql("DELETE FROM tags WHERE run = $1 AND key = $2");
        if tx.run(sql.bind(run.key).bind(key)).await? == 0 {
            let of = TagOwner::Run(id.clone());
            return Err(TrackingError::NoTag {
                of,
                key: key.to_owned(),
            });
        }
        tx.commit().await
    }

    async fn write(&self, id: &RunId, batch: &Batch, place: Place) -> Result<(), TrackingError> {
        rules::check_batch(batch, place)?;
        let mut tx = self.writing().await?;
        let run = runs::require(&mut tx, id, Lifecycle::Active).await?.key;
        put_params(&mut tx, id, run, &batch.params).await?;
        metrics::put(&mut tx, run, batch).await?;
        logged_models::put_metrics(&mut tx, id, &batch.model_metrics).await?;
        put_tags(&mut tx, run, &batch.tags).await?;
        tx.commit().await
    }
}

/// Inserts those that are new; fails if a known one differs.
async fn put_params(tx: &mut Tx, id: &RunId, run: i64, params: &[(String, String)]) -> Result<(), TrackingError> {
    if params.is_empty() {
        return Ok(());
    }
    let known = tx.sql("SELECT key, value FROM params WHERE run = $1").bind(run);
    let known = tx.all(known).await?;
    let known: BTreeMap<String, String> = known
        .iter()
        .map(|it| Ok((it.text(0)?, it.text(1)?)))
        .collect::<Result<_, TrackingError>>()?;
    let mut new: Vec<[Arg; 3]> = Vec::new();
    for (key, value) in params {
        let value = rules::cut(value, MAX_PARAM_VALUE);
        match known.get(key) {
            None => new.push([run.into(), key.into(), value.into()]),
            Some(old) if old == value => {}
            Some(old) => return Err(changed(id, key, old, value)),
        }
    }
    tx.insert("INSERT INTO params (run, key, value)", new, "").await
}

fn changed(run: &RunId, key: &str, old: &str, new: &str) -> TrackingError {
    let (run, key, old, new) = (run.clone(), key.to_owned(), old.to_owned(), new.to_owned());
    TrackingError::ParamChanged { run, key, old, new }
}

/// Upserts tags, the last of a key wins, and keeps the run's name equal to its tag.
pub(crate) async fn put_tags(tx: &mut Tx, run: i64, tags: &[(String, String)]) -> Result<(), TrackingError> {
    let last = rules::last_of(tags);
    let cut = |value: &str| rules::cut(value, MAX_RUN_TAG_VALUE).to_owned();
    let rows = last
        .iter()
        .map(|(key, value)| [run.into(), (*key).into(), cut(value).into()])
        .collect();
    tx.insert("INSERT INTO tags (run, key, value)", rows, UPSERT_TAG)
        .await?;
    if let Some(name) = last.get(RUN_NAME_TAG) {
        let sql = tx.sql("UPDATE runs SET name = $1 WHERE run = $2");
        tx.run(sql.bind(cut(name)).bind(run)).await?;
    }
    Ok(())
}
