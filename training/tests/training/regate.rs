use foretell_training::{RegateRequest, TrainOutcome, gate, regate};

use crate::project::{CHURN, CUSTOMERS, Project, write_customers};

/// What is not held of the candidate when it is judged again, by this project, against this champion.
fn refused(project: &Project, candidate: &TrainOutcome, champion: Option<&TrainOutcome>) -> String {
    let request = RegateRequest {
        spec: &project.spec,
        offline: &project.offline,
        files: &candidate.package,
        baseline: Some(&candidate.report.candidates[0].metrics),
        champion: champion.map(|it| &it.package),
    };
    gate::refusals(&regate(request).unwrap())
}

#[test]
fn gates_of_today_judge_what_was_measured_then() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 1000);
    let project = |gate: &str| Project::new(CUSTOMERS, &CHURN.replace("min = 0.7", gate), folder.path());
    let trained = project("min = 0.7").train(None, false).unwrap();
    assert_eq!(refused(&project("min = 0.7"), &trained, None), "");
    assert_eq!(
        refused(&project("min = 0.7"), &trained, Some(&trained)),
        "",
        "as good as itself"
    );
    let strict = refused(&project("min = 0.99"), &trained, None);
    assert!(strict.contains("at least 0.99 is asked"), "{strict}");
}

#[test]
fn a_champion_of_other_data_is_scored_on_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 1000);
    let strong = Project::new(CUSTOMERS, CHURN, folder.path())
        .train(None, false)
        .unwrap();
    let weak_spec = CHURN.replace(
        "except = [\"profile:churn\"]",
        "except = [\"profile:churn\", \"profile:calls\"]",
    );
    let weak_spec = weak_spec.replace("\"profile:*\", \"calls_per_spend\"", "\"profile:*\"");
    let weak = Project::new(CUSTOMERS, &weak_spec, folder.path());
    let weak_trained = weak.train(None, false).unwrap();
    // The strong one needs an input that the weak model's rows do not have.
    let lacking = refused(&weak, &weak_trained, Some(&strong));
    assert!(
        lacking.contains("the champion cannot be compared on roc_auc"),
        "{lacking}"
    );
    let project = Project::new(CUSTOMERS, CHURN, folder.path());
    assert_eq!(
        refused(&project, &strong, Some(&weak_trained)),
        "",
        "the strong one is better"
    );
    let worse = refused(&project, &weak_trained, Some(&strong));
    assert!(worse.contains("the champion's 0."), "{worse}");
}

#[test]
fn a_package_that_does_not_load_is_judged_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 1000);
    let project = Project::new(CUSTOMERS, CHURN, folder.path());
    let mut trained = project.train(None, false).unwrap();
    let golden = trained.package.remove("golden.json").unwrap();
    let without = refused(&project, &trained, None);
    assert!(without.starts_with("the package cannot be served: "), "{without}");
    trained.package.insert("golden.json".into(), golden);
    assert_eq!(refused(&project, &trained, None), "");
}
