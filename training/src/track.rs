//! Each candidate of a training run becomes a run in tracking.

use std::collections::BTreeMap;

use foretell_features::Timestamp;
use foretell_tracking::{Batch, Metric, NewRun, RunId, RunStatus, Tracking};

use crate::error::TrainError;
use crate::metrics::Metrics;

/// One candidate as tracking keeps it.
#[derive(Debug, Clone)]
pub struct TrackedCandidate {
    /// Its algorithm.
    pub algorithm: String,
    /// Its parameters, and what fitting found out.
    pub parameters: BTreeMap<String, String>,
    /// Test metrics.
    pub metrics: Metrics,
    /// The loss it was chosen by, and its name.
    pub validation: (String, f64),
    /// Seconds of its fits.
    pub fit_seconds: f64,
    /// Whether it won.
    pub won: bool,
}

/// Writes the candidates as runs of the experiment that is named as the model; answers the winner's run, which the version
/// will name as where it came from.
///
/// # Errors
/// The database cannot be written, or somebody deleted the experiment.
pub async fn track(
    tracking: &Tracking,
    model: &str,
    actor: &str,
    time: Timestamp,
    candidates: &[TrackedCandidate],
) -> Result<Option<RunId>, TrainError> {
    let start = time.0 / 1000;
    let experiment = tracking.experiment_or_create(model, start).await?;
    let mut winner = None;
    for candidate in candidates {
        let new = NewRun {
            name: Some(candidate.algorithm.clone()),
            user_id: actor.to_owned(),
            tags: tags(candidate),
            ..NewRun::new(experiment.id, start)
        };
        let run = tracking.create_run(&new).await?.info.run_id;
        let end = start + (candidate.fit_seconds * 1000.0) as i64;
        tracking.log_batch(&run, &batch(candidate, end)).await?;
        tracking.finish_run(&run, RunStatus::Finished, end).await?;
        if candidate.won {
            winner = Some(run);
        }
    }
    Ok(winner)
}

/// Names the version on the run that it came from.
///
/// # Errors
/// The database cannot be written.
pub async fn name_version(tracking: &Tracking, run: &RunId, version: u64) -> Result<(), TrainError> {
    Ok(tracking.set_tag(run, "foretell.version", &version.to_string()).await?)
}

fn tags(candidate: &TrackedCandidate) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("foretell.algorithm".to_owned(), candidate.algorithm.clone()),
        ("foretell.winner".to_owned(), candidate.won.to_string()),
    ])
}

fn batch(candidate: &TrackedCandidate, time: i64) -> Batch {
    let metric = |key: String, value: f64| Metric {
        key,
        value,
        time,
        step: 0,
    };
    let (name, value) = &candidate.validation;
    let validation = metric(format!("validation_{name}"), *value);
    let test = candidate
        .metrics
        .iter()
        .map(|(name, value)| metric(name.clone(), *value));
    Batch {
        metrics: test
            .chain([validation, metric("fit_seconds".to_owned(), candidate.fit_seconds)])
            .collect(),
        params: candidate.parameters.clone().into_iter().collect(),
        ..Batch::default()
    }
}
