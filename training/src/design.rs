//! The matrix of a linear model: standardised quantities, one column per category, one per "missing", and the way back from
//! its weights to one term per input.

use foretell_features::ColumnKind;
use foretell_inference::{Linear, LinearTerm, Link};

use crate::dataset::Dataset;

/// Scaled values beyond this are clipped.
const CLIP: f64 = 5.0;
/// Categories in fewer rows share the weight of the average row.
const MIN_ROWS: usize = 10;

/// How encoded rows become design rows; fitted on training rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    blocks: Vec<Block>,
    width: usize,
}

/// The design columns of one input.
#[derive(Debug, Clone, PartialEq)]
enum Block {
    Numeric {
        mean: f64,
        scale: f64,
        /// Share of rows where it is missing; they have an own column where this is not 0.
        missing: f64,
        /// Mean of the scaled and clipped value over the rows that have it.
        expected: f64,
    },
    Category {
        /// By code, "other" last: the column, where the code has one.
        column: Vec<Option<usize>>,
        missing: Option<usize>,
        /// Share of rows by column.
        shares: Vec<f64>,
    },
}

impl Design {
    /// Looks at the rows, not at their labels.
    pub fn fit(data: &Dataset) -> Self {
        let block = |(column, kind): (usize, &ColumnKind)| {
            let values = data.x.column(column);
            match kind {
                ColumnKind::Numeric => Block::numeric(&values),
                ColumnKind::Category { cardinality } => Block::category(&values, *cardinality),
            }
        };
        let blocks: Vec<Block> = data.kinds.iter().enumerate().map(block).collect();
        let width = blocks.iter().map(Block::width).sum();
        Self { blocks, width }
    }

    /// Number of design columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Appends the design row of an encoded row.
    pub fn push_row(&self, row: &[f64], out: &mut Vec<f64>) {
        for (block, &value) in self.blocks.iter().zip(row) {
            block.push(value, out);
        }
    }

    /// The predictor over encoded rows that gives what the weights give over design rows.
    pub fn linear(&self, intercept: f64, weights: &[f64], link: Link) -> Linear {
        let mut rest = weights;
        let (mut terms, mut expected) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let (own, others) = rest.split_at(block.width());
            let (term, mean) = block.term(own);
            terms.push(term);
            expected.push(mean);
            rest = others;
        }
        Linear {
            intercept,
            link,
            terms,
            expected,
        }
    }
}

impl Block {
    fn numeric(values: &[f64]) -> Self {
        let known: Vec<f64> = values.iter().copied().filter(|it| !it.is_nan()).collect();
        let n = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / n;
        let variance = known.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n;
        let scale = if variance > 0.0 && variance.is_finite() {
            variance.sqrt()
        } else {
            1.0
        };
        let mean = if mean.is_finite() { mean } else { 0.0 };
        let expected = known.iter().map(|it| scaled(*it, mean, scale)).sum::<f64>() / n;
        let missing = (values.len() - known.len()) as f64 / values.len().max(1) as f64;
        Block::Numeric {
            mean,
            scale,
            missing,
            expected,
        }
    }

    fn category(values: &[f64], cardinality: u32) -> Self {
        let mut counts = vec![0_usize; cardinality as usize + 1];
        let mut missing = 0;
        for value in values {
            match value.is_nan() {
                true => missing += 1,
                false => counts[(*value as usize).min(cardinality as usize)] += 1,
            }
        }
        let mut shares = Vec::new();
        let mut own = |count: usize| {
            (count >= MIN_ROWS).then(|| {
                shares.push(count as f64 / values.len() as f64);
                shares.len() - 1
            })
        };
        let column = counts.into_iter().map(&mut own).collect();
        let missing = own(missing);
        Block::Category {
            column,
            missing,
            shares,
        }
    }

    fn width(&self) -> usize {
        match self {
            Block::Numeric { missing, .. } => 1 + usize::from(*missing > 0.0),
            Block::Category { shares, .. } => shares.len(),
        }
    }

