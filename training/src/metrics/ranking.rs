//! Metrics of order: what they say does not change when scores are stretched, and equal scores share.

use super::{falling_with_ties, mean};

/// Probability that a positive row has a higher score than a negative one, ties counting half (Mann-Whitney).
/// NaN where one class is absent.
pub fn roc_auc(y: &[f64], score: &[f64]) -> f64 {
    let ranks = mid_ranks(score);
    let n_positive: f64 = y.iter().sum();
    let n_negative = y.len() as f64 - n_positive;
    let rank_sum: f64 = y.iter().zip(&ranks).map(|(y, rank)| y * rank).sum();
    (rank_sum - n_positive * (n_positive + 1.0) / 2.0) / (n_positive * n_negative)
}

/// Average precision: precision at each threshold, weighted by the recall it adds. NaN without positives.
pub fn pr_auc(y: &[f64], score: &[f64]) -> f64 {
    let (order, ends) = falling_with_ties(score);
    let total: f64 = y.iter().sum();
    let (mut from, mut found, mut area) = (0, 0.0, 0.0);
    for end in ends {
        let added: f64 = order[from..end].iter().map(|&row| y[row]).sum();
        found += added;
        area += added / total * (found / end as f64);
        from = end;
    }
    if total > 0.0 { area } else { f64::NAN }
}

/// Share of positives among the `share` of rows with the highest scores, over the share among all. Rows that tie across the
/// edge count in part.
pub fn lift(y: &[f64], score: &[f64], share: f64) -> f64 {
    let (order, ends) = falling_with_ties(score);
    let wanted = y.len() as f64 * share;
    let (mut from, mut found) = (0, 0.0);
    for end in ends {
        let run: f64 = order[from..end].iter().map(|&row| y[row]).sum();
        let part = ((wanted - from as f64) / (end - from) as f64).clamp(0.0, 1.0);
        found += run * part;
        from = end;
    }
    (found / wanted) / mean(y.iter().copied())
}

/// Normalised Gini: the area between the share of outcome gathered in falling order of score and the diagonal, over the same
/// area in falling order of outcome. 1 is the perfect order, 0 no order; tied rows share their outcomes.
pub fn gini(y: &[f64], score: &[f64]) -> f64 {
    concentration(y, score) / concentration(y, y)
}

/// Correlation of mid-ranks. NaN where either is constant.
pub fn spearman(y: &[f64], score: &[f64]) -> f64 {
    let (a, b) = (mid_ranks(y), mid_ranks(score));
    let middle = (y.len() as f64 + 1.0) / 2.0;
    let product = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(u, v)| (u - middle) * (v - middle)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Ranks from 1 in rising order; equal values share the mean of their ranks.
fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let (order, ends) = falling_with_ties(values);
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for end in ends {
        let falling_rank = (from + 1 + end) as f64 / 2.0;
        order[from..end]
            .iter()
            .for_each(|&row| ranks[row] = values.len() as f64 + 1.0 - falling_rank);
        from = end;
    }
    ranks
}

/// Area between the curve of gathered outcome and the diagonal, by trapezoids.
fn concentration(y: &[f64], score: &[f64]) -> f64 {
    let (order, ends) = falling_with_ties(score);
    let (n, total) = (y.len() as f64, y.iter().sum::<f64>());
    let (mut from, mut gathered, mut area) = (0, 0.0, 0.0);
    for end in ends {
        let run: f64 = order[from..end].iter().map(|&row| y[row]).sum();
        area += (end - from) as f64 / n * (gathered + run / 2.0) / total;
        gathered += run;
        from = end;
    }
    area - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, pair by pair.
    fn slow_auc(y: &[f64], score: &[f64]) -> f64 {
        let rows = || y.iter().zip(score);
        let pairs = rows()
            .filter(|it| *it.0 == 1.0)
            .flat_map(|a| rows().filter(|it| *it.0 == 0.0).map(move |b| (a.1, b.1)));
        let points: Vec<f64> = pairs
            .map(|(a, b)| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            })
            .collect();
        points.iter().sum::<f64>() / points.len() as f64
    }

    #[test]
    fn auc_is_the_share_of_pairs_in_the_right_order_with_ties_counting_half() {
        let y = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        for score in [
            [0.9, 0.1, 0.5, 0.5, 0.3, 0.2, 0.2],
            [1.0; 7],
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        ] {
            assert!((roc_auc(&y, &score) - slow_auc(&y, &score)).abs() < 1e-12, "{score:?}");
        }
        assert!(roc_auc(&[1.0, 1.0], &[0.1, 0.2]).is_nan(), "one class has no order");
    }

    #[test]
    fn average_precision_and_lift_share_ties() {
        let y = [1.0, 0.0, 1.0, 0.0];
        assert!((pr_auc(&y, &[0.9, 0.8, 0.7, 0.1]) - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
        assert!((pr_auc(&y, &[0.5; 4]) - 0.5).abs() < 1e-12);
        assert!((lift(&y, &[0.9, 0.8, 0.7, 0.1], 0.25) - 2.0).abs() < 1e-12);
        assert!((lift(&y, &[0.5; 4], 0.1) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn gini_and_spearman_are_1_in_perfect_order_and_minus_1_in_reverse() {
        let y = [0.0, 1.0, 5.0, 20.0];
        let reverse: Vec<f64> = y.iter().map(|it| -it).collect();
        for order in [gini, spearman] {
            assert!((order(&y, &y) - 1.0).abs() < 1e-12);
            assert!((order(&y, &reverse) + 1.0).abs() < 1e-12);
        }
        assert!(gini(&y, &[1.0; 4]).abs() < 1e-12, "no order");
        assert!(spearman(&y, &[1.0; 4]).is_nan());
        let expected = 0.8;
        assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 4.0, 3.0]) - 0.6).abs() < 1e-12);
        assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - expected).abs() < 1e-12);
    }
}
