//! Features of entities, online: the one path behind Feast's routes and the feature service of gRPC.

mod asked;
mod derive;
mod failure;
mod frame;
mod reading;
mod stored;

pub(crate) use asked::Asked;
pub(crate) use failure::Failure;
pub(crate) use frame::{Columns, key_columns, keys, source, view};
pub(crate) use reading::{Answer, Column, online_features};
pub(crate) use stored::{columns, ingest, push, takes_events, write, write_events};
