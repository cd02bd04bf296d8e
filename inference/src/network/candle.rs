//! The same network on candle's tensors: float32, and other devices than the processor.

use candle_core::{DType, Tensor};
use foretell_features::FeatureMatrix;

use super::steps::{Activation, Step};
use super::{Network, Predictor};
use crate::error::InferenceError;

/// Where tensors lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A graphics processor, by number.
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

/// What tensors hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As the processor's own loops.
    Double,
    /// Twice as fast where memory or a graphics processor decides; six digits.
    Single,
}

/// A network whose steps are candle's tensors. Answers of `Double` agree with [`Network`] to rounding, not to the last bit.
#[derive(Debug)]
pub struct CandleNetwork {
    network: Network,
    steps: Vec<TensorStep>,
    device: candle_core::Device,
    dtype: DType,
}

#[derive(Debug)]
enum TensorStep {
    /// `[inputs, outputs]` and `[outputs]`.
    Dense(Tensor, Tensor),
    Affine(Tensor, Tensor),
    LayerNorm {
        eps: f64,
        scale: Tensor,
        shift: Tensor,
    },
    Each(Activation),
    Residual(Vec<TensorStep>),
}

impl CandleNetwork {
    /// Copies the weights to the device.
    ///
    /// # Errors
    /// There is no such device, or it has too little memory.
    pub fn new(network: Network, device: Device, precision: Precision) -> Result<Self, InferenceError> {
        let device = match device {
            Device::Cpu => candle_core::Device::Cpu,
            #[cfg(feature = "cuda")]
            Device::Cuda(number) => candle_core::Device::new_cuda(number).map_err(failed)?,
        };
        let dtype = match precision {
            Precision::Double => DType::F64,
            Precision::Single => DType::F32,
        };
        let copy = Copy { device: &device, dtype };
        let steps = copy.steps(&network.steps).map_err(failed)?;
        Ok(Self {
            network,
            steps,
            device,
            dtype,
        })
    }

    fn run(&self, x: &FeatureMatrix) -> candle_core::Result<Vec<f64>> {
        let mut rows = Vec::with_capacity(x.n_rows() * self.network.width);
        self.network.spread(x.rows(), &mut rows);
        let rows = Tensor::from_vec(rows, (x.n_rows(), self.network.width), &candle_core::Device::Cpu)?;
        let rows = rows.to_dtype(self.dtype)?.to_device(&self.device)?;
        let out = run(&self.steps, rows)?;
        out.to_device(&candle_core::Device::Cpu)?
            .to_dtype(DType::F64)?
            .flatten_all()?
            .to_vec1()
    }
}

impl CandleNetwork {
    /// As [`Predictor::predict`].
    ///
    /// # Errors
    /// Another width, or the device failed.
    pub fn predict(&self, x: &FeatureMatrix) -> Result<Vec<f64>, InferenceError> {
        self.network.check_width(x.n_columns())?;
        if x.n_rows() == 0 {
            return Ok(Vec::new());
        }
        self.run(x).map_err(failed)
    }

    /// Numbers per row.
    pub fn n_outputs(&self) -> usize {
        self.network.n_outputs()
    }
}

struct Copy<'a> {
    device: &'a candle_core::Device,
    dtype: DType,
}

impl Copy<'_> {
    fn steps(&self, steps: &[Step]) -> candle_core::Result<Vec<TensorStep>> {
        steps.iter().map(|it| self.step(it)).collect()
    }

    fn step(&self, step: &Step) -> candle_core::Result<TensorStep> {
        Ok(match step {
            Step::Dense(it) => {
                let weights = Tensor::from_vec(it.rows(), (it.outputs, it.inputs), self.device)?;
                let weights = weights.t()?.contiguous()?.to_dtype(self.dtype)?;
                TensorStep::Dense(weights, self.vector(it.bias())?)
            }
            Step::Affine { scale, shift } => TensorStep::Affine(self.vector(scale)?, self.vector(shift)?),
            Step::LayerNorm { eps, scale, shift } => TensorStep::LayerNorm {
                eps: *eps,
                scale: self.vector(scale)?,
                shift: self.vector(shift)?,
            },
            Step::Each(activation) => TensorStep::Each(*activation),
            Step::Residual(steps) => TensorStep::Residual(self.steps(steps)?),
        })
    }

    fn vector(&self, numbers: &[f64]) -> candle_core::Result<Tensor> {
        Tensor::new(numbers, self.device)?.to_dtype(self.dtype)
    }
}

fn run(steps: &[TensorStep], x: Tensor) -> candle_core::Result<Tensor> {
    steps.iter().try_fold(x, |x, step| one(step, x))
}

fn one(step: &TensorStep, x: Tensor) -> candle_core::Result<Tensor> {
    match step {
        TensorStep::Dense(weights, bias) => x.matmul(weights)?.broadcast_add(bias),
        TensorStep::Affine(scale, shift) => x.broadcast_mul(scale)?.broadcast_add(shift),
        TensorStep::LayerNorm { eps, scale, shift } => {
            let x = x.broadcast_sub(&x.mean_keepdim(1)?)?;
            let variance = x.sqr()?.mean_keepdim(1)?;
            let x = x.broadcast_div(&(variance + *eps)?.sqrt()?)?;
            x.broadcast_mul(scale)?.broadcast_add(shift)
        }
        TensorStep::Each(Activation::Relu) => x.relu(),
        TensorStep::Each(Activation::Gelu) => x.gelu_erf(),
        TensorStep::Each(Activation::GeluTanh) => x.gelu(),
        TensorStep::Each(Activation::Silu) => x.silu(),
        TensorStep::Each(Activation::Tanh) => x.tanh(),
        TensorStep::Each(Activation::Sigmoid) => (x.neg()?.exp()? + 1.0)?.recip(),
        TensorStep::Residual(steps) => run(steps, x.clone())? + x,
    }
}

fn failed(error: candle_core::Error) -> InferenceError {
    InferenceError::Request(format!("the network could not be computed: {error}"))
}
