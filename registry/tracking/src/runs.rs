use std::collections::BTreeMap;

use crate::database::{Row, Tx};
use crate::experiments::lifecycle;
use crate::sql::{Lock, Sql};
use crate::{
    ExperimentId, Lifecycle, NewRun, RUN_NAME_TAG, Run, RunId, RunInfo, RunStatus, RunUpdate, Tracking, TrackingError,
    batch, datasets, experiments, metrics, rules, run_names,
};

const COLUMNS: &str = "it.run, it.run_id, it.name, it.experiment, it.user_id, it.status, it.start_time, it.end_time,
    it.artifact_uri, it.lifecycle";

impl Tracking {
    /// Starts a run, with status `Running`.
    ///
    /// # Errors
    /// `NoExperiment`, `ExperimentLifecycle`, `Invalid` (also when name and tag `mlflow.runName` differ), `TooLong`,
    /// `Database`.
    pub async fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        new.tags.keys().try_for_each(|key| rules::check_tag_key("key", key))?;
        let name = name_of(new)?;
        let mut tx = self.writing().await?;
        let experiment = experiments::require(&mut tx, new.experiment_id, Lifecycle::Active, Lock::Share).await?;
        let id = RunId(random_id(&mut tx).await?);
        let name = name.unwrap_or_else(|| run_names::made_up(id.as_str()));
        let uri = format!("{}/{id}/artifacts", experiment.artifact_location.trim_end_matches('/'));
        let sql = "INSERT INTO runs (run_id, experiment, name, user_id, status, start_time, artifact_uri)
            VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING run";
        let sql = tx.sql(sql).bind(id.as_str()).bind(new.experiment_id.0).bind(&name);
        let sql = sql.bind(&new.user_id).bind(RunStatus::Running.as_str());
        let row = tx.first(sql.bind(new.start_time).bind(uri)).await?;
        let run = row.ok_or(sqlx::Error::RowNotFound)?.int(0)?;
        let mut tags: Vec<_> = new.tags.clone().into_iter().collect();
        tags.push((RUN_NAME_TAG.to_owned(), name));
        batch::put_tags(&mut tx, run, &tags).await?;
        let made = by_id(&mut tx, &id).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// The run with all that was logged to it, active or deleted.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn run(&self, id: &RunId) -> Result<Run, TrackingError> {
        by_id(&mut self.reading().await?, id).await
    }

    /// Changes status, end time or name of an active run.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `Database`.
    pub async fn update_run(&self, id: &RunId, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        let mut tx = self.writing().await?;
        let run = require(&mut tx, id, Lifecycle::Active).await?.key;
        let sql = "UPDATE runs SET status = coalesce($1, status), end_time = coalesce($2, end_time) WHERE run = $3";
        let status = update.status.map(RunStatus::as_str);
        tx.run(tx.sql(sql).bind(status).bind(update.end_time).bind(run)).await?;
        if let Some(name) = update.name.as_ref().filter(|it| !it.is_empty()) {
            batch::put_tags(&mut tx, run, &[(RUN_NAME_TAG.to_owned(), name.clone())]).await?;
        }
        let updated = row_of(&mut tx, id).await?.info;
        tx.commit().await?;
        Ok(updated)
    }

    /// Ends a run.
    ///
    /// # Errors
    /// As [`Tracking::update_run`].
    pub async fn finish_run(&self, id: &RunId, status: RunStatus, end_time: i64) -> Result<RunInfo, TrackingError> {
        let update = RunUpdate {
            status: Some(status),
            end_time: Some(end_time),
            name: None,
        };
        self.update_run(id, &update).await
    }

    /// Puts the run out of sight. Fine when it is already.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn delete_run(&self, id: &RunId) -> Result<(), TrackingError> {
        self.move_run(id, Lifecycle::Deleted).await
    }

    /// Brings the run back. Fine when it is there.
    ///
    /// # Errors
    /// `NoRun`, `Database`.
    pub async fn restore_run(&self, id: &RunId) -> Result<(), TrackingError> {
        self.move_run(id, Lifecycle::Active).await
    }

    async fn move_run(&self, id: &RunId, to: Lifecycle) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let sql = tx.sql("UPDATE runs SET lifecycle = $1 WHERE run_id = $2");
        if tx.run(sql.bind(to.as_str()).bind(id.as_str())).await? == 0 {
            return Err(TrackingError::NoRun { id: id.clone() });
        }
        tx.commit().await
    }
}

/// 32 hexadecimal digits that nobody had before.
pub(crate) async fn random_id(tx: &mut Tx) -> Result<String, TrackingError> {
    let sql = tx.sql(&format!("SELECT {}", tx.dialect().random_id()));
    let row = tx.first(sql).await?;
    row.ok_or(sqlx::Error::RowNotFound)?.text(0)
}

/// The name asked for, by argument or by tag.
fn name_of(new: &NewRun) -> Result<Option<String>, TrackingError> {
    let name = new.name.as_ref().filter(|it| !it.is_empty());
    let tag = new.tags.get(RUN_NAME_TAG).filter(|it| !it.is_empty());
    match (name, tag) {
        (Some(name), Some(tag)) if name != tag => {
            let reason = format!(
                "Both 'run_name' argument and '{RUN_NAME_TAG}' tag are specified, but with different values \
                 (run_name='{name}', {RUN_NAME_TAG}='{tag}')."
            );
            Err(TrackingError::invalid("run_name", name, reason))
        }
        (name, tag) => Ok(name
            .or(tag)
            .map(|it| rules::cut(it, rules::MAX_RUN_TAG_VALUE).to_owned())),
    }
}

