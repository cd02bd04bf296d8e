//! What is to be predicted, for whom, from what, and when it is good enough: `model.toml`, parsed and checked.

pub mod spec;

pub use spec::{
    Baseline, CandidateSpec, GateRule, ModelSpec, SplitSpec, Subject, TabularSpec,
};
