//! What is to be predicted, for whom, from what, and when it is good enough: `model.toml`, parsed and checked.
//!
//! A domain model is such a file and nothing else; the folders beside `src` are the catalogue that ships with Foretell.

pub mod catalogue;
mod parse;
pub mod spec;
pub mod vocabulary;

pub use catalogue::{CATALOGUE, CatalogueModel};
pub use spec::{Baseline, CandidateSpec, GateRule, ModelSpec, SplitSpec, Subject, TabularSpec};
