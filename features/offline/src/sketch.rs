//! What a column looks like in bounded memory, in one pass: exact up to a bound, estimated beyond it and said so. The same
//! values in the same order give the same answer.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foretell_features::Value;

/// Values and distinct values that are kept as they are (800 kB each).
const EXACT: usize = 100_000;

/// Quantiles: sorted values, beyond [`EXACT`] a t-digest (rank error below 0.1 % at the median, less towards the ends).
#[derive(Debug, Clone, Default)]
pub(crate) struct Quantiles {
    /// While exact: all values. Then: those not merged yet.
    values: Vec<f64>,
    digest: Option<Vec<Centroid>>,
    n: u64,
    ends: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy)]
struct Centroid {
    mean: f64,
    weight: f64,
}

impl Quantiles {
    /// Adds a finite number.
    pub(crate) fn add(&mut self, value: f64) {
        let (least, greatest) = self.ends.unwrap_or((value, value));
        self.ends = Some((least.min(value), greatest.max(value)));
        self.n += 1;
        self.values.push(value);
        if self.values.len() > EXACT {
            self.merge();
        }
    }

    /// Whether every value was kept.
    pub(crate) fn is_exact(&self) -> bool {
        self.digest.is_none()
    }

    pub(crate) fn ends(&self) -> Option<(f64, f64)> {
        self.ends
    }

    /// Ready to answer.
    pub(crate) fn sorted(mut self) -> SortedQuantiles {
        if self.digest.is_some() {
            self.merge();
        }
        let points = match self.digest {
            Some(centroids) => Points::Digest(centroids),
            None => {
                self.values.sort_unstable_by(f64::total_cmp);
                Points::Exact(self.values)
            }
        };
        SortedQuantiles {
            points,
            n: self.n,
            ends: self.ends,
        }
    }

    fn merge(&mut self) {
        let fresh = self.values.drain(..).map(|mean| Centroid { mean, weight: 1.0 });
        let mut all: Vec<Centroid> = self.digest.take().unwrap_or_default();
        all.extend(fresh);
        all.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        self.digest = Some(merged(&all));
    }
}

/// Neighbours joined, the more the nearer to the middle.
fn merged(all: &[Centroid]) -> Vec<Centroid> {
    let total: f64 = all.iter().map(|it| it.weight).sum();
    let mut kept: Vec<Centroid> = Vec::new();
    let (mut before, mut limit) = (0.0, next_limit(0.0));
    for it in all {
        match kept.last_mut() {
            Some(last) if before + last.weight + it.weight <= limit * total => {
                last.weight += it.weight;
                last.mean += (it.mean - last.mean) * it.weight / last.weight;
            }
            Some(last) => {
                before += last.weight;
                limit = next_limit(before / total);
                kept.push(*it);
            }
            None => kept.push(*it),
        }
    }
    kept
}

/// The share at which a centroid that begins at share `q` must end (Dunning's scale function k1).
fn next_limit(q: f64) -> f64 {
    const CENTROIDS: f64 = 1000.0;
    let angle = (2.0 * q - 1.0).clamp(-1.0, 1.0).asin() + 2.0 * std::f64::consts::PI / CENTROIDS;
    (angle.min(std::f64::consts::FRAC_PI_2).sin() + 1.0) / 2.0
}

/// Quantiles that can be asked.
#[derive(Debug)]
pub(crate) struct SortedQuantiles {
    points: Points,
    n: u64,
    ends: Option<(f64, f64)>,
}

#[derive(Debug)]
enum Points {
    Exact(Vec<f64>),
    Digest(Vec<Centroid>),
}

impl SortedQuantiles {
    /// The value at a share, 0 to 1, linear between neighbours; none of nothing.
    pub(crate) fn at(&self, q: f64) -> Option<f64> {
        let (least, greatest) = self.ends?;
        match &self.points {
            Points::Exact(values) => {
                let rank = q * (values.len() - 1) as f64;
                let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
                Some(low + (high - low) * rank.fract())
            }
            Points::Digest(centroids) => {
                let rank = q * self.n as f64;
                let (mut before, mut from) = (0.0, (0.0, least));
                for it in centroids {
                    let to = (before + it.weight / 2.0, it.mean);
                    if rank <= to.0 {
                        return Some(between(from, to, rank));
                    }
                    before += it.weight;
                    from = to;
                }
                Some(between(from, (self.n as f64, greatest), rank))
            }
        }
    }

    /// How many values are less than `x`, roughly where not exact.
    pub(crate) fn below(&self, x: f64) -> u64 {
        match &self.points {
            Points::Exact(values) => values.partition_point(|it| *it < x) as u64,
            Points::Digest(centroids) => {
                let whole = centroids.iter().take_while(|it| it.mean < x).map(|it| it.weight);
                (whole.sum::<f64>().round() as u64).min(self.n)
            }
        }
    }
}

fn between(from: (f64, f64), to: (f64, f64), rank: f64) -> f64 {
    let share = if to.0 > from.0 {
        (rank - from.0) / (to.0 - from.0)
    } else {
        1.0
    };
    from.1 + (to.1 - from.1) * share
}