/// A run's internal keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunKey {
    pub(crate) key: i64,
    pub(crate) experiment: i64,
}

/// The internal keys of a run that is about to be written to; fails unless the run is there and in this lifecycle. Others
/// wait until the transaction ends, so two writers of one run cannot lock each other out.
pub(crate) async fn require(tx: &mut Tx, id: &RunId, needed: Lifecycle) -> Result<RunKey, TrackingError> {
    let mut sql = tx
        .sql("SELECT run, experiment, lifecycle FROM runs WHERE run_id = $1")
        .bind(id.as_str());
    sql.push(tx.dialect().lock(Lock::Update));
    let row = tx.first(sql).await?;
    let row = row.ok_or_else(|| TrackingError::NoRun { id: id.clone() })?;
    if lifecycle(&row.text(2)?)? == needed {
        return Ok(RunKey {
            key: row.int(0)?,
            experiment: row.int(1)?,
        });
    }
    Err(TrackingError::RunLifecycle { id: id.clone(), needed })
}

/// The internal key of the run, active or deleted.
pub(crate) async fn key_of(tx: &mut Tx, id: &RunId) -> Result<i64, TrackingError> {
    let sql = tx.sql("SELECT run FROM runs WHERE run_id = $1").bind(id.as_str());
    let row = tx.first(sql).await?;
    row.ok_or_else(|| TrackingError::NoRun { id: id.clone() })?.int(0)
}

async fn row_of(tx: &mut Tx, id: &RunId) -> Result<RunRow, TrackingError> {
    let sql = format!("SELECT {COLUMNS} FROM runs it WHERE it.run_id = $1");
    let row = tx.first(tx.sql(&sql).bind(id.as_str())).await?;
    RunRow::of(&row.ok_or_else(|| TrackingError::NoRun { id: id.clone() })?)
}

async fn by_id(tx: &mut Tx, id: &RunId) -> Result<Run, TrackingError> {
    let row = row_of(tx, id).await?;
    let mut runs = with_contents(tx, vec![row]).await?;
    runs.pop().ok_or_else(|| TrackingError::NoRun { id: id.clone() })
}

/// The runs with these internal keys, in this order, with all that was logged to them.
pub(crate) async fn by_keys(tx: &mut Tx, keys: &[i64]) -> Result<Vec<Run>, TrackingError> {
    let sql = tx
        .sql(&format!("SELECT {COLUMNS} FROM runs it WHERE it.run"))
        .for_keys(keys);
    let rows = tx.all(sql).await?;
    let rows = rows.iter().map(RunRow::of).collect::<Result<Vec<_>, _>>()?;
    let mut of: BTreeMap<i64, RunRow> = rows.into_iter().map(|it| (it.key, it)).collect();
    let rows = keys.iter().filter_map(|key| of.remove(key)).collect();
    with_contents(tx, rows).await
}

/// Adds what was logged to the rows, with one question per kind for all.
async fn with_contents(tx: &mut Tx, rows: Vec<RunRow>) -> Result<Vec<Run>, TrackingError> {
    let keys: Vec<i64> = rows.iter().map(|it| it.key).collect();
    let mut metrics = metrics::latest_of(tx, &keys).await?;
    let params = tx.sql("SELECT run, key, value FROM params WHERE run").for_keys(&keys);
    let mut params = words_of(tx, params).await?;
    let tags = tx.sql("SELECT run, key, value FROM tags WHERE run").for_keys(&keys);
    let mut tags = words_of(tx, tags).await?;
    let mut datasets = datasets::inputs_of(tx, &keys).await?;
    let mut models = datasets::models_of(tx, &keys).await?;
    let fill = |RunRow { key, info }: RunRow| {
        let (model_inputs, model_outputs) = models.remove(&key).unwrap_or_default();
        Run {
            info,
            metrics: metrics.remove(&key).unwrap_or_default(),
            params: params.remove(&key).unwrap_or_default(),
            tags: tags.remove(&key).unwrap_or_default(),
            datasets: datasets.remove(&key).unwrap_or_default(),
            model_inputs,
            model_outputs,
        }
    };
    Ok(rows.into_iter().map(fill).collect())
}

/// Keys and values by the internal key in the first column.
pub(crate) async fn words_of(tx: &mut Tx, sql: Sql) -> Result<BTreeMap<i64, BTreeMap<String, String>>, TrackingError> {
    let mut of: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for row in tx.all(sql).await? {
        of.entry(row.int(0)?).or_default().insert(row.text(1)?, row.text(2)?);
    }
    Ok(of)
}

struct RunRow {
    key: i64,
    info: RunInfo,
}

impl RunRow {
    fn of(row: &Row) -> Result<Self, TrackingError> {
        let status = row.text(5)?;
        let unknown = || TrackingError::Corrupt {
            column: "status",
            value: status.clone(),
        };
        let info = RunInfo {
            run_id: RunId(row.text(1)?),
            name: row.text(2)?,
            experiment_id: ExperimentId(row.int(3)?),
            user_id: row.text(4)?,
            status: RunStatus::from_word(&status).ok_or_else(unknown)?,
            start_time: row.int(6)?,
            end_time: row.maybe_int(7)?,
            artifact_uri: row.text(8)?,
            lifecycle: lifecycle(&row.text(9)?)?,
        };
        Ok(Self { key: row.int(0)?, info })
    }
}
