//! The features of boosted forecasts as tensors, in the order of [`LagLayout::columns`]; `forecast::lag_features` says what each
//! one is. A mean over past values is a product with a matrix of zeros and ones.

use super::super::graph::{Attribute, Graph, Tensor};
use super::super::proto::ElementType;
use super::calendar;
use super::forecast::Series;
use super::sums;
use crate::forecast::LagLayout;
use crate::tree::Form;

/// See `forecast::lag_features::blocks`.
const PHASES: [usize; 4] = [4, 8, 13, 52];
const NEAR: usize = 14;
/// See `forecast::lag_features::past`.
const SHIFT: f64 = 2.0;

/// The last values of each series, and which of them count.
#[derive(Debug)]
pub(super) struct Past {
    memory: usize,
    horizon: usize,
    /// `[n, memory]`, NaN where missing.
    values: Tensor,
    /// The same with 0 for what does not count.
    counted: Tensor,
    /// 1 where a value counts.
    counts: Tensor,
    /// 1 where a value is 0, 1 where one is present.
    zeros: Tensor,
    present: Tensor,
    /// `[n, 1]`
    scale: Tensor,
}

impl Past {
    pub(super) fn new(graph: &mut Graph, layout: &LagLayout, series: &Series) -> Self {
        // What lies further back is not looked at.
        let memory = layout.memory().min(series.memory);
        let places: Vec<i64> = (series.memory - memory..series.memory).map(|it| it as i64).collect();
        let values = graph.pick(&series.recent, 1, &places);
        let [zero, one] = [0.0, 1.0].map(|it| graph.number(it));
        let is_missing = graph.is_nan(&values);
        let is_zero = graph.op("Equal", &[&values, &zero]);
        let present = graph.choose(&is_missing, &zero, &one);
        let zeros = graph.choose(&is_zero, &one, &zero);
        let counts = if layout.skip_zeros {
            graph.sub(&present, &zeros)
        } else {
            present.clone()
        };
        let does_count = graph.op("Equal", &[&counts, &one]);
        let counted = graph.choose(&does_count, &values, &zero);
        let mut past = Self {
            memory,
            horizon: series.horizon,
            scale: zero,
            values,
            counted,
            counts,
            zeros,
            present,
        };
        past.scale = past.size(graph, layout.scale_window, 4 * layout.seasons.base());
        past
    }

    /// The recent size of each series, `[n, 1]`.
    pub(super) fn scale(&self) -> &Tensor {
        &self.scale
    }

    fn size(&self, graph: &mut Graph, window: usize, recent: usize) -> Tensor {
        let sizes = graph.op("Abs", &[&self.counted]);
        let windows = [(1..=window.max(recent)).collect(), (1..=recent).collect()];
        let means = self.shares(graph, &sizes, &self.counts, &windows);
        let (long, short) = (graph.pick(&means, 1, &[0]), graph.pick(&means, 1, &[1]));
        let [zero, one, low, high] = [0.0, 1.0, 1.0 / SHIFT, SHIFT].map(|it| graph.number(it));
        let ratio = graph.div(&short, &long);
        let below = graph.op("Less", &[&ratio, &low]);
        let above = graph.op("Greater", &[&ratio, &high]);
        let is_other = graph.op("Or", &[&below, &above]);
        let is_there = graph.op("Greater", &[&short, &zero]);
        let has_shifted = graph.op("And", &[&is_other, &is_there]);
        let size = graph.choose(&has_shifted, &short, &long);
        let is_positive = graph.op("Greater", &[&size, &zero]);
        graph.choose(&is_positive, &size, &one)
    }

    /// Means of the values that count, one column per list of steps back (1 is the last value).
    fn means(&self, graph: &mut Graph, backs: &[Vec<usize>]) -> Tensor {
        self.shares(graph, &self.counted, &self.counts, backs)
    }

    /// The same in units of the scale.
    fn sized_means(&self, graph: &mut Graph, backs: &[Vec<usize>]) -> Tensor {
        let means = self.means(graph, backs);
        graph.div(&means, &self.scale)
    }

    fn zero_shares(&self, graph: &mut Graph, backs: &[Vec<usize>]) -> Tensor {
        self.shares(graph, &self.zeros, &self.present, backs)
    }

    /// Sums of `of` over sums of `counts`, NaN of nothing.
    fn shares(&self, graph: &mut Graph, of: &Tensor, counts: &Tensor, backs: &[Vec<usize>]) -> Tensor {
        let n = backs.len();
        let mut chosen = vec![0.0; self.memory * n];
        for (column, backs) in backs.iter().enumerate() {
            for back in backs.iter().filter(|it| (1..=self.memory).contains(*it)) {
                chosen[(self.memory - back) * n + column] = 1.0;
            }
        }
        let chosen = graph.numbers(&[self.memory, n], &chosen);
        let sums = graph.op("MatMul", &[of, &chosen]);
        let counts = graph.op("MatMul", &[counts, &chosen]);
        graph.div(&sums, &counts)
    }

