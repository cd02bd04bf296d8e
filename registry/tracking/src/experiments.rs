use std::collections::BTreeMap;

use sqlx::{FromRow, Row, SqliteConnection, sqlite::SqliteRow};

use crate::{Experiment, ExperimentId, Lifecycle, NewExperiment, Tracking, TrackingError, rules};

pub(crate) const COLUMNS: &str =
    "it.experiment, it.name, it.artifact_location, it.lifecycle, it.creation_time, it.last_update_time";

impl Tracking {
    /// Makes an experiment.
    ///
    /// # Errors
    /// `Invalid`; `ExperimentExists`, also when the one of that name is deleted; `Database`.
    pub async fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        rules::check_experiment(&new.name, &new.tags)?;
        let mut tx = self.writing().await?;
        let id = insert(&mut tx, new).await?;
        let experiment = by_id(&mut tx, id).await?;
        tx.commit().await?;
        Ok(experiment)
    }

    /// The active experiment of this name, made at `time` if there is none.
    ///
    /// # Errors
    /// `Invalid`; `ExperimentExists` when the one of that name is deleted; `Database`.
    pub async fn experiment_or_create(&self, name: &str, time: i64) -> Result<Experiment, TrackingError> {
        let active = |it: &Experiment| it.lifecycle == Lifecycle::Active;
        if let Some(found) = self.experiment_by_name(name).await?.filter(active) {
            return Ok(found);
        }
        let new = NewExperiment {
            name: name.to_owned(),
            time,
            ..NewExperiment::default()
        };
        match self.create_experiment(&new).await {
            Err(TrackingError::ExperimentExists { name }) => {
                let found = self.experiment_by_name(&name).await?.filter(active);
                found.ok_or(TrackingError::ExperimentExists { name })
            }
            made => made,
        }
    }

    /// The experiment, active or deleted.
    ///
    /// # Errors
    /// `NoExperiment`, `Database`.
    pub async fn experiment(&self, id: ExperimentId) -> Result<Experiment, TrackingError> {
        by_id(&mut *self.reading().await?, id).await
    }

    /// The experiment of this name, active or deleted.
    ///
    /// # Errors
    /// `Database`.
    pub async fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        let mut tx = self.reading().await?;
        let id: Option<i64> = sqlx::query_scalar("SELECT experiment FROM experiments WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
        match id {
            Some(id) => by_id(&mut tx, ExperimentId(id)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sets a tag of an active experiment; the last value stays.
    ///
    /// # Errors
    /// `Invalid`, `NoExperiment`, `ExperimentLifecycle`, `Database`.
    pub async fn set_experiment_tag(&self, id: ExperimentId, key: &str, value: &str) -> Result<(), TrackingError> {
        rules::check_experiment("any", &BTreeMap::from([(key.to_owned(), value.to_owned())]))?;
        let mut tx = self.writing().await?;
        require(&mut tx, id, Lifecycle::Active).await?;
        put_tag(&mut tx, id, key, value).await?;
        Ok(tx.commit().await?)
    }

    /// Puts the experiment and its runs out of sight.
    ///
    /// # Errors
    /// `NoExperiment`, `ExperimentLifecycle`, `Database`.
    pub async fn delete_experiment(&self, id: ExperimentId, time: i64) -> Result<(), TrackingError> {
        self.move_experiment(id, Lifecycle::Active, Lifecycle::Deleted, time)
            .await
    }

    /// Brings the experiment and its runs back.
    ///
    /// # Errors
    /// `NoExperiment`, `ExperimentLifecycle`, `Database`.
    pub async fn restore_experiment(&self, id: ExperimentId, time: i64) -> Result<(), TrackingError> {
        self.move_experiment(id, Lifecycle::Deleted, Lifecycle::Active, time)
            .await
    }

    async fn move_experiment(
        &self,
        id: ExperimentId,
        from: Lifecycle,
        to: Lifecycle,
        time: i64,
    ) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        require(&mut tx, id, from).await?;
        let moved = "UPDATE experiments SET lifecycle = ?, last_update_time = ? WHERE experiment = ?";
        sqlx::query(moved)
            .bind(to.as_str())
            .bind(time)
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        let runs = "UPDATE runs SET lifecycle = ? WHERE experiment = ?";
        sqlx::query(runs).bind(to.as_str()).bind(id.0).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Fails unless the experiment is there and in this lifecycle.
pub(crate) async fn require(
    tx: &mut SqliteConnection,
    id: ExperimentId,
    needed: Lifecycle,
) -> Result<Experiment, TrackingError> {
    let found = by_id(tx, id).await?;
    if found.lifecycle == needed {
        return Ok(found);
    }
    Err(TrackingError::ExperimentLifecycle { id, needed })
}

async fn insert(tx: &mut SqliteConnection, new: &NewExperiment) -> Result<ExperimentId, TrackingError> {
    let sql = "INSERT INTO experiments (name, artifact_location, creation_time, last_update_time)
        VALUES (?, ?, ?, ?) RETURNING experiment";
    let location = new.artifact_location.as_deref().filter(|it| !it.is_empty());
    let bound = sqlx::query_scalar(sql)
        .bind(&new.name)
        .bind(location.unwrap_or(""))
        .bind(new.time)
        .bind(new.time);
    let inserted: Result<i64, sqlx::Error> = bound.fetch_one(&mut *tx).await;
    let id = inserted.map_err(|error| match error.as_database_error() {
        Some(it) if it.is_unique_violation() => TrackingError::ExperimentExists { name: new.name.clone() },
        _ => TrackingError::from(error),
    })?;
    if location.is_none() {
        let sql = "UPDATE experiments SET artifact_location = 'mlflow-artifacts:/' || experiment WHERE experiment = ?";
        sqlx::query(sql).bind(id).execute(&mut *tx).await?;
    }
    for (key, value) in &new.tags {
        put_tag(tx, ExperimentId(id), key, value).await?;
    }
    Ok(ExperimentId(id))
}

async fn put_tag(tx: &mut SqliteConnection, id: ExperimentId, key: &str, value: &str) -> Result<(), TrackingError> {
    let sql = "INSERT INTO experiment_tags (experiment, key, value) VALUES (?, ?, ?)
        ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(id.0).bind(key).bind(value).execute(tx).await?;
    Ok(())
}

async fn by_id(tx: &mut SqliteConnection, id: ExperimentId) -> Result<Experiment, TrackingError> {
    let sql = "SELECT it.experiment, it.name, it.artifact_location, it.lifecycle, it.creation_time, it.last_update_time
        FROM experiments it WHERE it.experiment = ?";
    let row: Option<ExperimentRow> = sqlx::query_as(sql).bind(id.0).fetch_optional(&mut *tx).await?;
    let row = row.ok_or(TrackingError::NoExperiment { id })?;
    let mut experiments = with_tags(tx, vec![row]).await?;
    experiments.pop().ok_or(TrackingError::NoExperiment { id })
}

/// Adds the tags to the rows, with one question for all.
pub(crate) async fn with_tags(
    tx: &mut SqliteConnection,
    rows: Vec<ExperimentRow>,
) -> Result<Vec<Experiment>, TrackingError> {
    let sql = "SELECT experiment, key, value FROM experiment_tags
        WHERE experiment IN (SELECT value FROM json_each(?))";
    let keys = json_list(rows.iter().map(|it| it.experiment));
    let tags: Vec<(i64, String, String)> = sqlx::query_as(sql).bind(keys).fetch_all(tx).await?;
    let mut of: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    for (experiment, key, value) in tags {
        of.entry(experiment).or_default().insert(key, value);
    }
    rows.into_iter().map(|row| row.with_tags(&mut of)).collect()
}

/// A list of any length as one bound value.
pub(crate) fn json_list(keys: impl Iterator<Item = i64>) -> String {
    let keys: Vec<String> = keys.map(|it| it.to_string()).collect();
    format!("[{}]", keys.join(","))
}

pub(crate) struct ExperimentRow {
    experiment: i64,
    name: String,
    artifact_location: String,
    lifecycle: String,
    creation_time: i64,
    last_update_time: i64,
}

impl<'r> FromRow<'r, SqliteRow> for ExperimentRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            experiment: row.try_get(0)?,
            name: row.try_get(1)?,
            artifact_location: row.try_get(2)?,
            lifecycle: row.try_get(3)?,
            creation_time: row.try_get(4)?,
            last_update_time: row.try_get(5)?,
        })
    }
}

impl ExperimentRow {
    fn with_tags(self, of: &mut BTreeMap<i64, BTreeMap<String, String>>) -> Result<Experiment, TrackingError> {
        Ok(Experiment {
            id: ExperimentId(self.experiment),
            lifecycle: lifecycle(&self.lifecycle)?,
            name: self.name,
            artifact_location: self.artifact_location,
            creation_time: self.creation_time,
            last_update_time: self.last_update_time,
            tags: of.remove(&self.experiment).unwrap_or_default(),
        })
    }
}

pub(crate) fn lifecycle(word: &str) -> Result<Lifecycle, TrackingError> {
    let error = || TrackingError::Corrupt {
        column: "lifecycle",
        value: word.to_owned(),
    };
    Lifecycle::from_word(word).ok_or_else(error)
}
