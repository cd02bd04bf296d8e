//! From the loss that a model was trained on to what its sums become: what `predict_proba` gives for classes, and `predict`
//! for numbers.

use foretell_features::spelling::hint;

use crate::manifest::Task;
use crate::tree::Link;

/// What a loss means.
pub(super) struct Loss {
    /// Sums to answers.
    pub(super) link: Link,
    /// What is predicted.
    pub(super) task: Task,
    /// Whether answers are probabilities.
    pub(super) is_probability: bool,
}

/// Losses whose sums are the answer.
const PLAIN: [&str; 33] = [
    "RMSE",
    "MAE",
    "Quantile",
    "MultiQuantile",
    "MAPE",
    "Lq",
    "Huber",
    "Expectile",
    "LogCosh",
    "RMSPE",
    "GroupQuantile",
    "LogLinQuantile",
    "MultiRMSE",
    "MultiRMSEWithMissingValues",
    "SurvivalAft",
    "Cox",
    "PairLogit",
    "PairLogitPairwise",
    "QueryRMSE",
    "QuerySoftMax",
    "QueryCrossEntropy",
    "YetiRank",
    "YetiRankPairwise",
    "StochasticFilter",
    "StochasticRank",
    "LambdaMart",
    "UserPerObjMetric",
    "UserQuerywiseMetric",
    "PythonUserDefinedPerObject",
    "PythonUserDefinedMultiTarget",
    "PythonUserDefinedMultiRegression",
    "Combination",
    "RMSEWithUncertainty",
];

const CLASSES: [&str; 9] = [
    "Logloss",
    "CrossEntropy",
    "Focal",
    "MultiClass",
    "MultiClassOneVsAll",
    "MultiLogloss",
    "MultiCrossEntropy",
    "Poisson",
    "Tweedie",
];

impl Loss {
    /// By name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let (link, task, is_probability) = match name {
            "Logloss" | "CrossEntropy" | "Focal" => (Link::Logit, Task::BinaryClassification, true),
            "MultiClass" => (Link::Softmax, Task::MulticlassClassification, true),
            "MultiClassOneVsAll" => (Link::Logit, Task::MulticlassClassification, true),
            // Several targets, each a yes or no of its own.
            "MultiLogloss" | "MultiCrossEntropy" => (Link::Logit, Task::Regression, true),
            "Poisson" | "Tweedie" => (Link::Log, Task::Regression, false),
            "RMSEWithUncertainty" => {
                return Err("loss `RMSEWithUncertainty` answers with a variance, which cannot be imported; train on RMSE or MultiQuantile".to_owned());
            }
            name if PLAIN.contains(&name) => (Link::Identity, Task::Regression, false),
            other => {
                let known = PLAIN.into_iter().chain(CLASSES);
                return Err(format!("unknown loss `{other:.60}`{}", hint(other, known)));
            }
        };
        Ok(Self {
            link,
            task,
            is_probability,
        })
    }
}
