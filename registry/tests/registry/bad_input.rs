//! What callers, archives and stores get wrong: one clear error of the right kind, and nothing lost.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foretell_registry::conformance::{Between, Call, Fate};
use foretell_registry::{
    AliasMove, ChangeRequest, CreateModelRequest, ImportRequest, ModelOp, PromoteRequest, PublishRequest, Registry,
    RegistryError, Result, RollbackRequest, TxId, VersionRef,
};

use crate::stores::{Store, ann, assert_sound, keys, memory, publish, request};

async fn one_version() -> Store {
    let store = memory();
    let registry = Registry::new(store.clone());
    publish(&registry, "churn", "a").await.unwrap();
    registry.set_alias("churn", "champion", 1, &ann(2)).await.unwrap();
    store
}

/// Every way in which a name of a model can be given to be kept.
async fn name_model(registry: &Registry, name: &str) -> Vec<Result<()>> {
    let create = CreateModelRequest {
        name: name.to_owned(),
        description: String::new(),
        tags: [].into(),
        stamp: ann(3),
    };
    vec![
        registry.publish(request(name, "x")).await.map(drop),
        registry.create_model(create).await.map(drop),
        registry.rename_model("churn", name, &ann(3)).await.map(drop),
    ]
}

/// Every way in which an alias can be made.
async fn name_alias(registry: &Registry, alias: &str) -> Vec<Result<()>> {
    let set = |alias: &str| ModelOp::SetAlias {
        alias: alias.to_owned(),
        version: 1,
    };
    let also = vec![AliasMove {
        alias: alias.to_owned(),
        to: Some(1),
    }];
    let published = PublishRequest {
        aliases: vec!["shadow".to_owned(), alias.to_owned()],
        ..request("churn", "x")
    };
    let promoted = PromoteRequest {
        also,
        ..PromoteRequest::new("churn", 1, "shadow", ann(3))
    };
    vec![
        registry.publish(published).await.map(drop),
        registry.promote(promoted).await.map(drop),
        registry
            .promote(PromoteRequest::new("churn", 1, alias, ann(3)))
            .await
            .map(drop),
        registry.set_alias("churn", alias, 1, &ann(3)).await.map(drop),
        registry
            .change(ChangeRequest::new("churn", vec![set("shadow"), set(alias)], ann(3)))
            .await
            .map(drop),
    ]
}

/// Each way was refused with this message, and the store is as it was.
async fn refused(store: &Store, before: &[String], given: &str, all: Vec<Result<()>>, said: &str) {
    for (way, result) in all.into_iter().enumerate() {
        let Err(RegistryError::InvalidName { message }) = result else {
            panic!("way {way}, `{given}`: {result:?}");
        };
        assert!(message.contains(said), "way {way}, `{given}`: {message}");
    }
    assert_eq!(keys(store, "").await, before, "`{given}` leaves nothing");
}

