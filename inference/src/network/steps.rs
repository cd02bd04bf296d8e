//! What a network computes, one step after the other.

use super::dense::Dense;

/// One step on rows that all have the same width.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Dense(Dense),
    /// A number of its own per column: `x * scale + shift`. What is left of a batch norm that no dense step took in.
    Affine {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    /// Each row brought to mean 0 and variance 1 (Ba, Kiros & Hinton 2016), then as `Affine`.
    LayerNorm {
        eps: f64,
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    Each(Activation),
    /// What the steps make of the rows is added to them.
    Residual(Vec<Step>),
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Relu,
    /// `x` times the normal distribution function (Hendrycks & Gimpel 2016).
    Gelu,
    /// Its approximation by a tanh, as PyTorch's `approximate="tanh"`.
    GeluTanh,
    Silu,
    Tanh,
    Sigmoid,
}

/// Buffers that are used again from step to step and from tile to tile.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub rows: Vec<f64>,
    next: Vec<f64>,
    /// Rows that residual steps will be added to, the innermost last.
    kept: Vec<f64>,
}

impl Scratch {
    /// Runs the steps on `rows`, each of `width` numbers; the results take their place.
    pub(super) fn run(&mut self, steps: &[Step], mut width: usize) -> usize {
        for step in steps {
            width = self.step(step, width);
        }
        width
    }

    fn step(&mut self, step: &Step, width: usize) -> usize {
        match step {
            Step::Dense(dense) => {
                self.next.clear();
                dense.apply(&self.rows, &mut self.next);
                std::mem::swap(&mut self.rows, &mut self.next);
                return dense.outputs;
            }
            Step::Affine { scale, shift } => self.each_row(width, |row| affine(row, scale, shift)),
            Step::LayerNorm { eps, scale, shift } => self.each_row(width, |row| {
                standardise(row, *eps);
                affine(row, scale, shift);
            }),
            Step::Each(activation) => activation.apply_all(&mut self.rows),
            Step::Residual(steps) => {
                let start = self.kept.len();
                self.kept.extend_from_slice(&self.rows);
                self.run(steps, width);
                for (x, kept) in self.rows.iter_mut().zip(&self.kept[start..]) {
                    *x += kept;
                }
                self.kept.truncate(start);
            }
        }
        width
    }

    fn each_row(&mut self, width: usize, change: impl Fn(&mut [f64])) {
        self.rows.chunks_exact_mut(width).for_each(change);
    }
}

fn affine(row: &mut [f64], scale: &[f64], shift: &[f64]) {
    for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
        *x = *x * scale + shift;
    }
}

fn standardise(row: &mut [f64], eps: f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / n;
    let scale = 1.0 / (variance + eps).sqrt();
    row.iter_mut().for_each(|it| *it = (*it - mean) * scale);
}

impl Activation {
    /// The choice is made once, not once a number.
    fn apply_all(self, row: &mut [f64]) {
        match self {
            Activation::Relu => each(row, |x| if x < 0.0 { 0.0 } else { x }),
            Activation::Gelu => each(row, |x| {
                0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
            }),
            Activation::GeluTanh => each(row, |x| {
                let root = (2.0 * std::f64::consts::FRAC_1_PI).sqrt();
                0.5 * x * (1.0 + (root * (x + 0.044_715 * x * x * x)).tanh())
            }),
            Activation::Silu => each(row, |x| x * sigmoid(x)),
            Activation::Tanh => each(row, f64::tanh),
            Activation::Sigmoid => each(row, sigmoid),
        }
    }
}

fn each(row: &mut [f64], change: impl Fn(f64) -> f64) {
    row.iter_mut().for_each(|it| *it = change(*it));
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Numbers of a step that the rows meet: what a row costs.
pub(super) fn weight(steps: &[Step]) -> usize {
    let of = |step: &Step| match step {
        Step::Dense(it) => it.inputs * it.outputs,
        Step::Affine { scale, .. } | Step::LayerNorm { scale, .. } => scale.len(),
        Step::Each(_) => 0,
        Step::Residual(steps) => weight(steps),
    };
    steps.iter().map(of).sum()
}
