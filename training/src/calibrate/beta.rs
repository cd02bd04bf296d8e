//! Beta maps (Kull, Silva Filho and Flach 2017): logistic regression on `ln(p)` and `-ln(1 - p)`, neither slope below 0.

use foretell_inference::Calibration;
use foretell_inference::calibration::{log_odds_ends, sigmoid};

/// How strongly the map is pulled to the identity, in rows: keeps it finite where the classes are separated.
const PULL: f64 = 1.0;
/// The identity.
const START: [f64; 3] = [1.0, 1.0, 0.0];
const STEPS: usize = 50;
const HALVINGS: usize = 30;

/// The map of greatest likelihood among the rising ones; the identity where there is none.
pub(super) fn beta(p: &[f64], y: &[f64]) -> Calibration {
    let rows: Vec<([f64; 3], f64)> = p.iter().zip(y).map(|(&p, &y)| (terms(p), y)).collect();
    // A slope that would be below 0 is 0, and the rest is fitted without it, as in the paper.
    let mut free = [true; 3];
    let mut fitted = fit(&rows, free);
    let falls = |slope: f64| slope < 0.0 || slope.is_nan();
    while let Some(falling) = (0..2).find(|&it| free[it] && falls(fitted[it])) {
        free[falling] = false;
        fitted = fit(&rows, free);
    }
    let [a, b, c] = fitted;
    let rises = a + b > 0.0 && (a + b + c).is_finite();
    if rises {
        Calibration::Beta { a, b, c }
    } else {
        Calibration::Identity
    }
}

fn terms(p: f64) -> [f64; 3] {
    let (log_p, log_rest) = log_odds_ends(p);
    [log_p, log_rest, 1.0]
}

/// Newton's method with halved steps, which a convex loss needs no more than.
fn fit(rows: &[([f64; 3], f64)], free: [bool; 3]) -> [f64; 3] {
    let mut at: [f64; 3] = std::array::from_fn(|it| if free[it] { START[it] } else { 0.0 });
    let mut best = loss(rows, free, at);
    for _ in 0..STEPS {
        let step = newton_step(rows, free, at);
        let tried =
            |half: usize| -> [f64; 3] { std::array::from_fn(|it| at[it] - step[it] * 0.5_f64.powi(half as i32)) };
        let better = (0..HALVINGS)
            .map(tried)
            .map(|it| (loss(rows, free, it), it))
            .find(|it| it.0 < best);
        let Some((loss, next)) = better else { break };
        let gain = best - loss;
        (best, at) = (loss, next);
        if gain < 1e-12 * (1.0 + best) {
            break;
        }
    }
    at
}

fn newton_step(rows: &[([f64; 3], f64)], free: [bool; 3], at: [f64; 3]) -> [f64; 3] {
    let mut gradient: [f64; 3] = std::array::from_fn(|it| PULL * (at[it] - START[it]));
    let mut curve: [[f64; 3]; 3] = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { PULL } else { 0.0 }));
    for (x, y) in rows {
        let q = sigmoid(dot(at, *x));
        let (error, weight) = (q - y, q * (1.0 - q));
        for i in 0..3 {
            gradient[i] += error * x[i];
            for j in 0..3 {
                curve[i][j] += weight * x[i] * x[j];
            }
        }
    }
    for it in (0..3).filter(|&it| !free[it]) {
        gradient[it] = 0.0;
        curve[it] = std::array::from_fn(|j| f64::from(u8::from(j == it)));
        (0..3).filter(|&row| row != it).for_each(|row| curve[row][it] = 0.0);
    }
    solve(curve, gradient)
}

/// The negative log likelihood and the pull.
fn loss(rows: &[([f64; 3], f64)], free: [bool; 3], at: [f64; 3]) -> f64 {
    let pull = |it: usize| if free[it] { (at[it] - START[it]).powi(2) } else { 0.0 };
    let row = |(x, y): &([f64; 3], f64)| {
        let z = dot(at, *x);
        // ln(1 + exp(z)) - y z, without overflow.
        z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z
    };
    rows.iter().map(row).sum::<f64>() + 0.5 * PULL * (0..3).map(pull).sum::<f64>()
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Solves a positive definite system by elimination: its pivots are positive without any exchange.
fn solve(mut a: [[f64; 3]; 3], mut b: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        for row in pivot + 1..3 {
            let share = a[row][pivot] / a[pivot][pivot];
            let above = a[pivot];
            a[row]
                .iter_mut()
                .zip(above)
                .for_each(|(it, above)| *it -= share * above);
            b[row] -= share * b[pivot];
        }
    }
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|it| a[row][it] * b[it]).sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slopes_of_both_ends_are_found() {
        for truth in [[1.0, 1.0, 0.0], [2.0, 0.5, 0.3], [0.3, 1.4, -0.5]] {
            let (p, y) = super::super::tests::rows(20_000, |it| sigmoid(dot(truth, terms(it))));
            let Calibration::Beta { a, b, c } = beta(&p, &y) else {
                panic!("it rises")
            };
            for (got, expected) in [a, b, c].into_iter().zip(truth) {
                assert!((got - expected).abs() < 0.05, "{:?} is not {truth:?}", [a, b, c]);
            }
        }
    }

    #[test]
    fn a_slope_is_never_below_zero() {
        for truth in [[-1.0, 1.0, 0.0], [1.0, -0.5, 0.0], [-1.0, -1.0, 0.0]] {
            let (p, y) = super::super::tests::rows(5000, |it| sigmoid(dot(truth, terms(it))));
            match beta(&p, &y) {
                Calibration::Beta { a, b, .. } => assert!(a >= 0.0 && b >= 0.0, "{a} {b}"),
                other => assert_eq!(other, Calibration::Identity),
            }
        }
    }
}
