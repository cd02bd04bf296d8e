//! What experiments, runs, metrics, parameters and tags promise.

use foretell_tracking::{
    Batch, DEFAULT_EXPERIMENT, ExperimentId, Lifecycle, NewExperiment, NewRun, RUN_NAME_TAG, RunId, RunStatus,
    RunUpdate, TagOwner, TrackingError,
};

use super::{metric, with_run};
use crate::opened;

fn named(name: &str) -> NewExperiment {
    NewExperiment {
        name: name.into(),
        time: 7,
        ..NewExperiment::default()
    }
}

#[tokio::test]
async fn the_default_experiment_exists_from_the_start() {
    let Some(tracking) = opened().await else { return };
    let default = tracking.experiment("0".parse().unwrap()).await.unwrap();
    assert_eq!(
        (default.name.as_str(), default.artifact_location.as_str()),
        ("Default", "mlflow-artifacts:/0")
    );
    assert!(default.creation_time > 1_600_000_000_000);
    assert!(matches!(
        tracking.experiment("9".parse().unwrap()).await,
        Err(TrackingError::NoExperiment { .. })
    ));
}

#[tokio::test]
async fn an_experiment_is_found_by_id_and_by_name() {
    let Some(tracking) = opened().await else { return };
    let new = NewExperiment {
        tags: [("team".into(), "growth".into())].into(),
        ..named("churn")
    };
    let made = tracking.create_experiment(&new).await.unwrap();
    assert_eq!(made.id.to_string(), "1");
    assert_eq!(made.artifact_location, "mlflow-artifacts:/1");
    assert_eq!((made.creation_time, made.last_update_time), (7, 7));
    assert_eq!(made.tags["team"], "growth");
    assert_eq!(tracking.experiment_by_name("churn").await.unwrap(), Some(made.clone()));
    assert_eq!(tracking.experiment_or_create("churn", 99).await.unwrap(), made);
    assert_eq!(tracking.experiment_by_name("ltv").await.unwrap(), None);
    assert_eq!(
        tracking.experiment_or_create("ltv", 99).await.unwrap().id.to_string(),
        "2"
    );
}

#[tokio::test]
async fn a_name_is_taken_even_by_a_deleted_experiment() {
    let Some(tracking) = opened().await else { return };
    let made = tracking.create_experiment(&named("churn")).await.unwrap();
    tracking.delete_experiment(made.id, 8).await.unwrap();
    let error = tracking.create_experiment(&named("churn")).await.unwrap_err();
    assert!(matches!(error, TrackingError::ExperimentExists { .. }));
    let error = tracking.experiment_or_create("churn", 9).await.unwrap_err();
    assert!(matches!(error, TrackingError::ExperimentExists { .. }));
}

#[tokio::test]
async fn deleting_an_experiment_takes_its_runs_along_and_back() {
    let Some(tracking) = opened().await else { return };
    let churn = tracking.create_experiment(&named("churn")).await.unwrap().id;
    let run = tracking.create_run(&NewRun::new(churn, 5)).await.unwrap().info.run_id;
    tracking.delete_experiment(churn, 8).await.unwrap();
    assert_eq!(tracking.run(&run).await.unwrap().info.lifecycle, Lifecycle::Deleted);
    let error = tracking.set_tag(&run, "a", "b").await.unwrap_err();
    assert!(matches!(error, TrackingError::RunLifecycle { .. }));
    tracking.restore_experiment(churn, 9).await.unwrap();
    assert_eq!(tracking.experiment(churn).await.unwrap().last_update_time, 9);
    tracking.set_tag(&run, "a", "b").await.unwrap();
}

#[tokio::test]
async fn a_run_begins_running_and_ends_with_a_status() {
    let Some(tracking) = opened().await else { return };
    let new = NewRun {
        name: Some("first".into()),
        user_id: "ann".into(),
        ..NewRun::new(DEFAULT_EXPERIMENT, 5)
    };
    let run = tracking.create_run(&new).await.unwrap();
    let id = run.info.run_id.as_str();
    assert!(
        id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
        "{id}"
    );
    assert_eq!(run.info.artifact_uri, format!("mlflow-artifacts:/0/{id}/artifacts"));
    assert_eq!(
        (run.info.status, run.info.start_time, run.info.end_time),
        (RunStatus::Running, 5, None)
    );
    assert_eq!(
        (run.info.name.as_str(), run.tags[RUN_NAME_TAG].as_str()),
        ("first", "first")
    );

    let ended = tracking
        .finish_run(&run.info.run_id, RunStatus::Finished, 9)
        .await
        .unwrap();
    assert_eq!((ended.status, ended.end_time), (RunStatus::Finished, Some(9)));
    assert_eq!(tracking.run(&run.info.run_id).await.unwrap().info, ended);
}

