//! What an operator does with the registry, from the command line.

mod support;

use foretell_registry::{PackageFile, PublishRequest, Registry, Stamp, VersionRef};
use serde_json::{Value, json};
use support::{CHURN, CUSTOMER, Project, Said, customers, post_json};

/// Two versions: the first is champion, the second challenger.
fn twice_trained() -> Project {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    project.json(&["train", "churn", "--seed", "7"]);
    project
}

#[track_caller]
fn succeeds(said: &Said, words: &[&str]) {
    assert_eq!(said.code, Some(0), "{said:?}");
    for word in words {
        assert!(said.stdout.contains(word), "`{word}` is in: {}", said.stdout);
    }
}

#[track_caller]
fn fails(said: &Said, code: i32, words: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "`{word}` is in: {}", said.stderr);
    }
}

fn champion(project: &Project) -> Value {
    let versions = project.json(&["models", "list"]);
    let all = versions.as_array().expect("a list");
    let champion = all.iter().find(|it| {
        it["aliases"]
            .as_array()
            .is_some_and(|it| it.contains(&json!("champion")))
    });
    champion.map_or(Value::Null, |it| it["version"].clone())
}

fn registry(project: &Project) -> (Registry, tokio::runtime::Runtime) {
    let registry = Registry::open(&project.path(".foretell/registry").display().to_string());
    let runtime = tokio::runtime::Runtime::new();
    (registry.expect("it is there"), runtime.expect("a runtime starts"))
}

/// The package of the first version.
fn files(project: &Project) -> Vec<PackageFile> {
    let (registry, runtime) = registry(project);
    runtime.block_on(async {
        let version = registry.resolve("churn", &VersionRef::Version(1)).await;
        let files = registry.fetch(&version.expect("it was trained")).await;
        files.expect("its files are there")
    })
}

/// A further version that no training made.
fn publish(project: &Project, files: Vec<PackageFile>) {
    let (registry, runtime) = registry(project);
    let request = PublishRequest::new("churn", files, Stamp::new("somebody", 0));
    let published = runtime.block_on(registry.publish(request));
    published.expect("a package of any files can be published");
}

