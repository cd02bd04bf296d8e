//! Architecture and tensors become columns and steps: every name and shape is checked, norms of batches disappear into the
//! matrices beside them.

use super::architecture::{Architecture, InputKind, InputLayer, Layer, LayerKind, MAX_LAYERS};
use super::dense::Dense;
use super::safetensors::Tensors;
use super::steps::{Activation, Step};

/// Deeper nesting of residual layers is no network that anyone trained.
const MAX_NESTING: usize = 8;

/// How one input becomes numbers of the first layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Column {
    Numeric {
        mean: f64,
        scale: f64,
        fill: f64,
        indicator: bool,
    },
    /// `codes.len() / width` rows; what is not among them reads as zeros.
    Embedding {
        n_categories: usize,
        width: usize,
        table: Vec<f64>,
    },
    OneHot {
        n_categories: usize,
    },
}

/// All inputs, or the first thing that is wrong.
pub(super) fn columns(architecture: &Architecture, tensors: &mut Tensors<'_>) -> Result<Vec<Column>, String> {
    let mut names: Vec<&str> = architecture.inputs.iter().map(|it| &*it.name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|it| it[0] == it[1]) {
        return Err(format!("input `{}` is there twice", twice[0]));
    }
    if names.is_empty() {
        return Err("it has no inputs".to_owned());
    }
    let column = |it: &InputLayer| column(it, tensors).map_err(|reason| format!("input `{}`: {reason}", it.name));
    architecture.inputs.iter().map(column).collect()
}

fn column(input: &InputLayer, tensors: &mut Tensors<'_>) -> Result<Column, String> {
    match input.kind {
        InputKind::Numeric => numeric(input),
        InputKind::Category => category(input, tensors),
    }
}

fn numeric(input: &InputLayer) -> Result<Column, String> {
    if input.embedding.is_some() || !input.categories.is_empty() {
        return Err("a numeric input has neither categories nor an embedding".to_owned());
    }
    let (mean, scale, fill) = (input.mean, input.scale, input.fill.unwrap_or(input.mean));
    let usable = mean.is_finite() && fill.is_finite() && scale.is_finite() && scale > 0.0;
    if !usable {
        return Err(format!(
            "mean {mean}, scale {scale} and fill {fill} must be finite, the scale above 0"
        ));
    }
    Ok(Column::Numeric {
        mean,
        scale,
        fill,
        indicator: input.missing_indicator,
    })
}

fn category(input: &InputLayer, tensors: &mut Tensors<'_>) -> Result<Column, String> {
    let n_categories = input.categories.len();
    let mut sorted: Vec<&str> = input.categories.iter().map(|it| &**it).collect();
    sorted.sort_unstable();
    if n_categories == 0 || sorted.windows(2).any(|it| it[0] == it[1]) {
        return Err("its categories must be different, and at least one".to_owned());
    }
    let Some(name) = &input.embedding else {
        return Ok(Column::OneHot { n_categories });
    };
    let shape = tensors.shape(name)?;
    match shape[..] {
        [rows, width] if width > 0 && (n_categories..=n_categories + 2).contains(&rows) => Ok(Column::Embedding {
            n_categories,
            width,
            table: tensors.take(name, &shape)?,
        }),
        _ => Err(format!(
            "embedding `{name}` has shape {shape:?}; {n_categories} categories take [{n_categories} to {}, width]",
            n_categories + 2
        )),
    }
}

impl Column {
    /// How many numbers of the first layer it becomes.
    pub(super) fn width(&self) -> usize {
        match self {
            Column::Numeric { indicator, .. } => 1 + usize::from(*indicator),
            Column::Embedding { width, .. } => *width,
            Column::OneHot { n_categories } => *n_categories,
        }
    }
}