#[tokio::test]
async fn the_name_of_a_run_and_its_tag_are_one() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let made_up = tracking.run(&run).await.unwrap();
    assert_eq!(made_up.info.name.split('-').count(), 3, "{}", made_up.info.name);
    assert_eq!(made_up.tags[RUN_NAME_TAG], made_up.info.name);

    tracking.set_tag(&run, RUN_NAME_TAG, "by tag").await.unwrap();
    assert_eq!(tracking.run(&run).await.unwrap().info.name, "by tag");
    let update = RunUpdate {
        name: Some("by name".into()),
        ..RunUpdate::default()
    };
    tracking.update_run(&run, &update).await.unwrap();
    assert_eq!(tracking.run(&run).await.unwrap().tags[RUN_NAME_TAG], "by name");

    let tags = [(RUN_NAME_TAG.into(), "one".into())].into();
    let two = NewRun {
        name: Some("two".into()),
        tags,
        ..NewRun::new(DEFAULT_EXPERIMENT, 5)
    };
    assert!(matches!(
        tracking.create_run(&two).await,
        Err(TrackingError::Invalid { .. })
    ));
}

#[tokio::test]
async fn a_run_needs_an_active_experiment() {
    let Some(tracking) = opened().await else { return };
    let nowhere: ExperimentId = "12".parse().unwrap();
    let error = tracking.create_run(&NewRun::new(nowhere, 5)).await.unwrap_err();
    assert!(matches!(error, TrackingError::NoExperiment { .. }));
    let ghost: RunId = "ab".repeat(16).parse().unwrap();
    assert!(matches!(tracking.run(&ghost).await, Err(TrackingError::NoRun { .. })));
}

#[tokio::test]
async fn the_latest_metric_is_of_the_highest_step_then_time_then_value() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let metrics = vec![
        metric("auc", 0.9, 3, 1),
        metric("auc", 0.7, 1, 2),
        metric("auc", 0.8, 1, 2),
    ];
    tracking
        .log_batch(
            &run,
            &Batch {
                metrics,
                ..Batch::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(tracking.run(&run).await.unwrap().metric("auc"), Some(0.8));
    tracking.log_metric(&run, metric("auc", 0.5, 9, 1)).await.unwrap();
    assert_eq!(
        tracking.run(&run).await.unwrap().metric("auc"),
        Some(0.8),
        "an older step does not win"
    );
    tracking.log_metric(&run, metric("auc", 0.1, 0, 3)).await.unwrap();
    assert_eq!(tracking.latest_metrics(&run).await.unwrap(), [metric("auc", 0.1, 0, 3)]);
}

#[tokio::test]
async fn history_is_in_order_of_time_and_repeats_are_dropped() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let all = [
        metric("m", 3.0, 2, 0),
        metric("m", 1.0, 1, 1),
        metric("m", 2.0, 1, 0),
        metric("m", 1.0, 1, 1),
    ];
    for _ in 0..2 {
        tracking
            .log_batch(
                &run,
                &Batch {
                    metrics: all.to_vec(),
                    ..Batch::default()
                },
            )
            .await
            .unwrap();
    }
    let page = tracking.metric_history(&run, "m", 2, 0).await.unwrap();
    assert_eq!(page.items, [metric("m", 2.0, 1, 0), metric("m", 1.0, 1, 1)]);
    let rest = tracking
        .metric_history(&run, "m", 2, page.next_offset.unwrap())
        .await
        .unwrap();
    assert_eq!((rest.items, rest.next_offset), (vec![metric("m", 3.0, 2, 0)], None));
    assert!(
        tracking
            .metric_history(&run, "other", 2, 0)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn metrics_keep_every_bit_and_odd_numbers_too() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let values = [
        0.1 + 0.2,
        f64::MIN_POSITIVE,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1e308,
    ];
    let metrics = values
        .iter()
        .zip(0..)
        .map(|(value, i)| metric(&format!("m{i}"), *value, 1, 0));
    tracking
        .log_batch(
            &run,
            &Batch {
                metrics: metrics.collect(),
                ..Batch::default()
            },
        )
        .await
        .unwrap();
    let got: Vec<f64> = tracking
        .latest_metrics(&run)
        .await
        .unwrap()
        .iter()
        .map(|it| it.value)
        .collect();
    assert!(got[2].is_nan());
    assert_eq!(got[..2], values[..2]);
    assert_eq!(got[3..], [f64::MAX, f64::MIN, -1e308]);
}

#[tokio::test]
async fn a_parameter_never_changes() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    tracking.log_param(&run, "depth", "6").await.unwrap();
    tracking.log_param(&run, "depth", "6").await.unwrap();
    let error = tracking.log_param(&run, "depth", "7").await.unwrap_err();
    assert!(matches!(error, TrackingError::ParamChanged { .. }));
    let params = vec![("a".into(), "1".into()), ("a".into(), "1".into())];
    let twice = tracking
        .log_batch(
            &run,
            &Batch {
                params,
                ..Batch::default()
            },
        )
        .await;
    assert!(matches!(twice, Err(TrackingError::DuplicateParams { .. })));
    let long = "é".repeat(6001);
    tracking.log_param(&run, "long", &long).await.unwrap();
    tracking.log_param(&run, "long", &long).await.unwrap();
    assert_eq!(tracking.run(&run).await.unwrap().params["long"].chars().count(), 6000);
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    tracking.log_param(&run, "depth", "6").await.unwrap();
    let batch = Batch {
        metrics: vec![metric("auc", 0.5, 1, 0)],
        params: vec![("rate".into(), "0.1".into()), ("depth".into(), "7".into())],
        tags: vec![("kind".into(), "x".into())],
        ..Batch::default()
    };
    assert!(tracking.log_batch(&run, &batch).await.is_err());
    let after = tracking.run(&run).await.unwrap();
    assert!(after.metrics.is_empty() && after.params.len() == 1 && !after.tags.contains_key("kind"));
}