    fn push(&self, value: f64, out: &mut Vec<f64>) {
        match self {
            Block::Numeric {
                mean,
                scale,
                missing,
                expected,
            } => {
                let is_missing = value.is_nan();
                out.push(if is_missing {
                    *expected
                } else {
                    scaled(value, *mean, *scale)
                });
                out.extend((*missing > 0.0).then_some(f64::from(u8::from(is_missing))));
            }
            Block::Category {
                column,
                missing,
                shares,
            } => {
                let start = out.len();
                // A code without an own column is an average row, so that its weight is the mean of the others.
                let own = if value.is_nan() {
                    *missing
                } else {
                    column[(value as usize).min(column.len() - 1)]
                };
                match own {
                    Some(own) => {
                        out.resize(start + shares.len(), 0.0);
                        out[start + own] = 1.0;
                    }
                    None => out.extend_from_slice(shares),
                }
            }
        }
    }

    /// The term with these weights, and its mean over the training rows.
    fn term(&self, weights: &[f64]) -> (LinearTerm, f64) {
        match self {
            Block::Numeric {
                mean,
                scale,
                missing,
                expected,
            } => {
                let weight = weights[0];
                let at_missing = weight * expected + weights.get(1).copied().unwrap_or(0.0);
                let term = LinearTerm::Numeric {
                    mean: *mean,
                    scale: *scale,
                    clip: CLIP,
                    weight,
                    missing: at_missing,
                };
                (term, weight * expected * (1.0 - missing) + at_missing * missing)
            }
            Block::Category {
                column,
                missing,
                shares,
            } => {
                let average: f64 = shares.iter().zip(weights).map(|(share, weight)| share * weight).sum();
                let weight = |own: &Option<usize>| own.map_or(average, |it| weights[it]);
                let term = LinearTerm::Category {
                    weights: column.iter().map(weight).collect(),
                    missing: weight(missing),
                };
                // Rows without an own column add the average once more for their share.
                let rest = 1.0 - shares.iter().sum::<f64>();
                (term, average + rest * average)
            }
        }
    }
}

fn scaled(value: f64, mean: f64, scale: f64) -> f64 {
    ((value - mean) / scale).clamp(-CLIP, CLIP)
}

#[cfg(test)]
mod tests {
    use foretell_features::FeatureMatrix;
    use foretell_inference::Predictor;

    use super::*;

    fn data() -> Dataset {
        let rows = (0..60).flat_map(|it| {
            let quantity = if it % 7 == 0 { f64::NAN } else { f64::from(it * it) };
            let code = match it % 11 {
                0 => f64::NAN,
                10 => 2.0,
                other => f64::from(other % 2),
            };
            [quantity, code]
        });
        let x = FeatureMatrix::from_rows(2, rows.collect());
        let kinds = [ColumnKind::Numeric, ColumnKind::Category { cardinality: 2 }];
        Dataset {
            x,
            kinds: kinds.into(),
            y: vec![0.0; 60],
        }
    }

    #[test]
    fn the_predictor_gives_what_the_weights_give_over_design_rows() {
        let (data, design) = (data(), Design::fit(&data()));
        let weights: Vec<f64> = (0..design.width()).map(|it| 0.3 * it as f64 - 0.5).collect();
        let linear = design.linear(0.25, &weights, Link::Identity);
        let got = linear.predict(&data.x).unwrap();
        for (row, got) in data.x.rows().zip(&got) {
            let mut expected = Vec::new();
            design.push_row(row, &mut expected);
            let expected = 0.25 + expected.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>();
            assert!((got - expected).abs() < 1e-12, "{row:?}: {got} is not {expected}");
        }
        let mean = got.iter().sum::<f64>() / got.len() as f64;
        let base = linear.contributions(&data.x, 0, 0).unwrap()[2];
        assert!(
            (mean - base).abs() < 1e-9,
            "the expected value is the mean score: {mean}, {base}"
        );
    }

    #[test]
    fn rare_categories_have_no_column_of_their_own() {
        let design = Design::fit(&data());
        assert_eq!(
            design.width(),
            2 + 2,
            "quantity, its missing, two frequent codes; 5 others and 6 missing are rare"
        );
    }
}
