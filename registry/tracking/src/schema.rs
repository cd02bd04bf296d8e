//! The tables, and how an older file becomes a newer one.
//!
//! Steps are applied in one exclusive transaction, so that processes that open a new file at the same time agree.
//! A step that was released never changes; a new one is added at the end.

use sqlx::{Connection, SqliteConnection};

use crate::TrackingError;

/// One entry per version, the first makes version 1.
const STEPS: &[&str] = &[FIRST];

/// `run` and `experiment` are short internal keys. NaN is stored as value 0 with `is_nan` = 1, since SQLite has no NaN.
/// The clock of the database is used once, for an experiment that nobody created.
const FIRST: &str = "
CREATE TABLE experiments (
    experiment INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT NOT NULL,
    lifecycle TEXT NOT NULL DEFAULT 'active',
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL
);
CREATE TABLE experiment_tags (
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment, key)
) WITHOUT ROWID;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER,
    artifact_uri TEXT NOT NULL,
    lifecycle TEXT NOT NULL DEFAULT 'active'
);
CREATE INDEX runs_of_experiment ON runs (experiment, start_time DESC, run_id);
CREATE TABLE params (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TABLE tags (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    time INTEGER NOT NULL,
    step INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key, time, step, value, is_nan)
) WITHOUT ROWID;
CREATE TABLE latest_metrics (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    key TEXT NOT NULL,
    time INTEGER NOT NULL,
    step INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO experiments (experiment, name, artifact_location, creation_time, last_update_time)
SELECT 0, 'Default', 'mlflow-artifacts:/0', now, now
FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now);
";

/// Brings the file to the version of this program.
///
/// # Errors
/// `NewerSchema` when the file is from a newer program; `Database`.
pub(crate) async fn bring_up_to_date(connection: &mut SqliteConnection) -> Result<(), TrackingError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        .execute(&mut *tx)
        .await?;
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM schema_version")
        .fetch_one(&mut *tx)
        .await?;
    let found = found.unwrap_or(0);
    if found > known {
        return Err(TrackingError::NewerSchema { found, known });
    }
    for (version, step) in (1..=known).zip(STEPS).skip_while(|(version, _)| *version <= found) {
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES (?)")
            .bind(version)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
