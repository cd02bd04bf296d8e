//! What is written online is what the join says at that instant.

use std::sync::Arc;

use foretell_features::{
    EntityFrame, EntityKey, FeatureRead, MaterializeReport, MaterializeRequest, Offline, Status, Timestamp, Value,
};
use foretell_features_offline::OfflineEngine;
use foretell_features_online::{MemoryStore, OnlineFeatures, SourceRows};

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

/// Later than any instant that is asked for.
const CLOCK: &str = "2024-03-01";

pub(crate) fn everything(to: &str) -> MaterializeRequest {
    MaterializeRequest {
        views: Vec::new(),
        from: None,
        to: at(to),
        now: at(CLOCK),
        incremental: false,
    }
}

pub(crate) async fn nowhere() -> OnlineFeatures {
    OnlineFeatures::open(Arc::new(MemoryStore::new())).await.unwrap()
}

async fn materialize(
    project: &Project,
    online: &OnlineFeatures,
    request: &MaterializeRequest,
) -> Vec<MaterializeReport> {
    let offline = Arc::new(project.open());
    offline.materialize(online, request, &|_, _| {}).await.unwrap()
}

async fn written() -> (Project, OnlineFeatures) {
    let project = Project::new(TOML, &FILES);
    let online = nowhere().await;
    let reports = materialize(&project, &online, &everything(NOW)).await;
    let entities: Vec<_> = reports.iter().map(|it| (it.view.as_str(), it.entities)).collect();
    assert_eq!(entities, [("all", 1), ("last", 2), ("people", 2), ("recent", 2)]);
    (project, online)
}

fn key_of(who: &str) -> EntityKey {
    if who.is_empty() {
        EntityKey(Vec::new())
    } else {
        key(who).unwrap()
    }
}

/// All features of a view; `None` where it has no record of the entity.
pub(crate) async fn row(online: &OnlineFeatures, view: &str, who: &str, when: &str) -> Option<Vec<FeatureRead>> {
    let view = online.current(view).unwrap();
    let keys = [key_of(who)];
    let read = online.read(&view, &keys, &view.project_all(), at(when)).await.unwrap();
    read.found[0].then_some(read.reads)
}

pub(crate) async fn values(online: &OnlineFeatures, view: &str, who: &str, when: &str) -> Vec<Value> {
    let view = online.current(view).unwrap();
    let keys = [key_of(who)];
    let read = online.read(&view, &keys, &view.project_all(), at(when)).await.unwrap();
    read.reads.into_iter().map(|it| it.value).collect()
}

fn joined(project: &Project, view: &str, who: &str, when: &str) -> Vec<Value> {
    let frame = EntityFrame::new(vec![key(who)], vec![at(when)]);
    let joined = project
        .open()
        .historical(&frame, &refs(&[&format!("{view}:*")]), &[])
        .unwrap();
    joined.iter().map(|(_, column)| column.value(0)).collect()
}

#[tokio::test]
async fn a_view_with_windows_reads_as_the_join_does_at_any_instant_from_then_on() {
    let (project, online) = written().await;
    for when in [
        NOW,
        "2024-01-04T00:00:00.000001",
        "2024-01-05",
        "2024-01-06",
        "2024-02-03",
        "2024-02-20",
    ] {
        for who in ["ann", "dan"] {
            let stored = values(&online, "recent", who, when).await;
            assert_eq!(stored, joined(&project, "recent", who, when), "{who} at {when}");
        }
    }
    assert_eq!(
        values(&online, "recent", "bob", NOW).await,
        joined(&project, "recent", "bob", NOW)
    );
    assert_eq!(row(&online, "recent", "cid", NOW).await, None, "not known by then");
    assert_eq!(
        row(&online, "recent", "dan", NOW).await,
        None,
        "without events there is no record, and counts are 0"
    );
    assert_eq!(values(&online, "all", "", NOW).await, [Value::Int(6)]);
}

#[tokio::test]
async fn a_pushed_event_counts_at_once_as_if_it_were_in_the_file() {
    let (project, online) = written().await;
    let rows = SourceRows {
        columns: ["who", "at", "v"].map(str::to_owned).into(),
        rows: vec![
            vec![Value::text("bob"), Value::text("2024-01-09"), Value::Int(6)],
            vec![Value::text("cid"), Value::text("2024-01-09"), Value::Int(7)],
        ],
    };
    for _ in 0..2 {
        online.push("events", &rows, at("2024-01-10")).await.unwrap();
        for who in ["ann", "bob", "cid"] {
            for when in ["2024-01-09T00:00:00.000001", "2024-01-10", "2024-02-05"] {
                let stored = values(&online, "recent", who, when).await;
                assert_eq!(stored, joined(&project, "recent", who, when), "{who} at {when}");
            }
        }
        assert_eq!(
            values(&online, "all", "", "2024-01-10").await,
            [Value::Int(19)],
            "a global view takes them all"
        );
    }
    materialize(&project, &online, &everything("2024-01-10")).await;
    let again = values(&online, "all", "", "2024-01-10").await;
    assert_eq!(
        again,
        [Value::Int(19)],
        "what was pushed and is in the files counts once"
    );
}

