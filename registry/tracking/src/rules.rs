//! MLflow's limits on names and values.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Batch, DatasetInput, Metric, TrackingError};

/// Metrics in one batch.
pub const MAX_BATCH_METRICS: usize = 1000;
/// Parameters in one batch.
pub const MAX_BATCH_PARAMS: usize = 100;
/// Tags in one batch.
pub const MAX_BATCH_TAGS: usize = 100;
/// Metrics, parameters and tags in one batch together.
pub const MAX_BATCH_ITEMS: usize = 1000;
/// Characters in the key of a metric, parameter or tag.
pub const MAX_KEY: usize = 250;
/// Characters of a parameter that are kept.
pub const MAX_PARAM_VALUE: usize = 6000;
/// Characters of a run's tag that are kept.
pub const MAX_RUN_TAG_VALUE: usize = 8000;
/// Characters in the name of an experiment.
pub const MAX_EXPERIMENT_NAME: usize = 500;
const MAX_EXPERIMENT_TAG_VALUE: usize = 20_000;
const MAX_DATASET_NAME: usize = 500;
const MAX_DATASET_DIGEST: usize = 36;
const MAX_DATASET_SOURCE: usize = 65_535;
const MAX_DATASET_SCHEMA: usize = 1_048_575;
const MAX_DATASET_PROFILE: usize = 16_777_215;
const MAX_INPUT_TAG_KEY: usize = 255;
const MAX_INPUT_TAG_VALUE: usize = 500;

/// `/`, `.`, `-`, `:`, space, `_`, letters and digits; and a path that stays inside its folder. `field` is where the key
/// was found.
fn check_name(field: impl Into<String>, key: &str) -> Result<(), TrackingError> {
    let wrong = |reason: &str| Err(TrackingError::invalid(field, key, reason));
    if key.is_empty() {
        return wrong("it must not be empty");
    }
    if !key.chars().all(|c| c.is_alphanumeric() || "/_.- :".contains(c)) {
        return wrong(
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
        );
    }
    if !is_plain_path(key) {
        return wrong(
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such.",
        );
    }
    Ok(())
}

