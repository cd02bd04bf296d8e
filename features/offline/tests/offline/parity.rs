//! Served values held against the files: what counts as equal, and what each difference is called.

use foretell_features::Value;
use foretell_features_offline::{ParityReport, ServedFeature, ServedRow};

use crate::common::{Project, at, key};

const TOML: &str = r#"
[entity.who]
key = { who = "string" }
[source.events]
path = "events.csv"
event_time = "at"
[view.v]
entity = "who"
source = "events"
features = { x = "x", plan = "plan", seen = { latest = "at" }, n = { count = "*", window = "1d", hop = "exact" } }
"#;
const EVENTS: &str = "who,at,x,plan\nann,2024-01-01,0.3,basic\nann,2024-01-03,,pro\nbob,2024-01-02,2.5,pro\n";

/// `equal mismatch missing extra` of one feature served once.
fn check(feature: &str, who: &str, now: &str, served: Value, expected: [u64; 4]) {
    let project = Project::new(TOML, &[("events.csv", EVENTS)]);
    let features = [ServedFeature {
        name: feature.to_owned(),
        view: "v".to_owned(),
        feature: feature.to_owned(),
    }];
    let row = ServedRow {
        key: key(who),
        at: at(now),
        values: vec![served.clone()],
    };
    let report = project.open().parity(&features, &[row]).unwrap();
    let it = &report.features[0];
    let got = [it.equal, it.mismatch, it.missing, it.extra];
    assert_eq!(got, expected, "{feature} of {who} at {now} served as {served}");
    assert_eq!(it.examples.len() as u64, 1 - it.equal);
    assert_eq!(report.share(), it.equal as f64);
}

#[test]
fn a_value_is_equal_different_missing_or_extra() {
    let (equal, mismatch, missing, extra) = ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]);
    check("x", "ann", "2024-01-02", Value::Float(0.1 + 0.2), equal);
    check("x", "ann", "2024-01-02", Value::Float(0.300_000_01), mismatch);
    check("x", "ann", "2024-01-02", Value::Null, missing);
    check("x", "ann", "2024-01-03", Value::Null, equal);
    check("x", "ann", "2024-01-03", Value::Float(0.3), extra);
    check("x", "cid", "2024-01-03", Value::Null, equal);
    check("plan", "ann", "2024-01-02", Value::text("basic"), equal);
    check("plan", "ann", "2024-01-03", Value::text("basic"), mismatch);
    check("n", "ann", "2024-01-01T12:00:00Z", Value::Int(1), equal);
    check("n", "ann", "2024-01-01T12:00:00Z", Value::Float(1.0), equal);
    check("n", "cid", "2024-01-02", Value::Int(0), equal);
    check("seen", "bob", "2024-01-03", Value::text("2024-01-02T00:00:00Z"), equal);
    check("seen", "bob", "2024-01-03", Value::text("gone"), mismatch);
}

#[test]
fn nothing_compared_is_not_parity() {
    let report = ParityReport {
        rows: 0,
        features: Vec::new(),
    };
    assert!(report.share().is_nan());
}
