//! `network.json`: what the tensors of a network mean.
//!
//! ```json
//! {
//!   "format": 1,
//!   "task": "binary_classification",
//!   "link": "logit",
//!   "inputs": [
//!     {"name": "age", "kind": "numeric", "mean": 40.0, "scale": 12.0, "missing_indicator": true},
//!     {"name": "plan", "kind": "category", "categories": ["basic", "pro"], "embedding": "embed.plan.weight"}
//!   ],
//!   "layers": [
//!     {"kind": "linear", "name": "first"},
//!     {"kind": "residual", "layers": [
//!       {"kind": "batch_norm", "name": "block.norm"}, {"kind": "linear", "name": "block.first"},
//!       {"kind": "relu"}, {"kind": "linear", "name": "block.second"}
//!     ]},
//!     {"kind": "linear", "name": "head"}
//!   ]
//! }
//! ```
//!
//! The first layer sees the inputs side by side in this order. A numeric input is `(x - mean) / scale`, a missing one counts as
//! `fill` (absent: the mean); `missing_indicator` adds a column, 1 where it is missing. A category input is the row of its
//! `embedding` for its code, or one column per category where there is none. An embedding of n categories has n rows (unseen and
//! missing read as zeros), n + 1 (both read the last row) or n + 2 (unseen, then missing).
//!
//! A layer's `name` is what its tensors' names begin with, as in PyTorch: `linear` reads `name.weight` [out, in] and `name.bias`
//! (not with `"bias": false`), `batch_norm` also `name.running_mean` and `name.running_var`, `layer_norm` the first two (neither
//! of them with `"affine": false`); `eps` is 1e-5 where absent. `relu`, `gelu`, `gelu_tanh`, `silu`, `tanh` and `sigmoid` have
//! none; dropout is no layer, since nothing drops out of a fitted network. `residual` adds what its `layers` make of its input to
//! its input. These are the MLP and the ResNet of Gorishniy, Rubachev, Khrulkov & Babenko 2021, "Revisiting deep learning models
//! for tabular data".

use serde::Deserialize;

use crate::listing::list;
use crate::manifest::Task;
use crate::tree::Link;

/// What this build reads.
pub const FORMAT: u32 = 1;

/// More layers than any network for tables has: bounds the work that a small file can ask for.
pub const MAX_LAYERS: usize = 256;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Architecture {
    pub format: u32,
    pub task: Task,
    pub link: Link,
    #[serde(default, deserialize_with = "list")]
    pub classes: Vec<Box<str>>,
    #[serde(deserialize_with = "list")]
    pub inputs: Vec<InputLayer>,
    #[serde(deserialize_with = "list")]
    pub layers: Vec<Layer>,
}

/// One input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputLayer {
    pub name: Box<str>,
    pub kind: InputKind,
    #[serde(default)]
    pub mean: f64,
    #[serde(default = "one")]
    pub scale: f64,
    pub fill: Option<f64>,
    #[serde(default)]
    pub missing_indicator: bool,
    #[serde(default, deserialize_with = "list")]
    pub categories: Vec<Box<str>>,
    pub embedding: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InputKind {
    Numeric,
    Category,
}

/// One layer; one struct for all kinds, so that a parser need not look ahead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub kind: LayerKind,
    #[serde(default)]
    pub name: Box<str>,
    #[serde(default = "small")]
    pub eps: f64,
    #[serde(default = "yes")]
    pub bias: bool,
    #[serde(default = "yes")]
    pub affine: bool,
    #[serde(default, deserialize_with = "list")]
    pub layers: Vec<Layer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LayerKind {
    Linear,
    BatchNorm,
    LayerNorm,
    Residual,
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Tanh,
    Sigmoid,
}

impl Architecture {
    /// Layers, those within others as well.
    pub(super) fn n_layers(&self) -> usize {
        fn count(layers: &[Layer]) -> usize {
            layers.iter().map(|it| 1 + count(&it.layers)).sum()
        }
        count(&self.layers)
    }
}

fn one() -> f64 {
    1.0
}

fn small() -> f64 {
    1e-5
}

fn yes() -> bool {
    true
}
