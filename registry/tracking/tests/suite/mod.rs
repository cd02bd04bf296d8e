//! What every tracking store promises. A test opens a store of its own through `crate::opened`.

mod datasets;
mod history;
mod logged_models;
mod search;
mod sharing;
mod splits;
mod tracking;

use foretell_tracking::{DEFAULT_EXPERIMENT, Metric, NewRun, RunId, Tracking};

use crate::{Store, opened};

/// A new store with a run.
async fn with_run() -> Option<(Store, RunId)> {
    let tracking = opened().await?;
    let run = new_run(&tracking, 5).await;
    Some((tracking, run))
}

async fn new_run(tracking: &Tracking, start: i64) -> RunId {
    let new = NewRun::new(DEFAULT_EXPERIMENT, start);
    tracking.create_run(&new).await.unwrap().info.run_id
}

fn metric(key: &str, value: f64, time: i64, step: i64) -> Metric {
    Metric {
        key: key.into(),
        value,
        time,
        step,
    }
}
