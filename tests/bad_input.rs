//! Wrong input gets one clear sentence, the right exit code, and loses nothing.

mod support;

use serde_json::json;
use support::{CHURN, Project, Said, http};

/// The command fails with exit code 1, one `error:` line that says all of `words`, and no panic.
#[track_caller]
fn refused(said: &Said, words: &[&str]) {
    let lines: Vec<&str> = said.stderr.lines().filter(|it| it.starts_with("error: ")).collect();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(lines.len(), 1, "one sentence: {}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    for word in words {
        assert!(lines[0].contains(word), "`{word}` is in: {}", lines[0]);
    }
}

#[test]
fn definitions_that_are_wrong_are_all_reported_at_once_with_file_line_and_nearest_name() {
    let project = Project::churn();
    project.change(
        "features/customer.toml",
        "source = \"customers\"",
        "source = \"custmers\"",
    );
    project.change("features/customer.toml", "greatest(months, 1)", "gretest(months, 1)");
    project.change(
        "models/churn/model.toml",
        "task = \"binary_classification\"",
        "tsk = \"binary_classification\"",
    );
    project.write("models/broken/model.toml", "name = \"broken\n");
    let said = project.run(&["check"]);
    assert_eq!(said.code, Some(1));
    for expected in [
        "features/customer.toml:8:",
        "`customers`",
        "`greatest`",
        "models/broken/model.toml:1:",
    ] {
        assert!(said.stderr.contains(expected), "{expected} is in:\n{}", said.stderr);
    }
    project.change(
        "features/customer.toml",
        "source = \"custmers\"",
        "source = \"customers\"",
    );
    project.change("features/customer.toml", "gretest(months, 1)", "greatest(months, 1)");
    let said = project.run(&["check"]);
    assert!(
        said.stderr.contains("models/churn/model.toml") && said.stderr.contains("`task`"),
        "{}",
        said.stderr
    );
    let good = Project::churn();
    good.change("features/customer.toml", "\"complaints\"", "\"complints\"");
    let said = good.run(&["check"]);
    assert!(
        said.code == Some(1) && said.stderr.contains("`complaints`"),
        "a column that the file lacks: {said:?}"
    );
    let said = project.run(&["check", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(document["ok"], json!(false));
    assert!(
        document["problems"].as_array().is_some_and(|it| it.len() >= 2),
        "{document}"
    );
}

#[test]
fn data_that_cannot_be_used_is_refused_before_anything_is_registered() {
    let half_text = |project: &Project| {
        let text = project.read("data/customers.csv");
        let lines = text.lines().enumerate().map(|(at, line)| match at > 0 && at % 2 == 0 {
            true => line
                .replacen(",basic,", ",basic,x", 1)
                .replacen(",plus,", ",plus,x", 1)
                .replacen(",premium,", ",premium,x", 1),
            false => line.to_owned(),
        });
        project.write("data/customers.csv", &lines.collect::<Vec<_>>().join("\n"));
        project.change(
            "features/customer.toml",
            "path = \"customers.csv\"",
            "path = \"customers.csv\"\ntypes = { months = \"double\" }",
        );
    };
    type Spoil<'a> = &'a dyn Fn(&Project);
    let cases: [(&str, Spoil<'_>, &[&str]); 6] = [
        (
            "an empty file",
            &|it| it.write("data/customers.csv", ""),
            &["customers.csv", "empty"],
        ),
        (
            "a file with a heading only",
            &|it| it.write("data/customers.csv", "customer_id,plan,months,complaints,price,left\n"),
            &["customers.csv", "empty"],
        ),
        (
            "a missing file",
            &|it| it.change("features/customer.toml", "customers.csv", "customer.csv"),
            &["customer.csv", "customers.csv"],
        ),
        (
            "a missing column",
            &|it| it.change("features/customer.toml", "\"complaints\"", "\"complints\""),
            &["complints", "complaints"],
        ),
        ("a column that is half text", &half_text, &["months", "x"]),
        (
            "a label with one class",
            &|it| {
                it.write(
                    "data/customers.csv",
                    &it.read("data/customers.csv").replace(",yes", ",no"),
                )
            },
            &["left", "no row has the positive value `yes`"],
        ),
    ];
    for (what, spoil, words) in cases {
        println!("{what}");
        let project = Project::churn();
        spoil(&project);
        refused(&project.run(&["train", "churn"]), words);
        let registered = project.run(&["models", "list", "--json"]);
        assert!(
            registered.code == Some(1) || registered.stdout.trim() == "[]",
            "{what}: {registered:?}"
        );
    }
}

#[test]
fn a_horizon_longer_than_the_data_is_refused() {
    let project = Project::empty();
    let rows: String = (1..=28)
        .map(|day| format!("2026-02-{day:02},{}\n", 10 + day % 7))
        .collect();
    project.write("data/sales.csv", &format!("date,units\n{rows}"));
    project.write(
        "features/sales.toml",
        "[source.sales]\npath = \"sales.csv\"\nevent_time = \"date\"\n",
    );
    let series = "[series]\nsource = \"sales\"\nkey = []\ntime = \"date\"\nvalue = \"units\"\nstep = \"1d\"\nhorizon = 60\ntest = \"last\"\n";
    project.write(
        "models/demand/model.toml",
        &format!("name = \"demand\"\ntask = \"forecast\"\n{series}"),
    );
    refused(&project.run(&["train", "demand"]), &["horizon", "60", "28"]);
}

#[test]
fn names_that_do_not_exist_are_answered_with_the_nearest() {
    let project = Project::churn();
    refused(&project.run(&["models", "list"]), &["no registry", "foretell train"]);
    refused(&project.run(&["train", "chrun"]), &["chrun", "churn"]);
    project.json(&["train", "churn"]);
    project.json(&["features", "materialize"]);
    let key = ["--entity", "customer_id=C1"];
    let cases: [(&[&str], &[&str]); 8] = [
        (&["predict", "chrun", key[0], key[1]], &["chrun", "churn"]),
        (
            &["predict", "churn@champoin", key[0], key[1]],
            &["champoin", "champion"],
        ),
        (&["predict", "churn@9", key[0], key[1]], &["9", "1"]),
        (
            &["predict", "churn", "--entity", "customer=C1"],
            &["customer", "customer_id"],
        ),
        (&["models", "promote", "churn", "7"], &["7"]),
        (&["models", "rollback", "churn"], &["champion"]),
        (&["features", "get", "profle", key[0], key[1]], &["profle", "profile"]),
        (&["features", "materialize", "profle"], &["profle", "profile"]),
    ];
    for (arguments, words) in cases {
        println!("{arguments:?}");
        refused(&project.run(arguments), words);
    }
    let nowhere = std::process::Command::new(env!("CARGO_BIN_EXE_foretell"))
        .arg("check")
        .current_dir("/")
        .output();
    refused(
        &support::said(nowhere.expect("the binary runs")),
        &["foretell.toml", "foretell init"],
    );
}

#[test]
fn a_gate_that_fails_registers_moves_nothing_and_exits_3() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    project.write("models/churn/model.toml", &CHURN.replace("min = 0.6", "min = 0.999"));
    let said = project.run(&["train", "churn"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.stdout.contains("REFUSED") && said.stdout.contains("0.999"),
        "{}",
        said.stdout
    );
    let listed = project.json(&["models", "list"]);
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(2),
        "the refused version is registered: {listed}"
    );
    assert!(
        listed[0]["aliases"].to_string().contains("champion"),
        "champion stays: {listed}"
    );
}

#[test]
fn requests_that_are_wrong_get_a_sentence_and_a_status() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    project.json(&["features", "materialize"]);
    let server = project.serve();
    let row = json!({ "plan": "plus", "months": 5, "complaints": 1, "price": 20.0 });
    let cases = [
        (404, "/v1/predict/chrun", json!({ "rows": [row] }), "churn"),
        (
            404,
            "/v1/predict/churn",
            json!({ "rows": [row], "alias": "champoin" }),
            "champion",
        ),
        (404, "/v1/predict/churn", json!({ "rows": [row], "version": "9" }), "9"),
        (
            400,
            "/v1/predict/churn",
            json!({ "entities": [{ "customer": "C1" }] }),
            "customer_id",
        ),
        (
            400,
            "/v1/predict/churn",
            json!({ "rows": [{ "plan": "plus", "month": 5, "complaints": 1, "price": 1.0 }] }),
            "months",
        ),
        (
            400,
            "/v1/predict/churn",
            json!({ "rows": [{ "plan": "plus" }] }),
            "missing",
        ),
        (400, "/v1/predict/churn", json!({ "row": [row] }), "row"),
        (400, "/v2/models/churn/infer", json!({ "inputs": [] }), "input"),
        (404, "/v2/models/nope/infer", json!({ "inputs": [] }), "nope"),
        (404, "/nowhere", json!({}), "/nowhere"),
    ];
    for (status, path, body, word) in cases {
        let (got, answer) = server.request("POST", path, &body.to_string());
        assert_eq!(got, status, "{path} {body}: {answer}");
        let error = answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{path}: an error is a sentence: {answer}"));
        assert!(error.contains(word), "{path} {body}: `{word}` is in: {error}");
    }
    for body in ["", "{", "[]", "nonsense", &"[".repeat(100_000)] {
        let (got, answer) = server.request("POST", "/v1/predict/churn", body);
        assert!(got == 400 && answer["error"].is_string(), "{got} {answer}");
    }
    // A row that cannot be scored is told so in its place; its neighbours are not harmed.
    let mixed = json!({ "rows": [row, { "plan": "plus", "months": "many", "complaints": 1, "price": 20.0 }, row] });
    let answer = server.post("/v1/predict/churn", &mixed);
    assert_eq!(answer["predictions"][0]["status"], json!("ok"), "{answer}");
    assert!(
        answer["predictions"][1]["value"].is_null() && answer["predictions"][1]["status"] != json!("ok"),
        "{answer}"
    );
    assert_eq!(answer["predictions"][0]["value"], answer["predictions"][2]["value"]);
    let unknown = server.post(
        "/v1/predict/churn",
        &json!({ "entities": [{ "customer_id": "nobody" }] }),
    );
    assert_eq!(unknown["predictions"][0]["status"], json!("not_found"), "{unknown}");
    assert!(unknown["predictions"][0]["value"].is_null());
    let (status, _) = http(&server.http, "GET", "/healthz", "");
    assert_eq!(status, 200, "the server is well after all that");
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken_at = taken.local_addr().expect("it is bound");
    let (address, port) = (taken_at.to_string(), taken_at.port().to_string());
    refused(
        &project.run(&["serve", "--http", &address, "--grpc", "127.0.0.1:0"]),
        &[&port, "--http"],
    );
    refused(
        &project.run(&["serve", "--http", "127.0.0.1:0", "--grpc", &address]),
        &[&port, "--grpc"],
    );
}

#[test]
fn a_package_that_was_cut_or_edited_is_found_and_never_served() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    let blobs = project.path(".foretell/registry/blobs/sha256");
    let mut files: Vec<_> = walk(&blobs);
    files.sort();
    assert!(files.len() >= 4, "a package has files");
    for (at, file) in files.iter().enumerate() {
        let good = std::fs::read(file).expect("the blob can be read");
        let mut bad = good.clone();
        if at % 2 == 0 {
            bad.truncate(good.len() / 2);
        } else {
            let middle = good.len() / 2;
            bad[middle] ^= 1;
        }
        std::fs::write(file, &bad).expect("the blob can be written");
        let verified = project.run(&["models", "verify"]);
        assert_eq!(verified.code, Some(1), "{}: {verified:?}", file.display());
        refused(
            &project.run(&["predict", "churn", "--rows", &rows(&project)]),
            &["churn"],
        );
        std::fs::write(file, &good).expect("the blob can be written");
    }
    assert_eq!(project.run(&["models", "verify"]).code, Some(0), "mended");
}

