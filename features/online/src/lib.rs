//! The online store: the newest row per entity and view, read in microseconds.

pub mod store;

pub use store::{OnlineError, OnlineStore, PutReport, ViewSchema};
