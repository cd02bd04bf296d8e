use std::collections::BTreeMap;

use sqlx::{FromRow, Row, SqliteConnection, sqlite::SqliteRow};

use crate::experiments::{self, json_list, lifecycle};
use crate::{
    ExperimentId, Lifecycle, Metric, NewRun, RUN_NAME_TAG, Run, RunId, RunInfo, RunStatus, RunUpdate, Tracking,
    TrackingError, batch, metrics, rules, run_names,
};

pub(crate) const COLUMNS: &str = "it.run, it.run_id, it.name, it.experiment, it.user_id, it.status, it.start_time,
    it.end_time, it.artifact_uri, it.lifecycle";

impl Tracking {
    /// Starts a run, with status `Running`.
    ///
    /// # Errors
    /// `NoExperiment`, `ExperimentLifecycle`, `Invalid` (also when name and tag `mlflow.runName` differ), `Database`.
    pub async fn create_run(&self, new: &NewRun) -> Result<Run, TrackingError> {
        new.tags.keys().try_for_each(|key| rules::check_key("tag", key))?;
        let name = name_of(new)?;
        let mut tx = self.writing().await?;
        let experiment = experiments::require(&mut tx, new.experiment_id, Lifecycle::Active).await?;
        let id = RunId(
            sqlx::query_scalar("SELECT lower(hex(randomblob(16)))")
                .fetch_one(&mut *tx)
                .await?,
        );
        let name = name.unwrap_or_else(|| run_names::made_up(id.as_str()));
        let uri = format!("{}/{id}/artifacts", experiment.artifact_location.trim_end_matches('/'));
        let sql = "INSERT INTO runs (run_id, experiment, name, user_id, status, start_time, artifact_uri)
            VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING run";
        let row = sqlx::query_scalar(sql)
            .bind(id.as_str())
            .bind(new.experiment_id.0)
            .bind(&name)
            .bind(&new.user_id);
        let row = row.bind(RunStatus::Running.as_str()).bind(new.start_time).bind(uri);
        let run: i64 = row.fetch_one(&mut *tx).await?;
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
        by_id(&mut *self.reading().await?, id).await
    }

    /// Changes status, end time or name of an active run.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `Database`.
    pub async fn update_run(&self, id: &RunId, update: &RunUpdate) -> Result<RunInfo, TrackingError> {
        let mut tx = self.writing().await?;
        let run = require(&mut tx, id, Lifecycle::Active).await?;
        let sql = "UPDATE runs SET status = coalesce(?, status), end_time = coalesce(?, end_time) WHERE run = ?";
        let status = update.status.map(RunStatus::as_str);
        sqlx::query(sql)
            .bind(status)
            .bind(update.end_time)
            .bind(run)
            .execute(&mut *tx)
            .await?;
        if let Some(name) = update.name.as_ref().filter(|it| !it.is_empty()) {
            batch::put_tags(&mut tx, run, &[(RUN_NAME_TAG.to_owned(), name.clone())]).await?;
        }
        let updated = by_id(&mut tx, id).await?;
        tx.commit().await?;
        Ok(updated.info)
    }

    /// Ends a run.
    ///
    /// # Errors
    /// As [`Tracking::update_run`].
    pub async fn finish_run(&self, id: &RunId, status: RunStatus, end_time: i64) -> Result<RunInfo, TrackingError> {
        self.update_run(
            id,
            &RunUpdate {
                status: Some(status),
                end_time: Some(end_time),
                name: None,
            },
        )
        .await
    }

    /// Puts the run out of sight.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `Database`.
    pub async fn delete_run(&self, id: &RunId) -> Result<(), TrackingError> {
        self.move_run(id, Lifecycle::Active, Lifecycle::Deleted).await
    }

    /// Brings the run back.
    ///
    /// # Errors
    /// `NoRun`, `RunLifecycle`, `Database`.
    pub async fn restore_run(&self, id: &RunId) -> Result<(), TrackingError> {
        self.move_run(id, Lifecycle::Deleted, Lifecycle::Active).await
    }