/// The steps, and the width of what they give.
pub(super) fn steps(
    architecture: &Architecture,
    width: usize,
    tensors: &mut Tensors<'_>,
) -> Result<(Vec<Step>, usize), String> {
    let n_layers = architecture.n_layers();
    if n_layers > MAX_LAYERS {
        return Err(format!("{n_layers} layers, more than {MAX_LAYERS}"));
    }
    let mut builder = Builder { width, tensors };
    let steps = builder.sequence(&architecture.layers, 0)?;
    Ok((steps, builder.width))
}

/// A step before norms are folded.
enum Draft {
    Matrix(Matrix),
    Done(Step),
}

/// PyTorch's layout, `[outputs, inputs]`.
struct Matrix {
    inputs: usize,
    weights: Vec<f64>,
    bias: Vec<f64>,
}

struct Builder<'a, 'b> {
    /// Of the rows that the next layer sees.
    width: usize,
    tensors: &'a mut Tensors<'b>,
}

impl Builder<'_, '_> {
    fn sequence(&mut self, layers: &[Layer], depth: usize) -> Result<Vec<Step>, String> {
        if depth > MAX_NESTING {
            return Err(format!(
                "residual layers within each other more than {MAX_NESTING} deep"
            ));
        }
        let mut drafts = Vec::with_capacity(layers.len());
        for layer in layers {
            let draft = self.draft(layer, depth).map_err(|reason| called(layer, reason))?;
            fold(&mut drafts, draft);
        }
        drafts.into_iter().map(finish).collect()
    }

    fn draft(&mut self, layer: &Layer, depth: usize) -> Result<Draft, String> {
        if layer.kind != LayerKind::Residual && !layer.layers.is_empty() {
            return Err("only a residual layer has layers".to_owned());
        }
        let each = |it| Ok(Draft::Done(Step::Each(it)));
        match layer.kind {
            LayerKind::Linear => self.linear(layer).map(Draft::Matrix),
            LayerKind::BatchNorm => self.batch_norm(layer).map(Draft::Done),
            LayerKind::LayerNorm => self.layer_norm(layer).map(Draft::Done),
            LayerKind::Residual => self.residual(layer, depth).map(Draft::Done),
            LayerKind::Relu => each(Activation::Relu),
            LayerKind::Gelu => each(Activation::Gelu),
            LayerKind::GeluTanh => each(Activation::GeluTanh),
            LayerKind::Silu => each(Activation::Silu),
            LayerKind::Tanh => each(Activation::Tanh),
            LayerKind::Sigmoid => each(Activation::Sigmoid),
        }
    }

    fn linear(&mut self, layer: &Layer) -> Result<Matrix, String> {
        let name = format!("{}.weight", layer.name);
        let shape = self.tensors.shape(&name)?;
        let outputs = match shape[..] {
            [outputs, inputs] if outputs > 0 && inputs == self.width => outputs,
            _ => {
                let width = self.width;
                return Err(format!(
                    "tensor `{name}` has shape {shape:?}, its input is {width} wide: [out, {width}]"
                ));
            }
        };
        let weights = self.tensors.take(&name, &shape)?;
        let bias = match layer.bias {
            true => self.tensors.take(&format!("{}.bias", layer.name), &[outputs])?,
            false => vec![0.0; outputs],
        };
        let inputs = std::mem::replace(&mut self.width, outputs);
        Ok(Matrix { inputs, weights, bias })
    }

