//! The rounds: derivatives, a tree, new scores, and when to stop.

use foretell_inference::{Tree, TreeEnsemble};
use rayon::prelude::*;

use crate::bins::{self, BinnedMatrix, ColumnBins};
use crate::chance;
use crate::data::{BoostData, check_length};
use crate::error::BoostError;
use crate::grow::{Ground, Grown, GrownNode, Rows};
use crate::histogram::{self, Layout, Quanta};
use crate::loss::LeafRows;
use crate::parameters::{Monotone, Parameters};
use crate::split::Judge;

use foretell_features::ColumnKind;

/// Rows that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Rounds in a row without any split after which no more will come.
const BARREN_ROUNDS: usize = 10;

/// Not fitted yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Booster {
    /// How to fit.
    pub parameters: Parameters,
}

/// What fitting gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The trees up to the best round.
    pub ensemble: TreeEnsemble,
    /// Number of trees with the least validation loss; all of them without validation rows.
    pub best_iteration: usize,
    /// Mean validation loss after each round; empty without validation rows.
    pub history: Vec<f64>,
}

impl Booster {
    /// A booster with the given parameters.
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters }
    }

    /// Fits trees to `train`. With `valid`, its loss decides when to stop and how many trees are kept. `progress` hears the
    /// round (from 1) and its validation loss (NaN without validation rows).
    ///
    /// The result depends on the arguments alone: not on the number of threads, nor on the clock.
    ///
    /// # Errors
    /// Data whose parts do not fit together, labels, weights or offsets that the loss cannot use, no rows, too many rows, or
    /// a constraint on a column of categories.
    pub fn fit(
        &self,
        train: &BoostData,
        valid: Option<&BoostData>,
        seed: u64,
        progress: &mut dyn FnMut(usize, f64),
    ) -> Result<Fitted, BoostError> {
        self.check(train, valid)?;
        let parameters = self.parameters.for_rows(train.n_rows());
        let mut fit = Fit::new(&parameters, *train, seed);
        let mut watch = valid.map(|valid| Watch::new(&fit, *valid));
        let mut barren = 0;
        for round in 1..=self.parameters.rounds {
            let grown = fit.round(round as u64);
            barren = if grown.0.nodes.len() > 1 { 0 } else { barren + 1 };
            let loss = watch.as_mut().map_or(f64::NAN, |it| it.after(&fit, &grown));
            progress(round, loss);
            let patient = watch
                .as_ref()
                .is_none_or(|it| round - it.best < self.parameters.patience);
            if !patient || barren == BARREN_ROUNDS {
                break;
            }
        }
        let (best_iteration, history) = watch.map_or((fit.trees.len(), Vec::new()), |it| (it.best, it.history));
        fit.trees.truncate(best_iteration);
        let ensemble = TreeEnsemble::new(train.x.n_columns(), fit.base, self.parameters.loss.link(), fit.trees)
            .expect("grown trees are trees");
        Ok(Fitted {
            ensemble,
            best_iteration,
            history,
        })
    }

    fn check(&self, train: &BoostData, valid: Option<&BoostData>) -> Result<(), BoostError> {
        let columns = train.x.n_columns();
        self.parameters.check()?;
        train.check()?;
        if train.n_rows() > histogram::MAX_ROWS {
            return Err(BoostError::TooManyRows {
                max: histogram::MAX_ROWS,
                got: train.n_rows(),
            });
        }
        self.parameters.loss.check(train)?;
        if let Some(valid) = valid {
            valid.check()?;
            check_length("validation data", "column", columns, valid.x.n_columns())?;
            self.parameters.loss.check_labels(valid)?;
        }
        self.check_monotone(train.kinds)
    }

    fn check_monotone(&self, kinds: &[ColumnKind]) -> Result<(), BoostError> {
        let monotone = &self.parameters.monotone;
        if !monotone.is_empty() {
            check_length("monotone", "column", kinds.len(), monotone.len())?;
        }
        let wrong =
            |(kind, monotone): (&ColumnKind, &Monotone)| *kind != ColumnKind::Numeric && *monotone != Monotone::Free;
        match kinds.iter().zip(monotone).position(wrong) {
            Some(column) => Err(BoostError::MonotoneCategory { column }),
            None => Ok(()),
        }
    }
}

/// A fit under way.
struct Fit<'a> {
    parameters: &'a Parameters,
    data: BoostData<'a>,
    seed: u64,
    bins: Vec<ColumnBins>,
    binned: BinnedMatrix,
    /// Columns with anything to split.
    columns: Vec<usize>,
    /// Rows with weight.
    rows: Vec<u32>,
    base: f64,
    scores: Vec<f64>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// The rows that the tree under way sees.
    drawn: Rows,
    /// The rows with weight that it does not see.
    left_out: Vec<u32>,
    trees: Vec<Tree>,
}

impl<'a> Fit<'a> {
    fn new(parameters: &'a Parameters, data: BoostData<'a>, seed: u64) -> Self {
        let n_rows = data.n_rows();
        let bins = bins::choose(data.x, data.kinds, |row| data.weight(row), parameters.max_bins, seed);
        let binned = BinnedMatrix::new(&bins, data.x);
        let varied = |column: &usize| {
            let bins = &binned.columns[*column];
            bins.iter().any(|it| *it != bins[0])
        };
        let columns = (0..bins.len()).filter(varied).collect();
        let base = parameters.loss.base(&data);
        Self {
            columns,
            rows: data.weighted_rows(),
            base,
            scores: (0..n_rows).map(|row| base + data.offset(row)).collect(),
            first: vec![0.0; n_rows],
            second: vec![0.0; n_rows],
            drawn: Rows::default(),
            left_out: Vec::new(),
            trees: Vec::new(),
            parameters,
            data,
            seed,
            bins,
            binned,
        }
    }

