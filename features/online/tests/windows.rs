//! Stored windows against a plain oracle, and what writers may rely on.

#[path = "windows/oracle.rs"]
mod oracle;
#[path = "windows/random.rs"]
mod random;

use foretell_features::{
    Aggregation, DataType, Span, Timestamp, Value, Window, WindowEvent, WindowFeature, WindowPlan,
};
use foretell_features_online::windows::{RAW_MAX, evaluate};
use foretell_features_online::{WindowError, WindowState};
use proptest::prelude::*;

use crate::random::{Feed, Random};

/// Feeds events the way a store does: decode, change, compact, encode.
struct Stored<'a> {
    plan: &'a WindowPlan,
    bytes: Vec<u8>,
}

impl<'a> Stored<'a> {
    fn new(plan: &'a WindowPlan) -> Self {
        Self {
            plan,
            bytes: WindowState::default().encode(plan),
        }
    }

    fn update(&mut self, now: Timestamp, change: impl FnOnce(&mut WindowState)) {
        let mut state = WindowState::decode(self.plan, &self.bytes).unwrap();
        assert_eq!(
            state.encode(self.plan),
            self.bytes,
            "what is decoded is what was encoded"
        );
        change(&mut state);
        state.compact(self.plan, now);
        self.bytes = state.encode(self.plan);
    }

    fn push(&mut self, event: WindowEvent, now: Timestamp) -> bool {
        let mut added = false;
        self.update(now, |it| added = it.add(self.plan, event));
        added
    }

    fn state(&self) -> WindowState {
        WindowState::decode(self.plan, &self.bytes).unwrap()
    }

    fn read(&self, at: Timestamp) -> Result<Vec<Value>, WindowError> {
        let all: Vec<usize> = (0..self.plan.features().len()).collect();
        let mut out = Vec::new();
        evaluate(self.plan, Some(&self.bytes), &all, at, &mut out).map(|()| out)
    }
}

/// Feeds the events in batches, with retries, and sometimes takes what is old from the files again.
fn fed<'a>(plan: &'a WindowPlan, feed: &Feed, random: &mut Random) -> Stored<'a> {
    let mut stored = Stored::new(plan);
    let mut pushed: Vec<WindowEvent> = Vec::new();
    let mut rest = feed.pushed.as_slice();
    let mut history = feed.history.as_slice();
    while !rest.is_empty() || !history.is_empty() {
        let (batch, later) = rest.split_at(rest.len().min(1 + random.below(90)));
        rest = later;
        pushed.extend_from_slice(batch);
        let newest = pushed.iter().map(|it| it.time).max();
        let now = feed.now(newest, random);
        let retried = random.below(3) == 0;
        stored.update(now, |state| {
            for event in batch {
                assert!(state.add(plan, event.clone()), "a new event is added");
            }
            for event in batch.iter().filter(|_| retried) {
                assert!(!state.add(plan, event.clone()), "a retry changes nothing");
            }
        });
        if rest.is_empty() || random.below(6) == 0 {
            // The files hold what was pushed, and a history before that which never was.
            let through = feed.through(random);
            let known = pushed.iter().chain(&feed.history).filter(|it| it.time < through);
            let files: Vec<WindowEvent> = known.cloned().collect();
            let skipped = stored.state().through().is_some_and(|it| through < it);
            if !skipped {
                history = &[];
            }
            stored.update(now, |state| state.replace(plan, files, through));
        }
    }
    stored
}

