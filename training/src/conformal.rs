//! Fits split-conformal intervals from predictions of rows that the predictor did not fit.

use std::collections::BTreeMap;

use foretell_features::FeatureMatrix;
use foretell_inference::conformal::{Said, Segment, Segments};
use foretell_inference::{Conformal, InputEncoding};

use crate::dataset::Prepared;
use crate::error::TrainError;

/// Outcomes per bin of the prediction: enough for both tails of a 95 % interval, with some to spare.
const ROWS_PER_BIN: usize = 150;
const MAX_BINS: usize = 10;

/// Rows of a segment that has intervals of its own: enough for both tails of a 95 % interval, with some to spare.
const ROWS_PER_SEGMENT: usize = 150;

/// The column that intervals are by.
#[derive(Debug, Clone)]
pub struct SegmentOf {
    input: String,
    column: usize,
    categories: Vec<String>,
}

impl SegmentOf {
    /// The input's name.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The row's value; `None` where it is missing or not in the dictionary.
    pub fn of(&self, x: &FeatureMatrix, row: usize) -> Option<&str> {
        let code = x.get(row, self.column);
        // NaN and the code of the unseen are no position.
        let known = code >= 0.0 && code < self.categories.len() as f64;
        known.then(|| self.categories[code as usize].as_str())
    }
}

/// The segments' column among the prepared inputs, where the model names one.
///
/// # Errors
/// It is no input, or no category.
pub fn segments(model: &str, named: Option<&str>, prepared: &Prepared) -> Result<Option<SegmentOf>, TrainError> {
    let Some(named) = named else { return Ok(None) };
    let mut inputs = prepared.inputs.iter().zip(&prepared.encoder.inputs).enumerate();
    let found = inputs.find_map(|(column, (input, encoding))| match encoding {
        InputEncoding::Category { categories } if input.name == named => Some(SegmentOf {
            input: named.to_owned(),
            column,
            categories: categories.clone(),
        }),
        _ => None,
    });
    found.map(Some).ok_or_else(|| TrainError::Request {
        model: model.to_owned(),
        reason: format!(
            "intervals_by = \"{named}\" in [training] is not an input of texts; name a feature that is one"
        ),
    })
}

/// The same with scores of their own for the segments that have enough rows; the others have those of all rows.
pub fn by_segment(conformal: Conformal, input: &str, p: &[f64], y: &[f64], segments: &[Option<&str>]) -> Conformal {
    let mut scores: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for ((&p, &y), segment) in p.iter().zip(y).zip(segments) {
        if let Some(segment) = segment {
            scores
                .entry(segment)
                .or_default()
                .push(conformal.score(Said::value(p), y));
        }
    }
    let enough = scores.into_iter().filter(|it| it.1.len() >= ROWS_PER_SEGMENT);
    let of = enough.map(|(value, mut scores)| {
        scores.sort_by(f64::total_cmp);
        Segment {
            value: value.to_owned(),
            scores,
        }
    });
    Conformal {
        segments: Some(Segments {
            input: input.to_owned(),
            of: of.collect(),
        }),
        ..conformal
    }
}

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
    fn a_segment_with_enough_rows_keeps_its_promise_alone() {
        // Errors of the calm are ten times smaller than those of the wild; the few are wild too, but too few.
        let draw = |n: usize, seed: u64| -> (Vec<f64>, Vec<f64>, Vec<Option<&str>>) {
            let (noise, _) = money(n, seed);
            let of = |row: usize| match row % 20 {
                0..10 => Some("calm"),
                10..19 => Some("wild"),
                _ if row < 400 => Some("few"),
                _ => None,
            };
            let spread = |row: usize| if of(row) == Some("calm") { 0.1 } else { 1.0 };
            let y = noise
                .iter()
                .enumerate()
                .map(|(row, it)| 50.0 + spread(row) * (it.ln() - 3.4))
                .collect();
            (vec![50.0; n], y, (0..n).map(of).collect())
        };
        let (p, y, segments) = draw(4000, 1);
        let conformal = by_segment(fit(&p, &y, None), "kind", &p, &y, &segments);
        let own: Vec<&str> = conformal
            .segments
            .as_ref()
            .unwrap()
            .of
            .iter()
            .map(|it| it.value.as_str())
            .collect();
        assert_eq!(own, ["calm", "wild"]);
        let (p, y, segments) = draw(4000, 2);
        for segment in ["calm", "wild"] {
            let rows: Vec<usize> = (0..p.len()).filter(|&it| segments[it] == Some(segment)).collect();
            let covered = |own: bool| {
                let by = own.then_some(segment);
                let intervals: Vec<_> = rows
                    .iter()
                    .map(|&it| conformal.interval_of(Said::value(p[it]), by, 0.9))
                    .collect();
                let outcomes: Vec<f64> = rows.iter().map(|&it| y[it]).collect();
                coverage(&outcomes, &intervals)
            };
            assert!((covered(true) - 0.9).abs() < 0.03, "{segment}: {}", covered(true));
            assert!(
                (covered(false) - 0.9).abs() > 0.04,
                "{segment} by all: {}",
                covered(false)
            );
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
