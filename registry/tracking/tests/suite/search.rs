//! Which runs and experiments a search finds, and in which order.

use foretell_tracking::{
    Batch, Condition, DEFAULT_EXPERIMENT, ExperimentAttribute, ExperimentQuery, Field, Metric, NewExperiment, NewRun,
    NumberTest, Order, RunAttribute, RunQuery, Test, Tracking, TrackingError, View,
};

use crate::{Store, opened};

/// Runs `a` to `d`, started in this order; `d` has nothing logged, `c` has NaN.
async fn four_runs() -> Option<Store> {
    let tracking = opened().await?;
    let scores = [("a", Some(0.7)), ("b", Some(0.9)), ("c", Some(f64::NAN)), ("d", None)];
    for ((name, score), start) in scores.into_iter().zip(1..) {
        let new = NewRun {
            name: Some(name.into()),
            ..NewRun::new(DEFAULT_EXPERIMENT, start)
        };
        let run = tracking.create_run(&new).await.unwrap().info.run_id;
        let Some(value) = score else { continue };
        let batch = Batch {
            metrics: vec![Metric {
                key: "auc".into(),
                value,
                time: 1,
                step: 0,
            }],
            params: vec![("algorithm".into(), format!("Trees_{name}"))],
            tags: vec![("team".into(), if name == "a" { "growth" } else { "risk" }.into())],
            ..Batch::default()
        };
        tracking.log_batch(&run, &batch).await.unwrap();
    }
    Some(tracking)
}

fn query(conditions: Vec<Condition<RunAttribute>>, order: Vec<Order<RunAttribute>>) -> RunQuery {
    RunQuery {
        conditions,
        order,
        ..RunQuery::of(DEFAULT_EXPERIMENT)
    }
}

async fn names(tracking: &Tracking, query: &RunQuery) -> String {
    let page = tracking.search_runs(query).await.unwrap();
    page.items
        .into_iter()
        .map(|it| it.info.name)
        .collect::<Vec<_>>()
        .join(" ")
}

async fn check(tracking: &Tracking, field: Field<RunAttribute>, test: Test, expected: &str) {
    let condition = Condition { field, test };
    let got = names(tracking, &query(vec![condition.clone()], Vec::new())).await;
    assert_eq!(got, expected, "{condition:?}");
}

#[tokio::test]
async fn conditions_find_what_they_say() {
    let Some(it) = four_runs().await else { return };
    let auc = || Field::Metric("auc".into());
    let algorithm = || Field::Param("algorithm".into());
    let team = || Field::Tag("team".into());
    check(&it, auc(), Test::Number(NumberTest::Greater, 0.8), "b").await;
    check(&it, auc(), Test::Number(NumberTest::LessOrEqual, 0.7), "a").await;
    check(&it, auc(), Test::Number(NumberTest::NotEqual, 0.7), "c b").await;
    check(&it, team(), Test::NotEqual("growth".into()), "c b").await;
    check(&it, team(), Test::IsNull, "d").await;
    check(&it, team(), Test::In(vec!["growth".into(), "other".into()]), "a").await;
    check(&it, algorithm(), Test::Like("Trees%".into()), "c b a").await;
    check(&it, algorithm(), Test::Like("trees%".into()), "").await;
    check(&it, algorithm(), Test::ILike("trees_b".into()), "b").await;
    check(
        &it,
        Field::Attribute(RunAttribute::StartTime),
        Test::Number(NumberTest::Less, 3.0),
        "b a",
    )
    .await;
    check(
        &it,
        Field::Attribute(RunAttribute::RunName),
        Test::Equal("d".into()),
        "d",
    )
    .await;
    check(
        &it,
        Field::Attribute(RunAttribute::Status),
        Test::NotIn(vec!["RUNNING".into()]),
        "",
    )
    .await;
    check(&it, Field::Attribute(RunAttribute::EndTime), Test::IsNull, "d c b a").await;
}

#[tokio::test]
async fn a_value_in_a_condition_is_never_read_as_sql() {
    let Some(it) = four_runs().await else { return };
    let quote = "x' OR '1' = '1";
    check(&it, Field::Tag("team".into()), Test::Equal(quote.into()), "").await;
    check(&it, Field::Tag(quote.into()), Test::IsNotNull, "").await;
}

