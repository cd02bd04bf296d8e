//! Aliases: promotion, compare-and-swap, rollback, history.

use foretell_registry::{AliasMove, ModelOp, ModelState, PromoteRequest, Registry, RegistryError, RollbackRequest};
use proptest::prelude::*;
use serde_json::json;

use crate::stores::{ann, assert_sound, memory, publish};

async fn with_versions(n: u64) -> Registry {
    let registry = Registry::new(memory());
    for version in 1..=n {
        publish(&registry, "churn", &version.to_string()).await.unwrap();
    }
    registry
}

async fn promote(registry: &Registry, version: u64) {
    registry
        .promote(PromoteRequest::new("churn", version, "champion", ann(9)))
        .await
        .unwrap();
}

async fn rollback(registry: &Registry) -> Result<u64, RegistryError> {
    let request = RollbackRequest::new("churn", "champion", ann(9).because("errors"));
    registry.rollback(request).await.map(|it| it.version)
}

#[tokio::test]
async fn a_promotion_moves_all_its_aliases_in_one_record_with_its_evidence() {
    let registry = with_versions(2).await;
    promote(&registry, 1).await;
    registry.set_alias("churn", "challenger", 2, &ann(3)).await.unwrap();
    let evidence = json!({"roc_auc": {"min": 0.75, "got": 0.81}});
    let also = vec![
        AliasMove {
            alias: "previous".to_owned(),
            to: Some(1),
        },
        AliasMove {
            alias: "challenger".to_owned(),
            to: None,
        },
    ];
    let request = PromoteRequest {
        also,
        expect: Some([("champion".to_owned(), Some(1)), ("shadow".to_owned(), None)].into()),
        evidence: evidence.clone(),
        ..PromoteRequest::new("churn", 2, "champion", ann(4).because("gates passed"))
    };
    let promoted = registry.promote(request.clone()).await.unwrap();
    assert_eq!(promoted.aliases, ["champion"]);
    let model = registry.model("churn").await.unwrap();
    assert_eq!(
        model.aliases(),
        &[("champion".to_owned(), 2), ("previous".to_owned(), 1)].into()
    );

    let last = registry.history("churn").await.unwrap().pop().unwrap();
    assert_eq!((last.seq, last.ops.len(), &*last.actor, last.time), (5, 3, "ann", 4));
    assert_eq!(
        (last.evidence, last.reason.as_deref()),
        (Some(evidence), Some("gates passed"))
    );

    let error = registry.promote(request).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Conflict { seq: 5, .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("alias `champion` was expected at version 1 but is at version 2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_promotion_to_a_version_that_is_not_there_changes_nothing() {
    let registry = with_versions(1).await;
    let missing = PromoteRequest {
        also: vec![AliasMove {
            alias: "previous".to_owned(),
            to: Some(5),
        }],
        ..PromoteRequest::new("churn", 1, "champion", ann(4))
    };
    assert!(registry.promote(missing).await.unwrap_err().is_not_found());
    let reserved = PromoteRequest::new("churn", 1, "v1", ann(4));
    assert!(matches!(
        registry.promote(reserved).await,
        Err(RegistryError::InvalidName { .. })
    ));
    assert!(registry.model("churn").await.unwrap().aliases().is_empty());
}

#[tokio::test]
async fn a_rollback_goes_one_live_version_further_back_each_time() {
    let registry = with_versions(5).await;
    for version in [1, 2, 3, 2, 4] {
        promote(&registry, version).await;
    }
    assert_eq!(rollback(&registry).await.unwrap(), 2);
    promote(&registry, 5).await;
    assert_eq!(
        rollback(&registry).await.unwrap(),
        2,
        "what was rolled back is not returned to"
    );
    assert_eq!(rollback(&registry).await.unwrap(), 3);
    registry.delete_version("churn", 2, &ann(1)).await.unwrap();
    assert_eq!(
        rollback(&registry).await.unwrap(),
        1,
        "a deleted version is passed over"
    );
    let error = rollback(&registry).await.unwrap_err();
    assert!(matches!(error, RegistryError::NothingToRollBack { .. }));
    let ops: Vec<_> = registry
        .history("churn")
        .await
        .unwrap()
        .into_iter()
        .flat_map(|it| it.ops)
        .collect();
    assert_eq!(
        ops.last(),
        Some(&ModelOp::RollBackAlias {
            alias: "champion".to_owned(),
            version: 1
        })
    );
}

#[tokio::test]
async fn a_rollback_restores_an_alias_that_was_deleted() {
    let registry = with_versions(2).await;
    assert!(matches!(
        rollback(&registry).await,
        Err(RegistryError::UnknownAlias { .. })
    ));
    promote(&registry, 2).await;
    registry.delete_alias("churn", "champion", &ann(1)).await.unwrap();
    assert_eq!(rollback(&registry).await.unwrap(), 2);
    registry.delete_version("churn", 2, &ann(1)).await.unwrap();
    assert!(matches!(
        rollback(&registry).await,
        Err(RegistryError::NothingToRollBack { .. })
    ));
}

#[tokio::test]
async fn setting_an_alias_again_or_deleting_none_records_nothing() {
    let registry = with_versions(1).await;
    let set = registry.set_alias("churn", "champion", 1, &ann(2)).await.unwrap();
    let again = registry.set_alias("churn", "champion", 1, &ann(3)).await.unwrap();
    let none = registry.delete_alias("churn", "shadow", &ann(4)).await.unwrap();
    assert_eq!([set.seq(), again.seq(), none.seq()], [2, 2, 2]);
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Promote(u64),
    Delete(u64),
    DeleteAlias,
    RollBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Publish),
        (1..6u64).prop_map(Step::Promote),
        (1..6u64).prop_map(Step::Delete),
        Just(Step::DeleteAlias),
        Just(Step::RollBack),
    ]
}