    /// The values at these steps back, in units of the scale; NaN where there is none.
    fn sized_values(&self, graph: &mut Graph, backs: &[usize]) -> Tensor {
        let places: Vec<i64> = backs.iter().map(|it| self.memory.saturating_sub(*it) as i64).collect();
        let found = graph.pick(&self.values, 1, &places);
        let known: Vec<f64> = backs
            .iter()
            .map(|it| if *it <= self.memory { 0.0 } else { f64::NAN })
            .collect();
        let known = graph.numbers(&[1, backs.len()], &known);
        let found = graph.add(&found, &known);
        graph.div(&found, &self.scale)
    }
}

/// What the trees say of each step, `[n, horizon]`.
pub(super) fn ratios(
    graph: &mut Graph,
    layout: &LagLayout,
    past: &Past,
    known: &[Tensor],
    statics: &[Tensor],
    last_time: &Tensor,
    form: &Form,
) -> Tensor {
    let mut blocks = vec![
        step_numbers(graph, past),
        common(graph, layout, past),
        phases(graph, layout, past),
    ];
    blocks.extend(yearly(graph, layout, past));
    blocks.push(calendar::columns(graph, layout, last_time, past.horizon));
    blocks.extend(covariates(graph, layout, past, known));
    if !statics.is_empty() {
        let row = graph.join(&statics.iter().collect::<Vec<_>>());
        blocks.push(for_each_step(graph, &row, past.horizon));
    }
    let matrix = graph.join_on(2, &blocks.iter().collect::<Vec<_>>());
    let rows = graph.shaped(&matrix, &[-1, layout.columns().len() as i64]);
    let sums = sums::trees_of_matrix(graph, form, &rows);
    graph.shaped(&sums, &[-1, past.horizon as i64])
}

/// `[n, horizon, 1]`: 1, 2, ..
fn step_numbers(graph: &mut Graph, past: &Past) -> Tensor {
    let steps: Vec<f64> = (1..=past.horizon).map(|it| it as f64).collect();
    let steps = graph.numbers(&[1, past.horizon], &steps);
    let nothing = graph.sub(&past.scale, &past.scale);
    let steps = graph.add(&steps, &nothing);
    graph.opened(&steps, 2)
}

/// Rows of `[n, k]`, the same for each step: `[n, horizon, k]`.
fn for_each_step(graph: &mut Graph, row: &Tensor, horizon: usize) -> Tensor {
    let row = graph.opened(row, 1);
    graph.pick(&row, 1, &vec![0; horizon])
}

fn window(from: usize, to: usize) -> Vec<usize> {
    (from..=to).collect()
}

fn common(graph: &mut Graph, layout: &LagLayout, past: &Past) -> Tensor {
    let base = layout.seasons.base();
    let month = window(1, 4 * base);
    let mut windows = vec![
        window(1, base),
        month.clone(),
        window(1, 13 * base),
        window(1, 52 * base),
    ];
    let last = past.sized_values(graph, &[1]);
    let levels = past.sized_means(graph, &windows);
    let variation = variation(graph, past, &month);
    let zeros = past.zero_shares(graph, &[month]);
    // Month over what was before it, month over quarter, and both over the same time of years before.
    windows.push(window(4 * base + 1, 8 * base));
    let (mut upper, mut lower) = (vec![1, 1], vec![4, 2]);
    for year in 1..=layout.years {
        let back = year * long_back(layout, 1);
        upper.extend([1, 2]);
        lower.extend([windows.len() as i64, windows.len() as i64 + 1]);
        windows.extend([window(back + 1, back + 4 * base), window(back + 1, back + 13 * base)]);
    }
    let means = past.means(graph, &windows);
    let (upper, lower) = (graph.pick(&means, 1, &upper), graph.pick(&means, 1, &lower));
    let moves = graph.div(&upper, &lower);
    let row = graph.join(&[&last, &levels, &variation, &zeros, &moves]);
    for_each_step(graph, &row, past.horizon)
}

/// Steps back, in whole long seasons, to a value that is known for the step.
fn long_back(layout: &LagLayout, step: usize) -> usize {
    layout.seasons.long.map_or(0, |long| long * step.div_ceil(long))
}

/// Standard deviation over mean.
fn variation(graph: &mut Graph, past: &Past, backs: &[usize]) -> Tensor {
    let backs = [backs.to_vec()];
    let centre = past.means(graph, &backs);
    let off = graph.sub(&past.counted, &centre);
    let squares = graph.mul(&off, &off);
    let squares = {
        let zero = graph.number(0.0);
        let does_count = graph.op("Greater", &[&past.counts, &zero]);
        graph.choose(&does_count, &squares, &zero)
    };
    let mean = past.shares(graph, &squares, &past.counts, &backs);
    let deviation = graph.op("Sqrt", &[&mean]);
    graph.div(&deviation, &centre)
}

