//! What the experiment store refuses, in MLflow's words.

use foretell_tracking::{Lifecycle, TagOwner, TrackingError};
use serde_json::json;

use crate::error::{ApiError, ErrorCode, internal};

impl From<TrackingError> for ApiError {
    fn from(error: TrackingError) -> Self {
        use TrackingError as E;
        match &error {
            E::NoExperiment { id } => no_experiment(id),
            E::NoRun { id } => Self::absent(format!("Run with id={id} not found")),
            E::NoModel { id } => Self::absent(format!("Logged model with ID '{id}' not found.")),
            E::NoTag { of, key } => no_tag(of, key),
            E::ExperimentExists { name } => Self::new(
                ErrorCode::ResourceAlreadyExists,
                format!("Experiment(name={name}) already exists."),
            ),
            E::ExperimentLifecycle { id, needed } => state("experiment", id, *needed),
            E::RunLifecycle { id, needed } => state("run", id, *needed),
            E::ParamChanged { run, key, old, new } => Self::invalid(format!(
                "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' \
                 for run ID='{run}'. Attempted logging new value '{new}'."
            )),
            E::DuplicateParams { keys } => Self::invalid(format!(
                "Duplicate parameter keys have been submitted: {}. Please ensure the request contains only one param \
                 value per param key.",
                python_list(keys)
            )),
            E::TooLong { field, limit } => {
                Self::invalid(format!("'{field}' exceeds the maximum length of {limit} characters"))
            }
            E::TooMany { what, limit, count } => Self::invalid(format!(
                "A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please split up \
                 {what} across multiple requests and try again."
            )),
            E::Invalid { field, value, reason } => invalid(field, value, reason),
            _ => internal(&error),
        }
    }
}

/// No active one, or none at all: MLflow does not say which.
pub(crate) fn no_experiment(id: &foretell_tracking::ExperimentId) -> ApiError {
    ApiError::absent(format!("No Experiment with id={id} exists"))
}

fn invalid(field: &str, value: &str, reason: &str) -> ApiError {
    match field {
        "experiment_id" => ApiError::invalid(format!(
            "Invalid experiment ID '{value}'. Experiment ID must be a valid integer."
        )),
        "run_name" => ApiError::invalid(reason),
        field if value.is_empty() => ApiError::missing(field),
        field => ApiError::invalid(format!(
            "Invalid value {} for parameter '{field}' supplied: {reason}",
            json!(value)
        )),
    }
}

fn no_tag(of: &TagOwner, key: &str) -> ApiError {
    ApiError::absent(match of {
        TagOwner::Experiment(id) => format!("No tag with name: {key} in experiment with id {id}"),
        TagOwner::Run(id) => format!("No tag with name: {key} in run with id {id}"),
        TagOwner::Model(id) => format!("No tag with key '{key}' found for model with ID '{id}'."),
    })
}

fn state(what: &str, id: &dyn std::fmt::Display, needed: Lifecycle) -> ApiError {
    let current = match needed {
        Lifecycle::Active => Lifecycle::Deleted,
        Lifecycle::Deleted => Lifecycle::Active,
    };
    ApiError::invalid(format!(
        "The {what} {id} must be in the '{needed}' state. Current state is {current}."
    ))
}

/// As MLflow prints a list of texts.
pub(crate) fn python_list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|it| format!("'{it}'")).collect();
    format!("[{}]", quoted.join(", "))
}
