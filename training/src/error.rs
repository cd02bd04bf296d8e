//! What can keep a model from being trained: what, where, what to do.

use foretell_boosting::BoostError;
use foretell_features_offline::OfflineStoreError;
use foretell_inference::InferenceError;
use foretell_registry::RegistryError;
use foretell_tracking::TrackingError;

/// Every failure of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The offline engine could not give the rows.
    #[error(transparent)]
    Offline(#[from] OfflineStoreError),
    /// A forecast could not be trained.
    #[error(transparent)]
    Forecast(#[from] crate::forecast::ForecastError),
    /// The package could not be read or replayed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The registry could not take or give a version.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The runs could not be written.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    /// The rows cannot be divided into training and test.
    #[error("model `{model}` cannot be split: {reason}")]
    Split {
        /// The model.
        model: String,
        /// What is missing, and what to do.
        reason: String,
    },
    /// All training labels are alike.
    #[error(
        "model `{model}` has one class: all {rows} {part} labels are {class}; check `positive` in [label], or the label's horizon"
    )]
    OneClass {
        /// The model.
        model: String,
        /// `training` or `test`.
        part: &'static str,
        /// How many.
        rows: usize,
        /// The only label.
        class: f64,
    },
    /// Too little to learn from.
    #[error(
        "model `{model}` has {rows} {part} rows, at least {least} are needed; give more data, or widen [training] population"
    )]
    TooFewRows {
        /// The model.
        model: String,
        /// `training` or `test`.
        part: &'static str,
        /// How many.
        rows: usize,
        /// How many are needed.
        least: usize,
    },
    /// A label that the task cannot learn.
    #[error("model `{model}` has a label that is not {expected}; check [label]. row=`{row}`, got=`{got}`")]
    Label {
        /// The model.
        model: String,
        /// What the task needs.
        expected: &'static str,
        /// Row of the training set.
        row: usize,
        /// What came.
        got: f64,
    },
    /// Every feature was left out.
    #[error("model `{model}` has no usable input: {reason}")]
    NoInput {
        /// The model.
        model: String,
        /// Why each was left out.
        reason: String,
    },
    /// A candidate's algorithm does not exist for the task.
    #[error("model `{model}`: unknown algorithm `{algorithm}` for {task}{hint}")]
    UnknownAlgorithm {
        /// The model.
        model: String,
        /// As typed.
        algorithm: String,
        /// The task.
        task: String,
        /// `; did you mean ..`, or what there is.
        hint: String,
    },
    /// A candidate's parameter does not exist or has a wrong value.
    #[error("model `{model}`, candidate `{algorithm}`: {reason}")]
    Parameter {
        /// The model.
        model: String,
        /// The algorithm.
        algorithm: String,
        /// What is wrong, with the nearest name.
        reason: String,
    },
    /// An algorithm gave up.
    #[error("model `{model}`, candidate `{algorithm}` cannot be fitted: {reason}")]
    Fit {
        /// The model.
        model: String,
        /// The algorithm.
        algorithm: String,
        /// What it said.
        reason: String,
    },
    /// A gate names what the task does not measure.
    #[error("model `{model}`: the gate's metric `{metric}` is not measured for {task}{hint}")]
    UnknownMetric {
        /// The model.
        model: String,
        /// As typed.
        metric: String,
        /// The task.
        task: String,
        /// `; did you mean ..`, or empty.
        hint: String,
    },
    /// The rows are not those that a version was trained from.
    #[error(
        "model `{model}`: the files do not give the rows that the version was trained from; restore the files of then, or name \
         them with --data. recorded=`{recorded}`, got=`{got}`"
    )]
    DataChanged {
        /// The model.
        model: String,
        /// Digest of the rows then.
        recorded: String,
        /// Digest of the rows now.
        got: String,
    },
    /// Anything else about the request.
    #[error("model `{model}`: {reason}")]
    Request {
        /// The model.
        model: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// What an estimator says, before the model and the candidate are named.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// A parameter does not exist or has a wrong value.
    #[error("{0}")]
    Parameter(String),
    /// The data cannot be fitted.
    #[error("{0}")]
    Data(String),
}

impl FitError {
    /// The same, with whose it is.
    pub fn of(self, model: &str, algorithm: &str) -> TrainError {
        let (model, algorithm) = (model.to_owned(), algorithm.to_owned());
        match self {
            FitError::Parameter(reason) => TrainError::Parameter {
                model,
                algorithm,
                reason,
            },
            FitError::Data(reason) => TrainError::Fit {
                model,
                algorithm,
                reason,
            },
        }
    }
}

impl From<BoostError> for FitError {
    fn from(error: BoostError) -> Self {
        match error {
            BoostError::UnknownParameter { .. } | BoostError::Parameter { .. } => {
                FitError::Parameter(error.to_string())
            }
            _ => FitError::Data(error.to_string()),
        }
    }
}

impl From<InferenceError> for FitError {
    fn from(error: InferenceError) -> Self {
        FitError::Data(error.to_string())
    }
}
