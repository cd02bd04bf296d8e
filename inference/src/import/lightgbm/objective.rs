//! From the objective's line to what the sums of leaves become.

use crate::manifest::Task;
use crate::tree::Link;

use foretell_features::spelling::hint;

/// What the header's `objective=` means.
pub(super) struct Objective {
    /// Sums to answers.
    pub(super) link: Link,
    /// What is predicted.
    pub(super) task: Task,
    /// Whether answers are probabilities.
    pub(super) is_probability: bool,
    /// What leaves are multiplied by: the parameter `sigmoid`, so that sums are log-odds.
    pub(super) leaf_scale: f64,
}

const KNOWN: [&str; 17] = [
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
    "binary",
    "multiclass",
    "multiclassova",
    "cross_entropy",
    "cross_entropy_lambda",
    "lambdarank",
    "rank_xendcg",
    "custom",
];

impl Objective {
    /// Reads `binary sigmoid:1`. Without an objective (a loss of the user's own) the answer is the sum.
    pub(super) fn parse(line: Option<&str>, n_outputs: usize) -> Result<Self, String> {
        let mut words = line.unwrap_or("custom").split_whitespace();
        let name = words.next().unwrap_or("custom");
        let rest: Vec<&str> = words.collect();
        let sigmoid = sigmoid(&rest)?;
        let (link, task, is_probability) = match name {
            "binary" | "cross_entropy" | "xentropy" => (Link::Logit, Task::BinaryClassification, true),
            "multiclass" => (Link::Softmax, Task::MulticlassClassification, true),
            "multiclassova" => (Link::Logit, Task::MulticlassClassification, true),
            "poisson" | "gamma" | "tweedie" => (Link::Log, Task::Regression, false),
            "cross_entropy_lambda" | "xentlambda" => (Link::Softplus, Task::Regression, false),
            _ if rest.contains(&"sqrt") => (Link::SignedSquare, Task::Regression, false),
            "custom" if n_outputs > 1 => (Link::Identity, Task::MulticlassClassification, false),
            name if KNOWN.contains(&name) => (Link::Identity, Task::Regression, false),
            other => return Err(format!("unknown objective `{other}`{}", hint(other, KNOWN))),
        };
        let fits = match name {
            "multiclass" | "multiclassova" => n_outputs > 1,
            "custom" => true,
            _ => n_outputs == 1,
        };
        if !fits {
            return Err(format!(
                "objective `{name}` does not go with {n_outputs} trees per iteration"
            ));
        }
        Ok(Self {
            link,
            task,
            is_probability,
            leaf_scale: sigmoid,
        })
    }
}

/// The steepness that `binary` and `multiclassova` give their logistic function.
fn sigmoid(words: &[&str]) -> Result<f64, String> {
    let Some(text) = words.iter().find_map(|it| it.strip_prefix("sigmoid:")) else {
        return Ok(1.0);
    };
    let value = text.parse().ok().filter(|it: &f64| it.is_finite() && *it > 0.0);
    value.ok_or_else(|| format!("the objective's `sigmoid:{text}` is not a positive number"))
}
