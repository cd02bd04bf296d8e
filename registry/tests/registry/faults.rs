//! Every put of every operation goes wrong in every way: the state is the old or the new one, and nothing happens twice.

use std::sync::atomic::Ordering;

use foretell_registry::{AliasMove, PromoteRequest, PublishRequest, Registry, RegistryError, RollbackRequest, TxId};

use crate::stores::{Fault, FaultyStore, Store, ann, assert_sound, memory, publish, request};

#[derive(Clone, Copy, Debug)]
enum Operation {
    PublishFirst,
    PublishNext,
    Promote,
    RollBack,
    Rename,
    Delete,
}

const OPERATIONS: [Operation; 6] = [
    Operation::PublishFirst,
    Operation::PublishNext,
    Operation::Promote,
    Operation::RollBack,
    Operation::Rename,
    Operation::Delete,
];

impl Operation {
    async fn run(self, registry: &Registry) -> Result<(), RegistryError> {
        let named = |model: &str| PublishRequest {
            txid: Some(TxId::new("the-one")),
            aliases: vec!["challenger".to_owned()],
            ..request(model, "new")
        };
        match self {
            Self::PublishFirst => registry.publish(named("ltv")).await.map(drop),
            Self::PublishNext => registry.publish(named("churn")).await.map(drop),
            Self::Promote => {
                let also = vec![AliasMove {
                    alias: "previous".to_owned(),
                    to: Some(2),
                }];
                let request = PromoteRequest::new("churn", 1, "champion", ann(3));
                registry.promote(PromoteRequest { also, ..request }).await.map(drop)
            }
            Self::RollBack => registry
                .rollback(RollbackRequest::new("churn", "champion", ann(3)))
                .await
                .map(drop),
            Self::Rename => registry.rename_model("churn", "attrition", &ann(3)).await.map(drop),
            Self::Delete => registry.delete_model("churn", &ann(3)).await,
        }
    }
}

/// Two versions, of which the second is the champion and the first was.
async fn start() -> Store {
    let store = memory();
    let registry = Registry::new(store.clone());
    for version in 1..=2 {
        publish(&registry, "churn", &version.to_string()).await.unwrap();
        registry.set_alias("churn", "champion", version, &ann(2)).await.unwrap();
    }
    store
}

/// What a new reader sees: names, versions, aliases.
async fn seen(store: &Store) -> Vec<String> {
    let models = Registry::new(store.clone()).list_models().await.unwrap();
    let line = |it: foretell_registry::ModelState| {
        let versions: Vec<_> = it
            .versions()
            .map(|it| (it.version, it.digest.hex()[..8].to_owned()))
            .collect();
        format!("{} {versions:?} {:?}", it.name, it.aliases())
    };
    models.into_iter().map(line).collect()
}

/// Runs the operation with the fault at every put in turn, until there is none left to hit.
async fn check(operation: Operation, fault: Fault, accept: impl Fn(bool) -> bool) {
    let undisturbed = start().await;
    let old = seen(&undisturbed).await;
    operation.run(&Registry::new(undisturbed.clone())).await.unwrap();
    let new = seen(&undisturbed).await;
    assert_ne!(old, new);
    for at in 0.. {
        let store = start().await;
        let faulty = FaultyStore::new(&store, fault, at);
        let done = operation.run(&Registry::new(faulty.clone())).await;
        let case = format!("{operation:?}, {fault:?} at put {at}: {done:?}");
        assert!(accept(done.is_ok()), "{case}");
        let now = seen(&store).await;
        assert!(now == new || now == old && done.is_err(), "{case}: {now:?}");
        assert_sound(&store).await;
        if now == old || matches!(operation, Operation::PublishFirst | Operation::PublishNext) {
            operation.run(&Registry::new(store.clone())).await.unwrap();
        }
        assert_eq!(seen(&store).await, new, "{case}: once more must be once");
        assert_sound(&store).await;
        if faulty.puts.load(Ordering::SeqCst) <= at {
            return;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_effect_is_still_a_success() {
    for operation in OPERATIONS {
        for fault in [Fault::After, Fault::AfterAsTaken] {
            check(operation, fault, |done| done).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_says_taken_and_shows_nothing_is_asked_again() {
    for operation in OPERATIONS {
        check(operation, Fault::TakenYetAbsent, |done| done).await;
    }
}

#[tokio::test]
async fn a_put_that_fails_leaves_the_old_state_or_was_only_a_hint() {
    for operation in OPERATIONS {
        check(operation, Fault::Before, |_| true).await;
    }
}

#[tokio::test]
async fn a_writer_that_dies_at_any_put_leaves_the_old_or_the_new_state() {
    for operation in OPERATIONS {
        for fault in [Fault::DeadBefore, Fault::DeadAfter] {
            check(operation, fault, |_| true).await;
        }
    }
}

#[tokio::test]
async fn an_error_of_the_store_says_where_and_what_to_do() {
    let store = start().await;
    let faulty = FaultyStore::new(&store, Fault::Before, 1);
    let error = Registry::new(faulty)
        .set_alias("churn", "champion", 1, &ann(3))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Storage { .. }));
    let said = error.to_string();
    assert!(
        said.starts_with("cannot commit; check that the store is reachable and try again"),
        "{said}"
    );
    assert!(said.ends_with("log/00000000000000000005.json`"), "{said}");
}
