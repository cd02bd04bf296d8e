//! What each process does: operations drawn by its own seed, each acknowledged on stdout once the registry said it is done.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foretell_registry::conformance::{Between, Call, Fate, Verb};
use foretell_registry::{
    GcRequest, ModelVersion, PackageFile, PromoteRequest, PublishRequest, Registry, RegistryError, Result,
    RollbackRequest, Stamp, open_store,
};

pub(crate) const MODEL: &str = "churn";
const ROLE: &str = "FORETELL_TEST_ROLE";

/// Who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes and moves aliases.
    Writer,
    /// The same, counting how often it lost the race for the next record.
    CountingWriter,
    /// The same as a writer, and collects garbage.
    Collector,
    /// Reads whole packages.
    Reader,
}

/// One process and what it has said so far.
pub(crate) struct Worker {
    child: Child,
    said: std::thread::JoinHandle<Vec<String>>,
}

impl Worker {
    /// Starts this very test program again in the role; `seed` also names it in the log.
    pub(crate) fn start(role: Role, folder: &Path, seed: u64, lasts: Duration) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let mut child = program
            .args(["--exact", "worker::a_process_of_its_own", "--nocapture"])
            .env(ROLE, format!("{role:?} {seed} {}", lasts.as_millis()))
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = std::thread::spawn(move || lines.map_while(std::result::Result::ok).collect());
        Self { child, said }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the end. What it said, and whether it ended well.
    pub(crate) fn end(mut self) -> (Said, bool) {
        let status = self.child.wait().unwrap();
        (Said(self.said.join().unwrap()), status.success())
    }
}

/// What a process has acknowledged.
pub(crate) struct Said(Vec<String>);

impl Said {
    /// What followed this word, line by line.
    pub(crate) fn after<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let words = self.0.iter().filter_map(|it| it.strip_prefix("> "));
        words.filter_map(move |it| it.strip_prefix(word)?.strip_prefix(' '))
    }

    pub(crate) fn number(&self, word: &str) -> u64 {
        self.after(word).filter_map(|it| it.parse::<u64>().ok()).sum()
    }
}

/// Not a test of its own: what [`Worker::start`] runs.
#[tokio::test]
async fn a_process_of_its_own() {
    let Ok(told) = std::env::var(ROLE) else { return };
    let told: Vec<_> = told.split(' ').collect();
    let [role, seed, millis] = told[..] else {
        panic!("{told:?}")
    };
    let until = Instant::now() + Duration::from_millis(millis.parse().unwrap());
    let seed = seed.parse().unwrap();
    match role {
        "Reader" => read(until).await,
        "Collector" => Actor::new(seed, Registry::open(".").unwrap()).write(until, true).await,
        "Writer" => Actor::new(seed, Registry::open(".").unwrap()).write(until, false).await,
        _ => count(seed, until).await,
    }
}

fn say(what: std::fmt::Arguments<'_>) {
    println!("\n> {what}");
}

/// Numbers that differ from process to process; the same seed, the same numbers.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

struct Actor {
    registry: Registry,
    name: String,
    draws: Draws,
    done: u64,
}

impl Actor {
    fn new(seed: u64, registry: Registry) -> Self {
        let (name, draws) = (format!("w{seed}"), Draws(seed));
        Self {
            registry,
            name,
            draws,
            done: 0,
        }
    }

    async fn write(mut self, until: Instant, collects: bool) {
        while Instant::now() < until {
            let done = match self.draws.below(20) {
                0..8 => self.publish().await,
                8..16 => self.promote().await,
                18.. if collects => self.collect().await,
                _ => self.roll_back().await,
            };
            match done {
                Ok(()) => {}
                Err(RegistryError::Conflict { reason, .. }) => say(format_args!("conflict {reason}")),
                Err(error) if error.is_not_found() => {} // a collector gave the version up first
                Err(RegistryError::NothingToRollBack { .. }) => {}
                Err(error) => panic!("{}: {error}", self.name),
            }
        }
    }

