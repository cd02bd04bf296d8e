//! What a commit and a look cost does not grow with the number of versions. `FORETELL_VERSIONS` (default 1,500) sets how many;
//! with `--nocapture` and 10,000 it prints the figures of RESULTS.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foretell_registry::conformance::{Between, Call, Fate};
use foretell_registry::{PackageFile, PublishRequest, Registry, VersionRef};

use crate::stores::{Store, ann, memory};

const FEW: u64 = 100;

/// Requests to the store and time, each the smallest of some repetitions.
#[derive(Clone, Copy, Debug)]
struct Cost {
    requests: usize,
    time: Duration,
}

impl Cost {
    fn smaller(self, other: Self) -> Self {
        let (requests, time) = (self.requests.min(other.requests), self.time.min(other.time));
        Self { requests, time }
    }
}

struct Counted {
    store: Store,
    requests: Arc<AtomicUsize>,
}

impl Counted {
    fn new() -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let judge = move |_: Call<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            Fate::Done
        };
        let store = Between::new(memory(), judge);
        Self { store, requests }
    }

    async fn cost(&self, what: impl Future<Output = ()>) -> Cost {
        let (before, began) = (self.requests.load(Ordering::Relaxed), Instant::now());
        what.await;
        let requests = self.requests.load(Ordering::Relaxed) - before;
        Cost {
            requests,
            time: began.elapsed(),
        }
    }
}

async fn publish(registry: &Registry, n: u64) {
    let files = vec![PackageFile::new("model.bin", n.to_be_bytes().to_vec())];
    let metadata =
        serde_json::json!({"task": "binary_classification", "metrics": {"roc_auc": 0.8451, "log_loss": 0.42}});
    let request = PublishRequest {
        metadata,
        ..PublishRequest::new("churn", files, ann(1))
    };
    registry.publish(request).await.unwrap();
}

/// Costs, by name, with this many versions.
async fn costs(counted: &Counted, registry: &Registry) -> Vec<(&'static str, Cost)> {
    let champion: VersionRef = "champion".parse().unwrap();
    let mut costs: Vec<(&'static str, Cost)> = Vec::new();
    for turn in 0..10 {
        let (fresh, version) = (Registry::new(counted.store.clone()), turn % 2 + 1);
        let each = [
            ("publish", counted.cost(publish(registry, 1 << 40 | turn)).await),
            (
                "move alias",
                counted
                    .cost(async { drop(registry.set_alias("churn", "champion", version, &ann(1)).await.unwrap()) })
                    .await,
            ),
            (
                "resolve champion",
                counted
                    .cost(async { drop(registry.resolve("churn", &champion).await.unwrap()) })
                    .await,
            ),
            (
                "list models",
                counted
                    .cost(async { drop(registry.list_models().await.unwrap()) })
                    .await,
            ),
            (
                "cold open, resolve champion",
                counted
                    .cost(async { drop(fresh.resolve("churn", &champion).await.unwrap()) })
                    .await,
            ),
        ];
        for (name, cost) in each {
            match costs.iter_mut().find(|it| it.0 == name) {
                Some((_, best)) => *best = best.smaller(cost),
                None => costs.push((name, cost)),
            }
        }
    }
    costs
}

#[tokio::test]
async fn ten_thousand_versions_cost_what_a_hundred_cost() {
    let many = std::env::var("FORETELL_VERSIONS").map_or(1500, |it| it.parse().unwrap());
    let counted = Counted::new();
    let registry = Registry::new(counted.store.clone());
    let mut published = 0;
    let mut all = Vec::new();
    for target in [FEW, many] {
        while published < target {
            publish(&registry, published).await;
            published += 1;
        }
        all.push(costs(&counted, &registry).await);
    }
    for ((name, few), (_, many)) in all[0].iter().zip(&all[1]) {
        println!(
            "{name}: {} requests, {:?} with {FEW}; {} requests, {:?} with {published}; ratio {:.2}",
            few.requests,
            few.time,
            many.requests,
            many.time,
            many.time.as_secs_f64() / few.time.as_secs_f64()
        );
        // A chunk of 256 versions is one object; up to 63 records follow the newest snapshot.
        let allowed = if name.starts_with("cold") {
            70 + published as usize / 256
        } else {
            few.requests + 1
        };
        assert!(
            many.requests <= allowed,
            "{name}: {} requests of {allowed} with {published}",
            many.requests
        );
    }
    let listed = registry.model("churn").await.unwrap().versions().count() as u64;
    assert_eq!(listed, published + 2 * 10);
}
