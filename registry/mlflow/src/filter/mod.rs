//! MLflow's filter strings and orders: `clause (AND clause)*`, and what each clause means for models, versions, experiments
//! and runs. What is not understood is refused, never ignored.

mod catalog;
mod logged;
mod order;
mod parse;
mod tokens;
mod tracked;

use foretell_registry::{ModelState, VersionRow};

use crate::error::ApiError;

pub(crate) use catalog::CatalogFilter;
pub(crate) use logged::{model_conditions, model_order};
pub(crate) use order::{registered_order, version_order};
pub(crate) use tracked::{experiment_conditions, experiment_order, run_conditions, run_order};

/// A filter of model versions in MLflow's grammar, for callers who have the versions at hand.
#[derive(Debug)]
pub struct VersionFilter(CatalogFilter);

impl VersionFilter {
    /// Reads `tags.team = "crm" AND name LIKE "ch%"`.
    ///
    /// # Errors
    /// What MLflow's clients are told of the same filter.
    pub fn parse(filter: &str) -> Result<Self, ApiError> {
        CatalogFilter::of_versions(filter).map(Self)
    }

    /// Whether every clause holds of the version. What is tagged on its model holds for a version that says nothing else.
    pub fn takes(&self, model: &ModelState, version: &VersionRow<'_>) -> bool {
        let mut tags = model.tags().clone();
        tags.extend(version.tags().clone());
        self.0.takes_tagged(version, &tags)
    }
}
