//! The offline engine from outside: one test program, because each one links polars.

mod append;
mod bad_input;
mod common;
mod entity_batches;
mod erase;
mod expressions;
mod materialize;
mod parity;
mod parquet_types;
mod point_in_time;
mod public_data;
mod scan;
mod series;
mod sources;
mod statistics;
mod training;
mod validate;
mod windows;
