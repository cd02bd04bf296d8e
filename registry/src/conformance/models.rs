//! What one writer sees of names, versions, aliases and history.

use futures::TryStreamExt;

use super::{Store, ann, numbers, package, publish, request, state};
use crate::{
    CreateModelRequest, ModelOp, PromoteRequest, PublishRequest, Registry, RegistryError, RollbackRequest, VersionRef,
};

pub(super) async fn names_are_unique_and_reusable(registry: &Registry) {
    let (old, new) = ("conformance-names", "conformance names 2.β");
    let create = || CreateModelRequest {
        name: old.to_owned(),
        description: "first".to_owned(),
        tags: [("team".to_owned(), "growth".to_owned())].into(),
        stamp: ann(1),
    };
    let created = registry.create_model(create()).await.expect("a model can be created");
    assert_eq!(
        (created.description(), created.tags()["team"].as_str()),
        ("first", "growth")
    );
    let again = registry.create_model(create()).await.map(drop);
    assert!(matches!(again, Err(RegistryError::AlreadyExists { .. })), "{again:?}");
    publish(registry, old, "1").await;
    registry
        .rename_model(old, new, &ann(2))
        .await
        .expect("a model can be renamed");
    let gone = registry.model(old).await.map(drop);
    assert!(matches!(gone, Err(RegistryError::UnknownModel { .. })), "{gone:?}");
    let renamed = state(registry, new).await;
    assert_eq!(
        (numbers(&renamed), &renamed.id),
        (vec![1], &created.id),
        "versions and id stay"
    );
    registry.create_model(create()).await.expect("the old name is free");
    let taken = registry.rename_model(new, old, &ann(3)).await.map(drop);
    assert!(matches!(taken, Err(RegistryError::AlreadyExists { .. })), "{taken:?}");
    registry
        .delete_model(new, &ann(4))
        .await
        .expect("a model can be deleted");
    assert!(registry.model(new).await.is_err_and(|it| it.is_not_found()));
    assert_eq!(
        publish(registry, new, "1").await.version,
        1,
        "a deleted model's name starts anew"
    );
}

pub(super) async fn versions_are_numbered_and_never_reused(registry: &Registry) {
    let model = "conformance-numbers";
    for number in 1..=3 {
        assert_eq!(publish(registry, model, &number.to_string()).await.version, number);
    }
    let point = |alias: &'static str, to| async move { registry.set_alias(model, alias, to, &ann(2)).await };
    point("champion", 3).await.expect("an alias can be set");
    let after = registry
        .delete_version(model, 3, &ann(3))
        .await
        .expect("a version can be deleted");
    assert!(after.aliases().is_empty(), "aliases to a deleted version go");
    assert_eq!(
        publish(registry, model, "4").await.version,
        4,
        "a number is not used twice"
    );
    assert_eq!(numbers(&state(registry, model).await), [1, 2, 4]);
    for deleted in [0, 3, 5] {
        let found = registry.resolve(model, &VersionRef::Version(deleted)).await.map(drop);
        assert!(matches!(found, Err(RegistryError::UnknownVersion { version, .. }) if version == deleted));
        let pointed = point("champion", deleted).await.map(drop);
        assert!(
            matches!(pointed, Err(RegistryError::UnknownVersion { .. })),
            "{pointed:?}"
        );
    }
}

pub(super) async fn files_come_back_as_they_were(registry: &Registry) {
    let model = "conformance-files";
    let published = registry
        .publish(PublishRequest {
            metadata: serde_json::json!({"metrics": {"roc_auc": 0.8451}}),
            tags: [("stage/a:b".to_owned(), "ünï\ncode".to_owned())].into(),
            aliases: vec!["challenger".to_owned(), "shadow".to_owned()],
            description: "first".to_owned(),
            ..request(model, "weights")
        })
        .await
        .expect("a version can be published");
    for meant in ["1", "challenger", "shadow", "latest"] {
        let meant = meant.parse().expect("these name versions");
        let found = registry.resolve(model, &meant).await.expect("the version is found");
        assert_eq!(found, published, "{meant:?}");
    }
    assert_eq!(published.metadata["metrics"]["roc_auc"], 0.8451);
    assert_eq!(published.aliases, ["challenger", "shadow"]);
    assert_eq!(
        registry.fetch(&published).await.expect("files are there"),
        package("weights")
    );
    let card = registry
        .fetch_file(&published, "docs/card.md")
        .await
        .expect("the file is there");
    assert_eq!(card.bytes, "# conformance");
    let typo = registry
        .fetch_file(&published, "model.bim")
        .await
        .expect_err("there is no such file");
    assert!(typo.to_string().ends_with("did you mean `model.bin`?"), "{typo}");
}

