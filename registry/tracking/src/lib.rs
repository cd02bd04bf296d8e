//! Experiments, runs, parameters, metrics and tags: what was tried, when, and how well it did.
//!
//! One file of SQLite by default, safe under several processes (a server reads while a training writes) and under `kill -9`;
//! a PostgreSQL database by its address (cargo feature `postgres`), for several machines.
//! The rules (ids, names, what may change, what a latest metric is) are MLflow's, so that its clients feel at home;
//! the wire format is not here but in `foretell-mlflow`. Models and their versions are not here but in `foretell-registry`.
//!
//! Times are integer milliseconds since 1970 and always come from the caller.

mod batch;
mod database;
mod datasets;
mod error;
mod experiments;
mod filter;
mod history;
mod logged_models;
mod metrics;
mod model_record;
mod model_search;
mod record;
mod rules;
mod run_names;
mod runs;
mod schema;
mod search;
mod sql;
mod store;

pub use datasets::{Dataset, DatasetInput, DatasetSummary, ModelOutput};
pub use error::{TagOwner, TrackingError};
pub use filter::{Condition, DatasetAttribute, Field, NumberTest, Order, RunAttribute, Test};
pub use history::{BulkMetric, StepRange};
pub use model_record::{
    LoggedMetric, LoggedModel, MeasuredOn, ModelId, ModelMetric, ModelStatus, NewLoggedModel, check_logged_model_name,
};
pub use model_search::{ModelAttribute, ModelOrder, ModelQuery};
pub use record::{
    Batch, DEFAULT_EXPERIMENT, Experiment, ExperimentId, Lifecycle, Metric, NewExperiment, NewRun, Page, Run, RunId,
    RunInfo, RunStatus, RunUpdate, View,
};
pub use rules::{
    MAX_BATCH_ITEMS, MAX_BATCH_METRICS, MAX_BATCH_PARAMS, MAX_BATCH_TAGS, MAX_EXPERIMENT_NAME, MAX_KEY,
    MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE,
};
pub use search::{ExperimentAttribute, ExperimentQuery, RunQuery};
pub use store::Tracking;

/// The tag that always equals a run's name.
pub const RUN_NAME_TAG: &str = "mlflow.runName";
/// The tag of a run's data set that says what it was for: `train`, `eval`, ..
pub const DATASET_CONTEXT_TAG: &str = "mlflow.data.context";