#[test]
fn a_full_disk_while_publishing_loses_nothing() {
    let project = Project::churn();
    project.json(&["train", "churn"]);
    let small = project.path("small");
    std::fs::create_dir(&small).expect("a folder can be made");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=160k", "tmpfs"])
        .arg(&small)
        .output();
    if !mounted.is_ok_and(|it| it.status.success()) {
        println!("skipped: a small file system cannot be mounted here, which needs root");
        return;
    }
    let registry = small.join("registry");
    let outcome = std::panic::catch_unwind(|| {
        project.change(
            "foretell.toml",
            "[project]",
            &format!("[registry]\nurl = \"{}\"\n[project]", registry.display()),
        );
        let mut published = 0;
        let full = loop {
            let said = project.run(&["train", "churn", "--seed", &published.to_string()]);
            match said.code {
                Some(0) if published < 50 => published += 1,
                _ => break said,
            }
        };
        refused(&full, &["full"]);
        let verified = project.run(&["models", "verify"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        if published > 0 {
            let listed = project.json(&["models", "list"]);
            assert_eq!(listed.as_array().map(Vec::len), Some(published), "{listed}");
        }
    });
    let _ = std::process::Command::new("umount").arg(&small).output();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn rows(project: &Project) -> String {
    project.write(
        "rows.json",
        r#"[{"plan":"plus","months":5,"complaints":1,"price":20.0}]"#,
    );
    project.path("rows.json").display().to_string()
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else {
            files.push(path)
        }
    }
    files
}
