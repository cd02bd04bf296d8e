//! Serving from outside: packages in a registry, rows in a store, requests over every wire.

mod access;
mod arrived;
mod classes;
mod domain;
mod feast;
mod grpc;
mod grpc_features;
mod hot_swap;
mod house;
mod native;
mod open_inference;
mod operations;
mod request_log;