#[tokio::test]
async fn a_bad_name_is_refused_wherever_it_is_given() {
    let store = one_version().await;
    let (registry, before) = (Registry::new(store.clone()), keys(&store, "").await);
    let long = "m".repeat(300);
    for (name, said) in [
        ("a/b", "Names cannot contain '/' or ':'"),
        ("../../etc", "Names cannot contain '/' or ':'"),
        ("s3://x", "Names cannot contain '/' or ':'"),
        ("..", "must not resolve to other names"),
        (" ", "Missing value for required parameter 'name'"),
        (&long, "exceeds the maximum length of 256 characters"),
    ] {
        refused(&store, &before, name, name_model(&registry, name).await, said).await;
    }
    let long = "a".repeat(300);
    for (alias, said) in [
        (&*long, "exceeds the maximum length of 255 characters"),
        ("", "Missing value for required parameter 'alias'"),
        ("a/b", "Names may only contain alphanumerics"),
        ("blue green", "Names may only contain alphanumerics"),
        ("champion\0", "Names may only contain alphanumerics"),
        ("v1", "is reserved"),
        ("V007", "is reserved"),
        ("Latest", "is reserved"),
    ] {
        refused(&store, &before, alias, name_alias(&registry, alias).await, said).await;
    }
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_version_that_is_not_there_is_not_found_wherever_it_is_given() {
    let store = one_version().await;
    let registry = Registry::new(store.clone());
    let seq = registry.model("churn").await.unwrap().seq();
    for version in [0, 2, u64::MAX] {
        let tag = ModelOp::SetTag {
            version: Some(version),
            key: "k".to_owned(),
            value: "v".to_owned(),
        };
        let all = [
            registry.resolve("churn", &VersionRef::Version(version)).await.map(drop),
            registry.set_alias("churn", "shadow", version, &ann(3)).await.map(drop),
            registry
                .promote(PromoteRequest::new("churn", version, "shadow", ann(3)))
                .await
                .map(drop),
            registry.delete_version("churn", version, &ann(3)).await.map(drop),
            registry
                .change(ChangeRequest::new("churn", vec![tag], ann(3)))
                .await
                .map(drop),
        ];
        for (way, result) in all.into_iter().enumerate() {
            let error = result.expect_err("there is no such version");
            assert!(error.is_not_found(), "way {way}: {error:?}");
            let said = error.to_string();
            assert_eq!(
                said,
                format!("unknown version `{version}` of model `churn`; there is `1`"),
                "way {way}"
            );
        }
    }
    let rollback = RollbackRequest::new("churn", "champoin", ann(3));
    let error = registry.rollback(rollback).await.unwrap_err();
    assert!(error.to_string().ends_with("did you mean `champion`?"), "{error}");
    assert_eq!(
        registry.model("churn").await.unwrap().seq(),
        seq,
        "nothing was recorded"
    );
}

type Entries = Vec<(String, Vec<u8>)>;

async fn exported(store: &Store) -> Entries {
    let registry = Registry::new(store.clone());
    let version = registry.resolve("churn", &VersionRef::Latest).await.unwrap();
    let mut bytes = Vec::new();
    registry.export(&version, &mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

fn pack(entries: &Entries) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written as it is, so that a path can be as bad as in an archive that somebody forged.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn a_package_that_lacks_a_file_or_has_another_is_not_imported() {
    let whole = exported(&one_version().await).await;
    let request = || ImportRequest {
        model: None,
        aliases: vec!["challenger".to_owned()],
        stamp: ann(4),
    };
    let imported = Registry::new(memory()).import(&mut &pack(&whole)[..], request()).await;
    assert_eq!(imported.unwrap().version, 1, "the archive is good as it is");
    let place = |path: &str| whole.iter().position(|it| it.0 == path).unwrap();
    let without = |path: &str| {
        let mut some = whole.clone();
        some.remove(place(path));
        some
    };
    let mut changed = whole.clone();
    changed[place("files/model.bin")].1 = b"b".to_vec();
    for (what, archive) in [
        ("without a file", without("files/model.bin")),
        ("without the manifest", without("manifest.json")),
        ("without the version", without("version.json")),
        ("with a changed file", changed),
    ] {
        let store = memory();
        let error = Registry::new(store.clone())
            .import(&mut &pack(&archive)[..], request())
            .await
            .map(drop);
        let error = error.expect_err(what);
        let known = matches!(
            error,
            RegistryError::Corrupt { .. } | RegistryError::InvalidName { .. } | RegistryError::Archive { .. }
        );
        assert!(known, "{what}: {error:?}");
        assert_eq!(
            keys(&store, "").await,
            Vec::<String>::new(),
            "{what}: nothing was written"
        );
    }
}

/// A store that is gone after so many requests, and how many it was asked.
fn going_away(store: &Store, after: usize) -> (Registry, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let judge = move |_: Call<'_>| {
        let gone = count.fetch_add(1, Ordering::SeqCst) >= after;
        if gone { Fate::Refused } else { Fate::Done }
    };
    (Registry::new(Between::new(store.clone(), judge)), asked)
}

#[tokio::test]
async fn a_store_that_goes_away_in_the_middle_loses_nothing() {
    for after in 0.. {
        let store = one_version().await;
        let (registry, asked) = going_away(&store, after);
        let request = PublishRequest {
            txid: Some(TxId::new("once")),
            aliases: vec!["challenger".to_owned()],
            ..request("churn", "b")
        };
        let done = registry.publish(request.clone()).await.map(drop);
        if let Err(error) = &done {
            let said = error.to_string();
            assert!(matches!(error, RegistryError::Storage { .. }), "{error:?}");
            assert!(
                said.contains("check that the store is reachable and try again"),
                "{said}"
            );
        }
        let back = Registry::new(store.clone());
        let versions = |it: foretell_registry::ModelState| it.versions().count();
        let there = versions(back.model("churn").await.unwrap());
        assert!(there == 2 || done.is_err() && there == 1, "after {after}: {there}");
        assert_eq!(
            back.model("churn").await.unwrap().aliases()["champion"],
            1,
            "the champion stays"
        );
        assert_sound(&store).await;
        let again = back.publish(request).await.unwrap();
        assert_eq!(
            (again.version, versions(back.model("churn").await.unwrap())),
            (2, 2),
            "once more is once"
        );
        assert_sound(&store).await;
        if asked.load(Ordering::SeqCst) <= after {
            return;
        }
    }
}

#[tokio::test]
async fn a_reader_says_that_the_store_is_gone_and_goes_on_when_it_is_back() {
    let store = one_version().await;
    let (registry, _) = going_away(&store, 12);
    let mut watcher = registry.watcher();
    let mut errors = 0;
    for _ in 0..12 {
        let read = registry.resolve("churn", &VersionRef::Latest).await;
        let polled = watcher.poll().await;
        for error in [read.map(drop).err(), polled.map(drop).err()].into_iter().flatten() {
            assert!(matches!(error, RegistryError::Storage { .. }), "{error:?}");
            errors += 1;
        }
    }
    assert!(errors > 0, "the store went away");
    let back = Registry::new(store.clone());
    assert_eq!(back.resolve("churn", &VersionRef::Latest).await.unwrap().version, 1);
}
