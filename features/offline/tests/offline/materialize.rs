//! What is written online is what the join says at that instant.

use std::sync::Arc;

use foretell_features::{EntityFrame, FeatureRow, Offline, Timestamp, Value};
use foretell_features_offline::OfflineEngine;
use foretell_features_online::{MemoryStore, OnlineStore};

use crate::common::{Project, at, key, refs};

const TOML: &str = r#"
[entity.who]
key = { who = "string" }
[source.events]
path = "events.csv"
event_time = "at"
[source.people]
path = "people.csv"
[view.last]
entity = "who"
source = "events"
max_age = "1d"
features = { v = { latest = "v" } }
[view.recent]
entity = "who"
source = "events"
features = { n = { count = "*", window = "2d" }, v = { latest = "v" }, mean = { mean = "v", window = "30d" } }
[view.people]
entity = "who"
source = "people"
latest = "*"
[view.all]
source = "events"
features = { total = { sum = "v" } }
"#;

const FILES: [(&str, &str); 2] = [
    (
        "events.csv",
        "who,at,v\nann,2024-01-01,1\nann,2024-01-03,\nbob,2024-01-02,5\nbob,2024-01-09,6\ncid,2024-01-09,7\n",
    ),
    ("people.csv", "who,plan\nann,basic\ndan,pro\n"),
];

const NOW: &str = "2024-01-04";

async fn written() -> (Project, MemoryStore) {
    let project = Project::new(TOML, &FILES);
    let online = MemoryStore::new();
    let reports = project
        .open()
        .materialize(&online, &[], at(NOW), &|_, done, total| assert!(done <= total))
        .await
        .unwrap();
    let entities: Vec<_> = reports.iter().map(|it| (it.view.as_str(), it.entities)).collect();
    assert_eq!(entities, [("all", 1), ("last", 2), ("people", 2), ("recent", 3)]);
    (project, online)
}

async fn row(online: &dyn OnlineStore, view: &str, who: &str) -> Option<FeatureRow> {
    let key = if who.is_empty() {
        foretell_features::EntityKey(Vec::new())
    } else {
        key(who).unwrap()
    };
    online.get(view, &[key]).await.unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_view_with_windows_reads_as_the_join_does_at_that_instant() {
    let (project, online) = written().await;
    for who in ["ann", "bob", "dan"] {
        let frame = EntityFrame::new(vec![key(who)], vec![at(NOW)]);
        let joined = project.open().historical(&frame, &refs(&["recent:*"]), &[]).unwrap();
        let stored = row(&online, "recent", who).await.unwrap();
        let joined: Vec<Value> = joined.iter().map(|(_, column)| column.value(0)).collect();
        assert_eq!((stored.values, stored.event_time), (joined, at(NOW)), "{who}");
    }
    assert_eq!(row(&online, "recent", "cid").await, None, "not known by then");
    assert_eq!(row(&online, "all", "").await.unwrap().values, [Value::Int(6)]);
}

#[tokio::test]
async fn a_view_of_latest_values_keeps_the_time_of_its_rows() {
    let (_, online) = written().await;
    let ann = row(&online, "last", "ann").await.unwrap();
    assert_eq!(
        (ann.event_time, ann.values),
        (at("2024-01-03"), vec![Value::Null]),
        "the newest null is a null"
    );
    let bob = row(&online, "last", "bob").await.unwrap();
    assert_eq!(
        (bob.event_time, bob.values),
        (at("2024-01-02"), vec![Value::Int(5)]),
        "too old is for the reader to say"
    );
    let plan = row(&online, "people", "dan").await.unwrap();
    assert_eq!((plan.event_time, plan.values), (at(NOW), vec![Value::text("pro")]));
}

#[tokio::test]
async fn both_bounds_are_included() {
    let toml = r#"
        [entity.k]
        key = { k = "int64" }
        [source.rows]
        path = "rows.csv"
        event_time = "t"
        [view.rows]
        entity = "k"
        source = "rows"
        features = { v = { latest = "k" } }
    "#;
    let rows = "k,t\n1,2024-01-02\n2,2024-01-03\n3,2024-01-01T23:59:59.999999\n4,2024-01-03T00:00:00.000001\n";
    let project = Project::new(toml, &[("rows.csv", rows)]);
    let online: Arc<dyn OnlineStore> = Arc::new(MemoryStore::new());
    let engine = OfflineEngine::new(Arc::new(project.open()), online.clone());
    let (from, to): (Timestamp, Timestamp) = (at("2024-01-02"), at("2024-01-03"));
    engine.materialize(&["rows".to_owned()], Some(from), to).await.unwrap();
    for (k, present) in [("1", true), ("2", true), ("3", false), ("4", false)] {
        assert_eq!(row(online.as_ref(), "rows", k).await.is_some(), present, "C20 row {k}");
    }
    let unknown = engine
        .materialize(&["row".to_owned()], None, to)
        .await
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("did you mean `rows`"), "{unknown}");
}
