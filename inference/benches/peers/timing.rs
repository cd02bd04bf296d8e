//! Rounds in turn, the fastest of each counts.

use std::time::{Duration, Instant};

use crate::contender::{Batch, Contender};

/// How long is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds of each contender.
    pub(crate) rounds: usize,
    /// A round calls again until so much time has gone.
    pub(crate) round: Duration,
    /// No further round where a contender has had so much: slow ones have fewer rounds, at least one.
    pub(crate) budget: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        rounds: 10,
        round: Duration::from_millis(6),
        budget: Duration::from_millis(250),
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 6,
        round: Duration::from_millis(4),
        budget: Duration::from_millis(200),
    };
}

/// Calls in turn, and what they took.
pub(crate) struct Turn<'a> {
    /// Calls once, with an ever higher number.
    pub(crate) call: Box<dyn FnMut(usize) + 'a>,
    calls: usize,
    spent: Duration,
    fastest: Duration,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(call: impl FnMut(usize) + 'a) -> Self {
        Self {
            call: Box::new(call),
            calls: 0,
            spent: Duration::ZERO,
            fastest: Duration::MAX,
        }
    }

    fn round(&mut self, effort: Effort) {
        let (began, before) = (Instant::now(), self.calls);
        while self.calls == before || began.elapsed() < effort.round {
            (self.call)(self.calls);
            self.calls += 1;
        }
        let (took, calls) = (began.elapsed(), self.calls - before);
        self.spent += took;
        self.fastest = self.fastest.min(took.div_f64(calls as f64));
    }
}

/// Microseconds of one call in the fastest round of each.
pub(crate) fn fastest(turns: &mut [Turn<'_>], effort: Effort) -> Vec<f64> {
    for _ in 0..effort.rounds {
        turns
            .iter_mut()
            .filter(|it| it.spent < effort.budget)
            .for_each(|it| it.round(effort));
    }
    turns.iter().map(|it| it.fastest.as_secs_f64() * 1e6).collect()
}

/// Microseconds per row of each contender, on batches of one size.
pub(crate) fn per_row(contenders: Vec<&mut Box<dyn Contender>>, batches: &[Batch], effort: Effort) -> Vec<f64> {
    let size = batches[0].n_rows();
    let mut turns: Vec<Turn<'_>> = contenders
        .into_iter()
        .map(|contender| {
            let mut out = vec![0.0; size];
            Turn::new(move |at| contender.predict(&batches[at % batches.len()], &mut out))
        })
        .collect();
    let micros = fastest(&mut turns, effort);
    micros.into_iter().map(|it| it / size as f64).collect()
}
