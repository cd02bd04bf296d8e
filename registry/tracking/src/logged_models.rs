use std::collections::BTreeMap;

use crate::database::{Row, Tx};
use crate::experiments::lifecycle;
use crate::metrics::{Stored, metric_at};
use crate::sql::{Arg, Lock};
use crate::{
    ExperimentId, Lifecycle, LoggedMetric, LoggedModel, MeasuredOn, ModelId, ModelMetric, ModelStatus, NewLoggedModel,
    RunId, TagOwner, Tracking, TrackingError, experiments, model_record, rules, run_names, runs,
};

const COLUMNS: &str = "it.model, it.model_id, it.experiment, it.name, it.model_type, it.source_run_id, it.status,
    it.creation_time, it.last_update_time, it.artifact_uri, it.lifecycle";

impl Tracking {
    /// Makes a logged model, with status `Pending`.
    ///
    /// # Errors
    /// `Invalid`, `NoExperiment`, `ExperimentLifecycle`, `Database`.
    pub async fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel, TrackingError> {
        new.name
            .as_deref()
            .map_or(Ok(()), model_record::check_logged_model_name)?;
        let mut tx = self.writing().await?;
        let experiment = experiments::require(&mut tx, new.experiment_id, Lifecycle::Active, Lock::Share).await?;
        let random = runs::random_id(&mut tx).await?;
        let id = ModelId(format!("m-{random}"));
        let name = new.name.clone().unwrap_or_else(|| run_names::made_up(&random));
        let uri = format!(
            "{}/models/{id}/artifacts",
            experiment.artifact_location.trim_end_matches('/')
        );
        let sql = "INSERT INTO logged_models (model_id, experiment, name, model_type, source_run_id, status,
            creation_time, last_update_time, artifact_uri)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING model";
        let sql = tx.sql(sql).bind(id.as_str()).bind(new.experiment_id.0).bind(name);
        let sql = sql.bind(new.model_type.as_deref()).bind(new.source_run_id.as_deref());
        let sql = sql.bind(ModelStatus::Pending.as_str()).bind(new.time).bind(new.time);
        let row = tx.first(sql.bind(uri)).await?;
        let model = row.ok_or(sqlx::Error::RowNotFound)?.int(0)?;
        put_words(&mut tx, "model_params", model, &new.params).await?;
        put_words(&mut tx, "model_tags", model, &new.tags).await?;
        let made = by_id(&mut tx, &id).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// The logged model; a deleted one too when asked for.
    ///
    /// # Errors
    /// `NoModel`, `Database`.
    pub async fn logged_model(&self, id: &ModelId, deleted_too: bool) -> Result<LoggedModel, TrackingError> {
        let found = by_id(&mut self.reading().await?, id).await?;
        if deleted_too || found.lifecycle == Lifecycle::Active {
            return Ok(found);
        }
        Err(TrackingError::NoModel { id: id.clone() })
    }

    /// Says whether the files of the model are there.
    ///
    /// # Errors
    /// `NoModel`, `Database`.
    pub async fn finalize_logged_model(
        &self,
        id: &ModelId,
        status: ModelStatus,
        time: i64,
    ) -> Result<LoggedModel, TrackingError> {
        let mut tx = self.writing().await?;
        let model = require(&mut tx, id).await?;
        let sql = tx.sql("UPDATE logged_models SET status = $1, last_update_time = $2 WHERE model = $3");
        tx.run(sql.bind(status.as_str()).bind(time).bind(model)).await?;
        let changed = by_id(&mut tx, id).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Puts the model out of sight. Its files stay. Fine when it is already.
    ///
    /// # Errors
    /// `NoModel`, `Database`.
    pub async fn delete_logged_model(&self, id: &ModelId, time: i64) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let model = require(&mut tx, id).await?;
        let sql = tx.sql("UPDATE logged_models SET lifecycle = $1, last_update_time = $2 WHERE model = $3");
        tx.run(sql.bind(Lifecycle::Deleted.as_str()).bind(time).bind(model))
            .await?;
        tx.commit().await
    }

