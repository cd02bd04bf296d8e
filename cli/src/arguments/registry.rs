//! `foretell registry ..`, as typed.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Check the hash chain of every log, and print every record: who, when, why, what
    Audit,
    /// Make a key to sign packages with, in a file that only you can read; prints its public half
    Keygen {
        /// A file that does not exist yet
        file: PathBuf,
    },
}