pub(super) async fn equal_files_are_stored_once(store: &Store, registry: &Registry) {
    let model = "conformance-equal";
    let blobs = || async {
        let listed = store.list(Some(&"blobs".into())).try_collect::<Vec<_>>().await;
        listed.expect("the store can be listed").len()
    };
    let first = publish(registry, model, "equal").await;
    let before = blobs().await;
    let second = publish(registry, model, "equal").await;
    assert_eq!((first.digest, blobs().await), (second.digest, before));
    assert_eq!(second.version, 2, "equal packages are still two versions");
    let third = publish(registry, model, "not equal").await;
    assert_ne!(third.digest, first.digest);
    assert_eq!(blobs().await, before + 1, "only the file that differs is new");
}

pub(super) async fn aliases_move_and_roll_back(registry: &Registry) {
    let (model, alias) = ("conformance-aliases", "champion");
    for number in 1..=3u64 {
        publish(registry, model, &number.to_string()).await;
        let promote = PromoteRequest::new(model, number, alias, ann(2));
        let promoted = registry.promote(promote).await.expect("a version can be promoted");
        assert_eq!(
            (promoted.version, &*promoted.aliases),
            (number, &[alias.to_owned()][..])
        );
    }
    let seq = state(registry, model).await.seq();
    let again = registry
        .set_alias(model, alias, 3, &ann(3))
        .await
        .expect("it points there");
    assert_eq!(again.seq(), seq, "nothing moved, nothing is recorded");
    for expected in [2, 1] {
        let request = RollbackRequest::new(model, alias, ann(4).because("errors"));
        let back = registry.rollback(request).await.expect("there is an earlier version");
        assert_eq!(back.version, expected);
    }
    let request = RollbackRequest::new(model, alias, ann(4));
    let first = registry.rollback(request).await.map(drop);
    assert!(
        matches!(first, Err(RegistryError::NothingToRollBack { .. })),
        "{first:?}"
    );
    registry
        .delete_alias(model, alias, &ann(5))
        .await
        .expect("an alias can be deleted");
    let champion = alias.parse().expect("an alias names a version");
    let gone = registry.resolve(model, &champion).await.map(drop);
    assert!(matches!(gone, Err(RegistryError::UnknownAlias { .. })), "{gone:?}");
}

pub(super) async fn the_history_is_a_chain(registry: &Registry) {
    let model = "conformance-history";
    publish(registry, model, "1").await;
    for (time, alias) in (2..40).zip(["champion", "shadow"].into_iter().cycle()) {
        let stamp = ann(time).because("tried");
        if alias == "champion" {
            registry
                .set_alias(model, alias, 1, &stamp)
                .await
                .expect("an alias can be set");
        } else {
            registry
                .delete_alias(model, "champion", &stamp)
                .await
                .expect("an alias can be deleted");
        }
    }
    let history = registry.history(model).await.expect("the log can be read");
    assert_eq!(history.len(), 39);
    for (at, record) in (1u64..).zip(&history) {
        let reason = (at > 1).then_some("tried");
        let time = at.cast_signed();
        assert_eq!(
            (record.seq, record.time, &*record.actor, record.reason.as_deref()),
            (at, time, "ann", reason)
        );
    }
    let moved = |it: &ModelOp| matches!(it, ModelOp::SetAlias { .. } | ModelOp::DeleteAlias { .. });
    assert!(history[1..].iter().all(|it| it.ops.len() == 1 && moved(&it.ops[0])));
    let links: std::collections::BTreeSet<_> = history.iter().map(|it| it.prev_hash).collect();
    assert_eq!(links.len(), history.len(), "each record names another one before it");
}

pub(super) async fn bad_names_are_refused_and_leave_nothing(registry: &Registry) {
    let before = registry.list_models().await.expect("models can be listed").len();
    let long = "a".repeat(300);
    let with_alias = |alias: &str| PublishRequest {
        aliases: vec![alias.to_owned()],
        ..request("conformance-bad", "x")
    };
    let mut bad: Vec<_> = ["a/b", "", "..", &long].iter().map(|it| request(it, "x")).collect();
    bad.extend(
        ["latest", "v12", "a b", "a/b", "", &long]
            .iter()
            .map(|it| with_alias(it)),
    );
    for request in bad {
        let (model, aliases) = (request.model.clone(), request.aliases.clone());
        let refused = registry.publish(request).await.map(drop);
        let named = matches!(refused, Err(RegistryError::InvalidName { .. }));
        assert!(named, "{model} {aliases:?}: {refused:?}");
    }
    let after = registry.list_models().await.expect("models can be listed").len();
    assert_eq!(after, before);
}