/// Equal to its own normal form, not `.`, not above or outside the folder.
fn is_plain_path(key: &str) -> bool {
    let inside = !key.starts_with('/') && !key.starts_with("..") && key != ".";
    inside && (!key.contains('/') || key.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

fn check_length(field: &'static str, text: &str, limit: usize) -> Result<(), TrackingError> {
    // Bytes are never fewer than characters, and quicker to count.
    if text.len() <= limit || text.chars().count() <= limit {
        return Ok(());
    }
    Err(TrackingError::TooLong { field, limit })
}

/// The key of a run's tag.
pub(crate) fn check_tag_key(field: impl Into<String>, key: &str) -> Result<(), TrackingError> {
    check_name(field, key)?;
    check_length("Tag key", key, MAX_KEY)
}

fn check_param_key(field: impl Into<String>, key: &str) -> Result<(), TrackingError> {
    check_name(field, key)?;
    check_length("Param key", key, MAX_KEY)
}

fn check_metric(field: impl Fn(&str) -> String, metric: &Metric) -> Result<(), TrackingError> {
    check_name(field("name"), &metric.key)?;
    if metric.time < 0 {
        let reason = format!(
            "metric '{}'. Timestamp must be a nonnegative long (64-bit integer)",
            metric.key
        );
        return Err(TrackingError::invalid(
            field("timestamp"),
            metric.time.to_string(),
            reason,
        ));
    }
    check_length("Metric name", &metric.key, MAX_KEY)
}

pub(crate) fn check_experiment_name(field: &str, name: &str) -> Result<(), TrackingError> {
    if name.is_empty() {
        return Err(TrackingError::invalid(field, name, "it must not be empty"));
    }
    check_length("name", name, MAX_EXPERIMENT_NAME)
}

pub(crate) fn check_experiment_tag(key: &str, value: &str) -> Result<(), TrackingError> {
    check_name("key", key)?;
    check_length("key", key, MAX_KEY)?;
    check_length("value", value, MAX_EXPERIMENT_TAG_VALUE)
}

/// Where in a batch something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the only thing.
    Alone,
    /// It stands in a list.
    Listed,
}

pub(crate) fn check_batch(batch: &Batch, place: Place) -> Result<(), TrackingError> {
    let metrics = batch
        .metrics
        .iter()
        .chain(batch.model_metrics.iter().map(|it| &it.metric));
    let path = |list: &str, i: usize, name: &str| match place {
        Place::Alone => name.to_owned(),
        Place::Listed => format!("{list}[{i}].{name}"),
    };
    for (i, metric) in metrics.enumerate() {
        check_metric(|name| path("metrics", i, name), metric)?;
    }
    for (i, (key, _)) in batch.params.iter().enumerate() {
        check_param_key(path("params", i, "key"), key)?;
    }
    for (i, (key, _)) in batch.tags.iter().enumerate() {
        check_tag_key(path("tags", i, "key"), key)?;
    }
    check_counts(batch)?;
    check_unique(&batch.params)
}

fn check_counts(batch: &Batch) -> Result<(), TrackingError> {
    let metrics = batch.metrics.len() + batch.model_metrics.len();
    let (params, tags) = (batch.params.len(), batch.tags.len());
    let counts = [
        ("metrics", metrics, MAX_BATCH_METRICS),
        ("params", params, MAX_BATCH_PARAMS),
        ("tags", tags, MAX_BATCH_TAGS),
        ("metrics, params, and tags", metrics + params + tags, MAX_BATCH_ITEMS),
    ];
    match counts.into_iter().find(|(_, count, limit)| count > limit) {
        Some((what, count, limit)) => Err(TrackingError::TooMany { what, limit, count }),
        None => Ok(()),
    }
}

fn check_unique(params: &[(String, String)]) -> Result<(), TrackingError> {
    let mut seen = BTreeSet::new();
    let twice = params.iter().filter(|(key, _)| !seen.insert(key));
    let keys: Vec<String> = twice.map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(TrackingError::DuplicateParams { keys })
}

pub(crate) fn check_dataset(input: &DatasetInput) -> Result<(), TrackingError> {
    let it = &input.dataset;
    for (field, text) in [("name", &it.name), ("digest", &it.digest)] {
        if text.is_empty() {
            return Err(TrackingError::invalid(
                format!("dataset.{field}"),
                "",
                "it must not be empty",
            ));
        }
    }
    check_length("name", &it.name, MAX_DATASET_NAME)?;
    check_length("digest", &it.digest, MAX_DATASET_DIGEST)?;
    check_length("source", &it.source, MAX_DATASET_SOURCE)?;
    check_length("schema", it.schema.as_deref().unwrap_or(""), MAX_DATASET_SCHEMA)?;
    check_length("profile", it.profile.as_deref().unwrap_or(""), MAX_DATASET_PROFILE)?;
    input.tags.iter().try_for_each(|(key, value)| {
        check_length("key", key, MAX_INPUT_TAG_KEY)?;
        check_length("value", value, MAX_INPUT_TAG_VALUE)
    })
}

/// Pairs of a key and a value as a map: the last value of a key stays.
pub(crate) fn last_of(pairs: &[(String, String)]) -> BTreeMap<&str, &str> {
    pairs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// The first `limit` characters: parameters and tags of runs are cut, not refused.
pub(crate) fn cut(value: &str, limit: usize) -> &str {
    if value.len() <= limit {
        return value;
    }
    value.char_indices().nth(limit).map_or(value, |(end, _)| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_rules_of_mlflow() {
        for key in ["a", "a/b", "roc_auc", "train loss", "a.b-c:d", "ключ"] {
            assert!(check_tag_key("key", key).is_ok(), "{key}");
        }
        for key in [
            "",
            ".",
            "..",
            "..a/b",
            "/a",
            "a//b",
            "a/../b",
            "a/./b",
            "a/",
            "a$b",
            "a\nb",
            &"k".repeat(251),
        ] {
            assert!(check_tag_key("key", key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("ab", 2), "ab");
    }
}
