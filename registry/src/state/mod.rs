//! What the logs mean: states and how each record changes them.

mod catalog;
mod model;
mod versions;

pub(crate) use catalog::{Catalog, CatalogEntry};
pub(crate) use model::{ModelLog, VersionEntry};
