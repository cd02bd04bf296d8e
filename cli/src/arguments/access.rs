//! `foretell access ..`, as typed.

use clap::{Args, Subcommand};
use foretell_serving::Role;

#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Make a token: printed once, with the lines for foretell.toml, which hold only its hash
    Token(Token),
    /// Who has a token, and what it allows
    List,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Token {
    /// Person or service: what the registry's records will say
    pub name: String,
    /// What it allows, several with commas: viewer, predictor, writer, trainer, promoter, admin
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', required = true)]
    pub roles: Vec<Role>,
}