    /// In a fitted network it is a number of its own per column: `(x - mean) / sqrt(var + eps) * weight + bias`.
    fn batch_norm(&mut self, layer: &Layer) -> Result<Step, String> {
        let mean = self.vector(layer, "running_mean")?;
        let variance = self.vector(layer, "running_var")?;
        let (weight, bias) = self.affine(layer)?;
        let scale: Vec<f64> = weight
            .iter()
            .zip(&variance)
            .map(|(w, var)| w / (var + layer.eps).sqrt())
            .collect();
        let shift = bias
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((b, mean), scale)| b - mean * scale)
            .collect();
        let usable = variance.iter().all(|it| it + layer.eps > 0.0) && layer.eps >= 0.0;
        match usable {
            true => Ok(Step::Affine { scale, shift }),
            false => Err(format!("a variance with eps {} is not above 0", layer.eps)),
        }
    }

    fn layer_norm(&mut self, layer: &Layer) -> Result<Step, String> {
        let (scale, shift) = self.affine(layer)?;
        let eps = layer.eps;
        let usable = eps > 0.0 && eps.is_finite();
        match usable {
            true => Ok(Step::LayerNorm { eps, scale, shift }),
            false => Err(format!("eps must be above 0. got=`{eps}`")),
        }
    }

    fn residual(&mut self, layer: &Layer, depth: usize) -> Result<Step, String> {
        let width = self.width;
        let steps = self.sequence(&layer.layers, depth + 1)?;
        if self.width == width {
            Ok(Step::Residual(steps))
        } else {
            Err(format!("its input is {width} wide, what it adds {}", self.width))
        }
    }

    /// Weight and bias of a norm.
    fn affine(&mut self, layer: &Layer) -> Result<(Vec<f64>, Vec<f64>), String> {
        let (one, zero) = (vec![1.0; self.width], vec![0.0; self.width]);
        match (layer.affine, layer.bias) {
            (false, _) => Ok((one, zero)),
            (true, false) => Ok((self.vector(layer, "weight")?, zero)),
            (true, true) => Ok((self.vector(layer, "weight")?, self.vector(layer, "bias")?)),
        }
    }

    fn vector(&mut self, layer: &Layer, part: &str) -> Result<Vec<f64>, String> {
        self.tensors.take(&format!("{}.{part}", layer.name), &[self.width])
    }
}

fn called(layer: &Layer, reason: String) -> String {
    if layer.name.is_empty() {
        reason
    } else {
        format!("layer `{}`: {reason}", layer.name)
    }
}

/// Adds a draft; a norm and a matrix that follow each other become one matrix.
fn fold(drafts: &mut Vec<Draft>, next: Draft) {
    match (drafts.last_mut(), next) {
        (Some(Draft::Matrix(matrix)), Draft::Done(Step::Affine { scale, shift })) => matrix.then(&scale, &shift),
        (Some(Draft::Done(Step::Affine { scale, shift })), Draft::Matrix(mut matrix)) => {
            matrix.after(scale, shift);
            drafts.pop();
            drafts.push(Draft::Matrix(matrix));
        }
        (_, next) => drafts.push(next),
    }
}

impl Matrix {
    /// `(W x + b) * scale + shift`
    fn then(&mut self, scale: &[f64], shift: &[f64]) {
        let rows = self.weights.chunks_exact_mut(self.inputs);
        for (((row, bias), scale), shift) in rows.zip(&mut self.bias).zip(scale).zip(shift) {
            row.iter_mut().for_each(|it| *it *= scale);
            *bias = *bias * scale + shift;
        }
    }

    /// `W (x * scale + shift) + b`
    fn after(&mut self, scale: &[f64], shift: &[f64]) {
        for (row, bias) in self.weights.chunks_exact_mut(self.inputs).zip(&mut self.bias) {
            *bias += row.iter().zip(shift).map(|(weight, shift)| weight * shift).sum::<f64>();
            row.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
        }
    }
}

fn finish(draft: Draft) -> Result<Step, String> {
    let finite = |it: &[f64]| it.iter().all(|it| it.is_finite());
    let (step, usable) = match draft {
        Draft::Matrix(it) => {
            let usable = finite(&it.weights) && finite(&it.bias);
            (Step::Dense(Dense::new(it.inputs, &it.weights, it.bias)), usable)
        }
        Draft::Done(Step::Affine { scale, shift }) => {
            let usable = finite(&scale) && finite(&shift);
            (Step::Affine { scale, shift }, usable)
        }
        Draft::Done(step) => (step, true),
    };
    match usable {
        true => Ok(step),
        false => Err("a batch norm makes weights that are not finite".to_owned()),
    }
}
