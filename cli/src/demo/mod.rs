//! The demo company: what it does all day, and the project a user would write over its files.

pub(crate) mod ask;
pub(crate) mod company;
mod customers;
mod leads;
mod products;
pub(crate) mod project_files;
