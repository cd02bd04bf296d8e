//! Expectations: what passes, what fails and why, and what a materialization does about it.

use foretell_features::{EntityFrame, OnFailure, Value};
use foretell_features_offline::OfflineStoreError;
use foretell_features_online::SourceRows;
use std::sync::Arc;

use crate::common::{Project, at, key, refs, row_text};
use crate::materialize::{everything, nowhere, row};

const SOURCES: &str = r#"
[entity.who]
key = { who = "string" }
[source.orders]
path = "orders.csv"
event_time = "at"
types = { code = "string" }
[source.people]
path = "people.csv"
[view.v]
entity = "who"
source = "orders"
features = { amount = "amount", n = { count = "*" } }
"#;

/// Row 6 happens after the instant looked at.
const ORDERS: &str = "who,at,amount,code\n\
    ann,2024-01-01,10,A\n\
    ann,2024-01-03,-5,B\n\
    bob,2024-01-02,,B\n\
    bob,2024-01-02,20,B\n\
    eve,2024-01-04,9000,c1\n\
    ,2024-01-04,5,A\n\
    ann,2024-02-01,-1,zz\n";
const PEOPLE: &str = "who,plan\nann,basic\nbob,pro\n";
const NOW: &str = "2024-01-05";

fn project(expect: &str) -> Project {
    let toml = format!("{SOURCES}[view.v.expect]\n{expect}\n");
    Project::new(&toml, &[("orders.csv", ORDERS), ("people.csv", PEOPLE)])
}

/// `passed failed_rows observed examples` of each check.
fn check(expect: &str, expected: &[&str]) {
    let report = project(expect).open().validate("v", at(NOW)).unwrap();
    let line = |it: &foretell_features_offline::CheckReport| {
        let verdict = if it.passed { "ok" } else { "FAIL" };
        format!(
            "{} {verdict} {} {} {:?}",
            it.name, it.failed_rows, it.observed, it.examples
        )
    };
    let got: Vec<String> = report.checks.iter().map(line).collect();
    assert_eq!(got, expected, "{expect}");
    assert_eq!(report.rows, 6, "the row after the instant is not looked at");
}

