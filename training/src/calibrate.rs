//! Fits calibrations on predictions of rows that the predictor did not fit, and chooses by log loss on rows the calibration
//! did not fit either.

mod beta;

use foretell_inference::Calibration;
use foretell_inference::calibration::{logit, sigmoid};

use crate::metrics::log_loss;
use crate::split::row_hash;
use beta::beta;

/// Isotonic maps follow the data closely; with fewer positives they follow its noise.
const MIN_POSITIVES_ISOTONIC: usize = 1000;
/// Parts of the cross-check.
const PARTS: f64 = 5.0;
/// A richer map must lower the log loss by this share.
const MIN_GAIN: f64 = 1e-3;

/// Fits a map to scores and labels.
type FitMap = fn(&[f64], &[f64]) -> Calibration;

/// The calibration that lowers the log loss most on rows it did not fit; the identity where none does.
pub fn choose(p: &[f64], y: &[f64]) -> Calibration {
    let positives = y.iter().filter(|&&it| it == 1.0).count();
    let mut fits: Vec<FitMap> = vec![platt, beta];
    if positives >= MIN_POSITIVES_ISOTONIC {
        fits.push(isotonic);
    }
    let mut best = (log_loss(y, p), Calibration::Identity);
    for fit in fits {
        let loss = log_loss(y, &cross_fitted(p, y, fit));
        if loss < best.0 * (1.0 - MIN_GAIN) {
            best = (loss, fit(p, y));
        }
    }
    best.1
}

/// Each row calibrated by a map of the same kind as `calibration` that was fitted on other rows: honest, for choosing.
pub fn held_out(p: &[f64], y: &[f64], calibration: &Calibration) -> Vec<f64> {
    match calibration {
        Calibration::Identity => p.to_vec(),
        Calibration::Platt { .. } => cross_fitted(p, y, platt),
        Calibration::Beta { .. } => cross_fitted(p, y, beta),
        Calibration::Isotonic { .. } => cross_fitted(p, y, isotonic),
    }
}

fn cross_fitted(p: &[f64], y: &[f64], fit: FitMap) -> Vec<f64> {
    let mut out = vec![0.0; p.len()];
    // Hashed, so that no rhythm in the order of rows can show.
    let part_of = |row: usize| (row_hash(row as u64) * PARTS) as usize;
    for part in 0..PARTS as usize {
        let (own, others): (Vec<usize>, Vec<usize>) = (0..p.len()).partition(|&row| part_of(row) == part);
        let (fit_p, fit_y): (Vec<f64>, Vec<f64>) = others.iter().map(|&row| (p[row], y[row])).unzip();
        let map = if others.is_empty() {
            Calibration::Identity
        } else {
            fit(&fit_p, &fit_y)
        };
        own.iter().for_each(|&row| out[row] = map.apply(p[row]));
    }
    out
}

/// Logistic regression of the label on the log-odds, by Newton's method. A weak pull towards the identity keeps the answer
/// finite where the classes are separated.
fn platt(p: &[f64], y: &[f64]) -> Calibration {
    const PULL: f64 = 1.0;
    let x: Vec<f64> = p.iter().map(|&it| logit(it)).collect();
    let (mut a, mut b) = (1.0, 0.0);
    for _ in 0..50 {
        let (mut ga, mut gb) = (PULL * (a - 1.0), PULL * b);
        let (mut haa, mut hab, mut hbb) = (PULL, 0.0, PULL);
        for (&x, &y) in x.iter().zip(y) {
            let q = sigmoid(a * x + b);
            let (error, weight) = (q - y, q * (1.0 - q));
            ga += error * x;
            gb += error;
            haa += weight * x * x;
            hab += weight * x;
            hbb += weight;
        }
        let determinant = haa * hbb - hab * hab;
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        (a, b) = (a - da, b - db);
        if da.abs() + db.abs() < 1e-10 {
            break;
        }
    }
    // A slope that is not positive would turn the order around: no calibration should.
    if a.is_finite() && b.is_finite() && a > 0.0 {
        Calibration::Platt { a, b }
    } else {
        Calibration::Identity
    }
}