fn check(seed: u64) {
    let mut random = Random::new(seed);
    let plan = random::plan(&mut random);
    let feed = Feed::new(&plan, &mut random);
    let stored = fed(&plan, &feed, &mut random);
    let events: Vec<&WindowEvent> = feed.pushed.iter().chain(&feed.history).collect();
    for at in feed.instants(&mut random) {
        let got = match stored.read(at) {
            Ok(got) => got,
            Err(WindowError::Folded { since, .. }) if at < feed.newest => {
                assert!(at < since, "{at} is refused, all since {since} should be exact");
                continue;
            }
            Err(other) => panic!("at {at}, newest {}: {other}", feed.newest),
        };
        for (feature, got) in plan.features().iter().zip(got) {
            let data_type = plan.streams()[feature.stream].data_type;
            let difference = oracle::difference(&events, feature, data_type, at, &got);
            assert_eq!(
                difference,
                None,
                "{feature:?} at {at} of {} events, seed {seed}",
                events.len()
            );
        }
    }
    let state = stored.state();
    let bounded = plan
        .features()
        .iter()
        .all(|it| it.window.is_none_or(|it| it.hop.is_some()));
    if bounded && feed.settled {
        assert!(state.raw_events() <= RAW_MAX, "{} events are kept", state.raw_events());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_online_are_what_the_plain_fold_says_from_the_newest_event_on(seed in any::<u64>()) {
        check(seed);
    }

    #[test]
    fn hostile_bytes_never_panic(seed in any::<u64>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<Option<prop::sample::Index>>()) {
        let mut random = Random::new(seed);
        let plan = random::plan(&mut random);
        let feed = Feed::new(&plan, &mut random);
        let mut stored = fed(&plan, &feed, &mut random);
        for (at, byte) in flips {
            let at = at.index(stored.bytes.len());
            stored.bytes[at] = byte;
        }
        if let Some(at) = cut {
            stored.bytes.truncate(at.index(stored.bytes.len()));
            prop_assert!(WindowState::decode(&plan, &stored.bytes).is_err());
        }
        for at in [feed.newest, Timestamp(0), Timestamp(i64::MAX), Timestamp(i64::MIN)] {
            let _ = stored.read(at);
        }
        if let Ok(state) = WindowState::decode(&plan, &stored.bytes) {
            let bytes = state.encode(&plan);
            let again = WindowState::decode(&plan, &bytes).unwrap();
            prop_assert_eq!(again.encode(&plan), bytes);
        }
    }

    #[test]
    fn noise_never_panics(seed in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let plan = random::plan(&mut Random::new(seed));
        prop_assert!(WindowState::decode(&plan, &bytes).is_err());
        prop_assert!(evaluate(&plan, Some(&bytes), &[0], Timestamp(0), &mut Vec::new()).is_err());
    }
}

const SECOND: i64 = Span::SECOND.0;

/// Counts rows and sums integers over a window.
fn counting(window: Option<Window>) -> WindowPlan {
    let feature = |stream, aggregation| WindowFeature {
        stream,
        aggregation,
        window,
    };
    let features = vec![feature(0, Aggregation::Count), feature(1, Aggregation::Sum)];
    WindowPlan::new(vec![None, Some(DataType::Int64)], features)
}

fn event(second: i64, value: i64) -> WindowEvent {
    WindowEvent {
        time: Timestamp(second * SECOND),
        known: None,
        id: (second * 1000 + value) as u64,
        values: vec![Some(Value::Null), Some(Value::Int(value))],
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp(second * SECOND)
}

fn numbers(read: Result<Vec<Value>, WindowError>) -> (i64, i64) {
    match read.unwrap().as_slice() {
        [Value::Int(count), Value::Int(sum)] => (*count, *sum),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_counts_from_the_next_microsecond_and_no_longer_than_the_window() {
    let plan = counting(Some(Window::exact(Span::HOUR)));
    let mut stored = Stored::new(&plan);
    stored.push(event(100, 7), at(100));
    assert_eq!(numbers(stored.read(at(100))), (0, 0));
    assert_eq!(numbers(stored.read(Timestamp(100 * SECOND + 1))), (1, 7));
    assert_eq!(numbers(stored.read(at(3700))), (1, 7));
    assert_eq!(numbers(stored.read(Timestamp(3700 * SECOND + 1))), (0, 0));
}

#[test]
fn without_a_record_counts_are_zero() {
    let plan = counting(None);
    let mut out = vec![Value::Bool(true)];
    evaluate(&plan, None, &[1, 0], at(5), &mut out).unwrap();
    assert_eq!(out, [Value::Bool(true), Value::Int(0), Value::Int(0)]);
}

#[test]
fn the_record_of_a_busy_entity_stays_small_and_a_late_event_lands_in_its_tile() {
    let plan = counting(Some(Window::of(Span::days(30))));
    let mut stored = Stored::new(&plan);
    for second in 0..5000 {
        stored.push(event(second * 600, 1), at(second * 600));
    }
    let (bytes, tiles) = (stored.bytes.len(), stored.state().tiles());
    assert!(bytes < 12_000 && tiles < 64, "{bytes} bytes, {tiles} tiles");
    let newest = 4999 * 600;
    let before = numbers(stored.read(at(newest)));
    stored.push(event(newest - 20 * 86_400 + 1, 9), at(newest));
    for second in 0..300 {
        stored.push(event(newest + 1 + second, 0), at(newest + 1 + second));
    }
    let after = numbers(stored.read(at(newest + 300)));
    assert_eq!(
        after.1,
        before.1 + 9 + 1,
        "the late event and the newest of before count once each"
    );
}

#[test]
fn an_event_dated_in_the_future_neither_folds_nor_drops_anything() {
    let plan = counting(Some(Window::of(Span::HOUR)));
    let mut stored = Stored::new(&plan);
    for second in 0..200 {
        stored.push(event(second, 1), at(second));
    }
    stored.push(event(1_000_000_000, 1), at(200));
    assert_eq!(stored.state().raw_events(), 201);
    assert_eq!(numbers(stored.read(at(300))), (200, 200));
}

#[test]
fn asking_about_a_folded_past_says_since_when_windows_are_exact() {
    let plan = counting(Some(Window::of(Span::HOUR)));
    let mut stored = Stored::new(&plan);
    for second in 0..600 {
        stored.push(event(second, 1), at(second));
    }
    let since = stored.state().exact_since();
    let error = stored.read(at(100)).unwrap_err();
    assert_eq!(error, WindowError::Folded { at: at(100), since });
    assert_eq!(numbers(stored.read(since)).0, since.0 / SECOND);
}

/// A late event beyond the reach of windows, in the day up to which files were taken, once parted the tile of that day.
#[test]
fn a_seed_that_once_failed_still_holds() {
    check(12924392516315981331);
}

#[test]
fn the_files_replace_what_was_before_and_keep_what_came_after() {
    let plan = counting(None);
    let mut stored = Stored::new(&plan);
    for second in [10, 20, 30] {
        stored.push(event(second, 1), at(second));
    }
    let files = || vec![event(5, 100), event(10, 100), event(25, 100)];
    let replace = |stored: &mut Stored<'_>, files, through| {
        stored.update(at(40), |it| it.replace(&plan, files, at(through)));
    };
    replace(&mut stored, files(), 20);
    assert_eq!(
        numbers(stored.read(at(40))),
        (4, 202),
        "20 and 30 were pushed, 5 and 10 are in the files"
    );
    let bytes = stored.bytes.clone();
    replace(&mut stored, files(), 20);
    assert_eq!(stored.bytes, bytes, "once more changes nothing");
    replace(&mut stored, Vec::new(), 15);
    assert_eq!(stored.bytes, bytes, "an older materialization changes nothing");
    replace(&mut stored, files(), 30);
    assert_eq!(
        numbers(stored.read(at(40))),
        (4, 301),
        "30 was pushed, 5, 10 and 25 are in the files"
    );
    assert_eq!(stored.state().through(), Some(at(30)));
}
