//! Garbage collection removes what nothing needs and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foretell_registry::{GcReport, GcRequest, Registry, RegistryError, Stamp};

use crate::stores::{Store, assert_sound, both_kinds, keys, memory, package, publish, read, write};

/// The store stamps objects with the time of day, so these tests use it as well.
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Stamp::new("ann", since.as_micros() as i64 + 1_000_000)
}

fn everything() -> GcRequest {
    GcRequest {
        older_than: Duration::ZERO,
        ..GcRequest::new(now())
    }
}

async fn collect(store: &Store, request: GcRequest) -> GcReport {
    Registry::new(store.clone()).gc(request).await.unwrap()
}

/// Five versions, the second of which is the champion.
async fn start(store: &Store) -> Registry {
    let registry = Registry::new(store.clone());
    for version in 1..=5 {
        publish(&registry, "churn", &version.to_string()).await.unwrap();
    }
    registry.set_alias("churn", "champion", 2, &now()).await.unwrap();
    registry
}

async fn versions(registry: &Registry) -> Vec<u64> {
    registry
        .model("churn")
        .await
        .unwrap()
        .versions()
        .map(|it| it.version)
        .collect()
}

#[tokio::test]
async fn files_of_deleted_versions_go_and_shared_files_stay() {
    for (store, _folder) in both_kinds() {
        let registry = start(&store).await;
        registry.delete_version("churn", 5, &now()).await.unwrap();
        let report = collect(&store, everything()).await;
        assert_eq!(
            report.objects, 2,
            "one file and the manifest; the card is shared: {report}"
        );
        assert_eq!(versions(&registry).await, [1, 2, 3, 4]);
        assert_sound(&store).await;
        assert_eq!(collect(&store, everything()).await.objects, 0);
        assert_eq!(keys(&store, "gc/").await, Vec::<String>::new(), "the mark is gone");
    }
}

#[tokio::test]
async fn what_is_young_stays() {
    let store = memory();
    let registry = start(&store).await;
    registry.delete_version("churn", 5, &now()).await.unwrap();
    assert_eq!(collect(&store, GcRequest::new(now())).await.objects, 0);
}