#[tokio::test]
async fn a_view_of_latest_values_keeps_the_time_of_its_rows() {
    let (_, online) = written().await;
    let ann = row(&online, "last", "ann", NOW).await.unwrap().remove(0);
    let of_ann = (ann.event_time, ann.value, ann.status);
    assert_eq!(
        of_ann,
        (Some(at("2024-01-03")), Value::Null, Status::NullValue),
        "the newest null is a null"
    );
    let bob = row(&online, "last", "bob", NOW).await.unwrap().remove(0);
    let of_bob = (bob.event_time, bob.value, bob.status);
    let old = (Some(at("2024-01-02")), Value::Int(5), Status::OutsideMaxAge);
    assert_eq!(of_bob, old, "too old comes along and is said");
    let plan = row(&online, "people", "dan", NOW).await.unwrap().remove(0);
    assert_eq!((plan.event_time, plan.value), (Some(at(NOW)), Value::text("pro")));
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
    let online = nowhere().await;
    let engine = OfflineEngine::new(&project.open(), online.clone());
    let mut asked = MaterializeRequest {
        views: vec!["rows".to_owned()],
        from: Some(at("2024-01-02")),
        ..everything("2024-01-03")
    };
    engine.materialize(asked.clone()).await.unwrap();
    for (k, present) in [(1, true), (2, true), (3, false), (4, false)] {
        let view = online.current("rows").unwrap();
        let keys = [EntityKey(vec![foretell_features::row::KeyPart::Int(k)])];
        let read = online.read(&view, &keys, &view.project_all(), at(NOW)).await.unwrap();
        assert_eq!(read.found[0], present, "C20 row {k}");
    }
    asked.views = vec!["row".to_owned()];
    let unknown = engine.materialize(asked.clone()).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `rows`"), "{unknown}");
    asked.to = Timestamp(at(CLOCK).0 + 1);
    let future = engine.materialize(asked).await.unwrap_err().to_string();
    assert!(future.contains("in the future"), "{future}");
}

#[tokio::test]
async fn an_incremental_run_writes_only_what_is_new_whatever_its_time() {
    let toml = TOML.replace("path = \"events.csv\"", "path = \"events*.csv\"");
    let project = Project::new(&toml, &FILES);
    let online = nowhere().await;
    let incremental = MaterializeRequest {
        incremental: true,
        ..everything("2024-01-10")
    };
    let counts = |reports: Vec<MaterializeReport>| -> Vec<(String, u64, u64)> {
        reports
            .into_iter()
            .map(|it| (it.view, it.entities, it.skipped))
            .collect()
    };
    let told = |all: [(&str, u64, u64); 4]| all.map(|(view, written, skipped)| (view.to_owned(), written, skipped));
    let first = counts(materialize(&project, &online, &incremental).await);
    assert_eq!(
        first,
        told([("all", 1, 0), ("last", 3, 0), ("people", 2, 0), ("recent", 3, 0)]),
        "the first is full"
    );
    let again = counts(materialize(&project, &online, &incremental).await);
    assert_eq!(
        again,
        told([("all", 0, 1), ("last", 0, 3), ("people", 0, 2), ("recent", 0, 3)]),
        "nothing new"
    );
    project.write("events2.csv", "who,at,v\nann,2024-01-02,9\neve,2024-01-01,1\n");
    let late = counts(materialize(&project, &online, &incremental).await);
    assert_eq!(
        late,
        told([("all", 1, 0), ("last", 2, 2), ("people", 0, 2), ("recent", 2, 2)]),
        "late rows are picked up"
    );
    for who in ["ann", "bob", "eve"] {
        let stored = values(&online, "recent", who, "2024-01-10").await;
        assert_eq!(stored, joined(&project, "recent", who, "2024-01-10"), "{who}");
    }
}

#[tokio::test]
async fn an_older_version_of_a_view_is_kept_up_to_date_beside_the_new_one() {
    let (project, online) = written().await;
    let old = online.current("recent").unwrap();
    let changed = Project::new(&TOML.replace("window = \"2d\"", "window = \"5d\""), &FILES);
    let reports = materialize(&changed, &online, &everything("2024-01-10")).await;
    let recent: Vec<_> = reports
        .iter()
        .filter(|it| it.view == "recent")
        .map(|it| it.version.clone())
        .collect();
    let new = online.current("recent").unwrap();
    assert_eq!(recent, [new.id.version.clone(), old.id.version.clone()]);
    assert_ne!(new.id, old.id);
    for (view, project) in [(&old, &project), (&new, &changed)] {
        let read = online
            .read(view, &[key_of("bob")], &view.project_all(), at("2024-01-11"))
            .await
            .unwrap();
        let read: Vec<Value> = read.reads.into_iter().map(|it| it.value).collect();
        assert_eq!(read, joined(project, "recent", "bob", "2024-01-11"), "{}", view.id);
    }
}
