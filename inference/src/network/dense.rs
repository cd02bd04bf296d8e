//! A matrix and a bias, laid out so that outputs lie side by side in registers.
//!
//! Every output is summed in the order of its inputs, whatever the number of rows: a row's answer does not depend on the rows
//! around it.

/// Outputs of a panel: one cache line of doubles.
const LANES: usize = 8;
/// Panels that one row is multiplied with at once: enough sums under way to hide the latency of an addition.
const ABREAST: usize = 4;

/// `y = W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    /// Whole panels of [`LANES`] outputs, each `inputs` x `LANES`.
    panels: Vec<f64>,
    /// The outputs left over, each `inputs` long.
    rest: Vec<f64>,
    bias: Vec<f64>,
}

impl Dense {
    /// From PyTorch's layout, `[outputs, inputs]` row-major.
    pub(super) fn new(inputs: usize, weights: &[f64], bias: Vec<f64>) -> Self {
        let outputs = bias.len();
        let split = outputs / LANES * LANES * inputs;
        let whole = weights[..split].chunks_exact(LANES * inputs);
        let panel = |rows: &[f64]| -> Vec<f64> {
            let cell = |at: usize| rows[at % LANES * inputs + at / LANES];
            (0..rows.len()).map(cell).collect()
        };
        let mut panels = Vec::with_capacity(split);
        whole.for_each(|rows| panels.extend(panel(rows)));
        Self {
            inputs,
            outputs,
            panels,
            rest: weights[split..].to_vec(),
            bias,
        }
    }

    /// The layout that `new` takes.
    #[cfg(feature = "neural")]
    pub(super) fn rows(&self) -> Vec<f64> {
        let cell = |output: usize, input: usize| {
            let whole = self.panels.len() / self.inputs;
            if output < whole {
                self.panels[output / LANES * LANES * self.inputs + input * LANES + output % LANES]
            } else {
                self.rest[(output - whole) * self.inputs + input]
            }
        };
        let cells = (0..self.outputs).flat_map(|output| (0..self.inputs).map(move |input| cell(output, input)));
        cells.collect()
    }

    #[cfg(feature = "neural")]
    pub(super) fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// Rows of `inputs` numbers in, rows of `outputs` numbers appended to `out`.
    pub(super) fn apply(&self, x: &[f64], out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + x.len() / self.inputs * self.outputs, 0.0);
        let y = &mut out[start..];
        let tile = 4 * self.inputs;
        let whole = x.len() / tile * tile;
        let (tiles, single) = y.split_at_mut(whole / self.inputs * self.outputs);
        for (x, y) in x[..whole]
            .chunks_exact(tile)
            .zip(tiles.chunks_exact_mut(4 * self.outputs))
        {
            self.rows_at_once::<4>(x, y);
        }
        for (x, y) in x[whole..]
            .chunks_exact(self.inputs)
            .zip(single.chunks_exact_mut(self.outputs))
        {
            self.rows_at_once::<1>(x, y);
        }
    }

    #[inline]
    fn rows_at_once<const ROWS: usize>(&self, x: &[f64], y: &mut [f64]) {
        let size = self.inputs * LANES;
        let mut panel = 0;
        let n_panels = self.outputs / LANES;
        while ROWS == 1 && panel + ABREAST <= n_panels {
            let weights = std::array::from_fn(|it| &self.panels[(panel + it) * size..(panel + it + 1) * size]);
            let sums = abreast::<ABREAST>(x, weights);
            for (at, sums) in (panel..).zip(sums) {
                self.store(at, &sums, y);
            }
            panel += ABREAST;
        }
        while panel < n_panels {
            let sums = stacked::<ROWS>(x, &self.panels[panel * size..(panel + 1) * size], self.inputs);
            for (sums, y) in sums.iter().zip(y.chunks_exact_mut(self.outputs)) {
                self.store(panel, sums, y);
            }
            panel += 1;
        }
        for (x, y) in x.chunks_exact(self.inputs).zip(y.chunks_exact_mut(self.outputs)) {
            let first = n_panels * LANES;
            for ((y, weights), bias) in y[first..]
                .iter_mut()
                .zip(self.rest.chunks_exact(self.inputs))
                .zip(&self.bias[first..])
            {
                *y = dot(x, weights) + bias;
            }
        }
    }

    #[inline]
    fn store(&self, panel: usize, sums: &[f64; LANES], y: &mut [f64]) {
        let outputs = panel * LANES..(panel + 1) * LANES;
        for ((y, sum), bias) in y[outputs.clone()].iter_mut().zip(sums).zip(&self.bias[outputs]) {
            *y = sum + bias;
        }
    }
}

/// One row, several panels.
#[inline]
fn abreast<const PANELS: usize>(x: &[f64], weights: [&[f64]; PANELS]) -> [[f64; LANES]; PANELS] {
    let mut sums = [[0.0; LANES]; PANELS];
    let weights = weights.map(|it| &it.as_chunks::<LANES>().0[..x.len()]);
    for (at, &x) in x.iter().enumerate() {
        for panel in 0..PANELS {
            for lane in 0..LANES {
                sums[panel][lane] += x * weights[panel][at][lane];
            }
        }
    }
    sums
}

/// Several rows, one panel.
#[inline]
fn stacked<const ROWS: usize>(x: &[f64], weights: &[f64], inputs: usize) -> [[f64; LANES]; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    let rows: [&[f64]; ROWS] = std::array::from_fn(|it| &x[it * inputs..(it + 1) * inputs]);
    for (at, weights) in weights.as_chunks::<LANES>().0.iter().enumerate() {
        for row in 0..ROWS {
            let x = rows[row][at];
            for lane in 0..LANES {
                sums[row][lane] += x * weights[lane];
            }
        }
    }
    sums
}

/// Sums in lanes of their own, added in order at the end.
#[inline]
fn dot(x: &[f64], weights: &[f64]) -> f64 {
    let ((x, x_rest), (weights, weights_rest)) = (x.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (x, weights) in x.iter().zip(weights) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * weights[lane];
        }
    }
    let rest: f64 = x_rest.iter().zip(weights_rest).map(|(x, weight)| x * weight).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_what_its_definition_says_for_any_shape_and_a_row_does_not_depend_on_its_neighbours() {
        let number = |at: usize| ((at * 37 % 101) as f64 - 50.0) / 17.0;
        for (inputs, outputs, n_rows) in [(1, 1, 1), (3, 7, 2), (9, 8, 5), (16, 33, 9), (5, 40, 4), (70, 64, 13)] {
            let weights: Vec<f64> = (0..inputs * outputs).map(number).collect();
            let bias: Vec<f64> = (0..outputs).map(number).collect();
            let x: Vec<f64> = (0..inputs * n_rows).map(|it| number(it + 11)).collect();
            let dense = Dense::new(inputs, &weights, bias.clone());
            let mut together = Vec::new();
            dense.apply(&x, &mut together);
            let mut alone = Vec::new();
            x.chunks(inputs).for_each(|row| dense.apply(row, &mut alone));
            assert_eq!(together, alone, "{inputs} {outputs} {n_rows}");
            for (at, got) in together.iter().enumerate() {
                let (row, output) = (at / outputs, at % outputs);
                let products = (0..inputs).map(|it| x[row * inputs + it] * weights[output * inputs + it]);
                let expected = products.sum::<f64>() + bias[output];
                assert!(
                    (got - expected).abs() < 1e-12,
                    "{inputs} {outputs} {n_rows}: {got} {expected}"
                );
            }
        }
    }
}