#[tokio::test]
async fn a_retention_rule_spares_aliases_and_what_servers_have_loaded() {
    let store = memory();
    let registry = start(&store).await;
    let held = [("churn".to_owned(), 3), ("churn".to_owned(), 99)];
    registry.hold("server 1", &held, &now()).await.unwrap();
    let rule = GcRequest {
        keep_last: Some(1),
        ..everything()
    };
    let would = collect(
        &store,
        GcRequest {
            dry_run: true,
            ..rule.clone()
        },
    )
    .await;
    assert_eq!(versions(&registry).await, [1, 2, 3, 4, 5], "a dry run changes nothing");
    let did = collect(&store, rule.clone()).await;
    assert_eq!(
        GcReport {
            dry_run: false,
            ..would
        },
        did
    );
    assert_eq!(did.deleted_versions, [("churn".to_owned(), 4), ("churn".to_owned(), 1)]);
    assert_eq!(did.kept_by_lease, [("churn".to_owned(), 3)]);
    assert_eq!(versions(&registry).await, [2, 3, 5]);
    registry.release("server 1").await.unwrap();
    collect(&store, rule).await;
    assert_eq!(versions(&registry).await, [2, 5]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn files_of_a_deleted_version_stay_while_a_server_has_it_loaded() {
    let store = memory();
    let registry = start(&store).await;
    let version = registry.model("churn").await.unwrap().version(5).unwrap();
    registry
        .hold("server 1", &[("churn".to_owned(), 5)], &now())
        .await
        .unwrap();
    registry.delete_version("churn", 5, &now()).await.unwrap();
    assert_eq!(collect(&store, everything()).await.objects, 0);
    assert_eq!(registry.fetch(&version).await.unwrap().len(), 2);
    let later = Stamp::new("ann", now().time + 700_000_000);
    let after_its_death = GcRequest {
        stamp: later,
        ..everything()
    };
    assert_eq!(collect(&store, after_its_death).await.objects, 2);
}

#[tokio::test]
async fn files_that_an_upload_is_about_to_commit_stay() {
    let store = memory();
    let registry = start(&store).await;
    publish(&registry, "ltv", "6").await.unwrap();
    let uploading = keys(&store, "leases/uploads").await;
    assert_eq!(uploading, Vec::<String>::new(), "an upload that ended has no lease");
    // A writer that was killed between its upload and its commit.
    registry.delete_model("ltv", &now()).await.unwrap();
    let lease = read(&store, &killed_upload(&store).await).await;
    write(&store, "leases/uploads/killed.json", lease).await;
    assert_eq!(collect(&store, everything()).await.objects, 0);
    let next_day = GcRequest {
        stamp: Stamp::new("ann", now().time + 2 * 86_400_000_000),
        ..everything()
    };
    assert_eq!(collect(&store, next_day).await.objects, 2);
}

/// The key of the lease of an upload of package `6`, whose writer died.
async fn killed_upload(store: &Store) -> String {
    use crate::stores::{Fault, FaultyStore};
    for at in 0.. {
        let faulty = FaultyStore::new(store, Fault::DeadAfter, at);
        let _ = publish(&Registry::new(faulty), "ltv", "6").await;
        if let Some(key) = keys(store, "leases/uploads").await.pop() {
            return key;
        }
    }
    unreachable!("the loop ends when a lease is left");
}

#[tokio::test]
async fn of_two_collections_one_works_and_a_dead_one_is_taken_over() {
    let store = memory();
    let registry = start(&store).await;
    registry.delete_version("churn", 5, &now()).await.unwrap();
    write(
        &store,
        "gc/00000000000000000007.json",
        b"a mark of one that was killed".to_vec(),
    )
    .await;
    let error = registry.gc(everything()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Conflict { .. }), "{error}");
    assert!(error.to_string().starts_with("another garbage collection is at work"));
    let later = GcRequest {
        stamp: Stamp::new("ann", now().time + 700_000_000),
        ..everything()
    };
    assert_eq!(collect(&store, later).await.objects, 2);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishing_what_is_being_collected_never_loses_a_file() {
    for (store, _folder) in both_kinds() {
        let registry = start(&store).await;
        let collector = tokio::spawn({
            let store = store.clone();
            async move {
                for _ in 0..40 {
                    collect(&store, everything()).await;
                }
            }
        });
        // The same package again and again, deleted at once: every publish meets files that are unneeded.
        let mut rounds = 0;
        while !collector.is_finished() {
            let version = publish(&registry, "churn", "again").await.unwrap();
            assert_eq!(registry.fetch(&version).await.unwrap(), sorted(package("again")));
            registry.delete_version("churn", version.version, &now()).await.unwrap();
            rounds += 1;
        }
        collector.await.unwrap();
        assert!(rounds > 1);
        assert_sound(&store).await;
    }
}

fn sorted(mut files: Vec<foretell_registry::PackageFile>) -> Vec<foretell_registry::PackageFile> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[tokio::test]
async fn a_snapshot_of_many_versions_says_what_the_log_says() {
    let store = memory();
    let registry = Registry::new(store.clone());
    for version in 1..=700_u64 {
        let request = foretell_registry::PublishRequest::new("churn", Vec::new(), Stamp::new("ann", version as i64));
        registry.publish(request).await.unwrap();
    }
    registry.delete_version("churn", 300, &now()).await.unwrap();
    registry.set_alias("churn", "champion", 17, &now()).await.unwrap();
    for n in 0..64 {
        let alias = if n % 2 == 0 { "odd" } else { "even" };
        registry.set_alias("churn", alias, n + 1, &now()).await.unwrap();
    }
    let fresh = || async { Registry::new(store.clone()).model("churn").await.unwrap() };
    let described = |it: &foretell_registry::ModelState| {
        let versions: Vec<_> = it.versions().collect();
        (versions, it.aliases().clone(), it.seq())
    };
    let known = registry.model("churn").await.unwrap();
    let from_snapshot = fresh().await;
    assert_eq!(described(&from_snapshot), described(&known));
    assert_eq!(known.versions().count(), 699);
    // All but two snapshots go, then their chunks are damaged: the log still has everything.
    assert!(collect(&store, everything()).await.objects > 0);
    assert_eq!(described(&fresh().await), described(&known));
    for key in keys(&store, "models/").await {
        if key.contains("/chunks/") {
            write(&store, &key, b"damaged".to_vec()).await;
        }
    }
    assert_eq!(described(&fresh().await), described(&known));
    assert_sound(&store).await;
}
