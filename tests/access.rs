//! Tokens: made by the command line, held by the project as hashes, asked for by the server, sent by the command line.

mod support;

use serde_json::Value;
use support::{Project, Said, http, said};

/// A token of this name and these roles, its lines added to the project.
fn give_token(project: &Project, name: &str, roles: &str) -> String {
    let made = project.json(&["access", "token", name, "--role", roles]);
    let lines = made["toml"].as_str().expect("the lines are there");
    let token = made["token"].as_str().expect("the token is there").to_owned();
    assert!(!lines.contains(&token), "the file never has the token itself");
    project.write("foretell.toml", &format!("{}\n{lines}", project.read("foretell.toml")));
    token
}

fn run_with(project: &Project, token: Option<&str>, arguments: &[&str]) -> Said {
    let mut command = project.command(arguments);
    match token {
        Some(token) => command.env("FORETELL_TOKEN", token),
        None => command.env_remove("FORETELL_TOKEN"),
    };
    said(command.output().expect("the binary runs"))
}

#[test]
fn a_command_that_goes_through_a_server_shows_its_token() {
    let project = Project::churn();
    project.json(&["features", "materialize"]);
    let (app, feeder) = (
        give_token(&project, "app", "predictor"),
        give_token(&project, "feeder", "writer"),
    );
    let server = project.serve();
    let get = ["features", "get", "profile", "--entity", "customer_id=C1"];
    let cases = [
        (None, Some("FORETELL_TOKEN")),
        (Some("ft_wrong"), Some("not known here")),
        (
            Some(feeder.as_str()),
            Some("`feeder` is writer; this takes viewer, predictor or admin"),
        ),
        (Some(app.as_str()), None),
    ];
    for (token, refused) in cases {
        let said = run_with(&project, token, &get);
        match refused {
            Some(words) => {
                assert_eq!(said.code, Some(1), "{said:?}");
                assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
            }
            None => assert_eq!(said.code, Some(0), "{said:?}"),
        }
    }
    assert_eq!(
        run_with(&project, Some(&app), &["features", "materialize"]).code,
        Some(1)
    );
    assert_eq!(
        run_with(&project, Some(&feeder), &["features", "materialize"]).code,
        Some(0)
    );
    assert_eq!(http(&server.http, "GET", "/healthz", "").0, 200);
    assert_eq!(
        http(&server.http, "GET", "/api/2.0/mlflow/experiments/search", "").0,
        401
    );
}

#[test]
fn who_has_a_token_is_listed_without_it() {
    let project = Project::churn();
    assert_eq!(project.json(&["access", "list"]), Value::Array(Vec::new()));
    let token = give_token(&project, "ann b.", "promoter,viewer");
    let said = project.run(&["access", "list"]);
    assert!(said.stdout.contains("ann b.  viewer, promoter"), "{}", said.stdout);
    assert!(!said.stdout.contains(&token));
    let again = project.run(&["access", "token", "ann b.", "--role", "admin"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("already"), "{}", again.stderr);
}

#[test]
fn settings_of_access_that_are_wrong_are_reported_with_their_line() {
    let hash = "0".repeat(64);
    let cases = [
        ("[access]\n".to_owned(), "nobody has a token"),
        (
            "[access.tokens.a]\nroles = [\"viewer\"]\n".to_owned(),
            "`sha256` is missing",
        ),
        (
            format!("[access.tokens.a]\nsha256 = \"{hash}\"\nroles = [\"viewr\"]\n"),
            "did you mean `viewer`?",
        ),
        (
            format!("[access.tokens.a]\nsha256 = \"{hash}\"\nroles = []\n"),
            "names no role",
        ),
        (
            "[access.tokens.a]\nsha256 = \"secret\"\nroles = [\"viewer\"]\n".to_owned(),
            "64 hex digits",
        ),
        (
            format!("[access.tokens.a]\nsha256 = \"{hash}\"\nrole = \"viewer\"\n"),
            "unknown key `role`",
        ),
    ];
    for (lines, expected) in cases {
        let project = Project::churn();
        project.write("foretell.toml", &format!("{}{lines}", project.read("foretell.toml")));
        let said = project.run(&["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        assert_eq!(said.code, Some(1), "{lines}: {said:?}");
        assert!(
            said.stderr.contains(expected) && said.stderr.contains("foretell.toml:"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_server_for_others_needs_tokens() {
    let project = Project::churn();
    let anywhere = ["serve", "--http", "0.0.0.0:0", "--grpc", "127.0.0.1:0"];
    let said = project.run(&anywhere);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("foretell access token"), "{}", said.stderr);
}