#[test]
fn every_kind_of_check_finds_what_is_wrong_and_where() {
    let cases: [(&str, &[&str]); 17] = [
        ("amount = { not_null = true }", &["not_null FAIL 1 1 [2]"]),
        ("who = { not_null = true }", &["not_null FAIL 1 1 [5]"]),
        ("amount = { min = 0 }", &["min FAIL 1 -5 [1]"]),
        (
            "amount = { min = -5, max = 9000 }",
            &["min ok 0 -5 []", "max ok 0 9000 []"],
        ),
        ("\"amount * 2\" = { max = 40 }", &["max FAIL 1 18000 [4]"]),
        ("code = { in = [\"A\", \"B\"] }", &["in FAIL 1 c1 [4]"]),
        ("code = { matches = \"^[A-Z]$\" }", &["matches FAIL 1 c1 [4]"]),
        ("at = { min = 2024-01-01 }", &["min ok 0 2024-01-01T00:00:00Z []"]),
        ("unique = [\"who\", \"at\"]", &["unique FAIL 1 1 [3]"]),
        ("unique = [\"who\", \"at\", \"amount\"]", &["unique ok 0 0 []"]),
        (
            "at = { increasing = true }",
            &["increasing FAIL 1 2024-01-02T00:00:00Z [2]"],
        ),
        (
            "amount = { null_rate = { max = 0.1 } }",
            &["null_rate FAIL 0 0.16666666666666666 []"],
        ),
        (
            "amount = { mean = { max = 1806 }, quantile = { q = 0.5, min = 10, max = 10 } }",
            &["mean ok 0 1806 []", "quantile ok 0 10 []"],
        ),
        ("rows = { min = 6, max = 6 }", &["rows ok 0 6 []"]),
        ("rows = { min = 7 }", &["rows FAIL 0 6 []"]),
        ("fresh_within = \"12h\"", &["fresh_within FAIL 0 1d []"]),
        ("references = { who = \"people.who\" }", &["references FAIL 1 eve [4]"]),
    ];
    for (expect, expected) in cases {
        check(expect, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_refuses_the_view_and_writes_nothing() {
    let project = project("amount = { min = 0 }\nrows = { min = 7, on_failure = \"warn\" }");
    let store = Arc::new(project.open());
    let online = nowhere().await;
    let refused = store
        .materialize(&online, &everything(NOW), &|_, _| {})
        .await
        .unwrap_err();
    let expected = "view `v` is not written, its source is not as expected: amount min 0, found -5; 1 rows fail, file row 1 is one";
    assert_eq!(refused.to_string(), expected);
    assert!(matches!(refused, OfflineStoreError::Refused { .. }));
    assert!(online.current("v").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantined_rows_are_left_out_online_and_offline_and_kept_in_a_file() {
    let project =
        project("on_failure = \"quarantine\"\namount = { min = 0, max = 100 }\ncode = { matches = \"^[A-Z]$\" }");
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(project.open().keeping(state.path()));
    let report = store.validate("v", at(NOW)).unwrap();
    assert_eq!((report.quarantined, report.refuses()), (2, false));
    assert_eq!(report.failed(OnFailure::Quarantine).count(), 3);

    let online = nowhere().await;
    store.materialize(&online, &everything(NOW), &|_, _| {}).await.unwrap();
    for (who, expected) in [("ann", "10,1"), ("bob", "20,2"), ("eve", "-,0")] {
        let frame = EntityFrame::new(vec![key(who)], vec![at(NOW)]);
        let joined = store.historical(&frame, &refs(&["v:*"]), &[]).unwrap();
        assert_eq!(row_text(&joined, 0), expected, "{who}");
    }
    let stored: Vec<Value> = row(&online, "v", "ann", NOW)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.value)
        .collect();
    assert_eq!(stored, [Value::Int(10), Value::Int(1)]);
    assert_eq!(row(&online, "v", "eve", NOW).await, None);
    let columns = ["who", "at", "amount", "code"].map(str::to_owned).to_vec();
    let pushed = |amount| {
        vec![
            Value::text("ann"),
            Value::Time(at("2024-01-06")),
            Value::Int(amount),
            Value::text("A"),
        ]
    };
    let rows = SourceRows {
        columns,
        rows: vec![pushed(-7), pushed(7), pushed(700)],
    };
    online.push("orders", &rows, at("2024-01-06")).await.unwrap();
    let reads = row(&online, "v", "ann", "2024-01-07").await.unwrap();
    let values: Vec<Value> = reads.into_iter().map(|it| it.value).collect();
    assert_eq!(
        values,
        [Value::Int(7), Value::Int(2)],
        "a pushed row is let in by the same condition"
    );

    let file = state.path().join("quarantine/v/2024-01-05T00-00-00Z.parquet");
    let aside = foretell_features_offline::read_table(&file).unwrap();
    let rows: Vec<String> = (0..aside.n_rows()).map(|it| row_text(&aside, it)).collect();
    assert_eq!(
        rows,
        [
            "ann,2024-01-03T00:00:00Z,-5,B,amount min 0,1",
            "eve,2024-01-04T00:00:00Z,9000,c1,amount max 100; code matches ^[A-Z]$,4"
        ]
    );
}

#[test]
fn an_expectation_that_does_not_fit_its_columns_is_refused_with_its_place() {
    let cases = [
        (
            "amont = { min = 0 }",
            "source `orders`, view `v`, expect `min`: unknown column `amont`; did you mean `amount`?",
        ),
        (
            "references = { who = \"people.whom\" }",
            "source `people` has no column `whom`; did you mean `who`?",
        ),
    ];
    for (expect, expected) in cases {
        let project = project(expect);
        let store = project.open();
        assert_eq!(store.check_expectations("v").unwrap_err().to_string(), expected);
        assert!(store.validate("v", at(NOW)).is_err(), "{expect}");
    }
    let project = project("code = { min = 5 }");
    let text = project.open().check_expectations("v").unwrap_err().to_string();
    assert!(text.starts_with("source `orders`, view `v`, expect `min`: "), "{text}");
}
