use std::path::PathBuf;

use crate::{ExperimentId, ModelId, RunId};

/// Everything that can go wrong with the experiment store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// The address of the store has no meaning here.
    #[error("tracking url is not understood, write sqlite:PATH or postgres://USER@HOST/DATABASE. url=`{url}`")]
    Url {
        /// The address as given.
        url: String,
    },
    /// The address is right, this build cannot serve it.
    #[error(
        "tracking on PostgreSQL is not built in, build with `--features foretell/postgres` or use sqlite:PATH. url=`{url}`"
    )]
    NotBuiltIn {
        /// The address as given, without what may be a password.
        url: String,
    },
    /// The folder of the database could not be made.
    #[error("cannot create the folder of the tracking database. path=`{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was written by a newer Foretell.
    #[error("the tracking database is newer than this program. found=`{found}`, known=`{known}`")]
    NewerSchema {
        /// The version in the file.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// The database refused or broke.
    #[error("tracking database failed")]
    Database(#[from] sqlx::Error),
    /// A stored value makes no sense: the file was changed by hand or is damaged.
    #[error("tracking database holds a value that is not understood. column=`{column}`, value=`{value}`")]
    Corrupt {
        /// Where.
        column: &'static str,
        /// What was found.
        value: String,
    },
    /// No experiment has this id.
    #[error("no such experiment. id=`{id}`")]
    NoExperiment {
        /// The id asked for.
        id: ExperimentId,
    },
    /// The name is taken, by an active or a deleted experiment.
    #[error("experiment exists already. name=`{name}`")]
    ExperimentExists {
        /// The name asked for.
        name: String,
    },
    /// The experiment is deleted, or not, where the other was needed.
    #[error("experiment is not {needed}. id=`{id}`")]
    ExperimentLifecycle {
        /// The experiment.
        id: ExperimentId,
        /// What the operation needs.
        needed: crate::Lifecycle,
    },
    /// No run has this id.
    #[error("no such run. id=`{id}`")]
    NoRun {
        /// The id asked for.
        id: RunId,
    },
    /// The run is deleted, or not, where the other was needed.
    #[error("run is not {needed}. id=`{id}`")]
    RunLifecycle {
        /// The run.
        id: RunId,
        /// What the operation needs.
        needed: crate::Lifecycle,
    },
    /// A parameter never changes once it is logged.
    #[error("a parameter cannot change. run=`{run}`, key=`{key}`, logged=`{old}`, got=`{new}`")]
    ParamChanged {
        /// The run.
        run: RunId,
        /// The parameter.
        key: String,
        /// The value it has.
        old: String,
        /// The value it was to get.
        new: String,
    },
    /// No logged model has this id, or it is deleted.
    #[error("no such logged model. id=`{id}`")]
    NoModel {
        /// The id asked for.
        id: ModelId,
    },
    /// What is to be deleted is not there.
    #[error("no such tag. of=`{of}`, key=`{key}`")]
    NoTag {
        /// Whose tag.
        of: TagOwner,
        /// The tag asked for.
        key: String,
    },
    /// A name or a value is too long.
    #[error("{field} exceeds the maximum length of {limit} characters")]
    TooLong {
        /// What is too long, in MLflow's words.
        field: &'static str,
        /// Characters that fit.
        limit: usize,
    },
    /// A batch holds too much.
    #[error("a batch holds at most {limit} {what}. got=`{count}`")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many fit.
        limit: usize,
        /// How many there were.
        count: usize,
    },
    /// A batch says the same parameter twice.
    #[error("parameters are given twice in one batch. keys=`{keys:?}`")]
    DuplicateParams {
        /// The parameters.
        keys: Vec<String>,
    },
    /// A value breaks a rule; `reason` names the rule.
    #[error("{field} is not valid: {reason}. value=`{value}`")]
    Invalid {
        /// Which argument, in a list with its place: `metrics[3].name`.
        field: String,
        /// The value as given.
        value: String,
        /// The rule that it breaks.
        reason: String,
    },
}

impl TrackingError {
    pub(crate) fn invalid(field: impl Into<String>, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            value: value.into(),
            reason: reason.into(),
        }
    }
}

/// What a tag belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagOwner {
    /// An experiment.
    Experiment(ExperimentId),
    /// A run.
    Run(RunId),
    /// A logged model.
    Model(ModelId),
}

impl std::fmt::Display for TagOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Experiment(id) => write!(f, "experiment {id}"),
            Self::Run(id) => write!(f, "run {id}"),
            Self::Model(id) => write!(f, "logged model {id}"),
        }
    }
}
