use std::collections::BTreeMap;

use crate::database::{Row, Tx};
use crate::sql::Lock;
use crate::{Experiment, ExperimentId, Lifecycle, NewExperiment, TagOwner, Tracking, TrackingError, rules, runs};

const COLUMNS: &str =
    "it.experiment, it.name, it.artifact_location, it.lifecycle, it.creation_time, it.last_update_time";

impl Tracking {
    /// Makes an experiment.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`; `ExperimentExists`, also when the one of that name is deleted; `Database`.
    pub async fn create_experiment(&self, new: &NewExperiment) -> Result<Experiment, TrackingError> {
        rules::check_experiment_name("name", &new.name)?;
        let mut tags = new.tags.iter();
        tags.try_for_each(|(key, value)| rules::check_experiment_tag(key, value))?;
        let mut tx = self.writing().await?;
        let id = insert(&mut tx, new).await?;
        let experiment = by_id(&mut tx, id, Lock::Open).await?;
        tx.commit().await?;
        Ok(experiment)
    }

    /// The active experiment of this name, made at `time` if there is none.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`; `ExperimentExists` when the one of that name is deleted; `Database`.
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
        by_id(&mut self.reading().await?, id, Lock::Open).await
    }

    /// The experiment of this name, active or deleted.
    ///
    /// # Errors
    /// `Database`.
    pub async fn experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        let mut tx = self.reading().await?;
        let sql = tx.sql("SELECT experiment FROM experiments WHERE name = $1").bind(name);
        match tx.first(sql).await? {
            Some(row) => by_id(&mut tx, ExperimentId(row.int(0)?), Lock::Open).await.map(Some),
            None => Ok(None),
        }
    }

    /// Renames an active experiment; its own name is fine.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`, `NoExperiment`, `ExperimentLifecycle`, `ExperimentExists`, `Database`.
    pub async fn rename_experiment(&self, id: ExperimentId, name: &str, time: i64) -> Result<(), TrackingError> {
        rules::check_experiment_name("new_name", name)?;
        let mut tx = self.writing().await?;
        require(&mut tx, id, Lifecycle::Active, Lock::Update).await?;
        let sql = "UPDATE experiments SET name = $1, last_update_time = $2 WHERE experiment = $3";
        let renamed = tx.run(tx.sql(sql).bind(name).bind(time).bind(id.0)).await;
        renamed.map_err(|error| name_taken(error, name))?;
        tx.commit().await
    }

    /// Sets a tag of an active experiment; the last value stays.
    ///
    /// # Errors
    /// `Invalid`, `TooLong`, `NoExperiment`, `ExperimentLifecycle`, `Database`.
    pub async fn set_experiment_tag(&self, id: ExperimentId, key: &str, value: &str) -> Result<(), TrackingError> {
        rules::check_experiment_tag(key, value)?;
        let mut tx = self.writing().await?;
        require(&mut tx, id, Lifecycle::Active, Lock::Share).await?;
        put_tag(&mut tx, id, key, value).await?;
        tx.commit().await
    }

    /// Deletes a tag of an active experiment.
    ///
    /// # Errors
    /// `NoExperiment`, `ExperimentLifecycle`, `NoTag`, `Database`.
    pub async fn delete_experiment_tag(&self, id: ExperimentId, key: &str) -> Result<(), TrackingError> {
        let mut tx = self.writing().await?;
        require(&mut tx, id, Lifecycle::Active, Lock::Share).await?;
        let sql = tx.sql("DELETE FROM experiment_tags WHERE experiment = $1 AND key = $2");
        if tx.run(sql.bind(id.0).bind(key)).await? == 0 {
            let of = TagOwner::Experiment(id);
            return Err(TrackingError::NoTag {
                of,
                key: key.to_owned(),
            });
        }
        tx.commit().await
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
        require(&mut tx, id, from, Lock::Update).await?;
        let moved = tx.sql("UPDATE experiments SET lifecycle = $1, last_update_time = $2 WHERE experiment = $3");
        tx.run(moved.bind(to.as_str()).bind(time).bind(id.0)).await?;
        let runs = tx.sql("UPDATE runs SET lifecycle = $1 WHERE experiment = $2");
        tx.run(runs.bind(to.as_str()).bind(id.0)).await?;
        tx.commit().await
    }
}

