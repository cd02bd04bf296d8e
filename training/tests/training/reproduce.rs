use std::path::Path;

use foretell_inference::PackageFiles;
use foretell_registry::{PackageFile, PublishRequest, Registry, Stamp};
use foretell_training::{ReproduceRequest, Reproduction, Silent, TrainError, reproduce};

use crate::project::{CHURN, CUSTOMERS, Project, write_customers};

fn again(files: &PackageFiles, data: &Path) -> Result<Reproduction, TrainError> {
    let request = ReproduceRequest {
        model: "churn",
        files,
        data,
        progress: &Silent,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(reproduce(request))
}

#[test]
fn a_version_trained_again_from_its_own_package_has_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 800);
    let package = Project::new(CUSTOMERS, CHURN, folder.path())
        .train(None, false)
        .unwrap();
    let same = again(&package.package, folder.path()).unwrap();
    assert!(same.equal, "{:?}", same.files);
    assert_eq!((&same.digest, &same.again), (&package.digest, &package.digest));
    assert!(
        same.files
            .iter()
            .any(|it| it.path == "definitions/models/it/model.toml")
    );
    assert_eq!(same.notes, [] as [String; 0]);
}

#[test]
fn a_file_that_was_changed_after_training_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 800);
    let mut files = Project::new(CUSTOMERS, CHURN, folder.path())
        .train(None, false)
        .unwrap()
        .package;
    files.get_mut("card.md").unwrap().push(b'!');
    files.insert("notes.txt".into(), b"by hand".to_vec());
    let other = again(&files, folder.path()).unwrap();
    assert!(!other.equal && other.digest != other.again);
    let different: Vec<_> = other.files.iter().filter(|it| !it.equal).collect();
    let paths: Vec<_> = different.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["card.md", "notes.txt"]);
    assert_eq!(different[1].again, None);
}

#[test]
fn other_rows_than_those_of_then_are_refused_before_anything_is_fitted() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 800);
    let files = Project::new(CUSTOMERS, CHURN, folder.path())
        .train(None, false)
        .unwrap()
        .package;
    write_customers(folder.path(), 801);
    let error = again(&files, folder.path()).unwrap_err();
    assert!(matches!(error, TrainError::DataChanged { .. }), "{error}");
}

#[test]
fn a_package_that_was_not_trained_here_cannot_be_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 800);
    let foreign = PackageFiles::from([("MLmodel".to_owned(), b"flavors: {}".to_vec())]);
    let error = again(&foreign, folder.path()).unwrap_err().to_string();
    assert!(error.contains("it was not trained here"), "{error}");
    let mut without = Project::new(CUSTOMERS, CHURN, folder.path())
        .train(None, false)
        .unwrap()
        .package;
    without.retain(|path, _| !path.starts_with("definitions/"));
    let error = again(&without, folder.path()).unwrap_err().to_string();
    assert!(error.contains("does not hold the definitions"), "{error}");
}

#[test]
fn the_package_does_not_depend_on_who_is_champion() {
    let folder = tempfile::tempdir().unwrap();
    write_customers(folder.path(), 800);
    let registry = Registry::open_or_create(folder.path().join("registry").to_str().unwrap()).unwrap();
    let damaged = vec![PackageFile::new("manifest.json", "{}")];
    let stamp = Stamp::new("test", 0);
    let mut request = PublishRequest::new("churn", damaged, stamp);
    request.aliases = vec!["champion".to_owned()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(registry.publish(request)).unwrap();
    let project = Project::new(CUSTOMERS, CHURN, folder.path());
    let alone = project.train(None, false).unwrap();
    let beside = project.train(Some(&registry), true).unwrap();
    assert!(
        alone.gates_hold() && !beside.gates_hold(),
        "a champion that cannot be compared refuses"
    );
    assert_eq!(alone.digest, beside.digest);
}