    async fn move_run(&self, id: &RunId, from: Lifecycle, to: Lifecycle) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        let run = require(&mut tx, id, from).await?;
        let sql = "UPDATE runs SET lifecycle = ? WHERE run = ?";
        sqlx::query(sql).bind(to.as_str()).bind(run).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

/// The name asked for, by argument or by tag.
fn name_of(new: &NewRun) -> Result<Option<String>, TrackingError> {
    let name = new.name.as_ref().filter(|it| !it.is_empty());
    let tag = new.tags.get(RUN_NAME_TAG).filter(|it| !it.is_empty());
    match (name, tag) {
        (Some(name), Some(tag)) if name != tag => {
            let reason = format!("the tag `{RUN_NAME_TAG}` says `{tag}`; give one of them or the same to both");
            Err(TrackingError::invalid("run_name", name, reason))
        }
        (name, tag) => Ok(name
            .or(tag)
            .map(|it| rules::cut(it, rules::MAX_RUN_TAG_VALUE).to_owned())),
    }
}

/// The internal key of the run; fails unless the run is there and in this lifecycle.
pub(crate) async fn require(tx: &mut SqliteConnection, id: &RunId, needed: Lifecycle) -> Result<i64, TrackingError> {
    let sql = "SELECT run, lifecycle FROM runs WHERE run_id = ?";
    let found: Option<(i64, String)> = sqlx::query_as(sql).bind(id.as_str()).fetch_optional(tx).await?;
    let (run, word) = found.ok_or_else(|| TrackingError::NoRun { id: id.clone() })?;
    if lifecycle(&word)? == needed {
        return Ok(run);
    }
    Err(TrackingError::RunLifecycle { id: id.clone(), needed })
}

async fn by_id(tx: &mut SqliteConnection, id: &RunId) -> Result<Run, TrackingError> {
    let sql = "SELECT it.run, it.run_id, it.name, it.experiment, it.user_id, it.status, it.start_time,
        it.end_time, it.artifact_uri, it.lifecycle FROM runs it WHERE it.run_id = ?";
    let row: Option<RunRow> = sqlx::query_as(sql).bind(id.as_str()).fetch_optional(&mut *tx).await?;
    let missing = || TrackingError::NoRun { id: id.clone() };
    let mut runs = with_contents(tx, vec![row.ok_or_else(missing)?]).await?;
    runs.pop().ok_or_else(missing)
}

/// Adds metrics, parameters and tags to the rows, with one question per kind for all.
pub(crate) async fn with_contents(tx: &mut SqliteConnection, rows: Vec<RunRow>) -> Result<Vec<Run>, TrackingError> {
    let keys = json_list(rows.iter().map(|it| it.run));
    let mut metrics = metrics::latest_of(tx, &keys).await?;
    let params = "SELECT run, key, value FROM params WHERE run IN (SELECT value FROM json_each(?))";
    let mut params = words_of(tx, params, &keys).await?;
    let tags = "SELECT run, key, value FROM tags WHERE run IN (SELECT value FROM json_each(?))";
    let mut tags = words_of(tx, tags, &keys).await?;
    let fill = |row: RunRow| {
        Ok(Run {
            metrics: metrics.remove(&row.run).unwrap_or_default(),
            params: params.remove(&row.run).unwrap_or_default(),
            tags: tags.remove(&row.run).unwrap_or_default(),
            info: row.info()?,
        })
    };
    rows.into_iter().map(fill).collect()
}

async fn words_of(
    tx: &mut SqliteConnection,
    sql: &'static str,
    keys: &str,
) -> Result<BTreeMap<i64, BTreeMap<String, String>>, TrackingError> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(sql).bind(keys).fetch_all(tx).await?;
    let mut of: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for (run, key, value) in rows {
        of.entry(run).or_default().insert(key, value);
    }
    Ok(of)
}

pub(crate) struct RunRow {
    run: i64,
    run_id: String,
    name: String,
    experiment: i64,
    user_id: String,
    status: String,
    start_time: i64,
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle: String,
}

impl<'r> FromRow<'r, SqliteRow> for RunRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run: row.try_get(0)?,
            run_id: row.try_get(1)?,
            name: row.try_get(2)?,
            experiment: row.try_get(3)?,
            user_id: row.try_get(4)?,
            status: row.try_get(5)?,
            start_time: row.try_get(6)?,
            end_time: row.try_get(7)?,
            artifact_uri: row.try_get(8)?,
            lifecycle: row.try_get(9)?,
        })
    }
}

impl RunRow {
    fn info(self) -> Result<RunInfo, TrackingError> {
        let status = RunStatus::from_word(&self.status);
        let unknown = || TrackingError::Corrupt {
            column: "status",
            value: self.status.clone(),
        };
        Ok(RunInfo {
            status: status.ok_or_else(unknown)?,
            lifecycle: lifecycle(&self.lifecycle)?,
            run_id: RunId(self.run_id),
            name: self.name,
            experiment_id: ExperimentId(self.experiment),
            user_id: self.user_id,
            start_time: self.start_time,
            end_time: self.end_time,
            artifact_uri: self.artifact_uri,
        })
    }
}

/// Metrics by the internal key of their run.
pub(crate) type MetricsOf = BTreeMap<i64, Vec<Metric>>;