    /// Sets tags; the last value of a key stays.
    ///
    /// # Errors
    /// `NoModel`, `Database`.
    pub async fn set_logged_model_tags(&self, id: &ModelId, tags: &[(String, String)]) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let model = require(&mut tx, id).await?;
        put_words(&mut tx, "model_tags", model, tags).await?;
        tx.commit().await
    }

    /// Deletes a tag.
    ///
    /// # Errors
    /// `NoModel`, `NoTag`, `Database`.
    pub async fn delete_logged_model_tag(&self, id: &ModelId, key: &str) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let model = require(&mut tx, id).await?;
        let sql = tx.sql("DELETE FROM model_tags WHERE model = $1 AND key = $2");
        if tx.run(sql.bind(model).bind(key)).await? == 0 {
            let of = TagOwner::Model(id.clone());
            return Err(TrackingError::NoTag {
                of,
                key: key.to_owned(),
            });
        }
        tx.commit().await
    }

    /// Adds settings; the last value of a key stays.
    ///
    /// # Errors
    /// `NoModel`, `Database`.
    pub async fn log_logged_model_params(
        &self,
        id: &ModelId,
        params: &[(String, String)],
    ) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let model = require(&mut tx, id).await?;
        put_words(&mut tx, "model_params", model, params).await?;
        tx.commit().await
    }
}

async fn put_words(tx: &mut Tx, table: &str, model: i64, words: &[(String, String)]) -> Result<(), TrackingError> {
    let words = rules::last_of(words);
    let rows = words
        .iter()
        .map(|(key, value)| [model.into(), (*key).into(), (*value).into()])
        .collect::<Vec<[Arg; 3]>>();
    let insert = format!("INSERT INTO {table} (model, key, value)");
    let upsert = " ON CONFLICT (model, key) DO UPDATE SET value = excluded.value";
    tx.insert(&insert, rows, upsert).await
}

/// Adds values of logged models, measured in a run. What is there already stays.
pub(crate) async fn put_metrics(tx: &mut Tx, run: &RunId, metrics: &[ModelMetric]) -> Result<(), TrackingError> {
    let mut keys: BTreeMap<&ModelId, i64> = BTreeMap::new();
    for metric in metrics {
        keys.insert(&metric.model_id, 0);
    }
    // In the order of ids, so that two writers cannot lock each other out.
    for (id, key) in &mut keys {
        *key = require(tx, id).await?;
    }
    let row = |it: &ModelMetric| -> [Arg; 9] {
        let metric = Stored::of(&it.metric);
        let name = it.dataset.as_ref().map_or("", |it| it.name.as_str());
        let digest = it.dataset.as_ref().and_then(|it| it.digest.as_deref()).unwrap_or("");
        [
            keys[&it.model_id].into(),
            metric.key.into(),
            metric.time.into(),
            metric.step.into(),
            run.as_str().into(),
            metric.value.into(),
            metric.is_nan.into(),
            name.into(),
            digest.into(),
        ]
    };
    let insert = "INSERT INTO model_metrics
        (model, key, time, step, run_id, value, is_nan, dataset_name, dataset_digest)";
    tx.insert(insert, metrics.iter().map(row).collect(), " ON CONFLICT DO NOTHING")
        .await
}

/// The internal key of a model that is about to be written to, active or deleted.
async fn require(tx: &mut Tx, id: &ModelId) -> Result<i64, TrackingError> {
    let mut sql = tx
        .sql("SELECT model FROM logged_models WHERE model_id = $1")
        .bind(id.as_str());
    sql.push(tx.dialect().lock(Lock::Update));
    let row = tx.first(sql).await?;
    row.ok_or_else(|| TrackingError::NoModel { id: id.clone() })?.int(0)
}

