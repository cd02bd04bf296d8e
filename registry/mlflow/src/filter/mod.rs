//! MLflow's filter strings and orders: `clause (AND clause)*`, and what each clause means for models, versions, experiments
//! and runs. What is not understood is refused, never ignored.

mod catalog;
mod logged;
mod parse;
mod tokens;
mod tracked;

pub(crate) use catalog::{CatalogFilter, sort_models, sort_versions};
pub(crate) use logged::{model_conditions, model_order};
pub(crate) use tracked::{experiment_conditions, experiment_order, run_conditions, run_order};
