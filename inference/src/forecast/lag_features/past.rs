//! Means over past values that count.

/// A recent level so many times the usual one, or so small a part of it, is no season any more.
const SHIFT: f64 = 2.0;

/// Values and covariates up to the origin, oldest first.
#[derive(Debug)]
pub(super) struct Past<'a> {
    pub(super) values: &'a [f64],
    /// Row per step; ends where `values` ends.
    pub(super) known: &'a [f64],
    pub(super) n_known: usize,
    pub(super) skip_zeros: bool,
}

impl Past<'_> {
    /// The value `back` steps before the first step ahead (1 is the last value), NaN where there is none.
    pub(super) fn value(&self, back: usize) -> f64 {
        let at = self.values.len().checked_sub(back);
        at.and_then(|it| self.values.get(it)).copied().unwrap_or(f64::NAN)
    }

    /// A value that tells the size of the series: present, and not idle.
    pub(super) fn counts(&self, value: f64) -> bool {
        !(value.is_nan() || self.skip_zeros && value == 0.0)
    }

    /// Mean of the values `from..=to` steps back that count; NaN where none does.
    pub(super) fn mean(&self, from: usize, to: usize) -> f64 {
        mean(
            (from..=to.min(self.values.len()))
                .map(|back| self.value(back))
                .filter(|&it| self.counts(it)),
        )
    }

    /// Mean of values at `from`, `from + every`, .., `n` of them.
    pub(super) fn mean_every(&self, from: usize, every: usize, n: usize) -> f64 {
        mean(
            (0..n)
                .map(|it| self.value(from + it * every))
                .filter(|&it| self.counts(it)),
        )
    }

    /// Share of zeros among the present values at `from`, `from + every`, .., `n` of them.
    pub(super) fn zero_share(&self, from: usize, every: usize, n: usize) -> f64 {
        let present = (0..n).map(|it| self.value(from + it * every)).filter(|it| !it.is_nan());
        mean(present.map(|it| f64::from(u8::from(it == 0.0))))
    }

    /// Coefficient of variation of the last `n` values that count.
    pub(super) fn variation(&self, n: usize) -> f64 {
        let centre = self.mean(1, n);
        let squares = (1..=n)
            .map(|back| self.value(back))
            .filter(|&it| self.counts(it))
            .map(|it| (it - centre).powi(2));
        mean(squares).sqrt() / centre
    }

    /// The size of the series: the mean of the last `window` values that count. Where the last `recent` ones are of another
    /// size altogether, theirs: the level has shifted. 1 where nothing counts.
    pub(super) fn scale(&self, window: usize, recent: usize) -> f64 {
        let long = self.size(window.max(recent));
        let short = self.size(recent);
        let has_shifted = short > 0.0 && !(1.0 / SHIFT..=SHIFT).contains(&(short / long));
        let size = if has_shifted { short } else { long };
        if size > 0.0 { size } else { 1.0 }
    }

    fn size(&self, window: usize) -> f64 {
        mean(
            (1..=window)
                .map(|back| self.value(back))
                .filter(|&it| self.counts(it))
                .map(f64::abs),
        )
    }

    /// Covariate `column`, `back` steps before the first step ahead.
    pub(super) fn known(&self, back: usize, column: usize) -> f64 {
        let at = self.known.len().checked_sub(back * self.n_known);
        at.and_then(|it| self.known.get(it + column))
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// Steps of which covariates are known.
    pub(super) fn n_known_steps(&self) -> usize {
        self.known.len().checked_div(self.n_known).unwrap_or(0)
    }
}

/// NaN of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), it| (sum + it, n + 1.0));
    sum / n
}
