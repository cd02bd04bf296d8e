//! Domain endpoints as data: where the key comes from and what the answer's fields are (DESIGN §7).

use serde::{Deserialize, Serialize};

/// HTTP methods an endpoint may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
}

/// Where the entity key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// From the body's key columns; a body without them is a flat row of features.
    #[default]
    Body,
    /// From `{column}` segments of the path.
    Path,
}

/// A part of the prediction that an answer field can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AnswerField {
    #[serde(rename = "value")]
    Value,
    #[serde(rename = "lower")]
    Lower,
    #[serde(rename = "upper")]
    Upper,
    /// `[lower, upper]`
    #[serde(rename = "interval")]
    Interval,
    /// Probability times 100, rounded.
    #[serde(rename = "score_100")]
    Score100,
    /// The most probable class of a classification.
    #[serde(rename = "class")]
    Class,
    /// One probability per class, in the order of the manifest's classes.
    #[serde(rename = "probabilities")]
    Probabilities,
    #[serde(rename = "decision.level")]
    Level,
    #[serde(rename = "decision.recommendations")]
    Recommendations,
    /// The first recommendation.
    #[serde(rename = "decision.recommendation")]
    Recommendation,
    #[serde(rename = "reasons")]
    Reasons,
    #[serde(rename = "steps")]
    Steps,
    #[serde(rename = "total")]
    Total,
    #[serde(rename = "components")]
    Components,
    /// The entity or series key, as sent.
    #[serde(rename = "key")]
    Key,
}

/// One mounted endpoint of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// HTTP method.
    pub method: Method,
    /// Path; `{column}` segments are key columns.
    pub path: String,
    /// Where the key comes from.
    pub key: KeySource,
    /// Answer fields in order.
    pub answer: Vec<(String, AnswerField)>,
}
