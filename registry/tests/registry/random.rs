//! Random operations of several registries over a store that errs at random, against a model that never does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use foretell_registry::conformance::{Between, Call, Fate, Verb};
use foretell_registry::{
    ChangeRequest, Digest, Manifest, ModelOp, PromoteRequest, PublishRequest, Registry, RegistryError, RollbackRequest,
    Stamp,
};
use futures::future::join_all;
use proptest::prelude::*;

use crate::stores::{Store, assert_sound, memory, package, request};

const MODEL: &str = "churn";
const ALIASES: [&str; 2] = ["champion", "shadow"];

#[derive(Clone, Debug)]
enum Op {
    Publish {
        content: u8,
        alias: Option<usize>,
    },
    Promote {
        alias: usize,
        version: u64,
        expect: Option<Option<u64>>,
    },
    RollBack(usize),
    DeleteAlias(usize),
    DeleteVersion(u64),
    Tag {
        version: u64,
        value: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let alias = || 0..ALIASES.len();
    let expect = || prop::option::of(prop::option::of(1..6u64));
    prop_oneof![
        3 => (0..4u8, prop::option::of(alias())).prop_map(|(content, alias)| Op::Publish { content, alias }),
        4 => (alias(), 1..6u64, expect()).prop_map(|(alias, version, expect)| Op::Promote { alias, version, expect }),
        2 => alias().prop_map(Op::RollBack),
        1 => alias().prop_map(Op::DeleteAlias),
        1 => (1..6u64).prop_map(Op::DeleteVersion),
        1 => (1..6u64, 0..3u8).prop_map(|(version, value)| Op::Tag { version, value }),
    ]
}

/// What a registry must be after operations that were done one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
struct Oracle {
    /// Live versions: package and tag.
    versions: BTreeMap<u64, (Digest, Option<String>)>,
    aliases: BTreeMap<String, u64>,
    born: u64,
    trails: BTreeMap<String, Vec<Option<u64>>>,
}

impl Oracle {
    /// The state after the operation; `None` where it must be refused.
    fn after(&self, op: &Op) -> Option<Self> {
        let mut next = self.clone();
        match op {
            Op::Publish { content, alias } => {
                next.born += 1;
                next.versions.insert(next.born, (digest(*content), None));
                alias.iter().for_each(|it| next.point(ALIASES[*it], Some(next.born)));
            }
            Op::Promote { alias, version, expect } => {
                let now = self.aliases.get(ALIASES[*alias]).copied();
                let holds = expect.is_none_or(|it| it == now) && self.versions.contains_key(version);
                holds.then(|| next.point(ALIASES[*alias], Some(*version)))?;
            }
            Op::RollBack(alias) => next.roll_back(ALIASES[*alias])?,
            Op::DeleteAlias(alias) => {
                if self.aliases.contains_key(ALIASES[*alias]) {
                    next.point(ALIASES[*alias], None);
                }
            }
            Op::DeleteVersion(version) => {
                next.versions.remove(version)?;
                let pointing = self.aliases.iter().filter(|it| it.1 == version);
                pointing.for_each(|it| next.point(it.0, None));
            }
            Op::Tag { version, value } => next.versions.get_mut(version)?.1 = Some(value.to_string()),
        }
        Some(next)
    }

    fn point(&mut self, alias: &str, to: Option<u64>) {
        match to {
            Some(version) => self.aliases.insert(alias.to_owned(), version),
            None => self.aliases.remove(alias),
        };
        let trail = self.trails.entry(alias.to_owned()).or_default();
        if trail.last() != Some(&to) {
            trail.push(to);
        }
    }

    fn roll_back(&mut self, alias: &str) -> Option<()> {
        let trail = self.trails.get_mut(alias)?;
        let now = trail.pop()?;
        while trail
            .last()
            .is_some_and(|it| *it == now || it.is_none_or(|it| !self.versions.contains_key(&it)))
        {
            trail.pop();
        }
        let back = (*trail.last()?)?;
        self.aliases.insert(alias.to_owned(), back);
        Some(())
    }