/// A model as a Python script registers it, through the server.
fn registered_elsewhere(project: &Project, name: &str) {
    let server = project.serve();
    let (status, answer) = post_json(
        &server.http,
        "/api/2.0/mlflow/registered-models/create",
        &json!({ "name": name }),
    );
    assert_eq!(status, 200, "{answer}");
    let version = json!({ "name": name, "source": "s3://elsewhere/model" });
    let (status, answer) = post_json(&server.http, "/api/2.0/mlflow/model-versions/create", &version);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn versions_are_tagged_described_found_and_all_of_it_is_in_the_history() {
    let project = twice_trained();
    project.json(&["models", "tag", "churn", "team=crm"]);
    project.json(&["models", "tag", "churn@2", "ring=canary", "note=a b"]);
    project.json(&["models", "tag", "churn@2", "--remove", "note"]);
    project.json(&["models", "describe", "churn@2", "after the fix"]);
    project.json(&["models", "alias", "churn", "2", "shadow", "--reason", "to compare"]);
    let found = |filter: &str| {
        let versions = project.json(&["models", "list", "--filter", filter]);
        let versions = versions.as_array().expect("a list").iter();
        versions
            .map(|it| it["version"].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("tags.team = 'crm'"),
        [1, 2],
        "what is said of the model holds for its versions"
    );
    assert_eq!(found("tags.ring = \"canary\" AND name LIKE 'ch%'"), [2]);
    assert_eq!(found("tags.note = 'a b'"), [] as [u64; 0]);
    fails(
        &project.run(&["models", "list", "--filter", "metrics.auc > 1"]),
        1,
        &["--filter"],
    );
    let shown = project.json(&["models", "show", "churn@shadow"]);
    assert_eq!(
        (&shown["version"], &shown["description"]),
        (&json!(2), &json!("after the fix"))
    );
    assert_eq!(shown["tags"], json!({ "ring": "canary" }));
    project.json(&["models", "alias", "churn", "--remove", "shadow"]);
    fails(
        &project.run(&["models", "alias", "churn", "--remove", "shadw"]),
        1,
        &["`shadw`"],
    );
    fails(
        &project.run(&["models", "alias", "churn", "2", "champion"]),
        1,
        &["models promote churn 2"],
    );

    let history = project.run(&["models", "history", "churn"]);
    succeeds(
        &history,
        &[
            "published version 2",
            "tagged the model: team=crm",
            "shadow: none -> 2",
            "shadow: 2 -> none",
            "to compare",
        ],
    );
    let moves = project.json(&["models", "history", "churn", "--alias", "champion"]);
    assert_eq!(moves.as_array().map(Vec::len), Some(1));
    assert_eq!((&moves[0]["from"], &moves[0]["to"]), (&Value::Null, &json!(1)));
    fails(
        &project.run(&["models", "history", "churn", "--alias", "champoin"]),
        1,
        &["`champion`"],
    );
}

#[test]
fn a_deleted_version_stays_deleted_and_its_number_is_not_used_again() {
    let project = twice_trained();
    let delete =
        |model: &str, more: &[&str]| project.run(&[&["models", "delete", model, "--reason", "leaked"], more].concat());
    fails(&delete("churn@1", &[]), 1, &["churn@1 is champion", "--force"]);
    succeeds(&delete("churn@2", &["--force"]), &["deleted churn@2"]);
    fails(
        &project.run(&["models", "show", "churn@2"]),
        1,
        &["unknown version `2`"],
    );
    assert_eq!(
        project.run(&["models", "delete", "churn@1"]).code,
        Some(2),
        "why, is asked"
    );
    assert_eq!(project.json(&["train", "churn"])[0]["version"], json!(3));
    succeeds(
        &project.run(&["models", "history", "churn"]),
        &["deleted version 2", "leaked"],
    );
    succeeds(&delete("churn", &["--force"]), &["deleted churn"]);
    assert_eq!(project.json(&["models", "list"]), json!([]));
    assert_eq!(project.run(&["registry", "audit"]).code, Some(0));
}

#[test]
fn versions_are_compared_fact_by_fact() {
    let project = twice_trained();
    project.change("models/churn/model.toml", "rounds = 60", "rounds = 30");
    project.change(
        "models/churn/model.toml",
        "[\"profile:*\", \"price_per_month\"]",
        "[\"profile:*\"]",
    );
    project.json(&["train", "churn"]);
    let said = project.run(&["models", "compare", "churn@1", "churn@3"]);
    succeeds(
        &said,
        &["churn@1", "churn@3", "price_per_month", "roc_auc", "definitions"],
    );
    let document = project.json(&["models", "diff", "churn@1", "churn@2"]);
    let different: Vec<&str> = document["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["section"] == "data")
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(different, ["seed"], "{document}");
    let same = project.json(&["models", "compare", "churn@1", "churn@1"]);
    assert_eq!((&same["equal"], &same["differences"]), (&json!(true), &json!([])));
}

#[test]
fn promotion_asks_the_gates_of_today() {
    let project = twice_trained();
    project.change("models/churn/model.toml", "min = 0.6", "min = 0.9999");
    let promote = |more: &[&str]| project.run(&[&["models", "promote", "churn", "2"], more].concat());
    fails(
        &promote(&[]),
        3,
        &["gate refused", "at least 0.9999 is asked", "--force"],
    );
    assert_eq!(champion(&project), json!(1));
    assert_eq!(promote(&["--force"]).code, Some(2), "who forces says why");
    fails(&promote(&["--alias", "latest"]), 1, &["reserved"]);
    succeeds(
        &project.run(&["models", "promote", "churn", "1"]),
        &["champion is version 1 already"],
    );
    assert_eq!(promote(&["--alias", "shadow"]).code, Some(0), "only champion has gates");
    let forced = promote(&["--force", "--reason", "the old one is broken"]);
    succeeds(&forced, &["champion is now version 2"]);
    let moves = project.json(&["models", "history", "churn", "--alias", "champion"]);
    let last = moves.as_array().and_then(|it| it.last()).expect("a move");
    assert_eq!((&last["from"], &last["to"]), (&json!(1), &json!(2)));
    assert_eq!(last["evidence"]["forced"], json!(true), "{last}");
    assert_eq!(last["evidence"]["compared_with"], json!(1));
    succeeds(
        &project.run(&["models", "history", "churn"]),
        &["FORCED: the old one is broken"],
    );
    succeeds(
        &project.run(&["models", "rollback", "churn"]),
        &["champion is now version 1"],
    );
    project.change(
        "models/churn/model.toml",
        "min = 0.9999",
        "min = 0.6, not_worse_than_champion_by = 0.5",
    );
    succeeds(&promote(&["--reason", "better"]), &["champion is now version 2"]);

    let damaged = vec![PackageFile::new("manifest.json", "not JSON at all")];
    publish(&project, damaged);
    fails(
        &project.run(&["models", "promote", "churn", "3"]),
        3,
        &["cannot be served"],
    );
    fails(
        &project.run(&["models", "promote", "churn", "3", "--alias", "shadow"]),
        3,
        &["cannot be served"],
    );
}

#[test]
fn what_was_registered_elsewhere_is_shown_and_promoted_without_gates() {
    let project = Project::churn();
    registered_elsewhere(&project, "risk");
    succeeds(
        &project.run(&["models", "show", "risk"]),
        &["risk@1", "s3://elsewhere/model", "no files"],
    );
    succeeds(
        &project.run(&["models", "history", "risk"]),
        &["created the model", "published version 1"],
    );
    fails(&project.run(&["models", "card", "risk"]), 1, &["has no card"]);
    fails(
        &project.run(&["models", "reproduce", "risk"]),
        1,
        &["was not trained here"],
    );
    let promoted = project.run(&["models", "promote", "risk", "1"]);
    succeeds(&promoted, &["champion is now version 1"]);
    assert!(promoted.stderr.contains("no gate judges it"), "{}", promoted.stderr);
    assert_eq!(
        project.json(&["models", "list"])[0]["mlflow"]["source"],
        json!("s3://elsewhere/model")
    );
}

#[test]
fn a_version_is_trained_again_to_the_same_bytes_even_when_the_project_moved_on() {
    let project = twice_trained();
    project.change("models/churn/model.toml", "rounds = 60", "rounds = 10");
    project.change("features/customer.toml", "greatest(months, 1)", "greatest(months, 2)");
    let said = project.run(&["models", "reproduce", "churn@2"]);
    succeeds(&said, &["churn@2 is reproduced", "every byte the same"]);
    assert_eq!(
        project.json(&["models", "list"]).as_array().map(Vec::len),
        Some(2),
        "nothing is registered"
    );
    project.write("data/customers.csv", &customers(1499));
    let said = project.run(&["models", "reproduce", "churn@2"]);
    fails(
        &said,
        1,
        &["churn@2 cannot be trained again", "restore the files of then", "--data"],
    );
}

#[test]
fn a_version_that_is_not_what_training_makes_is_named_file_by_file() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    let mut files = files(&project);
    let card = files.iter_mut().find(|it| it.path == "card.md");
    let card = card.expect("training writes a card");
    card.bytes = [&card.bytes[..], b"by hand"].concat().into();
    publish(&project, files);
    let said = project.run(&["models", "reproduce", "churn@2"]);
    fails(&said, 1, &[]);
    for words in ["churn@2 is not reproduced: 1 of", "card.md"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    let said = project.run(&["models", "reproduce", "churn@2", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let document: Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    let different = document["files"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["equal"] == json!(false));
    assert_eq!(different.map(|it| &it["path"]).collect::<Vec<_>>(), ["card.md"]);
}

#[test]
fn an_archive_that_was_edited_is_refused() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    project.json(&["models", "export", "churn@1", "out"]);
    // A card with one more line, registered as a version of its own.
    let work = project.path("work");
    std::fs::create_dir(&work).expect("a folder can be made");
    let tar = |arguments: &[&str]| {
        let mut command = std::process::Command::new("tar");
        assert!(
            command
                .args(arguments)
                .current_dir(&work)
                .status()
                .expect("tar runs")
                .success()
        );
    };
    tar(&["xf", "../out/churn-1.tar"]);
    let card = work.join("files/card.md");
    let text = std::fs::read_to_string(&card).expect("the card is there") + "by hand\n";
    std::fs::write(&card, &text).expect("the card can be written");
    tar(&["cf", "../edited.tar", "version.json", "manifest.json", "files"]);
    let import = project.run(&["models", "import", "edited.tar"]);
    fails(&import, 1, &["card.md"]);
    assert_eq!(project.json(&["models", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn packages_are_signed_and_nothing_else_is_loaded() {
    let project = twice_trained();
    let key = project.json(&["registry", "keygen", "signing.pem"]);
    fails(
        &project.run(&["registry", "keygen", "signing.pem"]),
        1,
        &["does not exist yet"],
    );
    fails(&project.run(&["models", "sign", "churn"]), 1, &["registry keygen"]);
    let public = key["public"].as_str().expect("a key");
    let settings = format!("[registry]\nsigning_key = \"signing.pem\"\ntrusted_keys = [\"{public}\"]\n");
    project.write("foretell.toml", &(project.read("foretell.toml") + &settings));
    let rows = project.path("rows.json");
    std::fs::write(
        &rows,
        json!([{ "plan": "basic", "months": 3, "complaints": 2, "price": 25.0 }]).to_string(),
    )
    .expect("rows can be written");
    let predict = || project.run(&["predict", "churn", "--rows", &rows.display().to_string()]);
    fails(&predict(), 1, &["churn@1 may not be loaded", "models sign churn@1"]);
    fails(
        &project.run(&["models", "promote", "churn", "2"]),
        1,
        &["may not be loaded"],
    );
    succeeds(&project.run(&["models", "show", "churn@1"]), &["not trusted"]);
    succeeds(&project.run(&["models", "sign", "churn@1"]), &["churn@1 is signed by"]);
    succeeds(&predict(), &["churn@1"]);
    project.json(&["train", "churn"]);
    succeeds(
        &project.run(&["models", "promote", "churn", "3"]),
        &["champion is now version 3"],
    );
    let id = key["id"].as_str().expect("an id");
    succeeds(
        &project.run(&["models", "show", "churn@3"]),
        &[&format!("signed by {id}")],
    );
    project.change("foretell.toml", "signing.pem", "env:NO_SUCH_KEY");
    fails(&project.run(&["train", "churn"]), 1, &["NO_SUCH_KEY", "not set"]);
    project.change("foretell.toml", public, "ed25519:abc");
    fails(&project.run(&["models", "list"]), 1, &["trusted_keys", "ed25519"]);
}

#[test]
fn a_version_travels_to_another_registry_as_one_file() {
    let here = twice_trained();
    let there = Project::empty();
    let file = there.path("in/churn.tar").display().to_string();
    here.json(&["models", "export", "churn@2", &file]);
    let imported = there.json(&["models", "import", &file, "--as", "leavers", "--alias", "challenger"]);
    assert_eq!(
        (&imported["model"], &imported["version"]),
        (&json!("leavers"), &json!(1))
    );
    assert_eq!(imported["digest"], here.json(&["models", "show", "churn@2"])["digest"]);
    let again = there.json(&["models", "import", &file, "--as", "leavers"]);
    assert_eq!(again["version"], json!(1), "it is there already");
    fails(
        &there.run(&["models", "import", &file, "--alias", "champion"]),
        1,
        &["models promote"],
    );
    fails(
        &there.run(&["models", "import", "foretell.toml"]),
        1,
        &["foretell.toml"],
    );
    fails(&there.run(&["models", "import", "nothing.tar"]), 1, &["nothing.tar"]);
}

#[test]
fn garbage_collection_leaves_what_a_running_server_has_loaded() {
    let project = twice_trained();
    project.json(&["features", "materialize"]);
    let mut server = project.serve();
    let second = json!({ "entities": [{ "customer_id": "C1" }], "version": "2" });
    server.post("/v1/predict/churn", &second);
    project.json(&["train", "churn"]);
    let gc =
        |more: &[&str]| project.json(&[&["models", "gc", "--keep-last", "1", "--older-than", "1s"], more].concat());
    // Until the server has said what it loaded, and everything is older than a second.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let would = gc(&["--dry-run"]);
    assert_eq!(would["kept_by_lease"], json!([["churn", 2]]), "{would}");
    let kept = gc(&[]);
    assert_eq!(
        (&kept["deleted_versions"], &kept["kept_by_lease"]),
        (&json!([]), &json!([["churn", 2]]))
    );
    server.post("/v1/predict/churn", &second);
    server.terminate();
    let done = gc(&[]);
    assert_eq!(
        done["deleted_versions"],
        json!([["churn", 2]]),
        "champion and the newest stay: {done}"
    );
    assert_eq!(project.run(&["models", "verify"]).code, Some(0));
    fails(&project.run(&["models", "gc", "chrun"]), 1, &["`churn`"]);
}

#[test]
fn a_log_that_was_tampered_with_is_found() {
    let project = twice_trained();
    let said = project.run(&["registry", "audit"]);
    succeeds(&said, &["every chain holds", "champion", "train"]);
    let report = project.json(&["registry", "audit"]);
    assert!(report["entries"].as_array().is_some_and(|it| it.len() >= 4), "{report}");
    let mut logs = Vec::new();
    records(&project.path(".foretell/registry/models"), &mut logs);
    logs.sort();
    let text = std::fs::read_to_string(&logs[0]).expect("a record");
    std::fs::write(&logs[0], text.replace("train", "trial")).expect("a record can be written");
    let said = project.run(&["registry", "audit"]);
    fails(&said, 1, &["problem:"]);
}

fn records(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => records(&path, found),
            false if path.parent().is_some_and(|it| it.ends_with("log")) => found.push(path),
            false => {}
        }
    }
}

#[test]
fn a_reset_for_tests_is_only_for_an_empty_project_on_this_machine() {
    let project = Project::empty();
    project.write("features/customer.toml", CUSTOMER);
    project.write("models/churn/model.toml", CHURN);
    project.write("data/customers.csv", &customers(300));
    let serve = |project: &Project, http: &str| {
        project.run(&["serve", "--test-reset", "--http", http, "--grpc", "127.0.0.1:0"])
    };
    fails(&serve(&project, "0.0.0.0:0"), 1, &["--test-reset", "127.0.0.1"]);
    {
        let server = project.serve_with(&["--test-reset"]);
        let create = "/api/2.0/mlflow/registered-models/create";
        assert_eq!(post_json(&server.http, create, &json!({ "name": "m" })).0, 200);
        assert_eq!(post_json(&server.http, "/__reset", &json!({})).0, 200);
        assert_eq!(project.json(&["models", "list"]), json!([]));
        assert_eq!(
            post_json(&server.http, create, &json!({ "name": "m" })).0,
            200,
            "the name is free again"
        );
        assert_eq!(post_json(&server.http, "/__reset", &json!({})).0, 200);
    }
    let usual = project.serve();
    assert_eq!(
        post_json(&usual.http, "/__reset", &json!({})).0,
        404,
        "off unless asked for"
    );
    drop(usual);
    project.json(&["train", "churn", "--no-register"]);
    fails(&serve(&project, "127.0.0.1:0"), 1, &["its tracking has runs"]);
    fails(&serve(&twice_trained(), "127.0.0.1:0"), 1, &["its registry has models"]);
}
