//! Several writers of one store, and a store that begins anew.

use foretell_tracking::{
    Batch, DEFAULT_EXPERIMENT, ExperimentId, ModelMetric, NewLoggedModel, NewRun, RunQuery, Tracking,
};

use super::{metric, new_run};
use crate::{Store, opened};

async fn again(store: &Store) -> Tracking {
    let (url, folder) = store.address();
    Tracking::open(url, folder).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_the_same_runs_neither_collide_nor_wait_for_ever() {
    let Some(store) = opened().await else { return };
    let runs = [new_run(&store, 1).await, new_run(&store, 2).await];
    let mut models = Vec::new();
    for _ in 0..2 {
        let new = NewLoggedModel::new(DEFAULT_EXPERIMENT, 1);
        models.push(store.create_logged_model(&new).await.unwrap().id);
    }
    let mut writers = Vec::new();
    for writer in 0..6_i64 {
        let (tracking, runs, mut models) = (again(&store).await, runs.clone(), models.clone());
        if writer % 2 == 0 {
            models.reverse();
        }
        writers.push(tokio::spawn(async move {
            for step in 0..10 {
                let measured = models.iter().map(|id| ModelMetric {
                    model_id: id.clone(),
                    dataset: None,
                    metric: metric("auc", 0.5, step, step * 10 + writer),
                });
                let batch = Batch {
                    model_metrics: measured.collect(),
                    params: vec![(format!("p{writer}"), "x".into())],
                    tags: vec![("last".into(), step.to_string()), (format!("t{writer}"), "x".into())],
                    ..Batch::default()
                };
                let turn = usize::try_from(step + writer).unwrap() % 2;
                tracking.log_batch(&runs[turn], &batch).await.unwrap();
            }
            tracking.close().await;
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut steps = 0;
    for run in &runs {
        let found = store.run(run).await.unwrap();
        assert_eq!((found.params.len(), found.tags["last"].len()), (6, 1));
        steps += store.metric_history(run, "auc", 1000, 0).await.unwrap().items.len();
    }
    assert_eq!(steps, 60, "every writer's every step is there once");
    assert_eq!(store.logged_model(&models[0], false).await.unwrap().metrics.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_many_want_is_made_once() {
    let Some(store) = opened().await else { return };
    let mut openers = Vec::new();
    for _ in 0..6 {
        let tracking = again(&store).await;
        openers.push(tokio::spawn(async move {
            let id = tracking.experiment_or_create("shared", 1).await.unwrap().id;
            tracking.create_run(&NewRun::new(id, 1)).await.unwrap();
            tracking.close().await;
            id
        }));
    }
    let mut ids: Vec<ExperimentId> = Vec::new();
    for opener in openers {
        ids.push(opener.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(store.search_runs(&RunQuery::of(ids[0])).await.unwrap().items.len(), 6);
}

#[tokio::test]
async fn a_cleared_store_is_as_new() {
    let Some(store) = opened().await else { return };
    for _ in 0..2 {
        let made = store.experiment_or_create("a", 1).await.unwrap();
        assert_eq!(made.id.to_string(), "1", "ids start again");
        let run = store.create_run(&NewRun::new(made.id, 1)).await.unwrap().info.run_id;
        let model = store
            .create_logged_model(&NewLoggedModel::new(made.id, 1))
            .await
            .unwrap()
            .id;
        let measured = ModelMetric {
            model_id: model,
            dataset: None,
            metric: metric("auc", 0.5, 1, 1),
        };
        store.log_model_metric(&run, measured).await.unwrap();
        store.log_param(&run, "p", "x").await.unwrap();
        store.clear().await.unwrap();
        assert!(store.run(&run).await.is_err());
        assert!(store.experiment_by_name("a").await.unwrap().is_none());
        assert_eq!(store.experiment(DEFAULT_EXPERIMENT).await.unwrap().name, "Default");
    }
}