async fn by_id(tx: &mut Tx, id: &ModelId) -> Result<LoggedModel, TrackingError> {
    let sql = tx
        .sql("SELECT model FROM logged_models WHERE model_id = $1")
        .bind(id.as_str());
    let missing = || TrackingError::NoModel { id: id.clone() };
    let key = tx.first(sql).await?.ok_or_else(missing)?.int(0)?;
    by_keys(tx, &[key]).await?.pop().ok_or_else(missing)
}

/// The models with these internal keys, in this order, with all that is known of them.
pub(crate) async fn by_keys(tx: &mut Tx, keys: &[i64]) -> Result<Vec<LoggedModel>, TrackingError> {
    let params = tx
        .sql("SELECT model, key, value FROM model_params WHERE model")
        .for_keys(keys);
    let mut params = runs::words_of(tx, params).await?;
    let tags = tx
        .sql("SELECT model, key, value FROM model_tags WHERE model")
        .for_keys(keys);
    let mut tags = runs::words_of(tx, tags).await?;
    let mut metrics = metrics_of(tx, keys).await?;
    let sql = tx.sql(&format!("SELECT {COLUMNS} FROM logged_models it WHERE it.model"));
    let mut of = BTreeMap::new();
    for row in tx.all(sql.for_keys(keys)).await? {
        let key = row.int(0)?;
        let bare = bare_model(&row)?;
        of.insert(
            key,
            LoggedModel {
                params: params.remove(&key).unwrap_or_default(),
                tags: tags.remove(&key).unwrap_or_default(),
                metrics: metrics.remove(&key).unwrap_or_default(),
                ..bare
            },
        );
    }
    Ok(keys.iter().filter_map(|key| of.remove(key)).collect())
}

/// The model without what was logged to it.
fn bare_model(row: &Row) -> Result<LoggedModel, TrackingError> {
    let status = row.text(6)?;
    let unknown = || TrackingError::Corrupt {
        column: "status",
        value: status.clone(),
    };
    Ok(LoggedModel {
        id: ModelId(row.text(1)?),
        experiment_id: ExperimentId(row.int(2)?),
        name: row.text(3)?,
        model_type: row.maybe_text(4)?,
        source_run_id: row.maybe_text(5)?,
        status: ModelStatus::from_word(&status).ok_or_else(unknown)?,
        creation_time: row.int(7)?,
        last_update_time: row.int(8)?,
        artifact_uri: row.text(9)?,
        lifecycle: lifecycle(&row.text(10)?)?,
        params: BTreeMap::new(),
        tags: BTreeMap::new(),
        metrics: Vec::new(),
    })
}

async fn metrics_of(tx: &mut Tx, keys: &[i64]) -> Result<BTreeMap<i64, Vec<LoggedMetric>>, TrackingError> {
    let sql = "SELECT m.model, m.key, m.value, m.is_nan, m.time, m.step, m.run_id, m.dataset_name, m.dataset_digest,
        it.model_id FROM model_metrics m JOIN logged_models it ON it.model = m.model WHERE m.model";
    let mut sql = tx.sql(sql).for_keys(keys);
    sql.push(" ORDER BY m.model, m.key, m.time, m.step, m.run_id");
    let mut of: BTreeMap<i64, Vec<LoggedMetric>> = BTreeMap::new();
    for row in tx.all(sql).await? {
        let given = |text: String| Some(text).filter(|it| !it.is_empty());
        let digest = given(row.text(8)?);
        let metric = ModelMetric {
            model_id: ModelId(row.text(9)?),
            dataset: given(row.text(7)?).map(|name| MeasuredOn { name, digest }),
            metric: metric_at(&row, 1)?,
        };
        let run_id = RunId(row.text(6)?);
        of.entry(row.int(0)?)
            .or_default()
            .push(LoggedMetric { run_id, of: metric });
    }
    Ok(of)
}
