//! What a caller of the native API sends (DESIGN §7), as serde types. REST, gRPC and the command line all end up here.

use std::collections::BTreeMap;

use foretell_features::{Timestamp, Value};
use foretell_registry::VersionRef;
use serde::{Deserialize, Deserializer, de};

use crate::error::ServeError;

/// Named values of one entity, one row, or one step.
pub type Row = BTreeMap<String, Value>;

/// One prediction request: exactly one of `entities`, `rows` and `series`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictRequest {
    /// Key columns (and, optionally, request values) of each entity.
    pub entities: Option<Vec<Row>>,
    /// Inputs by name; derived ones may be left out.
    pub rows: Option<Vec<Row>>,
    /// Key columns of each series.
    pub series: Option<Vec<Row>>,
    /// Values only the caller knows, for all entities.
    pub request: Row,
    /// Steps ahead; the model's horizon if absent.
    pub horizon: Option<usize>,
    /// Known covariates, one row per step; rows that carry the series' key columns count for that series alone.
    pub future: Option<Vec<Row>>,
    /// The k strongest reasons.
    pub explain: usize,
    /// Level of the interval, above 0 and below 1.
    pub interval: Option<f64>,
    /// A version number.
    #[serde(deserialize_with = "text_or_number")]
    pub version: Option<String>,
    /// An alias; `champion` if neither is given.
    pub alias: Option<String>,
    /// The instant that ages are measured at; the server's clock if absent.
    pub as_of: Option<Timestamp>,
    /// Names the request in the log.
    #[serde(skip)]
    pub request_id: Option<String>,
}

/// What is to be predicted for, after the check that exactly one kind was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subjects<'a> {
    Entities(&'a [Row]),
    Rows(&'a [Row]),
    Series(&'a [Row]),
}

impl PredictRequest {
    /// A request by entity keys.
    pub fn entities(entities: Vec<Row>) -> Self {
        Self {
            entities: Some(entities),
            ..Self::default()
        }
    }

    /// A request by inputs.
    pub fn rows(rows: Vec<Row>) -> Self {
        Self {
            rows: Some(rows),
            ..Self::default()
        }
    }

    /// A forecast request.
    pub fn series(series: Vec<Row>) -> Self {
        Self {
            series: Some(series),
            ..Self::default()
        }
    }

    pub(crate) fn subjects(&self) -> Result<Subjects<'_>, ServeError> {
        match (&self.entities, &self.rows, &self.series) {
            (Some(it), None, None) => Ok(Subjects::Entities(it)),
            (None, Some(it), None) => Ok(Subjects::Rows(it)),
            (None, None, Some(it)) => Ok(Subjects::Series(it)),
            _ => Err(ServeError::request(
                "send exactly one of `entities`, `rows` and `series`",
            )),
        }
    }

    /// Which version is meant; `None` is the champion.
    pub(crate) fn wanted(&self) -> Result<Option<VersionRef>, ServeError> {
        let wanted = match (&self.version, &self.alias) {
            (Some(_), Some(_)) => return Err(ServeError::request("send `version` or `alias`, not both")),
            (Some(version), None) if !version.bytes().all(|it| it.is_ascii_digit()) => {
                return Err(ServeError::request(format!(
                    "`version` is a number like \"7\"; send `alias` for `{version}`"
                )));
            }
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => return Ok(None),
        };
        match wanted.parse()? {
            VersionRef::Alias(alias) if alias == "champion" => Ok(None),
            other => Ok(Some(other)),
        }
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Int(it) => Ok(Some(it.to_string())),
        Value::Str(it) => Ok(Some(it.to_string())),
        other => Err(de::Error::custom(format!(
            "version is a number or a text, got `{other}`"
        ))),
    }
}