/// Means of the step's phase over several reaches, and how often it was 0: `[n, horizon, 5]`.
fn phases(graph: &mut Graph, layout: &LagLayout, past: &Past) -> Tensor {
    let short = layout.seasons.short;
    let every = |phase: usize, n: usize| -> Vec<usize> { (0..n).map(|it| short - phase + it * short).collect() };
    // Column by column: each reach for all phases.
    let reaches: Vec<Vec<usize>> = PHASES
        .iter()
        .flat_map(|&n| (0..short).map(move |it| (it, n)))
        .map(|(p, n)| every(p, n))
        .collect();
    let zeros: Vec<Vec<usize>> = (0..short).map(|phase| every(phase, 8)).collect();
    let means = past.sized_means(graph, &reaches);
    let zeros = past.zero_shares(graph, &zeros);
    let all = graph.join(&[&means, &zeros]);
    let by_phase = graph.shaped(&all, &[-1, PHASES.len() as i64 + 1, short as i64]);
    let by_phase = graph.op_with("Transpose", &[&by_phase], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    let phase_of: Vec<i64> = (0..past.horizon).map(|it| (it % short) as i64).collect();
    graph.pick(&by_phase, 1, &phase_of)
}

/// By year, the same phase of the long season: `[n, horizon, 5]` each.
fn yearly(graph: &mut Graph, layout: &LagLayout, past: &Past) -> Vec<Tensor> {
    let base = layout.seasons.base();
    let mut years = Vec::new();
    for year in 1..=layout.years {
        let season = |step: usize| year * long_back(layout, step);
        let steps = || 1..=past.horizon;
        let backs: Vec<usize> = steps().map(|step| season(step) + 1 - step).collect();
        let around = |reach: usize| -> Vec<Vec<usize>> {
            let window = |back: &usize| window(back.saturating_sub(reach).max(1), back + reach);
            backs.iter().map(window).collect()
        };
        let before: Vec<Vec<usize>> = steps()
            .map(|it| window(season(it) + 1, season(it) + 4 * base))
            .collect();
        let value = past.sized_values(graph, &backs);
        let near = past.means(graph, &around(base / 2));
        let wide = past.means(graph, &around(base));
        let before = past.means(graph, &before);
        let columns = [
            value,
            graph.div(&near, &past.scale),
            graph.div(&wide, &past.scale),
            graph.div(&near, &before),
            graph.div(&wide, &before),
        ];
        years.push(side_by_side(graph, &columns));
    }
    years
}

/// `[n, horizon]` each to `[n, horizon, k]`.
pub(super) fn side_by_side(graph: &mut Graph, columns: &[Tensor]) -> Tensor {
    let opened: Vec<Tensor> = columns.iter().map(|it| graph.opened(it, 2)).collect();
    graph.join_on(2, &opened.iter().collect::<Vec<_>>())
}

/// A covariate over time: past steps, then steps ahead, then as many missing ones as are looked at beyond.
#[derive(Debug)]
struct Line {
    /// `[n, past + horizon + NEAR]`
    line: Tensor,
    past: usize,
}

impl Line {
    fn new(graph: &mut Graph, covariate: &Tensor, past: usize) -> Self {
        let first = graph.pick(covariate, 1, &[0; NEAR]);
        let missing = graph.number(f64::NAN);
        let beyond = graph.mul(&first, &missing);
        Self {
            line: graph.join(&[covariate, &beyond]),
            past,
        }
    }

    /// The place of a step, counted from 1; step 0 is the last one of the past.
    fn place(&self, step: i64) -> i64 {
        self.past as i64 + step - 1
    }

    /// At each step ahead, moved by `by`.
    fn at(&self, graph: &mut Graph, horizon: usize, by: i64) -> Tensor {
        let places: Vec<i64> = (1..=horizon as i64).map(|step| self.place(step + by)).collect();
        graph.pick(&self.line, 1, &places)
    }

    /// Steps to the nearest unusual value before or after, NaN where none is near.
    fn nearest(&self, graph: &mut Graph, horizon: usize, usual: f64, direction: i64) -> Tensor {
        let reach = NEAR as i64 + 1;
        let places: Vec<i64> = (1..=horizon as i64)
            .flat_map(|step| (0..reach).map(move |distance| step + direction * distance))
            .map(|step| self.place(step).max(0))
            .collect();
        let index = graph.ints(&[horizon, reach as usize], &places);
        let found = graph.op_with("Gather", &[&self.line, &index], &[("axis", Attribute::Int(1))]);
        let distances: Vec<f64> = (0..reach).map(|it| it as f64).collect();
        let (distances, far) = (
            graph.numbers(&[1, 1, reach as usize], &distances),
            graph.number(reach as f64),
        );
        let (usual, missing) = (graph.number(usual), graph.number(f64::NAN));
        let is_usual = graph.op("Equal", &[&found, &usual]);
        let is_missing = graph.is_nan(&found);
        let passes = graph.op("Or", &[&is_usual, &is_missing]);
        let distance = graph.choose(&passes, &far, &distances);
        let nearest = graph.reduced("ReduceMin", &distance, 2, false);
        let is_far = graph.op("Equal", &[&nearest, &far]);
        graph.choose(&is_far, &missing, &nearest)
    }

    /// Whether each past step had what each step ahead has, `[n, horizon, past]`.
    fn alike(&self, graph: &mut Graph, horizon: usize) -> Tensor {
        let ahead = self.at(graph, horizon, 0);
        let ahead = graph.opened(&ahead, 2);
        let places: Vec<i64> = (0..self.past as i64).collect();
        let past = graph.pick(&self.line, 1, &places);
        let past = graph.opened(&past, 1);
        graph.op("Equal", &[&ahead, &past])
    }

    /// Mean of the last values that are present, `[n, 1]`.
    fn usual_size(&self, graph: &mut Graph, reach: usize) -> Tensor {
        let from = self.past.saturating_sub(reach);
        let places: Vec<i64> = (from as i64..self.past as i64).collect();
        let past = graph.pick(&self.line, 1, &places);
        let [zero, one] = [0.0, 1.0].map(|it| graph.number(it));
        let is_missing = graph.is_nan(&past);
        let present = graph.choose(&is_missing, &zero, &past);
        let counts = graph.choose(&is_missing, &zero, &one);
        let (sum, n) = (graph.sum(&present, 1, true), graph.sum(&counts, 1, true));
        graph.div(&sum, &n)
    }
}

/// Covariates at the step and around it, and how the series went when they were the same.
fn covariates(graph: &mut Graph, layout: &LagLayout, past: &Past, known: &[Tensor]) -> Option<Tensor> {
    let n_past = layout.known_memory();
    let lines: Vec<Line> = known.iter().map(|it| Line::new(graph, it, n_past)).collect();
    let horizon = past.horizon;
    let mut columns = Vec::new();
    let mut all_alike: Option<Tensor> = None;
    for (line, known) in lines.iter().zip(&layout.known) {
        let [here, previous, next] = [0, -1, 1].map(|by| line.at(graph, horizon, by));
        columns.extend([here.clone(), previous, next]);
        let Some(usual) = known.usual else {
            let size = line.usual_size(graph, 4 * layout.seasons.base());
            columns.push(graph.div(&here, &size));
            continue;
        };
        columns.push(line.nearest(graph, horizon, usual, -1));
        columns.push(line.nearest(graph, horizon, usual, 1));
        let alike = line.alike(graph, horizon);
        columns.push(alike_mean(graph, layout, past, &alike, true));
        all_alike = Some(match all_alike {
            Some(others) => graph.op("And", &[&others, &alike]),
            None => alike,
        });
    }
    if let Some(alike) = all_alike {
        columns.push(alike_mean(graph, layout, past, &alike, true));
        columns.push(alike_mean(graph, layout, past, &alike, false));
    }
    (!columns.is_empty()).then(|| side_by_side(graph, &columns))
}

/// Mean of past values at steps that were alike, of the same phase or of any, in units of the scale: `[n, horizon]`.
fn alike_mean(graph: &mut Graph, layout: &LagLayout, past: &Past, alike: &Tensor, same_phase: bool) -> Tensor {
    let (n_past, short, horizon) = (layout.known_memory(), layout.seasons.short, past.horizon);
    let alike = graph.cast(alike, ElementType::Double);
    let alike = if same_phase {
        let is_phase = |step: usize, back: usize| (back + step).is_multiple_of(short);
        let mask: Vec<f64> = (0..horizon)
            .flat_map(|step| (0..n_past).map(move |at| (step, n_past - at)))
            .map(|(step, back)| f64::from(u8::from(is_phase(step, back))))
            .collect();
        let mask = graph.numbers(&[1, horizon, n_past], &mask);
        graph.mul(&alike, &mask)
    } else {
        alike
    };
    let places: Vec<i64> = (past.memory - n_past..past.memory).map(|it| it as i64).collect();
    let mut total = |of: &Tensor| {
        let last = graph.pick(of, 1, &places);
        let last = graph.opened(&last, 2);
        let sum = graph.op("MatMul", &[&alike, &last]);
        graph.shaped(&sum, &[-1, horizon as i64])
    };
    let (sum, n) = (total(&past.counted), total(&past.counts));
    let mean = graph.div(&sum, &n);
    graph.div(&mean, &past.scale)
}