    /// Adds a tree. Returns it in bins, with the value of each node.
    fn round(&mut self, round: u64) -> (Grown, Vec<f64>) {
        self.parameters
            .loss
            .fill_derivatives(&self.data, &self.scores, &mut self.first, &mut self.second);
        self.draw_rows(round);
        let layout = Layout::new(self.draw_columns(round), &self.bins);
        let judge = self.judge();
        self.fill_gradients(&judge.quanta);
        let ground = Ground {
            bins: &self.bins,
            binned: &self.binned,
            layout: &layout,
            judge: &judge,
        };
        let grown = ground.grow(&mut self.drawn);
        let leaves = self.leaves(&grown, &judge);
        self.trees.push(grown.tree(&self.bins, &leaves));
        let values: Vec<f64> = leaves.into_iter().map(|it| it.0).collect();
        self.advance(&grown, &values);
        (grown, values)
    }

    fn draw_rows(&mut self, round: u64) {
        let share = self.parameters.row_fraction;
        let drawn = |row: u32| share >= 1.0 || chance::fraction(self.seed, 2 * round, u64::from(row)) < share;
        self.drawn.rows.clear();
        self.left_out.clear();
        for &row in &self.rows {
            let side = if drawn(row) {
                &mut self.drawn.rows
            } else {
                &mut self.left_out
            };
            side.push(row);
        }
        if self.drawn.rows.is_empty() {
            std::mem::swap(&mut self.drawn.rows, &mut self.left_out);
        }
    }

    fn draw_columns(&self, round: u64) -> Vec<usize> {
        let count = (self.parameters.column_fraction * self.columns.len() as f64).ceil() as usize;
        chance::draw(self.seed, 2 * round + 1, &self.columns, count)
    }

    fn judge(&self) -> Judge<'a> {
        let rows = &self.drawn.rows;
        let greatest = |values: &[f32]| values.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
        let sum = |value: &dyn Fn(usize) -> f64| rows.iter().map(|&row| value(row as usize)).sum::<f64>();
        let second = sum(&|row| f64::from(self.second[row]));
        let weight = sum(&|row| self.data.weight(row));
        Judge {
            parameters: self.parameters,
            quanta: Quanta::new(rows.len(), greatest(&self.first).into(), greatest(&self.second).into()),
            row: second / weight,
        }
    }

    fn fill_gradients(&mut self, quanta: &Quanta) {
        let gradient = |&row: &u32| quanta.gradient(self.first[row as usize], self.second[row as usize]);
        let rows = self.drawn.rows.par_iter().with_min_len(CHUNK);
        rows.map(gradient).collect_into_vec(&mut self.drawn.gradients);
    }

    /// Value and cover of every leaf, by node; zeros for inner nodes. Sums run over a leaf's rows in order, in full precision:
    /// the quanta decide where to split, never what a leaf says.
    fn leaves(&self, grown: &Grown, judge: &Judge) -> Vec<(f64, f64)> {
        let leaf = |node: &GrownNode| {
            let GrownNode::Leaf { start, end, bounds } = node else {
                return (0.0, 0.0);
            };
            let rows = &self.drawn.rows[*start..*end];
            let rows_of = LeafRows {
                data: &self.data,
                rows,
                scores: &self.scores,
                first: &self.first,
                second: &self.second,
            };
            let value = self
                .parameters
                .loss
                .leaf_value(&rows_of, |first, second| judge.value(first, second, 0.0, bounds));
            let cover = rows.iter().map(|&row| self.data.weight(row as usize)).sum();
            (bounds.clamp(value) * self.parameters.learning_rate, cover)
        };
        grown.nodes.par_iter().map(leaf).collect()
    }

    /// Adds the tree to the scores: by leaf, and by walking for rows that the tree has not seen.
    fn advance(&mut self, grown: &Grown, values: &[f64]) {
        for (node, value) in grown.nodes.iter().zip(values) {
            if let GrownNode::Leaf { start, end, .. } = node {
                self.drawn.rows[*start..*end]
                    .iter()
                    .for_each(|&row| self.scores[row as usize] += value);
            }
        }
        let walked = |&row: &u32| values[grown.leaf_of(&self.binned, row as usize)];
        let walked: Vec<f64> = self.left_out.par_iter().with_min_len(CHUNK).map(walked).collect();
        self.left_out
            .iter()
            .zip(walked)
            .for_each(|(&row, value)| self.scores[row as usize] += value);
    }
}

/// Validation rows, watched round by round.
struct Watch<'a> {
    data: BoostData<'a>,
    binned: BinnedMatrix,
    scores: Vec<f64>,
    best: usize,
    best_loss: f64,
    history: Vec<f64>,
}

impl<'a> Watch<'a> {
    fn new(fit: &Fit, data: BoostData<'a>) -> Self {
        let scores: Vec<f64> = (0..data.n_rows()).map(|row| fit.base + data.offset(row)).collect();
        Self {
            binned: BinnedMatrix::new(&fit.bins, data.x),
            best: 0,
            best_loss: fit.parameters.loss.mean(&data, &scores),
            history: Vec::new(),
            data,
            scores,
        }
    }

    fn after(&mut self, fit: &Fit, (grown, values): &(Grown, Vec<f64>)) -> f64 {
        let walked = |(row, score): (usize, &mut f64)| *score += values[grown.leaf_of(&self.binned, row)];
        self.scores
            .par_iter_mut()
            .enumerate()
            .with_min_len(CHUNK)
            .for_each(walked);
        let loss = fit.parameters.loss.mean(&self.data, &self.scores);
        self.history.push(loss);
        if loss < self.best_loss {
            (self.best, self.best_loss) = (self.history.len(), loss);
        }
        loss
    }
}
