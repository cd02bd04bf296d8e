//! Several processes on one file, and a process that dies.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use foretell_tracking::{Batch, DEFAULT_EXPERIMENT, Metric, NewRun, RunQuery, Tracking, TrackingError};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

const URL: &str = "sqlite:t.db";
const FOLDER: &str = "FORETELL_TRACKING_TEST_FOLDER";

fn batch(i: i64) -> Batch {
    let metrics = (0..50)
        .map(|step| Metric {
            key: format!("m{i}"),
            value: 1.0,
            time: i,
            step,
        })
        .collect();
    Batch {
        metrics,
        params: vec![(format!("p{i}"), "x".into())],
        tags: vec![("last".into(), i.to_string())],
        ..Batch::default()
    }
}

/// Not a test of its own: the process that `what_was_acknowledged_survives_a_kill` kills.
#[tokio::test]
async fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let tracking = Tracking::open(URL, Path::new(&folder)).await.unwrap();
    let run = tracking
        .create_run(&NewRun::new(DEFAULT_EXPERIMENT, 1))
        .await
        .unwrap()
        .info
        .run_id;
    for i in 0.. {
        tracking.log_batch(&run, &batch(i)).await.unwrap();
        println!("\nlogged {i}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let reader = Tracking::open(URL, folder.path()).await.unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim
        .args(["--exact", "victim", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped());
    let mut victim = victim.spawn().unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut acknowledged = lines.filter_map(|it| it.strip_prefix("logged ")?.parse::<i64>().ok());
    let early = acknowledged.by_ref().find(|it| *it >= 20).unwrap();
    let seen = reader
        .search_runs(&RunQuery::of(DEFAULT_EXPERIMENT))
        .await
        .unwrap()
        .items
        .remove(0);
    assert!(
        seen.metrics.len() as i64 > early,
        "a reader sees what another process has written, while it writes"
    );
    victim.kill().unwrap();
    victim.wait().unwrap();
    let last = acknowledged.last().unwrap_or(early);
    reader.close().await;

    let tracking = Tracking::open(URL, folder.path()).await.unwrap();
    let run = tracking
        .search_runs(&RunQuery::of(DEFAULT_EXPERIMENT))
        .await
        .unwrap()
        .items
        .remove(0);
    let written = i64::try_from(run.metrics.len()).unwrap();
    assert!(
        written == last + 1 || written == last + 2,
        "at most one batch was not yet acknowledged"
    );
    assert_eq!(run.params.len(), run.metrics.len());
    assert_eq!(run.tags["last"], (written - 1).to_string());
    for i in 0..written {
        let history = tracking
            .metric_history(&run.info.run_id, &format!("m{i}"), 100, 0)
            .await
            .unwrap();
        assert_eq!(history.items.len(), 50, "batch {i} is whole");
    }
    tracking.log_batch(&run.info.run_id, &batch(written)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_file_and_write_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let writers = (0..8).map(|_| {
        let path = path.clone();
        tokio::spawn(async move {
            let tracking = Tracking::open(URL, &path).await.unwrap();
            let experiment = tracking.experiment_or_create("shared", 1).await.unwrap().id;
            let run = tracking
                .create_run(&NewRun::new(experiment, 1))
                .await
                .unwrap()
                .info
                .run_id;
            for i in 0..10 {
                tracking.log_batch(&run, &batch(i)).await.unwrap();
            }
            experiment
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut experiments = Vec::new();
    for writer in writers {
        experiments.push(writer.await.unwrap());
    }
    experiments.dedup();
    assert_eq!(experiments.len(), 1, "all agree on one experiment");
    let tracking = Tracking::open(URL, &path).await.unwrap();
    let runs = tracking.search_runs(&RunQuery::of(experiments[0])).await.unwrap().items;
    assert_eq!(runs.len(), 8);
    assert!(runs.iter().all(|it| it.metrics.len() == 10 && it.params.len() == 10));
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let folder = TempDir::new().unwrap();
    Tracking::open(URL, folder.path()).await.unwrap().close().await;
    let file = format!("sqlite:{}", folder.path().join("t.db").display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    sqlx::raw_sql("INSERT INTO schema_version VALUES (99)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let error = Tracking::open(URL, folder.path()).await.unwrap_err();
    assert!(matches!(error, TrackingError::NewerSchema { found: 99, .. }));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_lock_and_no_half_batch() {
    let folder = TempDir::new().unwrap();
    let tracking = Tracking::open(URL, folder.path()).await.unwrap();
    let run = tracking
        .create_run(&NewRun::new(DEFAULT_EXPERIMENT, 1))
        .await
        .unwrap()
        .info
        .run_id;
    for i in 0..200_u64 {
        let wait = std::time::Duration::from_micros(i * 20);
        let _ = tokio::time::timeout(wait, tracking.log_batch(&run, &batch(i.cast_signed()))).await;
    }
    tracking.log_batch(&run, &batch(1000)).await.unwrap();
    let written = tracking.run(&run).await.unwrap();
    assert_eq!(written.params.len(), written.metrics.len());
    for metric in &written.metrics {
        let history = tracking.metric_history(&run, &metric.key, 100, 0).await.unwrap();
        assert_eq!(history.items.len(), 50, "{} is whole", metric.key);
    }
    println!("{} of 201 were written", written.metrics.len());
}
