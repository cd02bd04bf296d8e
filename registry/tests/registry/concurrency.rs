//! Many writers, none of which knows the others.

use std::collections::BTreeSet;
use std::future::Future;

use foretell_registry::{PromoteRequest, PublishRequest, Registry, RegistryError};
use futures::future::join_all;

use crate::stores::{Store, ann, assert_sound, both_kinds, publish, request};

const WRITERS: usize = 8;
const EACH: usize = 5;

/// Runs `task` for each of several writers at once, each with a registry of its own on one store.
async fn at_once<T, F>(store: &Store, task: impl Fn(Registry, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = (0..WRITERS).map(|writer| tokio::spawn(task(Registry::new(store.clone()), writer)));
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_publishers_lose_no_version_and_share_no_number() {
    for (store, _folder) in both_kinds() {
        let numbers = at_once(&store, |registry, writer| async move {
            let mut numbers = Vec::new();
            for n in 0..EACH {
                let aliases = vec!["challenger".to_owned()];
                let request = PublishRequest {
                    aliases,
                    ..request("churn", &format!("{writer}-{n}"))
                };
                numbers.push(registry.publish(request).await.unwrap().version);
            }
            numbers
        });
        let numbers: BTreeSet<_> = numbers.await.into_iter().flatten().collect();
        let all = (WRITERS * EACH) as u64;
        assert_eq!(numbers, (1..=all).collect());
        let models = Registry::new(store.clone()).list_models().await.unwrap();
        assert_eq!(models.len(), 1, "one writer founded the model, the others joined");
        assert_eq!(
            models[0].aliases()["challenger"],
            all,
            "the alias moved with the last version"
        );
        assert_eq!(
            models[0].versions().map(|it| it.digest).collect::<BTreeSet<_>>().len(),
            WRITERS * EACH
        );
        assert_sound(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_promoters_that_expect_the_same_champion_one_wins() {
    for (store, _folder) in both_kinds() {
        let registry = Registry::new(store.clone());
        for writer in 0..WRITERS {
            publish(&registry, "churn", &writer.to_string()).await.unwrap();
        }
        let results = at_once(&store, |registry, writer| async move {
            let expect = Some([("champion".to_owned(), None)].into());
            let request = PromoteRequest::new("churn", writer as u64 + 1, "champion", ann(2));
            registry.promote(PromoteRequest { expect, ..request }).await
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        let winner = won[0].as_ref().unwrap().version;
        assert_eq!(registry.model("churn").await.unwrap().aliases()["champion"], winner);
        let seq = WRITERS as u64 + 1;
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert!(
                matches!(error, RegistryError::Conflict { seq: at, .. } if at == seq),
                "{error}"
            );
        }
        assert_sound(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_counter_by_compare_and_swap_counts_every_success() {
    for (store, _folder) in both_kinds() {
        let registry = Registry::new(store.clone());
        publish(&registry, "churn", "0").await.unwrap();
        registry.set_alias("churn", "champion", 1, &ann(1)).await.unwrap();
        let successes = at_once(&store, |registry, _| async move {
            let mut successes = 0;
            for _ in 0..EACH {
                let champion = registry.model("churn").await.unwrap().aliases()["champion"];
                let next = publish(&registry, "churn", "x").await.unwrap().version;
                let expect = Some([("champion".to_owned(), Some(champion))].into());
                let request = PromoteRequest::new("churn", next, "champion", ann(2));
                successes += u64::from(registry.promote(PromoteRequest { expect, ..request }).await.is_ok());
            }
            successes
        });
        let successes: u64 = successes.await.into_iter().sum();
        assert!(successes > 0);
        let records = registry.history("churn").await.unwrap();
        let promotions = records.iter().filter(|it| it.expected.is_some()).count() as u64;
        assert_eq!(promotions, successes);
        assert_sound(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_writers_that_take_one_name_one_gets_it() {
    for (store, _folder) in both_kinds() {
        let registry = Registry::new(store.clone());
        for writer in 0..WRITERS {
            publish(&registry, &format!("m{writer}"), "a").await.unwrap();
        }
        let renamed = at_once(&store, |registry, writer| async move {
            registry
                .rename_model(&format!("m{writer}"), "churn", &ann(2))
                .await
                .is_ok()
        });
        assert_eq!(renamed.await.into_iter().filter(|it| *it).count(), 1);
        assert_eq!(registry.list_models().await.unwrap().len(), WRITERS);
        assert_sound(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_share_one_registry_do_not_get_in_each_other_s_way() {
    let (store, _folder) = both_kinds().remove(0);
    let registry = Registry::new(store.clone());
    let tasks = (0..20).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move { publish(&registry, "churn", &n.to_string()).await.unwrap().version })
    });
    let numbers: BTreeSet<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=20).collect());
    assert_sound(&store).await;
}
