//! Chance from a seed: SplitMix64 (Steele, Lea and Flood 2014), one stream per series.

/// A stream of numbers that depends on seed and stream alone.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut chance = Self(seed ^ stream.wrapping_mul(0xD134_2543_DE82_EF95));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `0..1`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In `0..n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        (self.unit() * n as f64) as u64
    }

    /// `n` different numbers of `1..=most`, rising, one per equal stretch; all of them where there are no more.
    pub(super) fn spread(&mut self, most: usize, n: usize) -> Vec<usize> {
        if most <= n {
            return (1..=most).collect();
        }
        let stretch = most as f64 / n as f64;
        let mut picks: Vec<usize> = (0..n)
            .map(|at| 1 + ((at as f64 + self.unit()) * stretch) as usize)
            .collect();
        picks.iter_mut().for_each(|it| *it = (*it).min(most));
        picks.dedup();
        picks
    }
}
