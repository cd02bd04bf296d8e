use foretell_features::Value;
use foretell_inference::{Model, PredictOptions};
use foretell_registry::{Registry, VersionRef};
use foretell_tracking::{RunQuery, Tracking};

use crate::project::{CHURN, CUSTOMERS, Project, write_customers};

#[test]
fn a_csv_becomes_a_champion_that_a_server_can_load() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 2000);
    let registry = Registry::open_or_create(folder.path().join("registry").to_str().unwrap()).unwrap();
    let project = Project::new(CUSTOMERS, CHURN, folder.path());
    let first = project.train(Some(&registry), false).unwrap();
    assert_eq!((first.version, first.promoted), (Some(1), true), "{:?}", first.gates);
    let algorithms: Vec<_> = first.report.candidates.iter().map(|it| it.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["mean", "logistic", "boosted_trees"]);

    let again = project.train(Some(&registry), false).unwrap();
    assert_eq!(
        (again.version, again.promoted),
        (Some(2), false),
        "a champion stays without --promote"
    );
    assert_eq!(again.digest, first.digest, "the same data, spec and seed");
    let third = project.train(Some(&registry), true).unwrap();
    assert!(third.promoted && third.gates_hold());

    let model = load(&registry, "champion");
    let manifest = model.manifest();
    let inputs: Vec<_> = manifest.inputs.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        inputs,
        ["plan", "spend", "calls", "calls_per_spend"],
        "ids and constants are left out"
    );
    let reads: Vec<_> = manifest.plan.reads.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(reads, ["plan", "spend", "calls"]);
    let named = [
        ("plan", Value::text("basic")),
        ("spend", Value::Float(12.0)),
        ("calls", Value::Int(5)),
        ("calls_per_spend", Value::Float(5.0 / 12.0)),
    ];
    let row = model.row(named).unwrap();
    let got = model
        .predict_rows(
            &[row],
            PredictOptions {
                explain: 2,
                interval: None,
            },
        )
        .unwrap()
        .remove(0)
        .unwrap();
    assert!(got.value > 0.8, "many calls on a basic plan: {}", got.value);
    assert_eq!((got.decision.unwrap().level.as_str(), got.reasons.len()), ("high", 2));
}

#[test]
fn a_failed_gate_registers_and_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 1000);
    let registry = Registry::open_or_create(folder.path().join("registry").to_str().unwrap()).unwrap();
    let strict = CHURN.replace("min = 0.7", "min = 0.999");
    let outcome = Project::new(CUSTOMERS, &strict, folder.path())
        .train(Some(&registry), true)
        .unwrap();
    assert_eq!(
        (outcome.version, outcome.promoted, outcome.gates_hold()),
        (Some(1), false, false)
    );
    let reasons = foretell_training::gate::refusals(&outcome.gates);
    assert!(
        reasons.starts_with("roc_auc is 0.") && reasons.contains("at least 0.999 is asked"),
        "{reasons}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let aliases = runtime.block_on(registry.model("churn")).unwrap().aliases().clone();
    assert_eq!(aliases.into_iter().collect::<Vec<_>>(), [("challenger".to_owned(), 1)]);
}

#[test]
fn each_candidate_becomes_a_run_with_its_test_metrics() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 600);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let tracking = runtime
        .block_on(Tracking::open("sqlite:tracking.db", folder.path()))
        .unwrap();
    let outcome = Project::new(CUSTOMERS, CHURN, folder.path())
        .train_tracked(None, false, Some(&tracking))
        .unwrap();
    assert_eq!((outcome.version, outcome.promoted), (None, false));
    let runs = runtime.block_on(async {
        let experiment = tracking.experiment_by_name("churn").await.unwrap().unwrap();
        tracking.search_runs(&RunQuery::of(experiment.id)).await.unwrap().items
    });
    assert_eq!(runs.len(), 3);
    for candidate in &outcome.report.candidates {
        let run = runs.iter().find(|it| it.info.name == candidate.algorithm).unwrap();
        assert_eq!(
            run.metric("roc_auc"),
            Some(candidate.metrics["roc_auc"]),
            "{}",
            candidate.algorithm
        );
        assert!(run.metric("validation_log_loss").is_some());
        let won = candidate.algorithm == outcome.report.algorithm;
        assert_eq!(run.tags["foretell.winner"], won.to_string());
    }
}

fn load(registry: &Registry, alias: &str) -> Model {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let files = runtime.block_on(async {
        let version = registry
            .resolve("churn", &VersionRef::Alias(alias.to_owned()))
            .await
            .unwrap();
        registry.fetch(&version).await.unwrap()
    });
    Model::load(&files.into_iter().map(|it| (it.path, it.bytes.to_vec())).collect()).unwrap()
}