#[tokio::test]
async fn a_number_is_not_compared_with_a_text() {
    let Some(it) = four_runs().await else { return };
    let condition = Condition {
        field: Field::Metric("auc".into()),
        test: Test::Equal("0.9".into()),
    };
    let error = it.search_runs(&query(vec![condition], Vec::new())).await.unwrap_err();
    assert!(matches!(error, TrackingError::Invalid { .. }));
}

#[tokio::test]
async fn nan_comes_after_numbers_and_missing_comes_last_whatever_the_direction() {
    let Some(it) = four_runs().await else { return };
    for (descending, expected) in [(false, "a b c d"), (true, "b a c d")] {
        let order = vec![Order {
            field: Field::Metric("auc".into()),
            descending,
        }];
        assert_eq!(names(&it, &query(Vec::new(), order)).await, expected);
    }
    let order = vec![Order {
        field: Field::Param("algorithm".into()),
        descending: true,
    }];
    assert_eq!(names(&it, &query(Vec::new(), order)).await, "c b a d");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap() {
    let Some(it) = four_runs().await else { return };
    let first = RunQuery {
        limit: 3,
        ..RunQuery::of(DEFAULT_EXPERIMENT)
    };
    assert_eq!(names(&it, &first).await, "d c b");
    let offset = it.search_runs(&first).await.unwrap().next_offset.unwrap();
    let second = RunQuery { offset, ..first };
    assert_eq!(names(&it, &second).await, "a");
    assert_eq!(it.search_runs(&second).await.unwrap().next_offset, None);
}

#[tokio::test]
async fn a_view_shows_active_or_deleted_or_both() {
    let Some(it) = four_runs().await else { return };
    let newest = it
        .search_runs(&RunQuery::of(DEFAULT_EXPERIMENT))
        .await
        .unwrap()
        .items
        .remove(0);
    it.delete_run(&newest.info.run_id).await.unwrap();
    for (view, expected) in [
        (View::ActiveOnly, "c b a"),
        (View::DeletedOnly, "d"),
        (View::All, "d c b a"),
    ] {
        assert_eq!(
            names(
                &it,
                &RunQuery {
                    view,
                    ..RunQuery::of(DEFAULT_EXPERIMENT)
                }
            )
            .await,
            expected
        );
    }
    it.restore_run(&newest.info.run_id).await.unwrap();
    assert_eq!(names(&it, &RunQuery::of(DEFAULT_EXPERIMENT)).await, "d c b a");
}

#[tokio::test]
async fn experiments_are_searched_by_name_and_tag() {
    let Some(it) = four_runs().await else { return };
    for (name, time) in [("churn", 1), ("Churn 2", i64::MAX), ("ltv", 2)] {
        let tags = [("of".into(), name.into())].into();
        it.create_experiment(&NewExperiment {
            name: name.into(),
            time,
            tags,
            artifact_location: None,
        })
        .await
        .unwrap();
    }
    let found = |conditions| {
        let query = ExperimentQuery {
            conditions,
            ..ExperimentQuery::default()
        };
        let it = &it;
        async move {
            let page = it.search_experiments(&query).await.unwrap();
            page.items.into_iter().map(|it| it.name).collect::<Vec<_>>().join(", ")
        }
    };
    assert_eq!(found(Vec::new()).await, "Churn 2, Default, ltv, churn");
    let name = |test| {
        vec![Condition {
            field: Field::Attribute(ExperimentAttribute::Name),
            test,
        }]
    };
    assert_eq!(found(name(Test::Like("churn%".into()))).await, "churn");
    assert_eq!(found(name(Test::ILike("churn%".into()))).await, "Churn 2, churn");
    let tag = Condition {
        field: Field::Tag("of".into()),
        test: Test::Equal("ltv".into()),
    };
    assert_eq!(found(vec![tag]).await, "ltv");
    let id = Field::Attribute(ExperimentAttribute::Id);
    assert_eq!(
        found(vec![Condition {
            field: id,
            test: Test::In(vec!["0".into(), "3".into()])
        }])
        .await,
        "Default, ltv"
    );
}