    /// A stamp whose reason no other operation has, so that it is found in the history.
    fn stamp(&mut self) -> (Stamp, String) {
        self.done += 1;
        let mark = format!("{}-{}", self.name, self.done);
        (Stamp::new(&*self.name, now()).because(&*mark), mark)
    }

    async fn publish(&mut self) -> Result<()> {
        let (stamp, mark) = self.stamp();
        let card = PackageFile::new("card.md", "# the same in every version");
        let files = vec![PackageFile::new("model.bin", mark.clone()), card];
        let request = PublishRequest {
            aliases: vec!["challenger".to_owned()],
            ..PublishRequest::new(MODEL, files, stamp)
        };
        say(format_args!("begin {mark}"));
        let version = self.registry.publish(request).await?.version;
        say(format_args!("published {version} {mark}"));
        Ok(())
    }

    async fn promote(&mut self) -> Result<()> {
        let model = self.registry.model(MODEL).await?;
        let Some(newest) = model.latest() else { return Ok(()) };
        let version = newest.version - self.draws.below(newest.version.min(8));
        let alias = ["champion", "shadow"][self.draws.below(2) as usize];
        let (stamp, mark) = self.stamp();
        say(format_args!("begin {mark}"));
        self.registry
            .promote(PromoteRequest::new(MODEL, version, alias, stamp))
            .await?;
        say(format_args!("moved {mark}"));
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<()> {
        let (stamp, mark) = self.stamp();
        say(format_args!("begin {mark}"));
        self.registry
            .rollback(RollbackRequest::new(MODEL, "champion", stamp))
            .await?;
        say(format_args!("moved {mark}"));
        Ok(())
    }

    async fn collect(&mut self) -> Result<()> {
        let request = GcRequest {
            keep_last: Some(6),
            older_than: Duration::ZERO,
            ..GcRequest::new(Stamp::new(&*self.name, now()))
        };
        let report = self.registry.gc(request).await?;
        say(format_args!("collected {}", report.objects));
        Ok(())
    }
}

/// A writer below which every attempt at a record is counted.
async fn count(seed: u64, until: Instant) {
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let judge = move |call: Call<'_>| {
        let commit = call.verb == Verb::Create && call.key.starts_with("models/") && call.key.contains("/log/");
        counted.fetch_add(u64::from(commit), Ordering::Relaxed);
        Fate::Done
    };
    let registry = Registry::new(Between::new(open_store(".").unwrap(), judge));
    Actor::new(seed, registry).write(until, false).await;
    say(format_args!("tries {}", tries.load(Ordering::Relaxed)));
}

/// Reads the champion's package, as a registry that stays open and as one that was just opened.
async fn read(until: Instant) {
    let known = Registry::open(".").unwrap();
    let (mut reads, mut seq) = (0u64, 0);
    while Instant::now() < until {
        for registry in [&known, &Registry::open(".").unwrap()] {
            let model = registry.model(MODEL).await.unwrap();
            assert!(model.seq() >= seq, "time does not run backwards");
            seq = model.seq();
            whole(registry, &model.latest().unwrap()).await;
            if let Ok(champion) = model.alias("champion") {
                whole(registry, &champion).await;
            }
            reads += 1;
        }
    }
    say(format_args!("reads {reads}"));
}

async fn whole(registry: &Registry, version: &ModelVersion) {
    let files = registry.fetch(version).await.unwrap();
    assert_eq!(files.len(), 2, "{version}");
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |it| it.parse().expect("a whole number"))
}

/// A folder on the disk that the tests' folder is on, or `FORETELL_TEST_FOLDER`, with the first version published.
pub(crate) async fn start() -> (tempfile::TempDir, PathBuf) {
    let place = std::env::var_os("FORETELL_TEST_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(place).unwrap();
    let path = folder.path().to_owned();
    let registry = Registry::open(path.to_str().unwrap()).unwrap();
    Actor::new(0, registry).publish().await.unwrap();
    (folder, path)
}
