//! Training: a model's TOML and the offline store become a judged, calibrated, explained package in the registry.
//!
//! ```text
//! training set → inputs and dictionaries from training rows → candidates fitted by fold
//!   → the best, by what it says of rows it did not fit → refitted on all training rows, calibrated
//!   → judged once on test rows → gates → package → version → alias
//! ```
//! [`train`] is the walk; each arrow is a module. Series take their own path through [`forecast`] and join at the gates.
//! Left out on purpose: reading files (`foretell-features-offline`), the arithmetic of trees (`foretell-boosting`), and
//! exit codes (the command line).

pub mod calibrate;
pub mod champion;
pub mod conformal;
pub mod dataset;
pub mod definitions;
pub mod design;
pub mod digest;
pub mod error;
pub mod estimator;
pub mod explain;
pub mod fit;
pub mod forecast;
pub mod gate;
pub mod metrics;
pub mod package;
pub mod plan;
pub mod progress;
pub mod publish;
pub mod regate;
pub mod report;
pub mod reproduce;
pub mod split;
pub mod statistics;

pub mod track;
pub mod train;

pub use definitions::DefinitionTexts;
pub use error::{FitError, TrainError};
pub use fit::{TabularInput, TabularOutcome, train_tabular};
pub use gate::{GateResult, judge_parity, refusals};
pub use metrics::Metrics;
pub use progress::{Progress, Silent};
pub use regate::{RegateRequest, loads, regate};
pub use report::{CandidateReport, TrainReport};
pub use reproduce::{ComparedFile, ReproduceRequest, Reproduction, reproduce};
pub use train::{TrainOutcome, TrainRequest, train};
