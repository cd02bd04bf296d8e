//! Logged models: their life, what is measured of them, and how they are found.

use foretell_tracking::{
    Batch, Condition, DEFAULT_EXPERIMENT, Field, Lifecycle, MeasuredOn, ModelAttribute, ModelId, ModelMetric,
    ModelOrder, ModelQuery, ModelStatus, NewLoggedModel, NumberTest, Order, Test, Tracking, TrackingError,
};

use super::{metric, new_run};
use crate::{Store, opened};

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn on(name: &str, digest: Option<&str>) -> MeasuredOn {
    MeasuredOn {
        name: name.into(),
        digest: digest.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_logged_model_goes_from_pending_to_ready_to_deleted() {
    let Some(tracking) = opened().await else { return };
    let new = NewLoggedModel {
        name: Some("trees".into()),
        model_type: Some("boosted".into()),
        params: vec![pair("depth", "6")],
        tags: vec![pair("team", "crm"), pair("team", "growth")],
        ..NewLoggedModel::new(DEFAULT_EXPERIMENT, 100)
    };
    let made = tracking.create_logged_model(&new).await.unwrap();
    let id = made.id.clone();
    assert!(id.as_str().starts_with("m-") && id.as_str().len() == 34, "{id}");
    assert_eq!(made.artifact_uri, format!("mlflow-artifacts:/0/models/{id}/artifacts"));
    assert_eq!(
        (made.status, made.creation_time, made.last_update_time),
        (ModelStatus::Pending, 100, 100)
    );
    assert_eq!(
        (made.params["depth"].as_str(), made.tags["team"].as_str()),
        ("6", "growth")
    );

    let ready = tracking
        .finalize_logged_model(&id, ModelStatus::Ready, 200)
        .await
        .unwrap();
    assert_eq!((ready.status, ready.last_update_time), (ModelStatus::Ready, 200));
    tracking
        .log_logged_model_params(&id, &[pair("rate", "0.1")])
        .await
        .unwrap();
    tracking
        .set_logged_model_tags(&id, &[pair("team", "risk")])
        .await
        .unwrap();
    let changed = tracking.logged_model(&id, false).await.unwrap();
    assert_eq!((changed.params.len(), changed.tags["team"].as_str()), (2, "risk"));
    tracking.delete_logged_model_tag(&id, "team").await.unwrap();
    let again = tracking.delete_logged_model_tag(&id, "team").await;
    assert!(matches!(again, Err(TrackingError::NoTag { .. })));

    tracking.delete_logged_model(&id, 300).await.unwrap();
    let gone = tracking.logged_model(&id, false).await;
    assert!(matches!(gone, Err(TrackingError::NoModel { .. })));
    assert_eq!(
        tracking.logged_model(&id, true).await.unwrap().lifecycle,
        Lifecycle::Deleted
    );
    let found = tracking
        .search_logged_models(&ModelQuery::of(DEFAULT_EXPERIMENT))
        .await
        .unwrap();
    assert!(found.items.is_empty());
}

#[tokio::test]
async fn a_name_is_made_up_or_checked() {
    let Some(tracking) = opened().await else { return };
    let made = tracking
        .create_logged_model(&NewLoggedModel::new(DEFAULT_EXPERIMENT, 1))
        .await
        .unwrap();
    assert_eq!(made.name.split('-').count(), 3, "{}", made.name);
    for name in ["", "a/b", "a:b", "a.b", "a%b", "a\"b", "a'b"] {
        let new = NewLoggedModel {
            name: Some(name.into()),
            ..NewLoggedModel::new(DEFAULT_EXPERIMENT, 1)
        };
        let refused = tracking.create_logged_model(&new).await;
        assert!(matches!(refused, Err(TrackingError::Invalid { .. })), "{name}");
    }
}

#[tokio::test]
async fn what_is_measured_of_a_model_is_kept_with_the_run_and_the_model() {
    let Some(tracking) = opened().await else { return };
    let model = tracking
        .create_logged_model(&NewLoggedModel::new(DEFAULT_EXPERIMENT, 1))
        .await
        .unwrap()
        .id;
    let run = new_run(&tracking, 1).await;
    let measured = ModelMetric {
        model_id: model.clone(),
        dataset: Some(on("orders", Some("d"))),
        metric: metric("auc", 0.5, 7, 1),
    };
    let batch = Batch {
        model_metrics: vec![measured.clone()],
        metrics: vec![metric("loss", 1.0, 7, 1)],
        ..Batch::default()
    };
    for _ in 0..2 {
        tracking.log_batch(&run, &batch).await.unwrap();
    }
    let of_run = tracking.latest_metrics(&run).await.unwrap();
    assert_eq!(of_run, [metric("auc", 0.5, 7, 1), metric("loss", 1.0, 7, 1)]);
    let of_model = tracking.logged_model(&model, false).await.unwrap().metrics;
    assert_eq!(of_model.len(), 1, "a retry is harmless");
    assert_eq!((&of_model[0].run_id, &of_model[0].of), (&run, &measured));

    let ghost = ModelMetric {
        model_id: "m-0".parse().unwrap(),
        ..measured
    };
    let refused = tracking.log_model_metric(&run, ghost).await;
    assert!(matches!(refused, Err(TrackingError::NoModel { .. })));
}

/// Models `a` to `d`, made in this order, with an `auc` on two data sets each; `d` has nothing.
async fn four_models() -> Option<(Store, Vec<ModelId>)> {
    let tracking = opened().await?;
    let run = new_run(&tracking, 1).await;
    let mut ids = Vec::new();
    let aucs = [Some((0.9, 0.1)), Some((0.8, 0.2)), Some((f64::NAN, 0.3)), None];
    for ((name, aucs), time) in ["a", "b", "c", "d"].into_iter().zip(aucs).zip(1..) {
        let new = NewLoggedModel {
            name: Some(name.into()),
            params: vec![pair("kind", &name.to_uppercase())],
            ..NewLoggedModel::new(DEFAULT_EXPERIMENT, time)
        };
        let id = tracking.create_logged_model(&new).await.unwrap().id;
        ids.push(id.clone());
        let Some((old, new)) = aucs else { continue };
        for (value, dataset, time) in [(old, "train", 1), (new, "test", 2)] {
            let measured = ModelMetric {
                model_id: id.clone(),
                dataset: Some(on(dataset, Some("d"))),
                metric: metric("auc", value, time, 0),
            };
            tracking.log_model_metric(&run, measured).await.unwrap();
        }
    }
    tracking
        .finalize_logged_model(&ids[1], ModelStatus::Ready, 9)
        .await
        .unwrap();
    Some((tracking, ids))
}

async fn check(tracking: &Tracking, query: &ModelQuery, expected: &str) {
    let found = tracking.search_logged_models(query).await.unwrap();
    let names: Vec<_> = found.items.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names.join(" "), expected, "{query:?}");
}

fn query() -> ModelQuery {
    ModelQuery::of(DEFAULT_EXPERIMENT)
}

fn with(field: Field<ModelAttribute>, test: Test, datasets: Vec<MeasuredOn>) -> ModelQuery {
    ModelQuery {
        conditions: vec![Condition { field, test }],
        datasets,
        ..query()
    }
}

#[tokio::test]
async fn models_are_found_by_what_they_are_and_how_good_they_are() {
    let Some((it, ids)) = four_models().await else { return };
    check(&it, &query(), "d c b a").await;
    let auc = || Field::Metric("auc".into());
    let above = |limit| Test::Number(NumberTest::Greater, limit);
    check(&it, &with(auc(), above(0.25), vec![]), "c b a").await;
    check(&it, &with(auc(), above(0.85), vec![]), "a").await;
    check(&it, &with(auc(), above(0.15), vec![on("test", None)]), "c b").await;
    check(&it, &with(auc(), above(0.15), vec![on("test", Some("other"))]), "").await;
    check(&it, &with(auc(), Test::Number(NumberTest::Less, 0.05), vec![]), "").await;
    let kind = Field::Param("kind".into());
    check(&it, &with(kind.clone(), Test::ILike("b".into()), vec![]), "b").await;
    check(&it, &with(kind, Test::Like("b".into()), vec![]), "").await;
    let status = Field::Attribute(ModelAttribute::Status);
    check(
        &it,
        &with(status, Test::Equal("LOGGED_MODEL_READY".into()), vec![]),
        "b",
    )
    .await;
    let id = Field::Attribute(ModelAttribute::Id);
    check(&it, &with(id, Test::In(vec![ids[3].to_string()]), vec![]), "d").await;
    let time = Field::Attribute(ModelAttribute::CreationTime);
    check(
        &it,
        &with(time, Test::Number(NumberTest::LessOrEqual, 2.0), vec![]),
        "b a",
    )
    .await;
    let measured = ModelQuery {
        datasets: vec![on("test", None)],
        ..query()
    };
    check(&it, &measured, "c b a").await;
    let nowhere = ModelQuery {
        experiments: Vec::new(),
        ..query()
    };
    check(&it, &nowhere, "").await;
}

#[tokio::test]
async fn models_are_ordered_by_the_latest_value_on_a_data_set() {
    let Some((it, _)) = four_models().await else { return };
    let by = |field, descending, dataset: Option<&str>| ModelQuery {
        order: vec![ModelOrder {
            by: Order { field, descending },
            dataset: dataset.map(|name| on(name, None)),
        }],
        ..query()
    };
    let auc = || Field::Metric("auc".into());
    check(&it, &by(auc(), false, None), "a b c d").await;
    check(&it, &by(auc(), true, None), "c b a d").await;
    check(&it, &by(auc(), false, Some("train")), "b a c d").await;
    check(&it, &by(Field::Attribute(ModelAttribute::Name), false, None), "a b c d").await;
    check(
        &it,
        &by(Field::Attribute(ModelAttribute::LastUpdateTime), true, None),
        "b d c a",
    )
    .await;
    let first = ModelQuery {
        limit: 3,
        ..by(auc(), false, None)
    };
    let page = it.search_logged_models(&first).await.unwrap();
    assert_eq!((page.items.len(), page.next_offset), (3, Some(3)));
    check(&it, &ModelQuery { offset: 3, ..first }, "d").await;
}