    /// What of it a reader can see.
    fn seen(&self) -> Seen {
        (self.versions.clone(), self.aliases.clone())
    }
}

type Seen = (BTreeMap<u64, (Digest, Option<String>)>, BTreeMap<String, u64>);

fn digest(content: u8) -> Digest {
    let manifest = Manifest::of(&package(&content.to_string())).unwrap();
    Digest::of(&serde_json::to_vec(&manifest).unwrap())
}

async fn seen(store: &Store) -> Seen {
    let model = Registry::new(store.clone()).model(MODEL).await.unwrap();
    let tagged = |it: foretell_registry::ModelVersion| (it.version, (it.digest, it.tags.get("tag").cloned()));
    (model.versions().map(tagged).collect(), model.aliases().clone())
}

async fn take(registry: &Registry, op: &Op, stamp: Stamp) -> Result<(), RegistryError> {
    match op {
        Op::Publish { content, alias } => {
            let aliases = alias.iter().map(|it| ALIASES[*it].to_owned()).collect();
            let request = PublishRequest {
                aliases,
                stamp,
                ..request(MODEL, &content.to_string())
            };
            registry.publish(request).await.map(drop)
        }
        Op::Promote { alias, version, expect } => {
            let expect = expect.map(|it| [(ALIASES[*alias].to_owned(), it)].into());
            let request = PromoteRequest::new(MODEL, *version, ALIASES[*alias], stamp);
            registry.promote(PromoteRequest { expect, ..request }).await.map(drop)
        }
        Op::RollBack(alias) => registry
            .rollback(RollbackRequest::new(MODEL, ALIASES[*alias], stamp))
            .await
            .map(drop),
        Op::DeleteAlias(alias) => registry.delete_alias(MODEL, ALIASES[*alias], &stamp).await.map(drop),
        Op::DeleteVersion(version) => registry.delete_version(MODEL, *version, &stamp).await.map(drop),
        Op::Tag { version, value } => {
            let (version, key, value) = (Some(*version), "tag".to_owned(), value.to_string());
            let tag = ModelOp::SetTag { version, key, value };
            registry
                .change(ChangeRequest::new(MODEL, vec![tag], stamp))
                .await
                .map(drop)
        }
    }
}

/// What happens to the requests of one registry, in order; done when the list is over.
fn disturbed(store: &Store, fates: Vec<u8>) -> Registry {
    let fates = Mutex::new(fates.into_iter());
    let judge = move |call: Call<'_>| {
        let drawn = fates.lock().unwrap().next().unwrap_or(255);
        let late = Fate::DoneLate(Duration::from_micros(1));
        match (drawn, call.verb) {
            (0..4, _) => Fate::Refused,
            (4..12, _) => late,
            (12..18, Verb::Create | Verb::Overwrite | Verb::Read) => Fate::ReplyLost,
            (18..22, Verb::Create) => Fate::FoundOwn,
            (22..26, Verb::Create) => Fate::TakenYetAbsent,
            (12..26, Verb::List) => Fate::Stale,
            _ => Fate::Done,
        }
    };
    Registry::new(Between::new(store.clone(), judge))
}

fn fates() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..60u8, 0..120)
}

fn mark(registry: usize, n: usize) -> Stamp {
    Stamp::new("ann", 1).because(format!("{registry}-{n}"))
}

async fn start() -> Store {
    let store = memory();
    Registry::new(store.clone()).publish(request(MODEL, "0")).await.unwrap();
    store
}

/// How often each operation is in the history.
async fn recorded(store: &Store) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in Registry::new(store.clone()).history(MODEL).await.unwrap() {
        *counts.entry(record.reason.unwrap_or_default()).or_default() += 1;
    }
    counts
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_store_does_the_state_is_the_old_or_the_new_one(
        ops in prop::collection::vec((0..3usize, op()), 1..25),
        fates in prop::array::uniform3(fates()),
    ) {
        run(async {
            let store = start().await;
            let registries = fates.map(|it| disturbed(&store, it));
            let mut now = Oracle::default().after(&Op::Publish { content: 0, alias: None }).unwrap();
            for (n, (who, op)) in ops.iter().enumerate() {
                let next = now.after(op);
                let done = take(&registries[*who], op, mark(*who, n)).await;
                let seen = seen(&store).await;
                match (&done, next) {
                    (Ok(()), Some(next)) => now = next,
                    (Ok(()), None) => panic!("{op:?} was done and must be refused: {now:?}"),
                    (Err(RegistryError::Storage { .. }), Some(next)) if seen == next.seen() => now = next,
                    (Err(RegistryError::Storage { .. }), _) => {}
                    (Err(error), next) => assert!(next.is_none(), "{op:?} must be done: {error}"),
                }
                assert_eq!(seen, now.seen(), "{op:?}: {done:?}");
            }
            assert!(recorded(&store).await.values().all(|it| *it == 1), "nothing is recorded twice");
            assert_sound(&store).await;
        });
    }

    #[test]
    fn registries_at_once_do_what_they_acknowledge_once_and_nothing_that_they_refuse(
        ops in prop::array::uniform3(prop::collection::vec(op(), 1..12)),
        fates in prop::array::uniform3(fates()),
    ) {
        run(async {
            let store = start().await;
            let writers = ops.iter().zip(fates).enumerate().map(|(who, (ops, fates))| {
                let registry = disturbed(&store, fates);
                async move {
                    let mut done = Vec::new();
                    for (n, op) in ops.iter().enumerate() {
                        done.push((format!("{who}-{n}"), op, take(&registry, op, mark(who, n)).await));
                    }
                    done
                }
            });
            let done = join_all(writers).await;
            let recorded = recorded(&store).await;
            for (mark, op, done) in done.into_iter().flatten() {
                let times = recorded.get(&mark).copied().unwrap_or(0);
                let may_do_nothing = matches!(op, Op::DeleteAlias(_));
                match done {
                    Ok(()) => assert!(times == 1 || may_do_nothing && times == 0, "{op:?} is there {times} times"),
                    Err(RegistryError::Storage { .. }) => assert!(times <= 1, "{op:?} is there {times} times"),
                    Err(error) => assert_eq!(times, 0, "{op:?} was refused: {error}"),
                }
            }
            let versions = Registry::new(store.clone()).history(MODEL).await.unwrap();
            let created = versions.iter().flat_map(|it| &it.ops).filter_map(|it| match it {
                ModelOp::CreateVersion { version, .. } => Some(*version),
                _ => None,
            });
            let created: Vec<_> = created.collect();
            assert!(created.iter().copied().eq(1..=created.len() as u64), "numbers are dense: {created:?}");
            let live: BTreeSet<_> = seen(&store).await.0.into_keys().collect();
            assert!(live.is_subset(&created.into_iter().collect()));
            assert_sound(&store).await;
        });
    }
}
