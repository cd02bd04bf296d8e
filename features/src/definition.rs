//! Entities, sources, views and derived features, as meant (parsed from `features/*.toml`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::expectation::Expectation;
use crate::expression::{BinaryOperator, Expression};
use crate::service::{Service, ServiceName};
use crate::time::Span;
use crate::value::DataType;
use crate::window::Window;

/// Name of an entity, `customer`.
pub type EntityName = String;
/// Name of a source, `orders`.
pub type SourceName = String;
/// Name of a view, `purchases`.
pub type ViewName = String;

/// What a project's `features/*.toml` declare, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definitions {
    /// `[entity.X]`
    pub entities: BTreeMap<EntityName, Entity>,
    /// `[source.X]`
    pub sources: BTreeMap<SourceName, Source>,
    /// `[view.X]`
    pub views: BTreeMap<ViewName, View>,
    /// `[derived.ENTITY]`: on-demand features of an entity, in file order (a later one may use an earlier one).
    pub derived: BTreeMap<EntityName, Vec<DerivedFeature>>,
    /// `[request.ENTITY]`: values only the caller knows.
    pub request: BTreeMap<EntityName, Vec<RequestColumn>>,
    /// `[service.X]`
    pub services: BTreeMap<ServiceName, Service>,
}

/// Whom or what features describe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its name.
    pub name: EntityName,
    /// Key columns and types, in file order.
    pub key: Vec<(String, DataType)>,
    /// Description, owner, tags.
    #[serde(skip)]
    pub about: About,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// File, glob or folder, relative to `[offline] url`.
    pub path: String,
    /// Parquet, or CSV with its options; from the extension (`.csv`, `.csv.gz`, `.parquet`) or `format`.
    pub format: Format,
    /// Columns of the files that have another name here: theirs, ours.
    pub rename: Vec<(String, String)>,
    /// The column (or computed column) that says when; `None` is a snapshot whose rows hold at every time.
    pub event_time: Option<String>,
    /// The column that says when we learned of it.
    pub known_time: Option<String>,
    /// Computed columns, in file order; they may use file columns and earlier computed ones.
    pub columns: Vec<(String, Expression)>,
    /// Declared types of file columns (`zip = "string"` makes integer codes a category).
    pub types: Vec<(String, DataType)>,
    /// Rows to keep, over file and computed columns.
    pub filter: Option<Expression>,
    /// Where the key comes from.
    pub key: SourceKey,
    /// One column per time step, to be unpivoted.
    pub wide: Option<WideColumns>,
    /// Description, owner, tags.
    #[serde(skip)]
    pub about: About,
}

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Parquet.
    Parquet,
    /// CSV, plain or gzip.
    Csv {
        /// Field separator.
        separator: u8,
        /// Texts that mean null, beside the empty field.
        null_values: Vec<String>,
    },
}

/// Where a source's entity key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKey {
    /// From columns named as the entity's key columns.
    #[default]
    Columns,
    /// `key = "row"`: the 0-based file row is the entity.
    Row,
}

/// `wide = { id = "V1", name = "series", value = "value", step = "step" }`: all other columns are time steps, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WideColumns {
    /// The columns that identify the row and stay.
    pub id: Vec<String>,
    /// Name of the value column made.
    pub value: String,
    /// Name of the column made that counts steps from 0.
    pub step: String,
}

/// Features of one entity from one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its name.
    pub name: ViewName,
    /// Whom it describes; `None` is a global view with one row for all.
    pub entity: Option<EntityName>,
    /// Where from.
    pub source: SourceName,
    /// Latest values older than this do not count.
    pub max_age: Option<Span>,
    /// Online rows of entities without any event for this long are forgotten; never, where absent.
    pub retention: Option<Span>,
    /// `latest = "*"`: every source column that is not a key or a time becomes a latest value of the same name, added to
    /// `features` once the file's columns are known (offline).
    pub all_columns: bool,
    /// The features, in file order.
    pub features: Vec<Feature>,
    /// What is expected of the source's rows, in file order.
    #[serde(skip)]
    pub expect: Vec<Expectation>,
    /// Description, owner, tags.
    #[serde(skip)]
    pub about: About,
}

impl View {
    /// The condition under which a row of the source belongs to the view: all expectations whose failing rows are
    /// quarantined. It is never null; `None` lets every row in. It decides values, so it is part of the view's version.
    pub fn admits(&self) -> Option<Expression> {
        let conditions = self.expect.iter().filter_map(Expectation::admits);
        conditions.reduce(|all, it| Expression::Binary(BinaryOperator::And, Box::new(all), Box::new(it)))
    }
}

/// One feature of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name, unique in the view.
    pub name: String,
    /// How it is computed.
    pub kind: FeatureKind,
}

/// How a feature is computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// The newest value at the cutoff (event time, then known time; the newest null is a null).
    Latest {
        /// The expression, often a bare column.
        value: Expression,
    },
    /// An aggregate over the window before the cutoff.
    Aggregate {
        /// Which.
        aggregation: Aggregation,
        /// Over what; `None` is `*` (rows).
        value: Option<Expression>,
        /// Rows that count.
        filter: Option<Expression>,
        /// How far back; `None` is all history.
        window: Option<Window>,
    },
}

/// Window aggregates. Over no events `count` and `sum` are 0 and all else is null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Rows, or non-null values.
    Count,
    /// Sum of values.
    Sum,
    /// Mean of values.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Sample standard deviation.
    Std,
    /// Number of distinct values.
    CountDistinct,
    /// First value in event order.
    First,
    /// Last value in event order.
    Last,
    /// Time from the last event to the cutoff, in `unit`s.
    SinceLast {
        /// The unit of the answer.
        unit: Span,
    },
    /// Time from the first event to the cutoff, in `unit`s.
    SinceFirst {
        /// The unit of the answer.
        unit: Span,
    },
    /// Least-squares slope of the value over time, per `unit`.
    Trend {
        /// Per how long.
        unit: Span,
    },
}

/// A feature computed on demand from others and from the request.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedFeature {
    /// Its name, unique for the entity.
    pub name: String,
    /// Over feature names, request columns and earlier derived features.
    pub expression: Expression,
}

/// A value only the caller knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

/// `purchases:*`, `profile:plan`, or the bare name of a derived or request feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureRef {
    /// All features of a view.
    All(ViewName),
    /// One feature of a view.
    One(ViewName, String),
    /// A derived feature or a request value.
    Bare(String),
}

impl FromStr for FeatureRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once(':') {
            Some((view, "*")) => FeatureRef::All(view.to_owned()),
            Some((view, feature)) => FeatureRef::One(view.to_owned(), feature.to_owned()),
            None => FeatureRef::Bare(text.to_owned()),
        })
    }
}

impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureRef::All(view) => write!(f, "{view}:*"),
            FeatureRef::One(view, feature) => write!(f, "{view}:{feature}"),
            FeatureRef::Bare(name) => f.write_str(name),
        }
    }
}

impl View {
    /// Whether any feature aggregates over a window.
    pub fn has_aggregates(&self) -> bool {
        self.features
            .iter()
            .any(|it| matches!(it.kind, FeatureKind::Aggregate { .. }))
    }
}

impl Definitions {
    /// Reads all `features/*.toml` of a project: texts with the paths to name in errors.
    ///
    /// # Errors
    /// Every wrong definition at once, each with file, line, key and the nearest valid name.
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, crate::document::Problems> {
        crate::definition_parse::definitions(files)
    }
}
