//! Processes that share nothing but a folder: many writers at once, and writers that die at any moment.
//!
//! `FORETELL_SECONDS` (default 3) is how long the writers write, `FORETELL_KILLS` (default 40) how many processes die;
//! `benches/long/registry.sh` sets both higher.

mod crowd;
mod deaths;
mod worker;
