//! The registry from outside, on memory and on a folder. No network.

mod aliases;
mod bad_input;
mod collecting;
mod concurrency;
mod conformance;
mod damage;
mod faults;
mod many_versions;
mod models;
mod packages;
mod random;
mod stores;
mod trust;
mod watching;
