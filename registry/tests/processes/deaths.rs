//! kill -9 at random moments of publishing, promoting, rolling back and collecting.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use foretell_registry::{ModelOp, Registry};

use crate::worker::{MODEL, Role, Said, Worker, now, setting, start};

const AT_ONCE: u64 = 4;

/// What was acknowledged, and what was begun by processes that are dead.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeSet<String>,
    begun: BTreeSet<String>,
    versions: BTreeMap<u64, String>,
    collected: usize,
}

impl Ledger {
    fn take(&mut self, said: &Said) {
        self.begun.extend(said.after("begin").map(str::to_owned));
        self.acknowledged.extend(said.after("moved").map(str::to_owned));
        self.collected += said.after("collected").count();
        for (number, mark) in said.after("published").filter_map(|it| it.split_once(' ')) {
            self.acknowledged.insert(mark.to_owned());
            let other = self.versions.insert(number.parse().unwrap(), mark.to_owned());
            assert_eq!(other, None, "version {number} was given twice");
        }
    }

    /// Whatever was acknowledged is there; what is there beyond it was being written when its writer died.
    async fn compare(&self, path: &Path) {
        let registry = Registry::open(path.to_str().unwrap()).unwrap();
        let report = registry.verify().await.unwrap();
        assert!(report.is_ok(), "{report}");
        let history = registry.history(MODEL).await.unwrap();
        let marks: Vec<_> = history[1..].iter().filter_map(|it| it.reason.clone()).collect();
        let found: BTreeSet<_> = marks.iter().cloned().collect();
        assert_eq!(found.len(), marks.len(), "nothing happened twice");
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
        let mut silent = BTreeSet::new();
        for mark in found.difference(&self.acknowledged) {
            assert!(self.begun.contains(mark), "nobody began {mark}");
            let writer = mark.split('-').next().unwrap();
            assert!(
                silent.insert(writer.to_owned()),
                "a process dies with one operation under way: {mark}"
            );
        }
        self.versions(&registry, &history).await;
    }

    async fn versions(&self, registry: &Registry, history: &[foretell_registry::Record<ModelOp>]) {
        let ops = |pick: fn(&ModelOp) -> Option<u64>| history.iter().flat_map(|it| &it.ops).filter_map(pick);
        let created: Vec<_> = ops(|it| match it {
            ModelOp::CreateVersion { version, .. } => Some(*version),
            _ => None,
        })
        .collect();
        assert!(
            created.iter().copied().eq(1..=created.len() as u64),
            "numbers are dense"
        );
        let deleted: BTreeSet<_> = ops(|it| match it {
            ModelOp::DeleteVersion { version } => Some(*version),
            _ => None,
        })
        .collect();
        let live: BTreeSet<_> = registry
            .model(MODEL)
            .await
            .unwrap()
            .versions()
            .map(|it| it.version)
            .collect();
        let expected: BTreeSet<_> = created.into_iter().filter(|it| !deleted.contains(it)).collect();
        assert_eq!(live, expected, "only what was deleted is gone");
        for (number, mark) in self.versions.iter().filter(|it| live.contains(it.0)) {
            let version = registry.model(MODEL).await.unwrap().version(*number).unwrap();
            let file = registry.fetch_file(&version, "model.bin").await.unwrap();
            assert_eq!(
                file.bytes,
                mark.as_bytes(),
                "the number is that of the package it was given for"
            );
        }
    }
}

/// A collection that was killed keeps others out for ten minutes; these ten minutes are over.
fn let_ten_minutes_pass(path: &Path) {
    let past = SystemTime::now() - Duration::from_secs(700);
    for mark in std::fs::read_dir(path.join("gc")).into_iter().flatten().flatten() {
        let mark = std::fs::File::options().append(true).open(mark.path());
        mark.unwrap().set_modified(past).unwrap();
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_the_old_or_the_new_state() {
    let (_folder, path) = start().await;
    let kills = setting("FORETELL_KILLS", 40);
    let (mut ledger, mut killed) = (Ledger::default(), 0);
    let mut chance = now().unsigned_abs();
    while killed < kills {
        let seeds = killed + 1..=killed + AT_ONCE;
        let role = |it: u64| {
            if it.is_multiple_of(2) {
                Role::Collector
            } else {
                Role::Writer
            }
        };
        let workers = seeds.map(|it| Worker::start(role(it), &path, it, Duration::from_secs(60)));
        let mut workers: Vec<_> = workers.collect();
        for worker in &mut workers {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_micros(20_000 + (chance >> 33) % 120_000));
            worker.kill();
            killed += 1;
        }
        for worker in workers {
            ledger.take(&worker.end().0);
        }
        ledger.compare(&path).await;
        let_ten_minutes_pass(&path);
    }
    println!(
        "{killed} processes killed: {} operations acknowledged, none lost; {} versions; {} collections ended",
        ledger.acknowledged.len(),
        ledger.versions.len(),
        ledger.collected
    );
    assert!(
        ledger.acknowledged.len() as u64 > kills / 2,
        "the processes lived long enough to do something"
    );
}