/// Pool-adjacent-violators. Within a block the map rises by next to nothing, so that rows keep their order; between blocks
/// it is linear.
fn isotonic(p: &[f64], y: &[f64]) -> Calibration {
    let mut blocks: Vec<Block> = Vec::new();
    for (score, label) in sorted(p, y) {
        blocks.push(Block {
            rows: 1.0,
            labels: label,
            first: score,
            last: score,
        });
        while let [.., before, last] = blocks.as_slice() {
            if before.rate() < last.rate() && before.last < last.first {
                break;
            }
            let merged = before.joined(last);
            blocks.truncate(blocks.len() - 2);
            blocks.push(merged);
        }
    }
    // No block is certain: one more row of either class might come.
    let edge = 1.0 / (p.len() as f64 + 2.0);
    let least_gap = blocks
        .windows(2)
        .map(|it| it[1].rate() - it[0].rate())
        .fold(edge, f64::min);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for block in &blocks {
        let rate = block.rate().clamp(edge, 1.0 - edge);
        let rise = if block.first < block.last {
            1e-3 * least_gap
        } else {
            0.0
        };
        x.push(block.first);
        y.push(rate - rise);
        if block.first < block.last {
            x.push(block.last);
            y.push(rate + rise);
        }
    }
    Calibration::Isotonic { x, y }
}

#[derive(Debug, Clone, Copy)]
struct Block {
    rows: f64,
    labels: f64,
    first: f64,
    last: f64,
}

impl Block {
    fn rate(&self) -> f64 {
        self.labels / self.rows
    }

    fn joined(&self, later: &Block) -> Block {
        let (rows, labels) = (self.rows + later.rows, self.labels + later.labels);
        Block {
            rows,
            labels,
            first: self.first,
            last: later.last,
        }
    }
}

fn sorted(p: &[f64], y: &[f64]) -> Vec<(f64, f64)> {
    let mut rows: Vec<(f64, f64)> = p.iter().copied().zip(y.iter().copied()).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores `s` whose true probability is `truth(s)`, and labels drawn evenly from it.
    pub(super) fn rows(n: usize, truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        let p: Vec<f64> = (0..n).map(|it| (it as f64 + 0.5) / n as f64).collect();
        let mut carried = 0.0;
        let label = |&p: &f64| {
            carried += truth(p);
            let label = f64::from(u8::from(carried >= 1.0));
            carried -= label;
            label
        };
        let y = p.iter().map(label).collect();
        (p, y)
    }

    #[test]
    fn scores_that_are_right_are_left_alone() {
        let (p, y) = rows(4000, |it| it);
        assert_eq!(choose(&p, &y), Calibration::Identity);
    }

    #[test]
    fn overconfident_scores_are_pulled_in_by_the_true_slope() {
        let (p, y) = rows(1500, |it| sigmoid(0.5 * logit(it) - 0.3));
        let Calibration::Platt { a, b } = choose(&p, &y) else {
            panic!("750 positives are too few for another map")
        };
        assert!((a - 0.5).abs() < 0.05 && (b + 0.3).abs() < 0.05, "a={a}, b={b}");
    }

    #[test]
    fn scores_that_are_bent_at_one_end_only_get_a_beta_map() {
        let bent = |it: f64| 1.0 / (1.0 + (1.0 - it).powf(2.5) / it.powf(0.4));
        let (p, y) = rows(1500, bent);
        let map = choose(&p, &y);
        assert!(matches!(map, Calibration::Beta { .. }), "{map:?}");
        for score in [0.05, 0.3, 0.7, 0.95] {
            let (got, truth) = (map.apply(score), bent(score));
            assert!((got - truth).abs() < 0.03, "{score}: {got} is not {truth}");
        }
    }

    #[test]
    fn with_many_positives_any_rising_map_is_learned() {
        let (p, y) = rows(6000, |it| if it < 0.5 { 0.1 } else { 0.6 });
        let map = choose(&p, &y);
        assert!(matches!(map, Calibration::Isotonic { .. }), "{map:?}");
        for (score, truth) in [(0.1, 0.1), (0.4, 0.1), (0.6, 0.6), (0.9, 0.6)] {
            assert!((map.apply(score) - truth).abs() < 0.03, "{score}: {}", map.apply(score));
        }
    }

    #[test]
    fn an_isotonic_map_keeps_the_order_of_rows() {
        let (p, y) = rows(3000, |it| it * it);
        let Calibration::Isotonic { x, y } = isotonic(&p, &y) else {
            panic!("it is isotonic")
        };
        assert!(x.windows(2).all(|it| it[0] < it[1]) && y.windows(2).all(|it| it[0] < it[1]));
    }

    #[test]
    fn separated_classes_and_constant_scores_stay_finite() {
        for (p, y) in [
            (vec![0.1, 0.2, 0.8, 0.9], vec![0.0, 0.0, 1.0, 1.0]),
            (vec![0.3; 4], vec![0.0, 1.0, 0.0, 1.0]),
        ] {
            for map in [platt(&p, &y), beta(&p, &y), isotonic(&p, &y), choose(&p, &y)] {
                assert!((0.0..=1.0).contains(&map.apply(0.5)), "{map:?}");
            }
        }
    }
}
