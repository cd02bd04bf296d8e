//! What runs read and made.

use std::collections::BTreeMap;

use foretell_tracking::{
    Condition, DATASET_CONTEXT_TAG, DEFAULT_EXPERIMENT, Dataset, DatasetAttribute, DatasetInput, Field, ModelOutput,
    NewExperiment, RunQuery, Test, Tracking, TrackingError,
};

use super::{new_run, with_run};
use crate::opened;

fn input(name: &str, digest: &str, context: Option<&str>) -> DatasetInput {
    let dataset = Dataset {
        name: name.into(),
        digest: digest.into(),
        source_type: "local".into(),
        source: r#"{"uri": "a.csv"}"#.into(),
        schema: None,
        profile: Some(r#"{"rows": 3}"#.into()),
    };
    let tags = context.map(|it| (DATASET_CONTEXT_TAG.to_owned(), it.to_owned()));
    DatasetInput {
        dataset,
        tags: tags.into_iter().collect(),
    }
}

#[tokio::test]
async fn a_run_names_what_it_read_and_made() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let inputs = [input("orders", "d1", Some("train")), input("orders", "d2", None)];
    let read = ["m-a".parse().unwrap()];
    let output = |step| ModelOutput {
        model_id: "m-b".parse().unwrap(),
        step,
    };
    for _ in 0..2 {
        tracking.log_inputs(&run, &inputs, &read).await.unwrap();
        tracking.log_outputs(&run, &[output(3), output(1)]).await.unwrap();
    }
    let found = tracking.run(&run).await.unwrap();
    assert_eq!(found.datasets, inputs, "a retry is harmless");
    assert_eq!(found.model_inputs, read);
    assert_eq!(found.model_outputs, [output(1), output(3)]);
}

#[tokio::test]
async fn a_data_set_is_one_in_its_experiment_and_its_tags_belong_to_the_run() {
    let Some((tracking, first)) = with_run().await else {
        return;
    };
    let second = new_run(&tracking, 6).await;
    tracking
        .log_inputs(&first, &[input("orders", "d", Some("train"))], &[])
        .await
        .unwrap();
    tracking
        .log_inputs(&first, &[input("orders", "d", Some("test"))], &[])
        .await
        .unwrap();
    let other = DatasetInput {
        dataset: Dataset {
            source: "elsewhere".into(),
            ..input("orders", "d", None).dataset
        },
        tags: BTreeMap::from([(DATASET_CONTEXT_TAG.into(), "eval".into())]),
    };
    tracking.log_inputs(&second, &[other], &[]).await.unwrap();
    let of = async |run| tracking.run(run).await.unwrap().datasets.remove(0);
    assert_eq!(
        of(&first).await.tags[DATASET_CONTEXT_TAG],
        "train",
        "the first mention stays"
    );
    assert_eq!(of(&second).await.tags[DATASET_CONTEXT_TAG], "eval");
    assert_eq!(of(&first).await.dataset, of(&second).await.dataset);
}

#[tokio::test]
async fn data_sets_of_experiments_are_listed_once_per_context() {
    let Some((tracking, first)) = with_run().await else {
        return;
    };
    let second = new_run(&tracking, 6).await;
    for run in [&first, &second] {
        tracking
            .log_inputs(run, &[input("orders", "d", Some("train"))], &[])
            .await
            .unwrap();
    }
    tracking
        .log_inputs(&second, &[input("visits", "d", None)], &[])
        .await
        .unwrap();
    let found = tracking.search_datasets(&[DEFAULT_EXPERIMENT]).await.unwrap();
    let listed: Vec<_> = found
        .iter()
        .map(|it| (it.name.as_str(), it.context.as_deref()))
        .collect();
    assert_eq!(listed, [("orders", Some("train")), ("visits", None)]);
    let other = NewExperiment {
        name: "other".into(),
        ..NewExperiment::default()
    };
    let other = tracking.create_experiment(&other).await.unwrap().id;
    assert!(tracking.search_datasets(&[other]).await.unwrap().is_empty());
}

#[tokio::test]
async fn runs_are_found_by_what_they_read() {
    let Some(tracking) = opened().await else { return };
    let reads = [
        vec![
            input("orders", "d1", Some("train")),
            input("visits", "d2", Some("test")),
        ],
        vec![input("orders", "d3", None)],
        Vec::new(),
    ];
    let mut runs = Vec::new();
    for (inputs, start) in reads.iter().zip(1..) {
        let run = new_run(&tracking, start).await;
        tracking.log_inputs(&run, inputs, &[]).await.unwrap();
        runs.push(run);
    }
    let check = async |attribute, test: Test, expected: &[usize]| {
        let field = Field::Dataset(attribute);
        let conditions = vec![Condition {
            field,
            test: test.clone(),
        }];
        let query = RunQuery {
            conditions,
            ..RunQuery::of(DEFAULT_EXPERIMENT)
        };
        let found = tracking.search_runs(&query).await.unwrap().items;
        let found: Vec<_> = found.into_iter().rev().map(|it| it.info.run_id).collect();
        let expected: Vec<_> = expected.iter().map(|it| runs[*it].clone()).collect();
        assert_eq!(found, expected, "{test:?}");
    };
    check(DatasetAttribute::Name, Test::Equal("orders".into()), &[0, 1]).await;
    check(DatasetAttribute::Name, Test::Like("V%".into()), &[]).await;
    check(DatasetAttribute::Name, Test::ILike("V%".into()), &[0]).await;
    check(DatasetAttribute::Digest, Test::In(vec!["d3".into(), "d4".into()]), &[1]).await;
    check(DatasetAttribute::Context, Test::Equal("test".into()), &[0]).await;
    check(DatasetAttribute::Context, Test::NotEqual("test".into()), &[0]).await;
}

#[tokio::test]
async fn a_data_set_that_breaks_a_rule_is_refused_and_nothing_is_written() {
    let Some((tracking, run)) = with_run().await else {
        return;
    };
    let long = input("orders", &"d".repeat(37), None);
    let refused = tracking
        .log_inputs(&run, &[input("visits", "d", None), long], &[])
        .await;
    assert!(matches!(
        refused,
        Err(TrackingError::TooLong {
            field: "digest",
            limit: 36
        })
    ));
    assert!(refused_unnamed(&tracking, &run).await);
    assert!(tracking.run(&run).await.unwrap().datasets.is_empty());
}

async fn refused_unnamed(tracking: &Tracking, run: &foretell_tracking::RunId) -> bool {
    let refused = tracking.log_inputs(run, &[input("", "d", None)], &[]).await;
    matches!(refused, Err(TrackingError::Invalid { field, .. }) if field == "dataset.name")
}
