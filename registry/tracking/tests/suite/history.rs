//! The history of metrics of several runs.

use foretell_tracking::{Batch, RunId, StepRange, Tracking, TrackingError};

use super::{metric, new_run};
use crate::opened;

/// A run with a metric at steps `0..count`, logged backwards.
async fn logged(tracking: &Tracking, count: i64) -> RunId {
    let run = new_run(tracking, 1).await;
    let metrics = (0..count).rev().map(|step| metric("loss", 1.5, step, step)).collect();
    let batch = Batch {
        metrics,
        ..Batch::default()
    };
    tracking.log_batch(&run, &batch).await.unwrap();
    run
}

#[tokio::test]
async fn a_sample_is_spread_evenly_over_the_steps_of_each_run() {
    let Some(tracking) = opened().await else { return };
    let (long, short) = (logged(&tracking, 100).await, logged(&tracking, 2).await);
    let check = async |steps, limit, expected: &[i64]| {
        let runs = [long.clone(), short.clone()];
        let found = tracking.sampled_history(&runs, "loss", steps, limit).await.unwrap();
        let of_long = found.iter().filter(|it| it.run_id == long).map(|it| it.metric.step);
        assert_eq!(of_long.collect::<Vec<_>>(), expected);
        assert!(found.is_sorted_by_key(|it| (it.run_id != long, it.metric.step)));
    };
    check(None, 5, &[0, 20, 40, 60, 99]).await;
    check(None, 1, &[99]).await;
    check(Some(StepRange { start: 10, end: 19 }), 3, &[10, 14, 19]).await;
    check(Some(StepRange { start: 500, end: 600 }), 3, &[]).await;
    let short = tracking
        .sampled_history(std::slice::from_ref(&short), "loss", None, 5)
        .await
        .unwrap();
    assert_eq!(short.len(), 2);
    let ghost: RunId = "ab".repeat(16).parse().unwrap();
    let missing = tracking.sampled_history(&[long.clone(), ghost], "loss", None, 5).await;
    assert!(matches!(missing, Err(TrackingError::NoRun { .. })));
}

#[tokio::test]
async fn the_first_values_of_several_runs_are_read_at_once() {
    let Some(tracking) = opened().await else { return };
    let runs = [
        logged(&tracking, 3).await,
        logged(&tracking, 3).await,
        "0".parse().unwrap(),
    ];
    let found = tracking.metric_history_of(&runs, "loss", 5).await.unwrap();
    let mut expected: Vec<_> = runs[..2]
        .iter()
        .flat_map(|run| (0..3).map(move |step| (run.clone(), step)))
        .collect();
    expected.sort_unstable();
    expected.truncate(5);
    let found: Vec<_> = found.into_iter().map(|it| (it.run_id, it.metric.step)).collect();
    assert_eq!(found, expected);
}
