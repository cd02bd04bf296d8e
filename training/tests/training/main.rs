//! Training end to end: files in, versions out.

mod errors;
mod project;
mod public_data;
mod regate;
mod reproduce;
mod reproducible;
mod walk;
