//! One file per verb: each joins the crates that the verb needs and says what came of it.

pub(crate) mod access;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod features;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod models;
pub(crate) mod predict;
pub(crate) mod registry;
pub(crate) mod serve;
pub(crate) mod train;
