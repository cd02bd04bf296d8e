//! The tables, and how an older database becomes a newer one.
//!
//! Steps are applied in one exclusive transaction, so that processes that open a new database at the same time agree.
//! A step that was released never changes; a new one is added at the end.

use crate::TrackingError;
use crate::database::Tx;
use crate::sql::Dialect;

/// One entry per version, the first makes version 1.
const STEPS: &[&str] = &[FIRST, SECOND];

/// `run` and `experiment` are short internal keys. NaN is stored as value 0 with `is_nan` = 1, since SQLite has no NaN.
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

/// Data sets that runs read, logged models that runs read and made, and what was measured of those models. The index of runs
/// holds all that a search compares of every run.
const SECOND: &str = "
DROP INDEX runs_of_experiment;
CREATE INDEX runs_of_experiment ON runs (experiment, lifecycle, start_time DESC, run_id);
CREATE TABLE datasets (
    dataset INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    UNIQUE (experiment, name, digest)
);
CREATE TABLE run_datasets (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    PRIMARY KEY (run, dataset)
) WITHOUT ROWID;
CREATE INDEX runs_of_dataset ON run_datasets (dataset, run);
CREATE TABLE run_dataset_tags (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, dataset, key)
) WITHOUT ROWID;
CREATE TABLE run_models (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    direction TEXT NOT NULL,
    model_id TEXT NOT NULL,
    step INTEGER NOT NULL,
    PRIMARY KEY (run, direction, model_id, step)
) WITHOUT ROWID;
CREATE TABLE logged_models (
    model INTEGER PRIMARY KEY,
    model_id TEXT NOT NULL UNIQUE,
    experiment INTEGER NOT NULL REFERENCES experiments ON DELETE CASCADE,
    name TEXT NOT NULL,
    model_type TEXT,
    source_run_id TEXT,
    status TEXT NOT NULL,
    creation_time INTEGER NOT NULL,
    last_update_time INTEGER NOT NULL,
    artifact_uri TEXT NOT NULL,
    lifecycle TEXT NOT NULL DEFAULT 'active'
);
CREATE INDEX logged_models_of_experiment ON logged_models (experiment, creation_time DESC, model_id);
CREATE TABLE model_params (
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE TABLE model_tags (
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE TABLE model_metrics (
    model INTEGER NOT NULL REFERENCES logged_models ON DELETE CASCADE,
    key TEXT NOT NULL,
    time INTEGER NOT NULL,
    step INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    PRIMARY KEY (model, key, time, step, run_id, value, is_nan, dataset_name, dataset_digest)
) WITHOUT ROWID;
";

/// Every table with rows of users, those that refer to others first.
const TABLES: [&str; 14] = [
    "model_metrics",
    "model_tags",
    "model_params",
    "logged_models",
    "run_models",
    "run_dataset_tags",
    "run_datasets",
    "datasets",
    "latest_metrics",
    "metrics",
    "tags",
    "params",
    "runs",
    "experiment_tags",
];

/// Brings the database to the version of this program. The transaction keeps others out.
///
/// # Errors
/// `NewerSchema` when the database is from a newer program; `Database`.
pub(crate) async fn bring_up_to_date(tx: &mut Tx) -> Result<(), TrackingError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let table = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)";
    tx.script(in_words_of(tx.dialect(), table)).await?;
    let found = tx.first(tx.sql("SELECT max(version) FROM schema_version")).await?;
    let found = found.map(|it| it.maybe_int(0)).transpose()?.flatten().unwrap_or(0);
    if found > known {
        return Err(TrackingError::NewerSchema { found, known });
    }
    for (version, step) in (1..=known).zip(STEPS).skip_while(|(version, _)| *version <= found) {
        tx.script(in_words_of(tx.dialect(), step)).await?;
        let insert = tx.sql("INSERT INTO schema_version (version) VALUES ($1)");
        tx.run(insert.bind(version)).await?;
    }
    Ok(())
}

/// Makes the tables as new: the default experiment and nothing else, ids from the start.
pub(crate) async fn clear(tx: &mut Tx) -> Result<(), TrackingError> {
    for table in TABLES {
        tx.run(tx.sql(&format!("DELETE FROM {table}"))).await?;
    }
    tx.run(tx.sql("DELETE FROM experiments")).await?;
    let restart = match tx.dialect() {
        Dialect::Sqlite => "DELETE FROM sqlite_sequence",
        Dialect::Postgres => "ALTER TABLE experiments ALTER COLUMN experiment RESTART",
    };
    tx.script(restart.to_owned()).await?;
    let at = FIRST
        .find("INSERT INTO experiments")
        .expect("the first step inserts the default");
    tx.script(in_words_of(tx.dialect(), &FIRST[at..])).await
}

/// The statements are SQLite's. PostgreSQL has other types, compares text by locale unless told, and another clock, which
/// is asked once, for an experiment that nobody created.
fn in_words_of(dialect: Dialect, statements: &str) -> String {
    const POSTGRES: [(&str, &str); 7] = [
        (
            "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            "CAST(extract(epoch FROM now()) * 1000 AS INTEGER)",
        ),
        ("AS now);", "AS now) AS clock;"),
        (" WITHOUT ROWID", ""),
        (
            "INTEGER PRIMARY KEY",
            "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        ),
        ("INTEGER", "BIGINT"),
        (" REAL ", " DOUBLE PRECISION "),
        (" TEXT", " TEXT COLLATE \"C\""),
    ];
    match dialect {
        Dialect::Sqlite => statements.to_owned(),
        Dialect::Postgres => POSTGRES
            .iter()
            .fold(statements.replace(" AUTOINCREMENT", ""), |text, (from, to)| {
                text.replace(from, to)
            }),
    }
}
