//! Which of the evaluators a loaded ensemble uses: the one that was fastest here, on its own rows.

use std::time::{Duration, Instant};

use foretell_features::FeatureMatrix;
use rayon::prelude::*;

use super::TreeEnsemble;
use super::blocks::Blocks;
#[cfg(target_arch = "x86_64")]
use super::{avx2, vbmi};

/// A way to sum the leaves of one row. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluator {
    /// Eight walks over packed nodes at a time, on the values themselves.
    Walk,
    /// Walks over blocks of byte codes, eight trees at a time.
    Blocks,
    /// The same blocks, each decided by some shuffles and two compares.
    Avx2,
    /// The same blocks, each decided by one permute and one compare: AVX-512 with VBMI.
    Avx512,
}

/// Rounds over the rows for each evaluator; the fastest counts, since noise only slows.
const ROUNDS: usize = 5;
/// Batches of so many rows are split until it was measured what a row costs.
pub(super) const SPLIT_FROM: usize = 2048;
/// Work that is split across cores.
const WORTH_SPLITTING: Duration = Duration::from_micros(500);
/// Rows that go to one core at a time.
const PART: usize = 64;
/// A round takes at least this long, or the clock's own grain would decide.
const ROUND: Duration = Duration::from_micros(200);

impl TreeEnsemble {
    /// The evaluators that can take these trees on this machine, from the simplest on.
    pub fn evaluators(&self) -> Vec<Evaluator> {
        let mut found = vec![Evaluator::Walk];
        if self.blocks.is_none() {
            return found;
        }
        found.push(Evaluator::Blocks);
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Cpu::detect().map(|_| Evaluator::Avx2));
            found.extend(vbmi::Cpu::detect().map(|_| Evaluator::Avx512));
        }
        found
    }

    /// The one that is used.
    pub fn evaluator(&self) -> Evaluator {
        self.evaluator
    }

    /// The sums before the link for one row of the right width, one for each output, by one of
    /// [`TreeEnsemble::evaluators`].
    ///
    /// # Panics
    /// When `out` is not as long as there are outputs.
    #[inline]
    pub fn raw_row_by(&self, evaluator: Evaluator, row: &[f64], out: &mut [f64]) {
        assert_eq!(out.len(), self.outputs.len(), "one number for each output");
        self.sum_part(evaluator, self.n_features(), row, out);
    }

    /// The same for whole rows one after another, on this core.
    ///
    /// # Panics
    /// When `out` is not as long as the outputs of all rows.
    pub fn raw_rows_by(&self, evaluator: Evaluator, rows: &[f64], out: &mut [f64]) {
        let n_rows = rows.len() / self.n_features();
        assert_eq!(
            out.len(),
            n_rows * self.outputs.len(),
            "one number for each output of a row"
        );
        self.sum_part(evaluator, self.n_features(), rows, out);
    }

    /// The raw scores of some rows, on this core.
    #[inline]
    fn sum_part(&self, evaluator: Evaluator, width: usize, rows: &[f64], out: &mut [f64]) {
        let outputs = &self.outputs;
        let blocks = self.blocks.as_ref().filter(|_| evaluator != Evaluator::Walk);
        let Some(blocks) = blocks.map(Blocks::view) else {
            return self.flat().sum_rows(outputs, width, rows, out);
        };
        #[cfg(target_arch = "x86_64")]
        match (evaluator, vbmi::Cpu::detect(), avx2::Cpu::detect()) {
            (Evaluator::Avx512, Some(cpu), _) => return cpu.sum_rows(blocks, outputs, width, rows, out),
            (Evaluator::Avx2, _, Some(cpu)) => {
                let each = rows.chunks_exact(width).zip(out.chunks_exact_mut(outputs.len()));
                return each.for_each(|(row, out)| cpu.sum_row(blocks, outputs, row, out));
            }
            _ => {}
        }
        let each = rows.chunks_exact(width).zip(out.chunks_exact_mut(outputs.len()));
        each.for_each(|(row, out)| blocks.sum_row_plainly(outputs, row, out));
    }

    /// The sums of all rows, on several cores where that pays.
    pub(super) fn sum_rows(&self, x: &FeatureMatrix, out: &mut [f64]) {
        let (width, n_outputs) = (x.n_columns(), self.outputs.len());
        let sum = |(rows, out): (&[f64], &mut [f64])| self.sum_part(self.evaluator, width, rows, out);
        if x.n_rows() < self.split_from {
            sum((x.values(), out));
        } else {
            let rows = x.values().par_chunks(PART * width);
            rows.zip(out.par_chunks_mut(PART * n_outputs)).for_each(sum);
        }
    }

    /// Uses the evaluator that is fastest for these rows, one at a time, and splits batches from the size on that keeps each
    /// core busy for much longer than it takes to wake it.
    pub fn tune(&mut self, rows: &FeatureMatrix) {
        if rows.n_rows() == 0 || rows.n_columns() != self.n_features() {
            return;
        }
        let timed = self.evaluators().into_iter().map(|it| (self.time(it, rows), it));
        if let Some((time, fastest)) = timed.min_by_key(|it| it.0) {
            self.evaluator = fastest;
            let row = (time.as_nanos() / rows.n_rows() as u128).max(1);
            self.split_from = usize::try_from(WORTH_SPLITTING.as_nanos() / row)
                .unwrap_or(usize::MAX)
                .max(PART);
        }
    }

    fn time(&self, evaluator: Evaluator, rows: &FeatureMatrix) -> Duration {
        let mut out = vec![0.0; self.outputs.len()];
        let mut pass = || {
            rows.rows().for_each(|row| {
                self.raw_row_by(evaluator, row, std::hint::black_box(&mut out));
            });
        };
        pass();
        (0..ROUNDS)
            .map(|_| time_of_pass(ROUND, &mut pass))
            .min()
            .unwrap_or(Duration::MAX)
    }
}

/// What a pass takes, over passes that fill a round: at least one, since the machine may be elsewhere for all of it.
fn time_of_pass(round: Duration, mut pass: impl FnMut()) -> Duration {
    let (began, mut passes) = (Instant::now(), 0_u32);
    loop {
        pass();
        passes += 1;
        let elapsed = began.elapsed();
        if elapsed >= round {
            return elapsed / passes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_is_over_before_it_began_still_times_one_pass() {
        let mut passes = 0;
        time_of_pass(Duration::ZERO, || passes += 1);
        assert_eq!(passes, 1);
    }
}
