//! Metrics of numbers as numbers.

use super::mean;

/// Mean absolute error, in the outcome's unit.
pub fn mae(y: &[f64], p: &[f64]) -> f64 {
    mean(y.iter().zip(p).map(|(y, p)| (p - y).abs()))
}

/// Root of the mean squared error, in the outcome's unit.
pub fn rmse(y: &[f64], p: &[f64]) -> f64 {
    mean(y.iter().zip(p).map(|(y, p)| (p - y).powi(2))).sqrt()
}

/// Sum of absolute errors over the sum of absolute outcomes.
pub fn wape(y: &[f64], p: &[f64]) -> f64 {
    y.iter().zip(p).map(|(y, p)| (p - y).abs()).sum::<f64>() / size(y)
}

/// Sum of errors (predicted less actual) over the sum of absolute outcomes: positive is too high.
pub fn bias(y: &[f64], p: &[f64]) -> f64 {
    y.iter().zip(p).map(|(y, p)| p - y).sum::<f64>() / size(y)
}

/// Sum predicted over sum that came.
pub fn total_ratio(y: &[f64], p: &[f64]) -> f64 {
    p.iter().sum::<f64>() / y.iter().sum::<f64>()
}

/// Share of outcomes within their intervals, ends included.
pub fn coverage(y: &[f64], intervals: &[(f64, f64)]) -> f64 {
    mean(
        y.iter()
            .zip(intervals)
            .map(|(y, (lower, upper))| f64::from(u8::from(lower <= y && y <= upper))),
    )
}

/// Mean Tweedie deviance of power 1.5, for outcomes `y >= 0` and predictions `p > 0`: punishes relative errors more than
/// squares do, so that a few large outcomes do not decide alone.
pub fn mean_tweedie_deviance(y: &[f64], p: &[f64]) -> f64 {
    let deviance = |(&y, &p): (&f64, &f64)| {
        let p = p.max(1e-9);
        4.0 * (p.sqrt() - 2.0 * y.sqrt() + y / p.sqrt())
    };
    mean(y.iter().zip(p).map(deviance))
}

fn size(y: &[f64]) -> f64 {
    y.iter().map(|it| it.abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_their_formulas() {
        let (y, p) = ([0.0, 10.0, 30.0], [3.0, 8.0, 20.0]);
        let cases = [
            (mae(&y, &p), 5.0),
            (rmse(&y, &p), (113.0_f64 / 3.0).sqrt()),
            (wape(&y, &p), 15.0 / 40.0),
            (bias(&y, &p), -9.0 / 40.0),
            (total_ratio(&y, &p), 31.0 / 40.0),
            (coverage(&y, &[(0.0, 1.0), (10.0, 10.0), (1.0, 29.0)]), 2.0 / 3.0),
        ];
        for (got, expected) in cases {
            assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
        }
    }

    #[test]
    fn the_deviance_is_zero_for_the_truth_and_least_at_the_mean() {
        let y = [0.0, 4.0, 20.0];
        assert!(mean_tweedie_deviance(&y[1..], &y[1..]).abs() < 1e-12);
        let at = |p: f64| mean_tweedie_deviance(&y, &[p; 3]);
        assert!(at(8.0) < at(7.5) && at(8.0) < at(8.5));
    }

    #[test]
    fn no_rows_give_nan() {
        assert!(mae(&[], &[]).is_nan() && wape(&[], &[]).is_nan());
    }
}
