//! The one order in which leaves are added, so that every evaluator gives the same bits.

/// Partial sums: tree `t` adds to number `t % LANES`.
pub(super) const LANES: usize = 16;

/// Leaves added so far. Sixteen independent sums do not wait for each other, as one chain of additions would.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Sum(pub(super) [f64; LANES]);

impl Sum {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    #[inline]
    pub(super) fn add(&mut self, tree: usize, leaf: f64) {
        self.0[tree % LANES] += leaf;
    }

    /// Halves are added until one number is left, and that to the base.
    #[inline]
    pub(super) fn total(self, base: f64) -> f64 {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for at in 0..half {
                lanes[at] += lanes[at + half];
            }
            half /= 2;
        }
        base + lanes[0]
    }
}
