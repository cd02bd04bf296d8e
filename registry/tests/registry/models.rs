//! Models: names, versions, tags, and what is said when one is not there.

use foretell_registry::{ChangeRequest, CreateModelRequest, ModelOp, Registry, RegistryError, VersionRef};

use crate::stores::{ann, assert_sound, memory, publish};

#[tokio::test]
async fn a_wrong_name_is_answered_with_the_right_ones() {
    let registry = Registry::new(memory());
    let empty = registry.model("churn").await.unwrap_err();
    assert_eq!(empty.to_string(), "unknown model `churn`; there is none yet");
    for content in ["a", "b"] {
        publish(&registry, "churn", content).await.unwrap();
    }
    registry.set_alias("churn", "champion", 1, &ann(2)).await.unwrap();
    for (name, version, said) in [
        ("chrun", "1", "unknown model `chrun`; did you mean `churn`?"),
        ("ltv", "1", "unknown model `ltv`; there is `churn`"),
        ("churn", "7", "unknown version `7` of model `churn`; there is `1`, `2`"),
        (
            "churn",
            "champoin",
            "unknown alias `champoin` of model `churn`; did you mean `champion`?",
        ),
    ] {
        let error = registry.resolve(name, &version.parse().unwrap()).await.unwrap_err();
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), said);
    }
    let version = registry.resolve_ref(&"churn".parse().unwrap()).await.unwrap();
    assert_eq!(version.version, 1, "no version said means the champion");
    let error = registry.fetch_file(&version, "model.bim").await.unwrap_err();
    assert!(error.to_string().ends_with("; did you mean `model.bin`?"), "{error}");
}

#[tokio::test]
async fn a_version_number_is_never_used_twice() {
    let registry = Registry::new(memory());
    for content in ["a", "b"] {
        publish(&registry, "churn", content).await.unwrap();
    }
    registry.set_alias("churn", "champion", 2, &ann(3)).await.unwrap();
    let model = registry.delete_version("churn", 2, &ann(4)).await.unwrap();
    assert!(model.aliases().is_empty(), "an alias never points to a deleted version");
    assert_eq!(model.updated_at(), 4);
    assert_eq!(publish(&registry, "churn", "c").await.unwrap().version, 3);
    let live: Vec<_> = registry
        .model("churn")
        .await
        .unwrap()
        .versions()
        .map(|it| it.version)
        .collect();
    assert_eq!(live, [1, 3]);
    assert!(
        registry
            .delete_version("churn", 2, &ann(5))
            .await
            .unwrap_err()
            .is_not_found()
    );
    for version in [1, 3] {
        registry.delete_version("churn", version, &ann(6)).await.unwrap();
    }
    let error = registry.resolve("churn", &VersionRef::Latest).await.unwrap_err();
    assert!(matches!(error, RegistryError::NoVersion { .. }));
}

#[tokio::test]
async fn a_renamed_model_keeps_everything_and_a_deleted_name_starts_anew() {
    let store = memory();
    let registry = Registry::new(store.clone());
    publish(&registry, "churn", "a").await.unwrap();
    publish(&registry, "ltv", "a").await.unwrap();
    let before = registry.model("churn").await.unwrap();
    assert!(matches!(
        registry.rename_model("churn", "ltv", &ann(5)).await,
        Err(RegistryError::AlreadyExists { .. })
    ));
    assert!(matches!(
        registry.rename_model("nothing", "new", &ann(5)).await,
        Err(RegistryError::UnknownModel { .. })
    ));
    let after = registry.rename_model("churn", "attrition", &ann(6)).await.unwrap();
    assert_eq!((&after.id, after.updated_at()), (&before.id, 6));
    assert_eq!(after.version(1).unwrap().digest, before.version(1).unwrap().digest);
    assert!(registry.model("churn").await.unwrap_err().is_not_found());

    registry.delete_model("attrition", &ann(7)).await.unwrap();
    assert!(registry.model("attrition").await.unwrap_err().is_not_found());
    publish(&registry, "attrition", "b").await.unwrap();
    assert_eq!(publish(&registry, "attrition", "c").await.unwrap().version, 2);
    let names: Vec<_> = registry
        .list_models()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["attrition", "ltv"]);
    assert_eq!(registry.catalog_history().await.unwrap().len(), 5);
    assert_sound(&store).await;
}

