//! How good predictions are: one exact definition per name. Nothing here looks at order in the file; ties share.
//!
//! `wape`, `bias`, `accuracy` and coverages are shares, not percent. An empty set of rows gives NaN, which fails every gate.

use std::collections::BTreeMap;

mod money;
mod probability;
mod ranking;

pub use money::{bias, coverage, mae, mean_tweedie_deviance, rmse, total_ratio, wape};
pub use probability::{CalibrationBin, accuracy, brier, calibration_table, expected_calibration_error, log_loss};
pub use ranking::{gini, lift, pr_auc, roc_auc, spearman};

/// Metrics by name, DESIGN §3.
pub type Metrics = BTreeMap<String, f64>;

/// Metrics of probabilities `p` of labels `y` (0 or 1).
pub fn classification(y: &[f64], p: &[f64]) -> Metrics {
    named([
        ("roc_auc", roc_auc(y, p)),
        ("pr_auc", pr_auc(y, p)),
        ("log_loss", log_loss(y, p)),
        ("brier", brier(y, p)),
        ("ece", expected_calibration_error(y, p)),
        ("accuracy", accuracy(y, p)),
        ("lift_10", lift(y, p, 0.1)),
    ])
}

/// Metrics of numbers `p` of outcomes `y`.
pub fn regression(y: &[f64], p: &[f64]) -> Metrics {
    named([
        ("mae", mae(y, p)),
        ("rmse", rmse(y, p)),
        ("wape", wape(y, p)),
        ("bias", money::bias(y, p)),
        ("gini", gini(y, p)),
        ("spearman", spearman(y, p)),
        ("total_ratio", money::total_ratio(y, p)),
    ])
}

/// Whether more of a metric is better. For `bias` and `total_ratio`, whose best value lies in the middle, see [`badness`].
pub fn is_higher_better(metric: &str) -> bool {
    matches!(
        metric,
        "roc_auc" | "pr_auc" | "accuracy" | "lift_10" | "gini" | "spearman"
    )
}

/// A number that is less the better the metric: for comparing two models. Coverages are best at their level.
pub fn badness(metric: &str, value: f64) -> f64 {
    match metric {
        "bias" => value.abs(),
        "total_ratio" => (value - 1.0).abs(),
        "coverage_80" => (value - 0.8).abs(),
        "coverage_90" => (value - 0.9).abs(),
        "coverage_95" => (value - 0.95).abs(),
        _ if is_higher_better(metric) => -value,
        _ => value,
    }
}

fn named<const N: usize>(metrics: [(&str, f64); N]) -> Metrics {
    metrics.map(|(name, value)| (name.to_owned(), value)).into()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len();
    values.sum::<f64>() / n as f64
}

/// Positions in falling order of score, and the ends of its runs of equal scores.
fn falling_with_ties(score: &[f64]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_by(|&a, &b| score[b].total_cmp(&score[a]).then(a.cmp(&b)));
    let ends = (1..=order.len()).filter(|&end| end == order.len() || score[order[end]] != score[order[end - 1]]);
    let ends = ends.collect();
    (order, ends)
}
