//! kill -9 at any moment of training or promotion: nothing half-visible, nothing lost.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Chance, Project};

const KILLS: usize = 60;

#[test]
fn a_kill_at_any_moment_leaves_the_old_or_the_new_state() {
    let project = Project::churn();
    let train = ["train", "churn"];
    project.json(&train);
    let began = Instant::now();
    project.json(&["train", "churn", "--promote"]);
    let whole = began.elapsed();
    let (mut chance, mut before) = (Chance(11), state(&project));
    for kill in 0..KILLS {
        let promote = ["models", "promote", "churn", if kill % 4 == 1 { "1" } else { "2" }];
        // Two of three kills fall into training, where there is more to break; commits come last, so the second half matters.
        let (verb, lasts): (&[&str], Duration) = if kill % 3 == 0 {
            (&promote, Duration::from_millis(60))
        } else {
            (&train, whole)
        };
        let mut child = project
            .command(verb)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(lasts.mul_f64(chance.unit().sqrt() * 1.1));
        child.kill().expect("our own child can be killed");
        child.wait().expect("a killed child ends");

        let verified = project.run(&["models", "verify", "--json"]);
        assert_eq!(
            verified.code,
            Some(0),
            "after kill {kill} of {verb:?}: {}{}",
            verified.stdout,
            verified.stderr
        );
        let after = state(&project);
        for version in &before.versions {
            assert!(after.versions.contains(version), "kill {kill} lost version {version}");
        }
        let champion = after.champion.expect("champion points somewhere");
        assert!(
            after.versions.contains(&champion),
            "kill {kill}: champion points to {champion}, which is not there"
        );
        before = after;
    }
    // Whatever is visible can be loaded and asked: the newest version as well as the champion.
    let newest = *before.versions.last().expect("versions are there");
    for version in [format!("churn@{newest}"), "churn@champion".to_owned()] {
        let said = project.run(&["models", "show", &version, "--json"]);
        assert_eq!(said.code, Some(0), "{version}: {}", said.stderr);
    }
    assert_eq!(project.run(&train).code, Some(0), "training goes on after all kills");
}

struct State {
    versions: Vec<u64>,
    champion: Option<u64>,
}

fn state(project: &Project) -> State {
    let listed = project.json(&["models", "list"]);
    let rows = listed.as_array().expect("a list");
    let number = |row: &Value| row["version"].as_u64().expect("a version has a number");
    let is_champion = |row: &&Value| {
        row["aliases"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| it == "champion"))
    };
    State {
        versions: rows.iter().map(number).collect(),
        champion: rows.iter().find(is_champion).map(number),
    }
}
