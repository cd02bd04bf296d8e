//! However metrics are cut into batches, the latest values are the same: those of a naive model.

use std::collections::BTreeMap;

use foretell_tracking::{Batch, Metric, Tracking};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{metric, new_run};
use crate::opened;

/// Few keys, steps, times and values, so that they meet.
fn metrics() -> impl Strategy<Value = Vec<Metric>> {
    let value = prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(0.0), Just(1.5), -2.0..2.0];
    let one = ("[ab]", value, 0_i64..3, -1_i64..2).prop_map(|(key, value, time, step)| metric(&key, value, time, step));
    prop::collection::vec(one, 0..40)
}

/// As the database holds a value: NaN compares as 0.
fn held(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(f64::MIN, f64::MAX)
    }
}

/// The obvious way: of each key the one that none is above; the first of equals stays.
fn naive(all: &[Metric]) -> BTreeMap<String, (i64, i64, f64, bool)> {
    let mut latest: BTreeMap<String, (i64, i64, f64, bool)> = BTreeMap::new();
    for it in all {
        let new = (it.step, it.time, held(it.value), it.value.is_nan());
        let known = latest.entry(it.key.clone()).or_insert(new);
        if (new.0, new.1, new.2) > (known.0, known.1, known.2) {
            *known = new;
        }
    }
    latest
}

async fn logged_in(tracking: &Tracking, all: &[Metric], sizes: &[usize]) -> BTreeMap<String, (i64, i64, f64, bool)> {
    let run = new_run(tracking, 1).await;
    let (mut rest, mut sizes) = (all, sizes.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        let batch = Batch {
            metrics: now.to_vec(),
            ..Batch::default()
        };
        tracking.log_batch(&run, &batch).await.unwrap();
        rest = later;
    }
    let latest = tracking.latest_metrics(&run).await.unwrap();
    let row = |it: Metric| (it.key, (it.step, it.time, held(it.value), it.value.is_nan()));
    latest.into_iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_split_into_batches_gives_the_same_latest_values() {
    let Some(tracking) = opened().await else { return };
    let handle = tokio::runtime::Handle::current();
    let check = || {
        let config = ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let sizes = prop::collection::vec(1_usize..20, 1..5);
        TestRunner::new(config).run(&(metrics(), sizes), |(all, sizes)| {
            let got = handle.block_on(logged_in(&tracking, &all, &sizes));
            prop_assert_eq!(got, naive(&all));
            Ok(())
        })
    };
    tokio::task::block_in_place(check).unwrap();
}
