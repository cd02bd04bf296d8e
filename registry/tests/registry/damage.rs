//! Stored bytes that changed, went missing, or are only hints.

use std::sync::atomic::Ordering;

use foretell_registry::{Digest, Registry, RegistryError, VersionRef};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::stores::{Fault, FaultyStore, Store, ann, assert_sound, keys, memory, publish, read, write};

async fn two_models() -> Store {
    let store = memory();
    let registry = Registry::new(store.clone());
    for model in ["churn", "ltv"] {
        publish(&registry, model, model).await.unwrap();
        publish(&registry, model, "second").await.unwrap();
        registry.set_alias(model, "champion", 1, &ann(2)).await.unwrap();
    }
    store
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Truncate,
    Flip,
    Append,
    Delete,
}

async fn damage(store: &Store, key: &str, how: Damage) {
    let mut bytes = read(store, key).await;
    let half = bytes.len() / 2;
    match how {
        Damage::Truncate => bytes.truncate(half),
        Damage::Flip => bytes[half] ^= 1,
        Damage::Append => bytes.push(b' '),
        Damage::Delete => return store.delete(&Path::from(key)).await.unwrap(),
    }
    write(store, key, bytes).await;
}

/// Resolves and fetches every version; the first error.
async fn fetch_all(store: &Store) -> Result<(), RegistryError> {
    let registry = Registry::new(store.clone());
    for model in registry.list_models().await? {
        for version in model.versions() {
            registry.fetch(&version).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn any_damage_to_any_object_is_found_by_fetch_and_by_verify() {
    for how in [Damage::Truncate, Damage::Flip, Damage::Append, Damage::Delete] {
        let all = two_models().await;
        for key in keys(&all, "")
            .await
            .into_iter()
            .filter(|it| it != "catalog/head" && it != "catalog/create-only")
        {
            let store = two_models().await;
            // Model ids are drawn anew for every store, so a log is found by its place in the list.
            let place = keys(&all, "").await.iter().position(|it| *it == key).unwrap();
            let key = keys(&store, "").await[place].clone();
            damage(&store, &key, how).await;
            let report = Registry::new(store.clone()).verify().await.unwrap();
            let fetched = fetch_all(&store).await;
            if matches!(how, Damage::Delete) && key.contains("/log/") {
                // A log that ends early looks complete to a reader; the next record or the hint gives it away.
                let known_end = key.ends_with("3.json") || key.starts_with("catalog");
                assert!(!report.is_ok() || known_end, "{how:?} {key}: {report}");
                continue;
            }
            assert!(!report.is_ok(), "{how:?} {key}");
            assert!(
                matches!(fetched, Err(RegistryError::Corrupt { .. })),
                "{how:?} {key}: {fetched:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_error_names_the_file_and_both_digests() {
    let store = two_models().await;
    let hex = Digest::of(b"churn").hex();
    write(&store, &format!("blobs/sha256/{}/{hex}", &hex[..2]), b"chunr".to_vec()).await;
    let registry = Registry::new(store.clone());
    let version = registry.resolve("churn", &VersionRef::Version(1)).await.unwrap();
    let said = registry.fetch(&version).await.unwrap_err().to_string();
    for part in ["file `model.bin` of churn@1", &hex, &Digest::of(b"chunr").hex()] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(registry.verify().await.unwrap().problems, [said]);
}

#[tokio::test]
async fn the_end_of_a_log_cannot_vanish_unnoticed() {
    let store = two_models().await;
    let last = keys(&store, "models/").await;
    let latest = String::from_utf8(read(&store, "catalog/head").await).unwrap();
    let last = last
        .iter()
        .find(|it| it.ends_with("3.json") && latest.contains(&it[..39]))
        .unwrap();
    damage(&store, last, Damage::Delete).await;
    let report = Registry::new(store).verify().await.unwrap();
    assert_eq!(report.problems.len(), 1, "{report}");
    assert!(
        report.problems[0].contains("ends with another record 2 than when record 3 was committed"),
        "{report}"
    );
}

#[tokio::test]
async fn a_log_cannot_pose_as_another() {
    let store = two_models().await;
    let logs = keys(&store, "models/").await;
    let (ours, theirs) = logs.split_at(3);
    for (from, to) in theirs.iter().zip(ours) {
        write(&store, to, read(&store, from).await).await;
    }
    assert!(!Registry::new(store).verify().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_record_of_a_newer_release_asks_for_an_upgrade() {
    let store = memory();
    let body = br#"{"format":2,"surprise":true}"#;
    let sealed = format!(
        r#"{{"sha256":"{}","body":{}}}"#,
        Digest::of(body).hex(),
        String::from_utf8_lossy(body)
    );
    write(&store, "catalog/log/00000000000000000001.json", sealed.into_bytes()).await;
    let error = Registry::new(store).list_models().await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unsupported { what } if what.contains("upgrade")),
        "{error}"
    );
}

#[tokio::test]
async fn unused_objects_are_counted_and_are_no_problem() {
    let store = two_models().await;
    let registry = Registry::new(store.clone());
    write(&store, "blobs/sha256/00/left-by-a-crash", b"x".to_vec()).await;
    registry.delete_version("churn", 1, &ann(3)).await.unwrap();
    registry.delete_model("ltv", &ann(3)).await.unwrap();
    let report = registry.verify().await.unwrap();
    assert!(report.is_ok(), "{report}");
    assert_eq!(
        (report.models, report.versions, report.deleted_versions, report.aliases),
        (1, 1, 1, 0)
    );
    assert_eq!((report.records, report.files), (3 + 4 + 3, 2));
    assert_eq!(
        report.orphans,
        1 + 2 * 2,
        "the crash's, and of both models a first version: a file and a manifest each"
    );
}

#[tokio::test]
async fn damaged_stale_or_missing_hints_are_harmless() {
    let store = memory();
    let writer = Registry::new(store.clone());
    publish(&writer, "churn", "1").await.unwrap();
    publish(&writer, "churn", "2").await.unwrap();
    for n in 0..130u64 {
        writer.set_alias("churn", "champion", n % 2 + 1, &ann(2)).await.unwrap();
    }
    let truth = |model: foretell_registry::ModelState| (model.seq(), model.aliases().clone());
    let expected = truth(writer.model("churn").await.unwrap());
    let hints: Vec<_> = keys(&store, "models/")
        .await
        .into_iter()
        .filter(|it| it.contains("/snap/"))
        .collect();
    assert_eq!(hints.len(), 2);
    let (first, second) = (read(&store, &hints[0]).await, read(&store, &hints[1]).await);

    let counting = FaultyStore::new(&store, Fault::None, 0);
    assert_eq!(
        truth(Registry::new(counting.clone()).model("churn").await.unwrap()),
        expected
    );
    let gets = counting.gets.load(Ordering::SeqCst);
    assert!(
        gets < 60,
        "a snapshot spares a new reader most of the log: {gets} requests"
    );

    let cut = second[..second.len() - 9].to_vec();
    let forged = String::from_utf8(second.clone())
        .unwrap()
        .replace("\"champion\":", "\"chimpion\":")
        .into_bytes();
    for (what, newest) in [
        ("damaged", cut),
        ("forged", forged),
        ("of another moment", first),
        ("whole", second),
    ] {
        write(&store, &hints[1], newest).await;
        assert_eq!(
            truth(Registry::new(store.clone()).model("churn").await.unwrap()),
            expected,
            "{what}"
        );
    }
    damage(&store, &hints[1], Damage::Delete).await;
    damage(&store, "catalog/head", Damage::Truncate).await;
    assert_eq!(
        truth(Registry::new(store.clone()).model("churn").await.unwrap()),
        expected
    );
    damage(&store, &hints[0], Damage::Delete).await;
    damage(&store, "catalog/head", Damage::Delete).await;
    assert_eq!(
        truth(Registry::new(store.clone()).model("churn").await.unwrap()),
        expected
    );
    assert_sound(&store).await;
}

#[tokio::test]
async fn publishing_again_mends_a_file_that_was_cut_short() {
    let store = two_models().await;
    let hex = Digest::of(b"churn").hex();
    damage(&store, &format!("blobs/sha256/{}/{hex}", &hex[..2]), Damage::Truncate).await;
    publish(&Registry::new(store.clone()), "churn", "churn").await.unwrap();
    assert_sound(&store).await;
}
