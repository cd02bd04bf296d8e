//! The nouns of tracking, as callers see them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{DatasetInput, ModelId, ModelMetric, ModelOutput, TrackingError};

/// The experiment that always exists, named `Default`.
pub const DEFAULT_EXPERIMENT: ExperimentId = ExperimentId(0);

/// Names an experiment: a number, written in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub(crate) i64);

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ExperimentId {
    type Err = TrackingError;

    /// # Errors
    /// `Invalid` unless the text is a decimal integer, zero or more.
    fn from_str(text: &str) -> Result<Self, TrackingError> {
        let id = text.parse().ok().filter(|id: &i64| *id >= 0);
        id.map(Self)
            .ok_or_else(|| TrackingError::invalid("experiment_id", text, "it must be a valid integer"))
    }
}

/// Names a run: 32 lower-case hexadecimal digits where we made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(crate) String);

impl RunId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = TrackingError;

    /// # Errors
    /// `Invalid` unless the text is 1 to 256 letters, digits, `_` and `-`, the first a letter or a digit.
    fn from_str(text: &str) -> Result<Self, TrackingError> {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if first && rest && text.len() <= 256 {
            return Ok(Self(text.to_owned()));
        }
        Err(TrackingError::invalid("run_id", text, "it must be letters and digits"))
    }
}

/// Declares an enum whose values are stored and sent as fixed words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$case_doc])* $case,)+ }

        impl $name {
            /// The word that stands for it in the store and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$case => $word,)+ }
            }

            /// The value that the word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$case),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// How far a run has come.
    RunStatus {
        /// At work.
        Running = "RUNNING",
        /// To be started.
        Scheduled = "SCHEDULED",
        /// Ended well.
        Finished = "FINISHED",
        /// Ended badly.
        Failed = "FAILED",
        /// Ended by somebody.
        Killed = "KILLED",
    }
}

words! {
    /// Deleted experiments and runs stay until they are purged, and can be restored.
    Lifecycle {
        /// In use.
        Active = "active",
        /// Out of sight.
        Deleted = "deleted",
    }
}

words! {
    /// Which lifecycle a search looks at.
    View {
        /// Those in use.
        ActiveOnly = "ACTIVE_ONLY",
        /// Those deleted.
        DeletedOnly = "DELETED_ONLY",
        /// Both.
        All = "ALL",
    }
}

/// A set of runs that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// Its name, unique among active and deleted ones.
    pub name: String,
    /// Where its runs keep their files.
    pub artifact_location: String,
    /// In use or deleted.
    pub lifecycle: Lifecycle,
    /// When it was made, ms.
    pub creation_time: i64,
    /// When it was last renamed, deleted or restored, ms.
    pub last_update_time: i64,
    /// Free words about it.
    pub tags: BTreeMap<String, String>,
}

/// What it takes to make an experiment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewExperiment {
    /// 1 to 500 characters.
    pub name: String,
    /// Absent: `mlflow-artifacts:/<id>`.
    pub artifact_location: Option<String>,
    /// Free words about it.
    pub tags: BTreeMap<String, String>,
    /// Now, ms.
    pub time: i64,
}

/// A run without what was logged to it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInfo {
    /// Its id.
    pub run_id: RunId,
    /// Its name, always equal to the tag `mlflow.runName`.
    pub name: String,
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// Who started it; may be empty.
    pub user_id: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it started, ms.
    pub start_time: i64,
    /// When it ended, ms.
    pub end_time: Option<i64>,
    /// Where its files are.
    pub artifact_uri: String,
    /// In use or deleted.
    pub lifecycle: Lifecycle,
}

/// A run with all that was logged to it, metrics with their latest value only.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Who, when, how far.
    pub info: RunInfo,
    /// One entry per key, in the order of keys.
    pub metrics: Vec<Metric>,
    /// Settings; they never change.
    pub params: BTreeMap<String, String>,
    /// Free words about it.
    pub tags: BTreeMap<String, String>,
    /// Data sets that it read.
    pub datasets: Vec<DatasetInput>,
    /// Logged models that it read.
    pub model_inputs: Vec<ModelId>,
    /// Logged models that it made.
    pub model_outputs: Vec<ModelOutput>,
}

impl Run {
    /// The latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|it| it.key == key).map(|it| it.value)
    }
}

/// What it takes to start a run.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// Absent: the tag `mlflow.runName`, else a name is made up.
    pub name: Option<String>,
    /// Who starts it; may be empty.
    pub user_id: String,
    /// Now, ms.
    pub start_time: i64,
    /// Free words about it.
    pub tags: BTreeMap<String, String>,
}

impl NewRun {
    /// A run without name, user and tags.
    pub fn new(experiment_id: ExperimentId, start_time: i64) -> Self {
        Self {
            experiment_id,
            name: None,
            user_id: String::new(),
            start_time,
            tags: BTreeMap::new(),
        }
    }
}

/// What is to change in a run; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunUpdate {
    /// How far it has come.
    pub status: Option<RunStatus>,
    /// When it ended, ms.
    pub end_time: Option<i64>,
    /// Its name.
    pub name: Option<String>,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What was measured.
    pub key: String,
    /// The value. NaN is kept; an infinity is stored as the largest finite number of its sign.
    pub value: f64,
    /// When, ms.
    pub time: i64,
    /// At which step of the run.
    pub step: i64,
}

/// What is written to a run in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Measurements, at most 1000 together with those of models.
    pub metrics: Vec<Metric>,
    /// Measurements of logged models: kept with the run and with the model.
    pub model_metrics: Vec<ModelMetric>,
    /// Settings, at most 100; a value that differs from the logged one is refused.
    pub params: Vec<(String, String)>,
    /// Free words, at most 100; the last value stays.
    pub tags: Vec<(String, String)>,
}

/// A part of a longer answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// This part.
    pub items: Vec<T>,
    /// Where the next part starts; absent at the end.
    pub next_offset: Option<u64>,
}

impl<T> Page<T> {
    /// Cuts the page from a fetch that asked for one item more than `limit`.
    pub(crate) fn cut(mut items: Vec<T>, offset: u64, limit: u32) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Self {
            items,
            next_offset: more.then(|| offset + u64::from(limit)),
        }
    }

    /// The same page of something else.
    pub(crate) fn with<U>(&self, items: Vec<U>) -> Page<U> {
        Page {
            items,
            next_offset: self.next_offset,
        }
    }
}