#[tokio::test]
async fn a_batch_as_large_as_allowed_is_taken_and_a_larger_one_is_not() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let batch = |n: i64| Batch {
        metrics: (0..n).map(|i| metric("loss", 1.5, i, i)).collect(),
        ..Batch::default()
    };
    tracking.log_batch(&run, &batch(1000)).await.unwrap();
    assert_eq!(
        tracking
            .metric_history(&run, "loss", 5000, 0)
            .await
            .unwrap()
            .items
            .len(),
        1000
    );
    assert!(matches!(
        tracking.log_batch(&run, &batch(1001)).await,
        Err(TrackingError::TooMany { .. })
    ));
}

#[tokio::test]
async fn an_experiment_is_renamed_and_keeps_its_runs() {
    let Some(tracking) = opened().await else { return };
    let id = tracking.create_experiment(&named("churn")).await.unwrap().id;
    tracking.rename_experiment(id, "churn 2", 9).await.unwrap();
    let renamed = tracking.experiment(id).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.last_update_time), ("churn 2", 9));
    let taken = tracking.rename_experiment(id, "Default", 9).await;
    assert!(matches!(taken, Err(TrackingError::ExperimentExists { .. })));
    tracking.delete_experiment(id, 10).await.unwrap();
    let deleted = tracking.rename_experiment(id, "churn 3", 11).await;
    assert!(matches!(deleted, Err(TrackingError::ExperimentLifecycle { .. })));
}

#[tokio::test]
async fn a_tag_is_deleted_once() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    tracking.set_tag(&run, "team", "crm").await.unwrap();
    tracking.delete_tag(&run, "team").await.unwrap();
    assert!(!tracking.run(&run).await.unwrap().tags.contains_key("team"));
    let gone = tracking.delete_tag(&run, "team").await;
    assert!(matches!(
        gone,
        Err(TrackingError::NoTag {
            of: TagOwner::Run(_),
            ..
        })
    ));
    tracking
        .set_experiment_tag(DEFAULT_EXPERIMENT, "team", "crm")
        .await
        .unwrap();
    tracking
        .delete_experiment_tag(DEFAULT_EXPERIMENT, "team")
        .await
        .unwrap();
    let gone = tracking.delete_experiment_tag(DEFAULT_EXPERIMENT, "team").await;
    assert!(matches!(
        gone,
        Err(TrackingError::NoTag {
            of: TagOwner::Experiment(_),
            ..
        })
    ));
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    for _ in 0..2 {
        tracking.delete_run(&run).await.unwrap();
    }
    let refused = tracking.log_metric(&run, metric("auc", 0.5, 1, 0)).await;
    assert!(matches!(refused, Err(TrackingError::RunLifecycle { .. })));
    for _ in 0..2 {
        tracking.restore_run(&run).await.unwrap();
    }
    tracking.log_metric(&run, metric("auc", 0.5, 1, 0)).await.unwrap();
    let ghost: RunId = "ab".repeat(16).parse().unwrap();
    assert!(matches!(
        tracking.delete_run(&ghost).await,
        Err(TrackingError::NoRun { .. })
    ));
}

#[tokio::test]
async fn a_tag_that_is_a_list_grows() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    for item in [r#"{"a": 1}"#, r#"{"b": "]"}"#] {
        tracking.append_to_tag(&run, "models", item).await.unwrap();
    }
    assert_eq!(
        tracking.run(&run).await.unwrap().tags["models"],
        r#"[{"a": 1}, {"b": "]"}]"#
    );
    tracking.set_tag(&run, "word", "x").await.unwrap();
    let refused = tracking.append_to_tag(&run, "word", "1").await;
    assert!(matches!(refused, Err(TrackingError::Invalid { .. })));
}

#[tokio::test]
async fn a_rule_that_is_broken_is_named_with_its_place_in_the_batch() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let batch = Batch {
        metrics: vec![metric("fine", 1.0, 1, 0), metric("a$b", 1.0, 1, 0)],
        ..Batch::default()
    };
    let refused = tracking.log_batch(&run, &batch).await.unwrap_err();
    assert!(
        matches!(&refused, TrackingError::Invalid { field, .. } if field == "metrics[1].name"),
        "{refused}"
    );
    let refused = tracking.log_metric(&run, metric("fine", 1.0, -1, 0)).await.unwrap_err();
    assert!(
        matches!(&refused, TrackingError::Invalid { field, .. } if field == "timestamp"),
        "{refused}"
    );
    let long = "k".repeat(251);
    let refused = tracking.log_param(&run, &long, "1").await.unwrap_err();
    assert!(matches!(
        refused,
        TrackingError::TooLong {
            field: "Param key",
            limit: 250
        }
    ));
}
