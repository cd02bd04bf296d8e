//! Logged models: files that a run made, with what was measured of them. Not the registry's versions, which may come
//! from them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::record::words;
use crate::{ExperimentId, Lifecycle, Metric, RunId, TrackingError};

/// Names a logged model: `m-` and 32 hexadecimal digits where we made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub(crate) String);

impl ModelId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ModelId {
    type Err = TrackingError;

    /// # Errors
    /// `Invalid` unless the text is 1 to 256 letters, digits, `_` and `-`.
    fn from_str(text: &str) -> Result<Self, TrackingError> {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if plain && (1..=256).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(TrackingError::invalid(
            "model_id",
            text,
            "it must be letters and digits",
        ))
    }
}

words! {
    /// Whether the files of a logged model are there.
    ModelStatus {
        /// They are being written.
        Pending = "LOGGED_MODEL_PENDING",
        /// They are there.
        Ready = "LOGGED_MODEL_READY",
        /// They could not be written.
        Failed = "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

/// A logged model with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedModel {
    /// Its id.
    pub id: ModelId,
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// Its name; not unique.
    pub name: String,
    /// What kind of model, in the words of who logged it.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// Whether its files are there.
    pub status: ModelStatus,
    /// When it was made, ms.
    pub creation_time: i64,
    /// When its status last changed, ms.
    pub last_update_time: i64,
    /// Where its files are.
    pub artifact_uri: String,
    /// In use or deleted.
    pub lifecycle: Lifecycle,
    /// Settings.
    pub params: BTreeMap<String, String>,
    /// Free words about it.
    pub tags: BTreeMap<String, String>,
    /// Everything that was measured of it, by key, time and step.
    pub metrics: Vec<LoggedMetric>,
}

/// What it takes to log a model.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLoggedModel {
    /// The experiment that it belongs to.
    pub experiment_id: ExperimentId,
    /// Absent: a name is made up.
    pub name: Option<String>,
    /// What kind of model.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Settings.
    pub params: Vec<(String, String)>,
    /// Free words about it.
    pub tags: Vec<(String, String)>,
    /// Now, ms.
    pub time: i64,
}

impl NewLoggedModel {
    /// A model of which nothing is known.
    pub fn new(experiment_id: ExperimentId, time: i64) -> Self {
        Self {
            experiment_id,
            name: None,
            model_type: None,
            source_run_id: None,
            params: Vec::new(),
            tags: Vec::new(),
            time,
        }
    }
}

/// A data set that something was measured on, or that a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredOn {
    /// Its name.
    pub name: String,
    /// Its digest; absent in a search: any.
    pub digest: Option<String>,
}

/// A value measured of a logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMetric {
    /// Of which model.
    pub model_id: ModelId,
    /// On which data set.
    pub dataset: Option<MeasuredOn>,
    /// The value.
    pub metric: Metric,
}

/// A value measured of a logged model, as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedMetric {
    /// In which run.
    pub run_id: RunId,
    /// Of what, on what, how much.
    pub of: ModelMetric,
}

/// # Errors
/// `Invalid` when the name is empty or has one of `/ : . % " '`.
pub fn check_logged_model_name(name: &str) -> Result<(), TrackingError> {
    if !name.is_empty() && !name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Ok(());
    }
    let reason = "a model name is not empty and has none of / : . % \" '";
    Err(TrackingError::invalid("name", name, reason))
}
