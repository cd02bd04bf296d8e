//! MLflow's limits on names and values.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Batch, TrackingError};

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

/// `/`, `.`, `-`, `:`, space, `_`, letters and digits; and a path that stays inside its folder.
pub(crate) fn check_key(field: &'static str, key: &str) -> Result<(), TrackingError> {
    let wrong = |reason: &str| Err(TrackingError::invalid(field, key, reason));
    if key.is_empty() {
        return wrong("it must not be empty");
    }
    if key.chars().count() > MAX_KEY {
        return wrong("it exceeds the maximum length of 250 characters");
    }
    if !key.chars().all(|c| c.is_alphanumeric() || "/_.- :".contains(c)) {
        return wrong(
            "names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colons(:) and slashes (/)",
        );
    }
    if !is_plain_path(key) {
        return wrong("names may be treated as files, write them as a plain relative path");
    }
    Ok(())
}

/// Equal to its own normal form, not `.`, not above or outside the folder.
fn is_plain_path(key: &str) -> bool {
    let inside = !key.starts_with('/') && !key.starts_with("..") && key != ".";
    inside && (!key.contains('/') || key.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

pub(crate) fn check_experiment(name: &str, tags: &BTreeMap<String, String>) -> Result<(), TrackingError> {
    if name.is_empty() {
        return Err(TrackingError::invalid("name", name, "it must not be empty"));
    }
    if name.chars().count() > MAX_EXPERIMENT_NAME {
        return Err(TrackingError::invalid(
            "name",
            name,
            "it exceeds the maximum length of 500 characters",
        ));
    }
    tags.iter().try_for_each(|(key, value)| {
        check_key("tag", key)?;
        let short = value.chars().count() <= MAX_EXPERIMENT_TAG_VALUE;
        let error = || TrackingError::invalid("tag", key, "its value exceeds the maximum length of 20000 characters");
        short.then_some(()).ok_or_else(error)
    })
}

pub(crate) fn check_batch(batch: &Batch) -> Result<(), TrackingError> {
    let (metrics, params, tags) = (batch.metrics.len(), batch.params.len(), batch.tags.len());
    check_count("metrics", metrics, MAX_BATCH_METRICS)?;
    check_count("params", params, MAX_BATCH_PARAMS)?;
    check_count("tags", tags, MAX_BATCH_TAGS)?;
    check_count("metrics, params, and tags", metrics + params + tags, MAX_BATCH_ITEMS)?;
    batch.metrics.iter().try_for_each(|it| check_key("metric", &it.key))?;
    batch.tags.iter().try_for_each(|(key, _)| check_key("tag", key))?;
    let mut seen = BTreeSet::new();
    for (key, _) in &batch.params {
        check_key("param", key)?;
        if !seen.insert(key) {
            return Err(TrackingError::invalid(
                "param",
                key,
                "duplicate parameter keys have been submitted",
            ));
        }
    }
    Ok(())
}

fn check_count(field: &'static str, count: usize, limit: usize) -> Result<(), TrackingError> {
    if count <= limit {
        return Ok(());
    }
    Err(TrackingError::invalid(
        field,
        count.to_string(),
        format!("a batch holds at most {limit}"),
    ))
}

/// The first `limit` characters: parameters and tags of runs are cut, not refused.
pub(crate) fn cut(value: &str, limit: usize) -> &str {
    value.char_indices().nth(limit).map_or(value, |(end, _)| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_rules_of_mlflow() {
        for key in ["a", "a/b", "roc_auc", "train loss", "a.b-c:d", "ключ", "..a/b"] {
            let good = key != "..a/b";
            assert_eq!(check_key("metric", key).is_ok(), good, "{key}");
        }
        for key in [
            "",
            ".",
            "..",
            "/a",
            "a//b",
            "a/../b",
            "a/./b",
            "a/",
            "a$b",
            "a\nb",
            &"k".repeat(251),
        ] {
            assert!(check_key("metric", key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("ab", 2), "ab");
    }
}
