//! Many writers and readers, none of which knows the others.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::{Store, ann, assert_sound, numbers, publish, reader, request, state};
use crate::{ModelOp, PromoteRequest, Registry, RegistryError};

const WRITERS: u64 = 4;
const EACH: u64 = 4;

pub(super) async fn a_swap_needs_the_expected_state(registry: &Registry) {
    let model = "conformance-swap";
    publish(registry, model, "1").await;
    publish(registry, model, "2").await;
    let swap = |from: Option<u64>, to| PromoteRequest {
        expect: Some([("champion".to_owned(), from)].into()),
        ..PromoteRequest::new(model, to, "champion", ann(2))
    };
    registry.promote(swap(None, 1)).await.expect("there is no champion yet");
    for stale in [None, Some(2)] {
        let lost = registry.promote(swap(stale, 2)).await.map(drop);
        assert!(matches!(lost, Err(RegistryError::Conflict { seq: 3, .. })), "{lost:?}");
    }
    registry
        .promote(swap(Some(1), 2))
        .await
        .expect("the champion is as expected");
    assert_eq!(state(registry, model).await.aliases()["champion"], 2);
}

/// Publishes versions and moves the alias to each, some by compare-and-swap; answers with the numbers.
async fn write(registry: Registry, model: &'static str, writer: u64) -> Vec<u64> {
    let mut made = Vec::new();
    for n in 0..EACH {
        let version = publish(&registry, model, &format!("{writer}-{n}")).await.version;
        let promote = PromoteRequest::new(model, version, "champion", ann(2));
        registry.promote(promote).await.expect("a version can be promoted");
        made.push(version);
    }
    made
}

pub(super) async fn concurrent_writers_lose_nothing(store: &Store) {
    let model = "conformance-writers";
    let writers = (0..WRITERS).map(|it| tokio::spawn(write(reader(store), model, it)));
    let made = join_all(writers.collect::<Vec<_>>()).await;
    let made = made.into_iter().flat_map(|it| it.expect("no writer panics"));
    let (all, made) = (1..=WRITERS * EACH, made.collect::<BTreeSet<_>>());
    assert!(made.into_iter().eq(all.clone()), "numbers are dense and unique");
    let seen = reader(store);
    assert!(numbers(&state(&seen, model).await).into_iter().eq(all));
    let history = seen.history(model).await.expect("the log can be read");
    let moves = history.iter().flat_map(|it| &it.ops).filter_map(|it| match it {
        ModelOp::SetAlias { version, .. } => Some(*version),
        _ => None,
    });
    let moves: Vec<_> = moves.collect();
    assert_eq!(moves.len() as u64, WRITERS * EACH, "every move is there once");
    assert_eq!(moves.iter().collect::<BTreeSet<_>>().len(), moves.len());
    let champion = state(&seen, model).await.aliases()["champion"];
    assert_eq!(Some(&champion), moves.last());
    assert_sound(store).await;
}

pub(super) async fn one_of_many_founders_wins(store: &Store) {
    let model = "conformance-founders";
    let create = |writer: u64| {
        let registry = reader(store);
        tokio::spawn(async move { publish(&registry, model, &writer.to_string()).await.version })
    };
    let founders: Vec<_> = (0..WRITERS).map(create).collect();
    let made: BTreeSet<_> = join_all(founders)
        .await
        .into_iter()
        .map(|it| it.expect("no writer panics"))
        .collect();
    assert!(
        made.into_iter().eq(1..=WRITERS),
        "the others join the model that the first one made"
    );
    let catalog = reader(store).catalog_history().await.expect("the log can be read");
    let created = catalog
        .iter()
        .flat_map(|it| &it.ops)
        .filter(|it| format!("{it:?}").contains(model));
    assert_eq!(created.count(), 1);
}

pub(super) async fn readers_see_whole_states(store: &Store) {
    let model = "conformance-readers";
    publish(&reader(store), model, "0").await;
    reader(store)
        .set_alias(model, "champion", 1, &ann(1))
        .await
        .expect("an alias can be set");
    let writers: Vec<_> = (0..2).map(|it| tokio::spawn(write(reader(store), model, it))).collect();
    let (mut seq, mut reads) = (0, 0);
    let (known, champion) = (reader(store), "champion".parse().expect("an alias names a version"));
    while reads < 3 || writers.iter().any(|it| !it.is_finished()) {
        for registry in [&known, &reader(store)] {
            let model = state(registry, model).await;
            assert!(model.seq() >= seq, "time does not run backwards");
            seq = model.seq();
            let version = model.resolve(&champion).expect("the champion is there");
            registry.fetch(&version).await.expect("its files are there");
        }
        reads += 1;
    }
    join_all(writers)
        .await
        .into_iter()
        .for_each(|it| drop(it.expect("no writer panics")));
}

pub(super) async fn a_watcher_notices_each_commit_once(store: &Store) {
    let (model, writer) = ("conformance-watched", reader(store));
    let mut watcher = reader(store).watcher();
    assert!(
        watcher.poll().await.expect("the store can be read"),
        "the first look is always news"
    );
    for n in 0..3u64 {
        assert!(
            !watcher.poll().await.expect("the store can be read"),
            "nothing was committed"
        );
        match n {
            0 => drop(publish(&writer, model, "1").await),
            1 => drop(
                writer
                    .set_alias(model, "champion", 1, &ann(2))
                    .await
                    .expect("an alias can be set"),
            ),
            _ => writer
                .delete_model(model, &ann(3))
                .await
                .expect("a model can be deleted"),
        }
        assert!(watcher.poll().await.expect("the store can be read"), "commit {n}");
    }
    for _ in 0..20 {
        assert!(
            !watcher.poll().await.expect("the store can be read"),
            "each commit is news once"
        );
    }
}

/// More commits than any reader keeps in one piece.
pub(super) async fn many_commits_read_back(store: &Store) {
    let (model, writer) = ("conformance-many", reader(store));
    for n in 0..140u64 {
        let done = match n % 2 {
            0 => writer.publish(request(model, "same")).await.map(drop),
            _ => writer.set_alias(model, "champion", n / 2 + 1, &ann(2)).await.map(drop),
        };
        done.expect("a commit succeeds");
    }
    let (old, new) = (state(&writer, model).await, state(&reader(store), model).await);
    assert_eq!(
        (old.seq(), numbers(&old), old.aliases()),
        (new.seq(), numbers(&new), new.aliases())
    );
    assert_eq!((new.seq(), new.aliases()["champion"]), (140, 70));
    assert!(numbers(&new).into_iter().eq(1..=70));
}
