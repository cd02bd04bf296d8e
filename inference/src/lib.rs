//! What a fitted model is: a package's bytes become a [`Model`] that turns rows into predictions.
//!
//! Training writes packages, serving and `foretell predict` read them through the one path here, so that the same row gives
//! the same number everywhere. No I/O: a package is a list of named bytes.

pub mod calibration;
pub mod conformal;
pub mod decision;
pub mod endpoint;
pub mod error;
pub mod forecast;
pub mod golden;
pub mod import;
pub mod linear;
mod listing;
pub mod manifest;
pub mod mlflow;
pub mod model;
pub mod network;
pub mod onnx;
pub mod packaging;
pub mod predictor;
pub mod preprocessing;
pub mod sampling;
#[cfg(feature = "onnx")]
pub mod session;
#[doc(hidden)]
pub mod testing;
pub mod tree;

pub use calibration::Calibration;
pub use conformal::Conformal;
pub use decision::{Decision, DecisionPolicy};
pub use endpoint::{AnswerField, Endpoint, KeySource, Method};
pub use error::InferenceError;
pub use golden::{Golden, GoldenRow};
pub use import::{Imported, ImportedInput, Source};
pub use linear::{Linear, LinearTerm};
pub use manifest::{
    FeaturePlan, FeatureRead as PlannedRead, ImportedFrom, Input, Lineage, Manifest, Output, PackageFiles,
    PlannedDerived, Task,
};
pub use model::{Model, PredictOptions, Reason, RowPrediction, RowPredictor, SeriesPrediction, Step};
pub use predictor::{Forecaster, Predictor};
pub use preprocessing::{Encoder, InputEncoding, RawRow, RowEncoder};
pub use sampling::{Background, SampledContributions, Sampling};
pub use tree::{Combine, Evaluator, Form, LeafValue, Link, Node, Tree, TreeEnsemble};
