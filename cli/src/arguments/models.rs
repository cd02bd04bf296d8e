//! `foretell models ..`, as typed.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// All models, versions and aliases
    List,
    /// One version: metrics, lineage, signature
    Show {
        /// `M`, `M@3` or `M@champion`
        model: String,
    },
    /// Point an alias at a version
    Promote {
        /// The model
        model: String,
        /// The version's number
        version: u64,
        /// Which alias moves
        #[arg(long, default_value = "champion")]
        alias: String,
        /// Kept in the history
        #[arg(long)]
        reason: Option<String>,
    },
    /// Point an alias back to what it pointed to before
    Rollback {
        /// The model
        model: String,
        /// Which alias moves
        #[arg(long, default_value = "champion")]
        alias: String,
        /// Kept in the history
        #[arg(long)]
        reason: Option<String>,
    },
    /// Check every digest, every log, every alias
    Verify,
}
