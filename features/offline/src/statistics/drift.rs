//! How far a feature has moved between two materializations: the population stability index.

use serde::{Deserialize, Serialize};

use super::{FeatureStatistics, NumberStatistics, ViewStatistics};

/// How far one feature has moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// The feature.
    pub name: String,
    /// The population stability index over the earlier deciles (numbers) or most frequent values (texts), nulls being a bin
    /// of their own: below 0.1 it stays, above 0.25 it has moved. None for times and for features without values.
    pub psi: Option<f64>,
    /// Share of nulls before.
    pub null_rate_before: f64,
    /// Share of nulls now.
    pub null_rate: f64,
    /// Mean before, of numbers.
    pub mean_before: Option<f64>,
    /// Mean now, of numbers.
    pub mean: Option<f64>,
}

/// Features that both have, in the later one's order. Shares of numbers are known to 1 %, as the percentiles are.
pub fn drift(before: &ViewStatistics, now: &ViewStatistics) -> Vec<FeatureDrift> {
    let pairs = now.features.iter().filter_map(|now| {
        let before = before.features.iter().find(|it| it.name == now.name)?;
        Some((before, now))
    });
    pairs.map(|(before, now)| of_feature(before, now)).collect()
}

fn of_feature(before: &FeatureStatistics, now: &FeatureStatistics) -> FeatureDrift {
    let mean = |it: &FeatureStatistics| it.numbers.as_ref().map(|it| it.mean);
    let shares = match (&before.numbers, &now.numbers) {
        (Some(before), Some(now)) => Some(of_numbers(before, now)),
        (None, None) if !before.top.is_empty() && !now.top.is_empty() => Some(of_texts(before, now)),
        _ => None,
    };
    let (null_rate_before, null_rate) = (null_rate(before), null_rate(now));
    FeatureDrift {
        name: now.name.clone(),
        psi: shares.map(|shares| {
            let known = shares
                .iter()
                .map(|(a, b)| (a * (1.0 - null_rate_before), b * (1.0 - null_rate)));
            psi(known.chain([(null_rate_before, null_rate)]))
        }),
        null_rate_before,
        null_rate,
        mean_before: mean(before),
        mean: mean(now),
    }
}

fn null_rate(it: &FeatureStatistics) -> f64 {
    it.nulls as f64 / (it.nulls + it.count).max(1) as f64
}

/// Shares before and now between the earlier deciles.
fn of_numbers(before: &NumberStatistics, now: &NumberStatistics) -> Vec<(f64, f64)> {
    let mut edges: Vec<f64> = (1..10)
        .filter_map(|it| before.percentiles.get(it * 10).copied())
        .collect();
    edges.dedup();
    let up_to = |it: &NumberStatistics, edge: f64| {
        let below = it.percentiles.partition_point(|value| *value <= edge);
        below as f64 / it.percentiles.len().max(1) as f64
    };
    let mut shares = Vec::new();
    let (mut a, mut b) = (0.0, 0.0);
    for edge in edges {
        let (next_a, next_b) = (up_to(before, edge), up_to(now, edge));
        shares.push((next_a - a, next_b - b));
        (a, b) = (next_a, next_b);
    }
    shares.push((1.0 - a, 1.0 - b));
    shares
}

/// Shares before and now of the earlier frequent values, and of all others together.
fn of_texts(before: &FeatureStatistics, now: &FeatureStatistics) -> Vec<(f64, f64)> {
    let share = |it: &FeatureStatistics, value: &str| {
        let found = it
            .top
            .iter()
            .find(|top| &*top.value == value)
            .map_or(0, |top| top.count);
        found as f64 / it.count.max(1) as f64
    };
    let values = before.top.iter().chain(&now.top).map(|it| it.value.clone());
    let values: std::collections::BTreeSet<_> = values.collect();
    let mut shares: Vec<(f64, f64)> = values.iter().map(|it| (share(before, it), share(now, it))).collect();
    let (a, b) = shares.iter().fold((0.0, 0.0), |(a, b), it| (a + it.0, b + it.1));
    shares.push((f64::max(0.0, 1.0 - a), f64::max(0.0, 1.0 - b)));
    shares
}

/// An empty bin counts as one in ten thousand, so that a new value is a large number and not an infinite one.
fn psi(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    const LEAST: f64 = 1e-4;
    let term = |(a, b): (f64, f64)| {
        let (a, b) = (a.max(LEAST), b.max(LEAST));
        (b - a) * (b / a).ln()
    };
    shares.map(term).sum()
}
