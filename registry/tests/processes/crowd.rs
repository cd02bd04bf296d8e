//! Sixteen processes write one model while others read it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foretell_registry::{ModelOp, Registry};

use crate::worker::{MODEL, Role, Said, Worker, setting, start};

const WRITERS: u64 = 16;
const READERS: u64 = 2;

#[tokio::test]
async fn sixteen_processes_lose_no_version_and_no_move() {
    let (_folder, path) = start().await;
    let lasts = Duration::from_secs(setting("FORETELL_SECONDS", 3));
    let began = Instant::now();
    let role = |n: u64| {
        if n.is_multiple_of(2) {
            Role::Writer
        } else {
            Role::CountingWriter
        }
    };
    let writers = (1..=WRITERS).map(|it| Worker::start(role(it), &path, it, lasts));
    let readers = (0..READERS).map(|it| Worker::start(Role::Reader, &path, it, lasts));
    let workers: Vec<_> = writers.chain(readers).collect();
    let mut said = Vec::new();
    for worker in workers {
        let (words, well) = worker.end();
        assert!(well, "no process met an error: {:?}", words.after("conflict").next());
        said.push(words);
    }
    let seconds = began.elapsed().as_secs_f64();

    let registry = Registry::open(path.to_str().unwrap()).unwrap();
    let model = registry.model(MODEL).await.unwrap();
    let numbers: Vec<_> = model.versions().map(|it| it.version).collect();
    assert!(
        numbers.iter().copied().eq(1..=numbers.len() as u64),
        "numbers are dense"
    );
    let published: Vec<u64> = said.iter().flat_map(|it| it.after("published")).map(number).collect();
    let distinct: BTreeSet<_> = published.iter().collect();
    assert_eq!(distinct.len(), published.len(), "no number was given twice");
    assert_eq!(
        published.len() + 1,
        numbers.len(),
        "every version was acknowledged, and there is no other"
    );

    let history = registry.history(MODEL).await.unwrap();
    let is_move = |it: &ModelOp| matches!(it, ModelOp::SetAlias { .. } | ModelOp::RollBackAlias { .. });
    let moves = history.iter().filter(|it| it.ops.len() == 1 && is_move(&it.ops[0]));
    let moves: Vec<_> = moves.filter_map(|it| it.reason.as_deref()).collect();
    let acknowledged: BTreeSet<_> = said.iter().flat_map(|it| it.after("moved")).collect();
    assert_eq!(moves.len(), acknowledged.len(), "every move is in the history once");
    assert_eq!(moves.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    assert_eq!(history.len(), published.len() + 1 + acknowledged.len());
    let report = registry.verify().await.unwrap();
    assert!(report.is_ok(), "{report}");
    tell(&said, history.len(), seconds);
}

fn number(word: &str) -> u64 {
    word.split(' ').next().unwrap().parse().unwrap()
}

fn tell(said: &[Said], commits: usize, seconds: f64) {
    let counting = said.iter().filter(|it| it.after("tries").next().is_some());
    let (mut tries, mut done) = (0, 0);
    for words in counting {
        tries += words.number("tries");
        done += words.after("published").count() + words.after("moved").count();
    }
    let reads: u64 = said.iter().map(|it| it.number("reads")).sum();
    let gave_up = said.iter().flat_map(|it| it.after("conflict")).count();
    println!(
        "{WRITERS} processes, {seconds:.1} s: {commits} commits, {:.0} a second; {done} counted commits took {tries} tries; \
         {gave_up} gave up; {reads} whole reads",
        commits as f64 / seconds
    );
}
