//! Signatures, archives and the audit: who vouches for what, and how it travels.

use foretell_registry::{
    CreateModelRequest, ImportRequest, PublishRequest, Registry, RegistryError, RollbackRequest, SigningKey, Stamp,
};
use serde_json::json;

use crate::stores::{Store, ann, assert_sound, keys, memory, publish, request, write};

fn import(model: Option<&str>) -> ImportRequest {
    ImportRequest {
        model: model.map(str::to_owned),
        aliases: vec!["challenger".to_owned()],
        stamp: Stamp::new("bob", 9),
    }
}

#[tokio::test]
async fn with_trusted_keys_only_signed_packages_are_handed_out() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let store = memory();
    let plain = Registry::new(store.clone());
    let careful = plain.clone().trusting(vec![key.public()]);
    let unsigned = publish(&plain, "churn", "1").await.unwrap();
    let signed = publish(&plain.clone().signing_with(key.clone()), "churn", "2")
        .await
        .unwrap();
    let foreign = publish(&plain.clone().signing_with(other), "churn", "3").await.unwrap();
    assert!(careful.fetch(&signed).await.is_ok());
    for (version, found) in [(&unsigned, "it is not signed"), (&foreign, "it is signed by ")] {
        let error = careful.fetch_file(version, "model.bin").await.unwrap_err();
        assert!(matches!(error, RegistryError::Untrusted { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
        assert!(plain.fetch(version).await.is_ok(), "without keys everything is trusted");
    }
    assert_eq!(careful.verify().await.unwrap().problems.len(), 2);

    careful.sign("churn", 1, &key, &ann(5)).await.unwrap();
    careful.sign("churn", 1, &key, &ann(6)).await.unwrap();
    let unsigned = careful.model("churn").await.unwrap().version(1).unwrap();
    assert_eq!(unsigned.signatures.len(), 1, "signed twice is signed once");
    assert!(careful.fetch(&unsigned).await.is_ok());
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_signature_does_not_cover_another_package() {
    let key = SigningKey::generate().unwrap();
    let store = memory();
    let registry = Registry::new(store)
        .signing_with(key.clone())
        .trusting(vec![key.public()]);
    let good = publish(&registry, "churn", "1").await.unwrap();
    let stolen = PublishRequest {
        signatures: good.signatures.clone(),
        ..request("churn", "2")
    };
    let careless = Registry::new(memory());
    let bad = careless.publish(stolen).await.unwrap();
    let error = careless.trusting(vec![key.public()]).fetch(&bad).await.unwrap_err();
    assert!(matches!(error, RegistryError::Untrusted { .. }), "{error}");
}

async fn exported(registry: &Registry, version: u64) -> Vec<u8> {
    let version = registry.model("churn").await.unwrap().version(version).unwrap();
    let mut archive = Vec::new();
    registry.export(&version, &mut archive).await.unwrap();
    archive
}

async fn described(store: &Store) -> Registry {
    let registry = Registry::new(store.clone()).signing_with(SigningKey::generate().unwrap());
    let rich = PublishRequest {
        metadata: json!({"auc": 0.91, "deep": [1, {"x": null}]}),
        tags: [("team".to_owned(), "crm".to_owned())].into(),
        description: "the spring model".to_owned(),
        ..request("churn", "1")
    };
    registry.publish(rich).await.unwrap();
    registry
}

#[tokio::test]
async fn a_version_travels_as_one_archive_to_another_registry() {
    let (from, to) = (memory(), memory());
    let registry = described(&from).await;
    let archive = exported(&registry, 1).await;
    assert_eq!(
        archive,
        exported(&registry, 1).await,
        "the same version, the same bytes"
    );
    let there = Registry::new(to.clone());
    let arrived = there.import(&mut &archive[..], import(None)).await.unwrap();
    let left = registry.model("churn").await.unwrap().version(1).unwrap();
    assert_eq!(arrived.digest, left.digest);
    assert_eq!(arrived.metadata, left.metadata);
    assert_eq!(arrived.signatures, left.signatures);
    assert_eq!(arrived.description, "the spring model");
    assert_eq!(arrived.aliases, ["challenger"]);
    assert_eq!(arrived.actor, "bob");
    assert_eq!(arrived.tags["team"], "crm");
    assert_eq!(arrived.tags["foretell.imported.version"], "churn@1");
    assert_eq!(
        there.fetch(&arrived).await.unwrap(),
        registry.fetch(&left).await.unwrap()
    );
    let again = there.import(&mut &archive[..], import(None)).await.unwrap();
    assert_eq!(again.version, arrived.version, "importing once more is once");
    let renamed = there.import(&mut &archive[..], import(Some("churn-eu"))).await.unwrap();
    assert_eq!((renamed.model.as_str(), renamed.version), ("churn-eu", 1));
    assert_sound(&to).await;
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_leaves_nothing() {
    let archive = exported(&described(&memory()).await, 1).await;
    let to = memory();
    for at in (0..archive.len()).step_by(97) {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x41;
        let registry = Registry::new(to.clone());
        // Padding and the free-text parts may change without harm; files, digests and structure may not.
        if let Ok(version) = registry.import(&mut &damaged[..], import(None)).await {
            assert!(registry.fetch(&version).await.is_ok());
            registry.delete_model(&version.model, &ann(9)).await.unwrap();
        }
    }
    for cut in [0, 100, 600, archive.len() / 2] {
        let to = memory();
        let error = Registry::new(to.clone())
            .import(&mut &archive[..cut], import(None))
            .await;
        assert!(error.is_err(), "cut at {cut}");
        assert_eq!(keys(&to, "").await, Vec::<String>::new());
    }
    let careful = Registry::new(memory()).trusting(vec![SigningKey::generate().unwrap().public()]);
    let error = careful.import(&mut &archive[..], import(None)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Untrusted { .. }), "{error}");
}

#[tokio::test]
async fn the_audit_names_every_change_with_who_when_and_why() {
    let store = memory();
    let registry = Registry::new(store.clone());
    let create = CreateModelRequest {
        name: "churn".to_owned(),
        description: String::new(),
        tags: [].into(),
        stamp: ann(1),
    };
    registry.create_model(create).await.unwrap();
    for version in 1..=2 {
        publish(&registry, "churn", &version.to_string()).await.unwrap();
        let why = Stamp::new("bob", 2).because("better on May");
        registry.set_alias("churn", "champion", version, &why).await.unwrap();
    }
    let back = RollbackRequest::new("churn", "champion", Stamp::new("eve", 3));
    registry.rollback(back).await.unwrap();
    publish(&registry, "ltv", "1").await.unwrap();
    registry.delete_model("ltv", &Stamp::new("eve", 4)).await.unwrap();

    let report = registry.audit().await.unwrap();
    assert!(report.is_ok());
    let churn: Vec<_> = report.entries.iter().filter(|it| it.log == "churn").collect();
    let said = |n: usize| {
        (
            churn[n].actor.as_str(),
            churn[n].reason.as_deref(),
            churn[n].what.join("; "),
        )
    };
    assert_eq!(churn.len(), 6);
    assert_eq!(churn.iter().map(|it| it.seq).max(), Some(6));
    assert_eq!(
        said(3),
        (
            "bob",
            Some("better on May"),
            "alias `champion` set to version 1".to_owned()
        )
    );
    assert_eq!(
        said(5),
        ("eve", None, "alias `champion` rolled back to version 1".to_owned())
    );
    let last = report.entries.last().unwrap();
    assert_eq!(
        (last.log.as_str(), last.what.join("")),
        ("catalog", "model `ltv` deleted".to_owned())
    );
    assert!(
        report.entries.iter().any(|it| it.log.starts_with('[')),
        "a deleted model's log is read as well"
    );

    let record = keys(&store, "models/")
        .await
        .into_iter()
        .find(|it| it.ends_with("3.json"))
        .unwrap();
    let text = String::from_utf8(crate::stores::read(&store, &record).await).unwrap();
    write(&store, &record, text.replace("bob", "ann").into_bytes()).await;
    let report = Registry::new(store).audit().await.unwrap();
    assert!(!report.is_ok(), "a record that was rewritten is found");
}
