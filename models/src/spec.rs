//! The types that `model.toml` parses into: what is meant, not what was typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use foretell_features::{Cutoffs, Definitions, FeatureRef, LabelSpec, Population, Problems, SeriesSpec};
use foretell_inference::{AnswerField, DecisionPolicy, Endpoint, Task};

/// A model: `models/<name>/model.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Its name, also in the registry.
    pub name: String,
    /// What it predicts.
    pub task: Task,
    /// Rows of entities, or series.
    pub subject: Subject,
    /// Algorithms to try, at least one; a baseline is always added by training.
    pub candidates: Vec<CandidateSpec>,
    /// What must hold before `champion` moves.
    pub gates: Vec<GateRule>,
    /// From the number to the action.
    pub decision: Option<DecisionPolicy>,
    /// Domain endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The file it came from.
    pub file: PathBuf,
}

/// What a row of the model is.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// An entity at a cutoff.
    Tabular(TabularSpec),
    /// A series.
    Series(SeriesSpec),
}

/// Entity, features, label, split.
#[derive(Debug, Clone, PartialEq)]
pub struct TabularSpec {
    /// Whom.
    pub entity: String,
    /// From what.
    pub features: Vec<FeatureRef>,
    /// Left out of `features`.
    pub except: Vec<FeatureRef>,
    /// When; `None` for a row table (its rows hold at every time).
    pub cutoffs: Option<Cutoffs>,
    /// Whom of the entity.
    pub population: Population,
    /// What.
    pub label: LabelSpec,
    /// How test rows are chosen.
    pub split: SplitSpec,
    /// `[training] intervals_by`, a feature of texts: the interval of a row is made of the errors of rows with the same value, where there are enough.
    pub segment: Option<String>,
}

/// How test rows are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitSpec {
    /// The last cutoff is the test; every training label ends before it.
    Time,
    /// By the row's number in the file.
    RowHash {
        /// Share of test rows.
        test_fraction: f64,
    },
    /// By the entity's rank of first appearance before the cutoff, after the source's `where`. The labels of the training
    /// entities at the same cutoff may be used.
    EntityHash {
        /// Share of test entities.
        test_fraction: f64,
    },
}

/// One algorithm with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateSpec {
    /// `boosted_trees`, `logistic`, `seasonal_naive`, `exponential_smoothing`, `boosted_lags`.
    pub algorithm: String,
    /// Named parameters; numbers, texts and bools as typed. Unknown names are refused by the algorithm, with the nearest one.
    pub parameters: BTreeMap<String, foretell_features::Value>,
}

/// What must hold of one test metric.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRule {
    /// Metric name, DESIGN §3.
    pub metric: String,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// The champion, re-scored on the same rows, may be better by at most this.
    pub not_worse_than_champion_by: Option<f64>,
    /// Must beat the baseline candidate on this metric.
    pub better_than_baseline: bool,
}

impl GateRule {
    /// The share of served values that are what the files say: measured on the feature store, not on test rows.
    pub const PARITY: &str = "parity";
}

/// The baseline that training adds by task: the training mean, or seasonal naive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Mean of the label.
    Mean,
    /// Last season again.
    SeasonalNaive,
}

impl ModelSpec {
    /// Reads one `model.toml`. References to features, sources and entities are checked against `definitions`.
    ///
    /// # Errors
    /// Every wrong thing at once, each with file, line, key and the nearest valid name.
    pub fn parse(file: PathBuf, text: &str, definitions: &Definitions) -> Result<Self, Problems> {
        crate::parse::model(file, text, definitions)
    }

    /// The answer's name in the signature: the field of the first endpoint that shows the value, else `value`.
    pub fn output_name(&self) -> &str {
        let fields = self.endpoints.iter().flat_map(|it| &it.answer);
        let mut shown = fields.filter(|(_, field)| *field == AnswerField::Value);
        shown.next().map_or("value", |(name, _)| name)
    }

    /// The tabular part.
    pub fn tabular(&self) -> Option<&TabularSpec> {
        match &self.subject {
            Subject::Tabular(it) => Some(it),
            Subject::Series(_) => None,
        }
    }

    /// The series part.
    pub fn series(&self) -> Option<&SeriesSpec> {
        match &self.subject {
            Subject::Tabular(_) => None,
            Subject::Series(it) => Some(it),
        }
    }

    /// The baseline of the task.
    pub fn baseline(&self) -> Baseline {
        match self.task {
            Task::Forecast => Baseline::SeasonalNaive,
            _ => Baseline::Mean,
        }
    }
}
