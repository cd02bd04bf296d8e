//! Metrics of probabilities as probabilities.

use super::mean;

/// Number of equal-width bins of the expected calibration error.
const BINS: usize = 15;
/// Probabilities are kept this far from 0 and 1 in the log loss.
const CLIP: f64 = 1e-15;

/// One bin of predicted probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// Lower edge; the bin holds `[from, from + 1/15)`, the last one 1 as well.
    pub from: f64,
    /// Rows in it.
    pub rows: usize,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of positives.
    pub observed: f64,
}

/// Mean of `-y ln p - (1 - y) ln (1 - p)`, with `p` kept 1e-15 away from 0 and 1.
pub fn log_loss(y: &[f64], p: &[f64]) -> f64 {
    let loss = |(&y, &p): (&f64, &f64)| {
        let p = p.clamp(CLIP, 1.0 - CLIP);
        -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())
    };
    mean(y.iter().zip(p).map(loss))
}

/// Mean of `(p - y)^2`.
pub fn brier(y: &[f64], p: &[f64]) -> f64 {
    mean(y.iter().zip(p).map(|(y, p)| (p - y).powi(2)))
}

/// Share of rows whose side of 0.5 is right; 0.5 itself is positive.
pub fn accuracy(y: &[f64], p: &[f64]) -> f64 {
    mean(
        y.iter()
            .zip(p)
            .map(|(&y, &p)| f64::from(u8::from((p >= 0.5) == (y == 1.0)))),
    )
}

/// Mean over rows of the distance between their bin's mean probability and share of positives, in 15 bins of equal width.
pub fn expected_calibration_error(y: &[f64], p: &[f64]) -> f64 {
    let weighted = |it: &CalibrationBin| it.rows as f64 * (it.predicted - it.observed).abs();
    calibration_table(y, p).iter().map(weighted).sum::<f64>() / y.len() as f64
}

/// The bins that have rows, from low to high probability.
pub fn calibration_table(y: &[f64], p: &[f64]) -> Vec<CalibrationBin> {
    let mut sums = [(0_usize, 0.0, 0.0); BINS];
    for (&y, &p) in y.iter().zip(p) {
        let sum = &mut sums[((p * BINS as f64) as usize).min(BINS - 1)];
        *sum = (sum.0 + 1, sum.1 + p, sum.2 + y);
    }
    let bins = sums.iter().enumerate().filter(|(_, it)| it.0 > 0);
    let bin = |(at, &(rows, predicted, observed)): (usize, &(usize, f64, f64))| CalibrationBin {
        from: at as f64 / BINS as f64,
        rows,
        predicted: predicted / rows as f64,
        observed: observed / rows as f64,
    };
    bins.map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_their_formulas() {
        let (y, p) = ([1.0, 0.0, 1.0, 0.0], [0.9, 0.2, 0.4, 0.5]);
        let expected = -(0.9_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln() + 0.5_f64.ln()) / 4.0;
        assert!((log_loss(&y, &p) - expected).abs() < 1e-12);
        assert!((brier(&y, &p) - (0.01 + 0.04 + 0.36 + 0.25) / 4.0).abs() < 1e-12);
        assert_eq!(accuracy(&y, &p), 0.5, "0.5 counts as positive");
        assert!(
            log_loss(&[0.0], &[1.0]).is_finite(),
            "a wrong certainty is bad but finite"
        );
    }

    #[test]
    fn the_calibration_error_weighs_bins_by_their_rows() {
        let (y, p) = ([0.0, 1.0, 1.0, 1.0], [0.01, 0.03, 0.99, 1.0]);
        let expected = 0.5 * (0.5 - 0.02_f64).abs() + 0.5 * (1.0 - 0.995_f64).abs();
        assert!((expected_calibration_error(&y, &p) - expected).abs() < 1e-12);
        assert_eq!(
            calibration_table(&y, &p).iter().map(|it| it.rows).collect::<Vec<_>>(),
            [2, 2]
        );
    }
}
