//! Replies that are lost, writes that are refused, bytes that changed, and a store that ignores conditions.

use std::sync::atomic::{AtomicUsize, Ordering};

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::{Between, Call, Fate, Store, Verb, ann, assert_sound, numbers, publish, reader, request, state};
use crate::package::{blob_key, manifest_key};
use crate::{Digest, ModelState, PublishRequest, Registry, RegistryError, TxId};

/// A registry over the store to which this happens at the `at`th create (from 0), and only then.
fn disturbed(store: &Store, fate: Fate, at: usize) -> Registry {
    let creates = AtomicUsize::new(0);
    let judge = move |call: Call<'_>| {
        let hit = call.verb == Verb::Create && creates.fetch_add(1, Ordering::SeqCst) == at;
        if hit { fate } else { Fate::Done }
    };
    Registry::new(Between::new(store.clone(), judge))
}

fn seen(model: &ModelState) -> (Vec<u64>, Vec<(String, u64)>) {
    (numbers(model), model.aliases().clone().into_iter().collect())
}

pub(super) async fn lost_replies_are_settled(store: &Store) {
    for (n, fate) in [Fate::ReplyLost, Fate::FoundOwn, Fate::TakenYetAbsent]
        .into_iter()
        .enumerate()
    {
        let model = format!("conformance-replies-{n}");
        publish(&reader(store), &model, "first").await;
        for at in 0..5usize {
            let name = format!("lost {fate:?} {at}");
            let request = PublishRequest {
                aliases: vec!["challenger".to_owned()],
                ..request(&model, &name)
            };
            let published = disturbed(store, fate, at).publish(request).await;
            let version = published.unwrap_or_else(|it| panic!("{name}: {it}")).version;
            let after = state(&reader(store), &model).await;
            let all = (1..=at as u64 + 2).collect::<Vec<_>>();
            assert_eq!(
                seen(&after),
                (all, vec![("challenger".to_owned(), version)]),
                "{name}: done once"
            );
        }
    }
}

pub(super) async fn a_refused_write_changes_nothing(store: &Store) {
    let model = "conformance-refused";
    publish(&reader(store), model, "first").await;
    let request = PublishRequest {
        txid: Some(TxId::new("conformance-refused-once")),
        ..request(model, "second")
    };
    let mut failures = 0;
    for at in 0..5 {
        let done = disturbed(store, Fate::Refused, at).publish(request.clone()).await;
        let now = numbers(&state(&reader(store), model).await);
        match done {
            Ok(version) => assert_eq!((version.version, now), (2, vec![1, 2])),
            Err(RegistryError::Storage { .. }) => {
                failures += 1;
                assert_eq!(now, [1], "nothing is visible");
            }
            Err(other) => panic!("not the store's error: {other}"),
        }
    }
    assert!(failures > 0, "some create matters");
    assert_sound(store).await;
}

async fn write(store: &Store, key: &str, bytes: &'static str) {
    let (key, bytes) = (Path::from(key), PutPayload::from_static(bytes.as_bytes()));
    store.put(&key, bytes).await.expect("the store can be written");
}

async fn delete(store: &Store, key: &str) {
    store.delete(&Path::from(key)).await.expect("an object can be deleted");
}

pub(super) async fn damage_is_named(store: &Store) {
    let model = "conformance-damage";
    let version = publish(&reader(store), model, "undamaged").await;
    let blob = blob_key(&Digest::of(b"undamaged"));
    for (bytes, said) in [
        (None, "no object"),
        (Some("damaged!!"), "got=`sha256:"),
        (Some("cut"), "got=`3 bytes`"),
    ] {
        match bytes {
            Some(bytes) => write(store, &blob, bytes).await,
            None => delete(store, &blob).await,
        }
        let error = reader(store).fetch(&version).await.expect_err("damage is found");
        let text = error.to_string();
        assert!(matches!(error, RegistryError::Corrupt { .. }), "{text}");
        assert!(
            text.contains("file `model.bin` of conformance-damage@1") && text.contains(said),
            "{text}"
        );
        let report = reader(store).verify().await.expect("the store can be read");
        assert_eq!(report.problems, [text]);
    }
    write(store, &blob, "undamaged").await;
    delete(store, &manifest_key(&version.digest)).await;
    let report = reader(store).verify().await.expect("the store can be read");
    assert!(
        report.problems.len() == 1 && report.problems[0].contains("manifest of conformance-damage@1"),
        "{report}"
    );
    let again = publish(&reader(store), model, "undamaged").await;
    assert_eq!(again.digest, version.digest, "publishing the same files again mends it");
    assert_sound(store).await;
}

pub(super) async fn a_store_without_conditions_is_refused(store: &Store) {
    let model = "conformance-conditions";
    publish(&reader(store), model, "1").await;
    let careless = Between::new(store.clone(), |call: Call<'_>| match call.verb {
        Verb::Create => Fate::Overwritten,
        _ => Fate::Done,
    });
    let refused = Registry::new(careless).set_alias(model, "champion", 1, &ann(2)).await;
    let error = refused.map(drop).expect_err("two writers could both win");
    assert!(matches!(error, RegistryError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    assert_sound(store).await;
}
