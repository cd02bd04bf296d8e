//! The command line, as typed.

mod access;
mod models;
mod registry;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use foretell_features::Timestamp;

pub(crate) use access::Access;
pub(crate) use models::{Alias, Card, Delete, ExportFormat, Gc, History, Import, List, Models, Promote, Tag};
pub(crate) use registry::Registry;

/// Train and serve churn, lifetime value, conversion, demand and revenue models from files.
#[derive(Debug, Parser)]
#[command(name = "foretell", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Project folder [default: the current folder or its nearest parent with a foretell.toml]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Folder with the source files, in place of `[offline] url`
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// One JSON document on stdout; progress and logs go to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on stderr
    #[arg(long, short, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "First steps:
  foretell demo                      make up a company, train five models, serve them
  foretell init shop && cd shop      a commented project of your own
  foretell check                     every definition parsed and checked
  foretell train churn               train, gate, register
  foretell serve                     HTTP on 127.0.0.1:8000, gRPC on 127.0.0.1:8001";

/// What every verb gets.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub project: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make up a company's data, train the five models, serve and ask them
    Demo(Demo),
    /// Write a commented project
    Init(Init),
    /// Parse and check every definition; all errors at once
    Check,
    /// Look at the project, its stores and this machine
    Doctor,
    /// Feature store: materialize, get, historical, validate, stats, parity
    #[command(subcommand)]
    Features(Features),
    /// Train models: candidates, gates, registry
    Train(Train),
    /// Registry: list, show, compare, promote, roll back, reproduce, verify
    #[command(subcommand)]
    Models(Models),
    /// Predict for an entity, a series or rows of a file
    Predict(Predict),
    /// Serve predictions over HTTP and gRPC
    Serve(Serve),
    /// The registry's log and keys: audit, keygen
    #[command(subcommand)]
    Registry(Registry),
    /// Who may do what on a server: make a token, list who has one
    #[command(subcommand)]
    Access(Access),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// Where to write the project
    #[arg(long, default_value = "demo", value_name = "D")]
    pub dir: PathBuf,
    /// Customers who ever signed up
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub customers: usize,
    /// Products with daily sales
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub products: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub seed: u64,
    /// Exit after the predictions
    #[arg(long)]
    pub no_serve: bool,
    #[command(flatten)]
    pub listen: Listen,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// A folder that does not exist yet, or is empty
    pub dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Features {
    /// Write views into the online store
    Materialize(Materialize),
    /// Rows of sources from JSON lines into the online store
    Ingest(Ingest),
    /// Read a view's or a model's features of one entity
    Get(GetFeatures),
    /// Hold views' expectations against their files; nothing is written
    Validate(Validate),
    /// What a view's features look like: counts, quantiles, histograms
    Stats(Stats),
    /// Replay a model's logged requests through the files and compare value by value
    Parity(Parity),
    /// Remove an entity from the online store and every file, for good; prints a receipt
    Erase(Erase),
    /// Point-in-time join: features as they were known at each row's time
    Historical(Historical),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Materialize {
    /// Views to write [default: all]
    pub views: Vec<String>,
    /// Only entities with events since
    #[arg(long, value_name = "T")]
    pub from: Option<Timestamp>,
    /// Up to this instant [default: the project's clock]
    #[arg(long, value_name = "T")]
    pub to: Option<Timestamp>,
    /// Only entities about which files have something new since the last time
    #[arg(long)]
    pub incremental: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Validate {
    /// Views to check [default: all that expect something]
    pub views: Vec<String>,
    /// Rows up to this instant [default: the project's clock]
    #[arg(long, value_name = "T")]
    pub to: Option<Timestamp>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Ingest {
    /// JSON lines, `{"source": "orders", "rows": [{..}]}` each; `-` is stdin
    pub file: PathBuf,
    /// Every line is one row of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// The first line to take, counted from 1: where an earlier run ended
    #[arg(long, value_name = "N")]
    pub from_line: Option<u64>,
    /// Rows that are acknowledged together
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Stats {
    /// The view
    pub view: String,
    /// Compute them from the files at this instant [default: as of the last materialization]
    #[arg(long, value_name = "T", conflicts_with = "compare")]
    pub at: Option<Timestamp>,
    /// How far each feature has moved between the last two materializations
    #[arg(long)]
    pub compare: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Parity {
    /// The model
    pub model: String,
    /// Logged rows to replay, or entities to ask about where none is logged; chosen by the seed
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub sample: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub seed: u64,
    /// Only what was answered for this instant or later
    #[arg(long, value_name = "T")]
    pub since: Option<Timestamp>,
    /// Values that may differ; more exit with 3
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub max_mismatch: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Erase {
    /// Key columns, one `--entity column=value` each; a part of a composite key means all keys with it
    #[arg(long = "entity", value_name = "K=V", value_parser = key_value, required = true)]
    pub entity: Vec<(String, String)>,
    /// Say what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GetFeatures {
    /// A view or a model
    pub of: String,
    /// Key columns, one `--entity column=value` each
    #[arg(long = "entity", value_name = "K=V", value_parser = key_value, required = true)]
    pub entity: Vec<(String, String)>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Historical {
    /// Parquet or CSV with the key columns and `event_timestamp`
    #[arg(long, value_name = "FILE")]
    pub entities: PathBuf,
    /// `view:feature,view:*,..`
    #[arg(long, value_name = "REFS", value_delimiter = ',', required = true)]
    pub features: Vec<String>,
    /// A key column under another name in the entities, `customer_id=payer_id`; one each
    #[arg(long = "key", value_name = "KEY=COLUMN", value_parser = key_value)]
    pub key: Vec<(String, String)>,
    /// Parquet file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Train {
    /// Models to train, folders under models/
    #[arg(required = true)]
    pub models: Vec<String>,
    /// Where all chance comes from
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub seed: u64,
    /// Train as if it were this instant [default: the project's clock]
    #[arg(long, value_name = "T")]
    pub as_of: Option<Timestamp>,
    /// Move `champion` when the gates pass, even if there is one
    #[arg(long)]
    pub promote: bool,
    /// Train and report only
    #[arg(long)]
    pub no_register: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Predict {
    /// `M`, `M@3` or `M@challenger`
    pub model: String,
    /// Key columns of an entity or a series, one `--entity column=value` each
    #[arg(long = "entity", value_name = "K=V", value_parser = key_value, conflicts_with = "rows")]
    pub entity: Vec<(String, String)>,
    /// Values that only the caller knows
    #[arg(long = "request", value_name = "K=V", value_parser = key_value)]
    pub request: Vec<(String, String)>,
    /// Rows of features: .json, .csv or .parquet
    #[arg(long, value_name = "FILE")]
    pub rows: Option<PathBuf>,
    /// Where to write the answers: .json or .csv [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The K strongest reasons
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub explain: usize,
    /// Level of the interval
    #[arg(long, value_name = "LEVEL")]
    pub interval: Option<f64>,
    /// Steps ahead of a forecast [default: the model's]
    #[arg(long, value_name = "H")]
    pub horizon: Option<usize>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub listen: Listen,
    /// For tests of clients: opens POST /__reset, which empties registry and tracking; only for an empty project, on loopback
    #[arg(long)]
    pub test_reset: bool,
}

/// Addresses to listen on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// HTTP address [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// gRPC address [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDR")]
    pub grpc: Option<String>,
}

impl Arguments {
    pub(crate) fn common(&self) -> Common {
        Common {
            project: self.project.clone(),
            data: self.data.clone(),
            json: self.json,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!(
            "write it as column=value, for example customer_id=C1. got=`{text}`"
        )),
    }
}
