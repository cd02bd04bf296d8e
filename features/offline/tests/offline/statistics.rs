//! What features look like, kept per materialization, and how far they move.

use foretell_features::Value;
use foretell_features_offline::{FeatureStatistics, drift};

use crate::common::{Project, at};
use crate::materialize::{everything, nowhere};

const TOML: &str = r#"
[entity.who]
key = { who = "int64" }
[source.events]
path = "events.csv"
event_time = "at"
[view.v]
entity = "who"
source = "events"
features = { x = "x", plan = "plan", n = { count = "*" }, big = { latest = "x > 50" } }
"#;

/// 100 entities; until February x is 0 to 99 and every tenth has none, then all are 1000 and on another plan.
fn project() -> Project {
    let mut text = "who,at,x,plan\n".to_owned();
    for who in 0..100 {
        let x = if who % 10 == 3 { String::new() } else { who.to_string() };
        let plan = if who < 80 { "basic" } else { "pro" };
        text += &format!("{who},2024-01-01,{x},{plan}\n{who},2024-02-01,1000,free\n");
    }
    Project::new(TOML, &[("events.csv", &text)])
}

fn feature<'a>(all: &'a [FeatureStatistics], name: &str) -> &'a FeatureStatistics {
    all.iter().find(|it| it.name == name).unwrap()
}

#[test]
fn counts_moments_quantiles_histogram_and_frequent_values_are_exact_for_few_entities() {
    let project = project();
    let it = project.open().statistics("v", at("2024-01-15")).unwrap();
    assert_eq!(it.entities, 100);
    let x = feature(&it.features, "x");
    assert_eq!((x.count, x.nulls, x.distinct, x.distinct_exact), (90, 10, 90, true));
    assert_eq!((&x.least, &x.greatest), (&Value::Int(0), &Value::Int(99)));
    let numbers = x.numbers.as_ref().unwrap();
    // 0 to 99 sum to 4950, the ten left out (3, 13, .. 93) to 480.
    assert!((numbers.mean - 4470.0 / 90.0).abs() < 1e-9, "{}", numbers.mean);
    assert!(numbers.exact);
    assert_eq!(numbers.histogram.iter().map(|it| it.count).sum::<u64>(), 90);
    assert_eq!((numbers.histogram.len(), numbers.histogram[19].to), (20, 99.0));
    assert_eq!((numbers.percentiles[0], numbers.percentiles[100]), (0.0, 99.0));
    let n = feature(&it.features, "n").numbers.as_ref().unwrap();
    assert_eq!((n.mean, n.std, n.histogram.len()), (1.0, Some(0.0), 1));
    let top: Vec<_> = feature(&it.features, "plan")
        .top
        .iter()
        .map(|it| (&*it.value, it.count))
        .collect();
    assert_eq!(top, [("basic", 80), ("pro", 20)]);
    let top: Vec<_> = feature(&it.features, "big")
        .top
        .iter()
        .map(|it| (&*it.value, it.count))
        .collect();
    assert_eq!(top, [("false", 46), ("true", 44)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_materialization_keeps_its_statistics_and_the_next_one_is_compared_with_it() {
    let (project, state) = (project(), tempfile::tempdir().unwrap());
    let online = nowhere().await;
    for now in ["2024-02-15", "2024-01-15", "2024-01-16"] {
        let store = std::sync::Arc::new(project.open().keeping(state.path()));
        store.materialize(&online, &everything(now), &|_, _| {}).await.unwrap();
    }
    let kept = project.open().keeping(state.path()).kept_statistics("v").unwrap();
    let instants: Vec<String> = kept.iter().map(|it| it.at.to_string()).collect();
    assert_eq!(
        instants,
        ["2024-01-15T00:00:00Z", "2024-01-16T00:00:00Z", "2024-02-15T00:00:00Z"]
    );

    let psi = |before: usize, now: usize| -> Vec<(String, f64)> {
        let all = drift(&kept[before], &kept[now]);
        all.into_iter().map(|it| (it.name, it.psi.unwrap())).collect()
    };
    assert!(psi(0, 1).iter().all(|(_, psi)| psi.abs() < 1e-12), "{:?}", psi(0, 1));
    assert!(psi(1, 2).iter().all(|(_, psi)| *psi > 1.0), "{:?}", psi(1, 2));
}