async fn take(registry: &Registry, step: &Step) {
    let done = match step {
        Step::Publish => publish(registry, "churn", "x").await.map(drop),
        Step::Promote(version) => registry
            .set_alias("churn", "champion", *version, &ann(1))
            .await
            .map(drop),
        Step::Delete(version) => registry.delete_version("churn", *version, &ann(1)).await.map(drop),
        Step::DeleteAlias => registry.delete_alias("churn", "champion", &ann(1)).await.map(drop),
        Step::RollBack => rollback(registry).await.map(drop),
    };
    let known = matches!(done, Ok(()) | Err(RegistryError::NothingToRollBack { .. }));
    assert!(known || done.unwrap_err().is_not_found());
}

fn seen(model: &ModelState) -> (u64, Option<u64>, Vec<u64>) {
    let champion = model.aliases().get("champion").copied();
    (model.seq(), champion, model.versions().map(|it| it.version).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_new_reader_sees_what_the_writer_sees_and_aliases_point_to_live_versions(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let store = memory();
            let writer = Registry::new(store.clone());
            publish(&writer, "churn", "x").await.unwrap();
            for step in &steps {
                take(&writer, step).await;
                let after = seen(&writer.model("churn").await.unwrap());
                assert!(after.1.is_none_or(|it| after.2.contains(&it)), "{after:?}");
            }
            let reader = Registry::new(store.clone());
            assert_eq!(seen(&reader.model("churn").await.unwrap()), seen(&writer.model("churn").await.unwrap()));
            assert_sound(&store).await;
        });
    }

    #[test]
    fn a_rollback_undoes_a_promotion(steps in prop::collection::vec(step(), 0..20), version in 1..4u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let registry = with_versions(3).await;
            for step in &steps {
                take(&registry, step).await;
            }
            let before = registry.model("churn").await.unwrap();
            let old = before.aliases().get("champion").copied();
            if let Some(old) = old.filter(|it| *it != version && before.version(version).is_ok()) {
                promote(&registry, version).await;
                assert_eq!(rollback(&registry).await.unwrap(), old);
            }
        });
    }
}
