//! The rules for names, as MLflow has them, with MLflow's messages: clients match on them.

use crate::error::{RegistryError, Result};

const MAX_MODEL_NAME: usize = 256;
const MAX_ALIAS: usize = 255;
const MAX_TAG_KEY: usize = 250;
const MAX_TAG_VALUE: usize = 100_000;

/// A model name is not blank, has no `/` or `:`, and would be the same name as a file path.
pub fn check_model_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(missing("name"));
    }
    if name.contains(['/', ':']) {
        return Err(RegistryError::invalid(format!(
            "Invalid model name '{name}'. Names cannot contain '/' or ':'."
        )));
    }
    check_path_like("name", name)?;
    check_length("name", name, MAX_MODEL_NAME)
}

/// An alias is letters, digits, `_` and `-`; `latest` and `v1`-like names are reserved.
pub fn check_alias(alias: &str) -> Result<()> {
    check_alias_spelling(alias)?;
    if alias.eq_ignore_ascii_case("latest") {
        return Err(RegistryError::invalid(
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let digits = alias.strip_prefix(['v', 'V']);
    if digits.is_some_and(|it| !it.is_empty() && it.chars().all(char::is_numeric)) {
        return Err(RegistryError::invalid(format!(
            "Version alias name '{alias}' is reserved."
        )));
    }
    Ok(())
}

/// A tag key is word characters, `/`, `.`, `-`, `:` and blanks, and no odd path; a value is any text up to 100000 characters.
pub fn check_tag(key: &str, value: &str) -> Result<()> {
    if key.is_empty() {
        return Err(missing("key"));
    }
    if !key.chars().all(|it| is_word(it) || "/.-: ".contains(it)) {
        return Err(RegistryError::invalid(format!(
            "Invalid value \"{key}\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), \
             dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )));
    }
    check_path_like("key", key)?;
    check_length("key", key, MAX_TAG_KEY)?;
    check_length("value", value, MAX_TAG_VALUE)
}

/// A file's path inside its package: relative, normal, portable. It is never opened, only listed, but an export writes it.
pub(crate) fn check_file_path(path: &str) -> Result<()> {
    let normal = path.split('/').all(|it| !it.is_empty() && it != "." && it != "..");
    let portable = !path.chars().any(|it| it.is_control() || "\\:".contains(it));
    if normal && portable && path.len() <= 1024 {
        return Ok(());
    }
    Err(RegistryError::invalid(format!(
        "Invalid package path '{path}'. Paths are relative, of parts joined by '/', without '.', '..', ':' or '\\'."
    )))
}

fn check_alias_spelling(alias: &str) -> Result<()> {
    if alias.is_empty() {
        return Err(missing("alias"));
    }
    if !alias.chars().all(|it| is_word(it) || it == '-') {
        return Err(RegistryError::invalid(format!(
            "Invalid alias name '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    check_length("alias", alias, MAX_ALIAS)
}

/// What Python's `\w` matches.
fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

fn missing(parameter: &str) -> RegistryError {
    RegistryError::invalid(format!("Missing value for required parameter '{parameter}'."))
}

fn check_length(parameter: &str, value: &str, limit: usize) -> Result<()> {
    if value.chars().count() <= limit {
        return Ok(());
    }
    Err(RegistryError::invalid(format!(
        "'{parameter}' exceeds the maximum length of {limit} characters"
    )))
}

/// The name equals its own normal form as a POSIX path and does not leave its folder.
fn check_path_like(parameter: &str, name: &str) -> Result<()> {
    let parts = name.split('/').filter(|it| !it.is_empty() && *it != ".");
    let normal = parts.collect::<Vec<_>>().join("/");
    let leaves = name == "." || name.starts_with("..") || name.starts_with('/');
    let climbs = name.split('/').any(|it| it == "..");
    if normal == name && !leaves && !climbs {
        return Ok(());
    }
    Err(RegistryError::invalid(format!(
        "Invalid value \"{name}\" for parameter '{parameter}' supplied: Names may be treated as files in certain cases, and \
         must not resolve to other names when treated as such."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(result: Result<()>) -> String {
        result.map_or_else(|it| it.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn model_names_follow_the_rules_of_mlflow() {
        let reserved = "must not resolve to other names when treated as such.";
        for (name, want) in [
            ("churn", "ok"),
            ("Ünïcode name.v2", "ok"),
            ("", "Missing value for required parameter 'name'."),
            ("  ", "Missing value for required parameter 'name'."),
            ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
            ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
            (".", reserved),
            ("..", reserved),
            ("..a", reserved),
            (&"x".repeat(256), "ok"),
            (&"x".repeat(257), "'name' exceeds the maximum length of 256 characters"),
        ] {
            let got = verdict(check_model_name(name));
            assert!(got.ends_with(want), "{name}: {got}");
        }
    }

    #[test]
    fn aliases_follow_the_rules_of_mlflow() {
        let latest = "'latest' alias name (case insensitive) is reserved.";
        for (alias, want) in [
            ("champion", "ok"),
            ("v", "ok"),
            ("v1a", "ok"),
            ("blue-green_2", "ok"),
            ("", "Missing value for required parameter 'alias'."),
            ("latest", latest),
            ("LateST", latest),
            ("v1", "Version alias name 'v1' is reserved."),
            ("V22", "Version alias name 'V22' is reserved."),
            (
                "a b",
                "Names may only contain alphanumerics, underscores (_), and dashes (-).",
            ),
            (
                "a@b",
                "Names may only contain alphanumerics, underscores (_), and dashes (-).",
            ),
            (&"x".repeat(256), "'alias' exceeds the maximum length of 255 characters"),
        ] {
            let got = verdict(check_alias(alias));
            assert!(got.ends_with(want), "{alias}: {got}");
        }
    }

    #[test]
    fn tags_follow_the_rules_of_mlflow() {
        for (key, good) in [
            ("mlflow.prompt.is_prompt", true),
            ("a b/c:d-e", true),
            ("", false),
            ("a=b", false),
            ("../a", false),
            ("a//b", false),
            ("a/../b", false),
            (&"x".repeat(251), false),
        ] {
            assert_eq!(check_tag(key, "").is_ok(), good, "{key}");
        }
        assert!(check_tag("k", &"x".repeat(100_001)).is_err());
    }

    #[test]
    fn a_file_of_a_package_cannot_point_outside() {
        for (path, good) in [
            ("model.bin", true),
            ("a/b.json", true),
            ("", false),
            ("/etc/passwd", false),
            ("../x", false),
            ("a/../x", false),
            ("a//b", false),
            ("a/", false),
            ("C:\\x", false),
            ("nul\0", false),
        ] {
            assert_eq!(check_file_path(path).is_ok(), good, "{path}");
        }
    }
}