#[tokio::test]
async fn tags_descriptions_and_stages_change_together_or_not_at_all() {
    let registry = Registry::new(memory());
    let tags = [("owner".to_owned(), "ann".to_owned())].into();
    let create = CreateModelRequest {
        name: "churn".to_owned(),
        description: "who leaves".to_owned(),
        tags,
        stamp: ann(1),
    };
    let model = registry.create_model(create.clone()).await.unwrap();
    assert_eq!(
        (model.description(), &*model.tags()["owner"], model.created_at()),
        ("who leaves", "ann", 1)
    );
    assert!(matches!(
        registry.create_model(create).await,
        Err(RegistryError::AlreadyExists { .. })
    ));
    publish(&registry, "churn", "a").await.unwrap();

    let tag = |version| ModelOp::SetTag {
        version,
        key: "gate".to_owned(),
        value: "passed".to_owned(),
    };
    let stage = ModelOp::SetStage {
        version: 1,
        stage: "Staging".to_owned(),
    };
    let failing = ChangeRequest::new("churn", vec![tag(None), tag(Some(9))], ann(2));
    assert!(registry.change(failing).await.unwrap_err().is_not_found());
    assert!(!registry.model("churn").await.unwrap().tags().contains_key("gate"));

    let change = ChangeRequest::new("churn", vec![tag(None), tag(Some(1)), stage], ann(2));
    let version = registry.change(change).await.unwrap().version(1).unwrap();
    assert_eq!(
        (&*version.tags["gate"], version.stage.as_deref()),
        ("passed", Some("Staging"))
    );
    let forged = ModelOp::RollBackAlias {
        alias: "champion".to_owned(),
        version: 1,
    };
    let forged = registry.change(ChangeRequest::new("churn", vec![forged], ann(3))).await;
    assert!(matches!(forged, Err(RegistryError::Unsupported { .. })));
}

#[tokio::test]
async fn a_registry_of_the_first_format_still_opens() {
    let store = memory();
    for (key, body) in FIRST_FORMAT {
        crate::stores::write(&store, key, body.as_bytes().to_vec()).await;
    }
    let model = Registry::new(store).model("churn").await.unwrap();
    let version = model.alias("champion").unwrap();
    assert_eq!(
        (
            version.version,
            version.created_at,
            version.metadata["roc_auc"].as_f64()
        ),
        (1, 7, Some(0.845))
    );
}

/// Written by the first release; never edit, add a new one when the format changes.
const FIRST_FORMAT: [(&str, &str); 2] = [
    (
        "catalog/log/00000000000000000001.json",
        r#"{"sha256":"59cb54b85c7977dce75a776f95b631f04b552e6e9dedb81590e2730903f9df09","body":{"format":1,"txid":"t1","seq":1,"prev_hash":"sha256:652f55016243bf1b9f1bbea46d5749ef892dbe394e46de9d66ab1aacf0b4af57","time":7,"actor":"ann","ops":[{"create_model":{"name":"churn","id":"m1"}}]}}"#,
    ),
    (
        "models/m1/log/00000000000000000001.json",
        r#"{"sha256":"23d2f8b9f4d15a7e1e5fc7b0d58ae3caeb66e10ddf7fe892cb81808f0549633c","body":{"format":1,"txid":"t1","seq":1,"prev_hash":"sha256:160da5299e305961f846a184823ce3838fd7b5749087d7902bb5d4149674ae5f","time":7,"actor":"ann","reason":"nightly","ops":[{"create_version":{"version":1,"manifest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","description":"","tags":{},"metadata":{"roc_auc":0.845}}},{"set_alias":{"alias":"champion","version":1}}]}}"#,
    ),
];