/// Distinct values: their hashes, beyond [`EXACT`] HyperLogLog (standard error 0.8 %).
#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct {
    seen: HashSet<u64>,
    registers: Option<Vec<u8>>,
}

const REGISTER_BITS: u32 = 14;

impl Distinct {
    pub(crate) fn add(&mut self, value: &Value) {
        let hash = hash_of(value);
        match &mut self.registers {
            Some(registers) => register(registers, hash),
            None => {
                self.seen.insert(hash);
                if self.seen.len() > EXACT {
                    let mut registers = vec![0; 1 << REGISTER_BITS];
                    self.seen.drain().for_each(|it| register(&mut registers, it));
                    self.registers = Some(registers);
                }
            }
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.registers.is_none()
    }

    pub(crate) fn count(&self) -> u64 {
        let Some(registers) = &self.registers else {
            return self.seen.len() as u64;
        };
        let m = registers.len() as f64;
        let sum: f64 = registers.iter().map(|it| 0.5f64.powi(i32::from(*it))).sum();
        (0.7213 / (1.0 + 1.079 / m) * m * m / sum).round() as u64
    }
}

fn register(registers: &mut [u8], hash: u64) {
    let at = (hash >> (64 - REGISTER_BITS)) as usize;
    let rest = hash << REGISTER_BITS;
    let rank = (rest.leading_zeros().min(64 - REGISTER_BITS) + 1) as u8;
    registers[at] = registers[at].max(rank);
}

/// A hash that is the same in every run; the two zeros are one.
pub(crate) fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_into(value, &mut hasher);
    hasher.finish()
}

/// Feeds a value, tagged with its kind.
pub(crate) fn hash_into(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Bool(it) => (1u8, it).hash(hasher),
        Value::Int(it) => (2u8, it).hash(hasher),
        Value::Float(it) => (3u8, (it + 0.0).to_bits()).hash(hasher),
        Value::Str(it) => (4u8, it).hash(hasher),
        Value::Time(it) => (5u8, it.0).hash(hasher),
    }
}

/// The most frequent texts: exact counts; beyond a bound of different ones the rarer half is forgotten now and then, so that
/// counts of rare texts may be too small.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopValues {
    counts: HashMap<Arc<str>, u64>,
    estimated: bool,
}

impl TopValues {
    const KEPT: usize = 10_000;

    pub(crate) fn add(&mut self, text: &Arc<str>) {
        if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
            return;
        }
        self.counts.insert(text.clone(), 1);
        if self.counts.len() >= 2 * Self::KEPT {
            self.shrink();
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.estimated
    }

    /// The `n` most frequent, ties by text.
    pub(crate) fn top(&self, n: usize) -> Vec<(Arc<str>, u64)> {
        let mut all = self.in_order();
        all.truncate(n);
        all
    }

    fn in_order(&self) -> Vec<(Arc<str>, u64)> {
        let mut all: Vec<_> = self.counts.iter().map(|(text, count)| (text.clone(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    /// Forgets the rarer half: a text that comes again starts anew, so counts of rare texts may be too small.
    fn shrink(&mut self) {
        self.estimated = true;
        self.counts = self.in_order().into_iter().take(Self::KEPT).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in an order that is neither sorted nor random.
    fn shuffled(n: u64) -> impl Iterator<Item = u64> {
        (0..n).map(move |it| it.wrapping_mul(7_919) % n)
    }

    #[test]
    fn quantiles_are_exact_for_few_values_and_close_for_many() {
        for (n, tolerance) in [(5u64, 1e-12), (99_999, 1e-12), (1_000_003, 0.002)] {
            let mut quantiles = Quantiles::default();
            shuffled(n).for_each(|it| quantiles.add(it as f64));
            assert_eq!(quantiles.is_exact(), n <= EXACT as u64);
            let sorted = quantiles.sorted();
            for q in [0.0, 0.01, 0.25, 0.5, 0.95, 0.99, 1.0] {
                let (got, expected) = (sorted.at(q).unwrap(), q * (n - 1) as f64);
                let close = (got - expected).abs() <= tolerance * n as f64;
                assert!(close, "n {n}, q {q}: {got}, not {expected}");
                let below = sorted.below(got) as f64;
                assert!(
                    (below - expected).abs() <= 1.0 + tolerance * n as f64,
                    "{below} below {got}"
                );
            }
        }
    }

    #[test]
    fn distinct_values_are_exact_for_few_and_within_two_percent_for_many() {
        for (n, tolerance) in [(3u64, 0.0), (100_000, 0.0), (400_000, 0.02)] {
            let mut distinct = Distinct::default();
            (0..2).for_each(|_| shuffled(n).for_each(|it| distinct.add(&Value::Int(it as i64))));
            let error = (distinct.count() as f64 - n as f64).abs() / n as f64;
            assert!(error <= tolerance, "n {n}: {}", distinct.count());
        }
    }

    #[test]
    fn frequent_texts_are_found_among_many_rare_ones() {
        let mut top = TopValues::default();
        for it in 0..60_000u64 {
            top.add(&Arc::from(format!("rare {it}")));
            if it % 3 == 0 {
                top.add(&Arc::from("often"));
            }
        }
        assert!(!top.is_exact());
        assert_eq!(top.top(1), [(Arc::from("often"), 20_000)]);
    }
}