/// Fails unless the experiment is there and in this lifecycle.
pub(crate) async fn require(
    tx: &mut Tx,
    id: ExperimentId,
    needed: Lifecycle,
    lock: Lock,
) -> Result<Experiment, TrackingError> {
    let found = by_id(tx, id, lock).await?;
    if found.lifecycle == needed {
        return Ok(found);
    }
    Err(TrackingError::ExperimentLifecycle { id, needed })
}

async fn insert(tx: &mut Tx, new: &NewExperiment) -> Result<ExperimentId, TrackingError> {
    let sql = "INSERT INTO experiments (name, artifact_location, creation_time, last_update_time)
        VALUES ($1, $2, $3, $4) RETURNING experiment";
    let location = new.artifact_location.as_deref().filter(|it| !it.is_empty());
    let sql = tx.sql(sql).bind(&new.name).bind(location.unwrap_or(""));
    let row = tx.first(sql.bind(new.time).bind(new.time)).await;
    let row = row.map_err(|error| name_taken(error, &new.name))?;
    let id = row.ok_or(sqlx::Error::RowNotFound)?.int(0)?;
    if location.is_none() {
        let sql = "UPDATE experiments SET artifact_location = $1 WHERE experiment = $2";
        tx.run(tx.sql(sql).bind(format!("mlflow-artifacts:/{id}")).bind(id))
            .await?;
    }
    for (key, value) in &new.tags {
        put_tag(tx, ExperimentId(id), key, value).await?;
    }
    Ok(ExperimentId(id))
}

fn name_taken(error: TrackingError, name: &str) -> TrackingError {
    match error {
        TrackingError::Database(sqlx::Error::Database(it)) if it.is_unique_violation() => {
            TrackingError::ExperimentExists { name: name.to_owned() }
        }
        error => error,
    }
}

async fn put_tag(tx: &mut Tx, id: ExperimentId, key: &str, value: &str) -> Result<(), TrackingError> {
    let sql = "INSERT INTO experiment_tags (experiment, key, value) VALUES ($1, $2, $3)
        ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value";
    tx.run(tx.sql(sql).bind(id.0).bind(key).bind(value)).await?;
    Ok(())
}

async fn by_id(tx: &mut Tx, id: ExperimentId, lock: Lock) -> Result<Experiment, TrackingError> {
    let mut sql = tx.sql(&format!(
        "SELECT {COLUMNS} FROM experiments it WHERE it.experiment = $1"
    ));
    sql.push(tx.dialect().lock(lock));
    let rows = tx.all(sql.bind(id.0)).await?;
    let mut experiments = with_tags(tx, &rows).await?;
    experiments.pop().ok_or(TrackingError::NoExperiment { id })
}

/// The experiments with these ids, in this order.
pub(crate) async fn by_keys(tx: &mut Tx, keys: &[i64]) -> Result<Vec<Experiment>, TrackingError> {
    let sql = tx.sql(&format!("SELECT {COLUMNS} FROM experiments it WHERE it.experiment"));
    let rows = tx.all(sql.for_keys(keys)).await?;
    let found = with_tags(tx, &rows).await?;
    let mut of: BTreeMap<i64, Experiment> = found.into_iter().map(|it| (it.id.0, it)).collect();
    Ok(keys.iter().filter_map(|key| of.remove(key)).collect())
}

/// Adds the tags to the rows, with one question for all.
async fn with_tags(tx: &mut Tx, rows: &[Row]) -> Result<Vec<Experiment>, TrackingError> {
    let keys = rows.iter().map(|it| it.int(0)).collect::<Result<Vec<_>, _>>()?;
    let tags = tx.sql("SELECT experiment, key, value FROM experiment_tags WHERE experiment");
    let mut tags = runs::words_of(tx, tags.for_keys(&keys)).await?;
    let experiment = |row: &Row| {
        let id = row.int(0)?;
        Ok(Experiment {
            id: ExperimentId(id),
            name: row.text(1)?,
            artifact_location: row.text(2)?,
            lifecycle: lifecycle(&row.text(3)?)?,
            creation_time: row.int(4)?,
            last_update_time: row.int(5)?,
            tags: tags.remove(&id).unwrap_or_default(),
        })
    };
    rows.iter().map(experiment).collect()
}

pub(crate) fn lifecycle(word: &str) -> Result<Lifecycle, TrackingError> {
    let error = || TrackingError::Corrupt {
        column: "lifecycle",
        value: word.to_owned(),
    };
    Lifecycle::from_word(word).ok_or_else(error)
}
