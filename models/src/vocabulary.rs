//! The names a `model.toml` may use: tasks, algorithms, metrics, parts of an answer.

use foretell_inference::{AnswerField, Task};

/// Tasks that training learns, by name. Multiclass models are imported.
pub const TASKS: [(&str, Task); 4] = [
    ("binary_classification", Task::BinaryClassification),
    ("regression", Task::Regression),
    ("lifetime_value", Task::LifetimeValue),
    ("forecast", Task::Forecast),
];

/// Metrics of probabilities.
pub const CLASSIFICATION_METRICS: [&str; 7] = ["roc_auc", "pr_auc", "log_loss", "brier", "ece", "accuracy", "lift_10"];

/// Metrics of numbers.
pub const NUMBER_METRICS: [&str; 12] = [
    "mae",
    "rmse",
    "rmspe",
    "wape",
    "bias",
    "gini",
    "spearman",
    "total_ratio",
    "smape",
    "coverage_80",
    "coverage_90",
    "coverage_95",
];

/// Metrics of series.
pub const FORECAST_METRICS: [&str; 13] = [
    "mae",
    "rmse",
    "rmspe",
    "rmsse",
    "wape",
    "bias",
    "total_ratio",
    "smape",
    "mase",
    "owa",
    "coverage_80",
    "coverage_90",
    "coverage_95",
];

/// Parts of a prediction by the name that an endpoint's answer uses.
pub const ANSWER_FIELDS: [(&str, AnswerField); 15] = [
    ("value", AnswerField::Value),
    ("lower", AnswerField::Lower),
    ("upper", AnswerField::Upper),
    ("interval", AnswerField::Interval),
    ("score_100", AnswerField::Score100),
    ("class", AnswerField::Class),
    ("probabilities", AnswerField::Probabilities),
    ("decision.level", AnswerField::Level),
    ("decision.recommendations", AnswerField::Recommendations),
    ("decision.recommendation", AnswerField::Recommendation),
    ("reasons", AnswerField::Reasons),
    ("steps", AnswerField::Steps),
    ("total", AnswerField::Total),
    ("components", AnswerField::Components),
    ("key", AnswerField::Key),
];

/// The algorithms of a task; all of them are candidates where a model names none.
pub fn algorithms(task: Task) -> &'static [&'static str] {
    match task {
        Task::BinaryClassification => &["boosted_trees", "logistic"],
        Task::Regression | Task::LifetimeValue => &["boosted_trees"],
        Task::MulticlassClassification => &[],
        Task::Forecast => &["seasonal_naive", "exponential_smoothing", "boosted_lags"],
    }
}

/// The metrics a gate of the task may name.
pub fn metrics(task: Task) -> &'static [&'static str] {
    match task {
        Task::BinaryClassification => &CLASSIFICATION_METRICS,
        Task::Regression | Task::LifetimeValue => &NUMBER_METRICS,
        Task::MulticlassClassification => &[],
        Task::Forecast => &FORECAST_METRICS,
    }
}

/// The task's name in `model.toml`.
pub fn task_name(task: Task) -> &'static str {
    TASKS
        .iter()
        .find(|(_, it)| *it == task)
        .map_or("multiclass_classification", |(name, _)| *name)
}
