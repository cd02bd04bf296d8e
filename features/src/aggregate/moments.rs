//! Mean and spread of numbers, and how they go with time, in a form that merges (Chan, Golub and LeVeque 1979).

use crate::aggregate::dd::Dd;
use crate::time::Timestamp;

/// Mean and sum of squared deviations from it. How many numbers there are is kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Their mean.
    pub mean: Dd,
    /// Sum of squared deviations.
    pub m2: Dd,
}

/// The same of two columns, x the time in microseconds and y the value, with the sum of products of deviations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CoMoments {
    /// Mean time, microseconds.
    pub mean_x: Dd,
    /// Mean value.
    pub mean_y: Dd,
    /// Sum of squared deviations of time.
    pub sxx: Dd,
    /// Sum of products of deviations.
    pub sxy: Dd,
}

impl Moments {
    /// Of `n` numbers, in two passes around the first of them, so that equal numbers have a spread of exactly 0.
    pub fn of(numbers: impl Iterator<Item = f64> + Clone, n: u64) -> Self {
        let Some(first) = numbers.clone().next() else {
            return Self::default();
        };
        let mut sum = Dd::default();
        numbers.clone().for_each(|it| push_difference(&mut sum, it, first));
        let mean = Dd::from(first).plus(sum.over(n as f64));
        let mut m2 = Dd::default();
        for it in numbers {
            let deviation = (it - mean.hi) - mean.lo;
            m2.push(deviation * deviation);
        }
        Self { mean, m2 }
    }

    /// Of `n` numbers and `other_n` others together.
    #[must_use]
    pub fn merged(self, n: u64, other: Self, other_n: u64) -> Self {
        if n == 0 || other_n == 0 {
            return if n == 0 { other } else { self };
        }
        let (share, weight) = shares(n, other_n);
        let delta = other.mean.minus(self.mean);
        Self {
            mean: self.mean.plus(delta.times(share)),
            m2: self.m2.plus(other.m2).plus(delta.times(delta).times(weight)),
        }
    }
}

impl CoMoments {
    /// Of `n` pairs.
    pub fn of(pairs: impl Iterator<Item = (Timestamp, f64)> + Clone, n: u64) -> Self {
        let Some((first_x, first_y)) = pairs.clone().next() else {
            return Self::default();
        };
        let since = |x: Timestamp| (i128::from(x.0) - i128::from(first_x.0)) as f64;
        let (mut sum_x, mut sum_y) = (Dd::default(), Dd::default());
        for (x, y) in pairs.clone() {
            sum_x.push(since(x));
            push_difference(&mut sum_y, y, first_y);
        }
        let (after, mean_y) = (sum_x.over(n as f64), Dd::from(first_y).plus(sum_y.over(n as f64)));
        let (mut sxx, mut sxy) = (Dd::default(), Dd::default());
        for (x, y) in pairs {
            let dx = (since(x) - after.hi) - after.lo;
            sxx.push(dx * dx);
            sxy.push(dx * ((y - mean_y.hi) - mean_y.lo));
        }
        let mean_x = Dd::of_integer(first_x.0).plus(after);
        Self {
            mean_x,
            mean_y,
            sxx,
            sxy,
        }
    }

    /// Of `n` pairs and `other_n` others together.
    #[must_use]
    pub fn merged(self, n: u64, other: Self, other_n: u64) -> Self {
        if n == 0 || other_n == 0 {
            return if n == 0 { other } else { self };
        }
        let (share, weight) = shares(n, other_n);
        let dx = other.mean_x.minus(self.mean_x);
        let dy = other.mean_y.minus(self.mean_y);
        Self {
            mean_x: self.mean_x.plus(dx.times(share)),
            mean_y: self.mean_y.plus(dy.times(share)),
            sxx: self.sxx.plus(other.sxx).plus(dx.times(dx).times(weight)),
            sxy: self.sxy.plus(other.sxy).plus(dx.times(dy).times(weight)),
        }
    }

    /// Least-squares slope of value over time, per microsecond; NaN when all times are equal.
    pub fn slope(&self) -> f64 {
        let spread = self.sxx.value();
        if spread > 0.0 {
            self.sxy.value() / spread
        } else {
            f64::NAN
        }
    }
}

/// `b / (a + b)` and `a * b / (a + b)`.
fn shares(a: u64, b: u64) -> (Dd, Dd) {
    let share = Dd::from(b as f64).over(a as f64 + b as f64);
    (share, share.times(Dd::from(a as f64)))
}

/// Adds `x - pivot`, exactly.
fn push_difference(sum: &mut Dd, x: f64, pivot: f64) {
    let mut difference = Dd::from(x);
    difference.push(-pivot);
    sum.push(difference.hi);
    sum.lo += difference.lo;
}
