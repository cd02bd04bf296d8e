//! Fits split-conformal intervals from predictions of rows that the predictor did not fit.

use foretell_inference::Conformal;
use foretell_inference::conformal::Said;

/// Outcomes per bin of the prediction: enough for both tails of a 95 % interval, with some to spare.
const ROWS_PER_BIN: usize = 150;
const MAX_BINS: usize = 10;

/// Scores by bin of the prediction. Errors of money grow with the prediction, so they are taken relative to it (plus a
/// floor, the typical error of small predictions); bins let the shape of the errors change with it too.
///
/// # Panics
/// Without rows, which is a bug of the caller.
pub fn fit(p: &[f64], y: &[f64], lower_bound: Option<f64>) -> Conformal {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    let sorted: Vec<f64> = order.iter().map(|&row| p[row]).collect();
    let edges = edges(&sorted);
    let scale_floor = floor(&order, p, y);
    let bins = edges.len() + 1;
    let mut conformal = Conformal {
        edges,
        scores: vec![Vec::new(); bins],
        scale_floor,
        scale_slope: 1.0,
        lower_bound,
        ..Conformal::default()
    };
    for (&p, &y) in p.iter().zip(y) {
        let score = conformal.score(Said::value(p), y);
        let bin = conformal.bin(p);
        conformal.scores[bin].push(score);
    }
    conformal.scores.iter_mut().for_each(|it| it.sort_by(f64::total_cmp));
    conformal
}

/// Upper edges of bins of equal size; equal predictions share a bin.
fn edges(sorted: &[f64]) -> Vec<f64> {
    let bins = (sorted.len() / ROWS_PER_BIN).clamp(1, MAX_BINS);
    let edge = |bin: usize| sorted[bin * sorted.len() / bins - 1];
    let mut edges: Vec<f64> = (1..bins).map(edge).collect();
    edges.dedup();
    let last = sorted[sorted.len() - 1];
    edges.retain(|&it| it < last);
    edges
}

/// Mean absolute error of the fifth with the smallest predictions; never 0.
fn floor(order: &[usize], p: &[f64], y: &[f64]) -> f64 {
    let smallest = &order[..order.len().div_ceil(5)];
    let mean = |rows: &[usize]| rows.iter().map(|&row| (y[row] - p[row]).abs()).sum::<f64>() / rows.len() as f64;
    [mean(smallest), mean(order), 1.0]
        .into_iter()
        .find(|it| *it > 0.0)
        .expect("1 is above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::coverage;

    /// Predictions over three orders of magnitude; outcomes are 0 half the time and else heavy-tailed around twice the
    /// prediction, from a fixed sequence.
    fn money(n: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut state = seed;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        let row = |_| {
            let p = 1000_f64.powf(uniform());
            let y = if uniform() < 0.5 {
                0.0
            } else {
                0.7 * p / uniform().powf(0.6)
            };
            (p, y)
        };
        (0..n).map(row).unzip()
    }

    #[test]
    fn intervals_of_heavy_tailed_money_hold_what_they_promise() {
        let (p, y) = money(3000, 1);
        let conformal = fit(&p, &y, Some(0.0));
        let (p, y) = money(6000, 2);
        for level in [0.8, 0.9, 0.95] {
            let intervals: Vec<_> = p.iter().map(|&it| conformal.interval(it, level)).collect();
            let covered = coverage(&y, &intervals);
            assert!(
                (covered - level).abs() < 0.03 || (covered > level && covered < level + 0.06),
                "{level}: {covered}"
            );
            assert!(intervals.iter().all(|it| it.0 >= 0.0));
        }
    }

    #[test]
    fn constant_predictions_have_one_bin_and_perfect_ones_a_scale() {
        let conformal = fit(&[5.0; 1000], &[5.0; 1000], None);
        assert_eq!(conformal.edges.len(), 0);
        assert_eq!(conformal.interval(5.0, 0.9), (5.0, 5.0));
        assert!(conformal.scale_floor > 0.0);
    }
}
