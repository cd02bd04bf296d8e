//! `foretell models ..`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use foretell_features::Span;

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// All models, versions and aliases
    List(List),
    /// One version: who, when, metrics, card, files
    Show {
        /// `M`, `M@3` or `M@champion` [default: the champion, else the newest]
        model: String,
    },
    /// The model card that training wrote
    Card(Card),
    /// Everything that happened to a model: who, when, why
    History(History),
    /// Describe a model or a version
    Describe {
        /// `M` for the model, `M@3` for a version
        model: String,
        /// The text, Markdown if you like; an empty one takes the description away
        text: String,
    },
    /// Tag a model or a version
    Tag(Tag),
    /// Point an alias at a version, or take it away; `champion` moves by `promote`
    Alias(Alias),
    /// Point an alias at a version once the gates hold
    Promote(Promote),
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
    /// Delete a version, or a model with all of them; numbers are not used again, the history stays
    Delete(Delete),
    /// What differs between two versions: features, hyperparameters, metrics, signature, data
    #[command(visible_alias = "diff")]
    Compare {
        /// `M@3`
        a: String,
        /// `M@4`
        b: String,
    },
    /// Train a version again from what its package says of its origin, and compare bytes
    Reproduce {
        /// `M`, `M@3` or `M@champion`
        model: String,
    },
    /// Write a version as one archive, for another registry or across an air gap; or its model as ONNX
    Export {
        /// `M`, `M@3` or `M@champion`
        model: String,
        /// Folder for `M-3.tar` or `M-3.onnx`, or a file that ends so
        to: PathBuf,
        /// The whole version, or what it predicts for any ONNX runtime
        #[arg(long, value_enum, default_value = "archive")]
        format: ExportFormat,
    },
    /// Register a model of XGBoost, LightGBM, CatBoost, ONNX or safetensors, an MLflow model folder, or an archive
    Import(Import),
    /// Sign a version with the project's key
    Sign {
        /// `M`, `M@3` or `M@champion`
        model: String,
    },
    /// Give up old versions and clear away files that nothing needs; what an alias or a live server uses stays
    Gc(Gc),
    /// Check every digest, every log, every alias
    Verify,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    Archive,
    Onnx,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Import {
    /// A model's file, a folder with one (MLflow's too), or what `export` wrote
    #[arg(value_name = "FILE|DIR")]
    pub file: PathBuf,
    /// The model's name here [default: as in the archive]
    #[arg(long = "model", visible_alias = "as", value_name = "M")]
    pub model: Option<String>,
    /// Names of the inputs, in the model's order [default: as in the file, or in the MLflow signature]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub inputs: Vec<String>,
    /// Names of the classes, in the order of the model's outputs [default: as in the file]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub classes: Vec<String>,
    /// Rows (.json .csv .parquet) that the model is checked on before it is registered
    #[arg(long, value_name = "FILE", requires = "expect")]
    pub rows: Option<PathBuf>,
    /// The column with the origin's own predictions: the number, the class, or one column per class
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',', requires = "rows")]
    pub expect: Vec<String>,
    /// An alias that points to it; one each
    #[arg(long, value_name = "ALIAS")]
    pub alias: Vec<String>,
    /// Kept in the history
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Gc {
    /// Only the versions of these models may be given up [default: all]
    pub models: Vec<String>,
    /// Give up versions that are none of a model's newest N and have no alias [default: give up none]
    #[arg(long, value_name = "N")]
    pub keep_last: Option<u32>,
    /// Only what is older than this
    #[arg(long, value_name = "AGE", default_value = "1d")]
    pub older_than: Span,
    /// Say what would go, and leave it
    #[arg(long)]
    pub dry_run: bool,
    /// Kept in the history
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// Only these, in MLflow's grammar: 'tags.team = "crm" AND name LIKE "ch%"'; a version has its model's tags as well
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Card {
    /// `M`, `M@3` or `M@champion`
    pub model: String,
    /// Where to write it [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct History {
    /// The model
    pub model: String,
    /// Only the moves of this alias
    #[arg(long, value_name = "ALIAS")]
    pub alias: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Tag {
    /// `M` for the model, `M@3` for a version
    pub model: String,
    /// Tags to set
    #[arg(value_name = "K=V", value_parser = tag, required_unless_present = "remove")]
    pub tags: Vec<(String, String)>,
    /// A tag to take away; one each
    #[arg(long, value_name = "K")]
    pub remove: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Alias {
    /// The model
    pub model: String,
    /// The version: `3`, `latest`, or another alias
    #[arg(required_unless_present = "remove", requires = "name")]
    pub version: Option<String>,
    /// The alias
    pub name: Option<String>,
    /// Take this alias away
    #[arg(long, value_name = "NAME", conflicts_with = "version")]
    pub remove: Option<String>,
    /// Kept in the history
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Promote {
    /// The model
    pub model: String,
    /// The version: `3`, `latest`, or an alias
    pub version: String,
    /// Which alias moves; `champion` has to pass the gates
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// Kept in the history
    #[arg(long)]
    pub reason: Option<String>,
    /// Move it though a gate refuses; the history says so
    #[arg(long, requires = "reason")]
    pub force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Delete {
    /// `M@3` for a version, `M` for the model with all versions
    pub model: String,
    /// Kept in the history
    #[arg(long, required = true)]
    pub reason: String,
    /// Delete though an alias points there; the alias goes as well
    #[arg(long)]
    pub force: bool,
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!(
            "write it as key=value, for example team=crm; --remove KEY takes one away. got=`{text}`"
        )),
    }
}
