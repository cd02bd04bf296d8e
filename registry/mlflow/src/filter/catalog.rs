//! Filters and orders of registered models and model versions, evaluated on the registry's folded state.

use std::collections::{BTreeMap, BTreeSet};

use foretell_registry::{ModelState, VersionRow};
use foretell_tracking::{NumberTest, Test};

use super::parse::{self, Clause};
use crate::error::ApiError;
use crate::facts::Facts;
use crate::models::{IS_PROMPT, is_prompt};

/// Which models or versions; all clauses must hold.
#[derive(Debug)]
pub(crate) struct CatalogFilter {
    clauses: Vec<(Subject, Test)>,
    prompts: bool,
}

/// What a clause is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Name,
    Tag(String),
    RunId,
    SourcePath,
    VersionNumber,
}

impl CatalogFilter {
    /// A filter of registered models: `name` and tags.
    pub(crate) fn of_models(filter: &str) -> Result<Self, ApiError> {
        Self::parse(filter, &["name"])
    }

    /// A filter of versions: `name`, `run_id`, `source_path`, `version_number` and tags.
    pub(crate) fn of_versions(filter: &str) -> Result<Self, ApiError> {
        Self::parse(filter, &["name", "run_id", "source_path", "version_number"])
    }

    fn parse(filter: &str, valid: &[&str]) -> Result<Self, ApiError> {
        let mut this = Self {
            clauses: Vec::new(),
            prompts: false,
        };
        for clause in parse::clauses(filter)? {
            let subject = subject(&clause, valid)?;
            check_test(&subject, &clause.test)?;
            match (&subject, asks_for_prompts(&clause.test)) {
                (Subject::Tag(key), Some(prompts)) if key == IS_PROMPT => this.prompts = prompts,
                _ => this.clauses.push((subject, clause.test)),
            }
        }
        Ok(this)
    }

    /// The names that can match at all, each once, if the filter gives them.
    pub(crate) fn names(&self) -> Option<BTreeSet<&str>> {
        self.clauses.iter().find_map(|clause| match clause {
            (Subject::Name, Test::Equal(name)) => Some(BTreeSet::from([name.as_str()])),
            (Subject::Name, Test::In(names)) => Some(names.iter().map(String::as_str).collect()),
            _ => None,
        })
    }

    pub(crate) fn takes_model(&self, model: &ModelState) -> bool {
        let holds = |(subject, test): &(Subject, Test)| match subject {
            Subject::Tag(key) => text_holds(test, model.tags().get(key).map(String::as_str)),
            _ => text_holds(test, Some(&model.name)),
        };
        is_prompt(model.tags()) == self.prompts && self.clauses.iter().all(holds)
    }

    pub(crate) fn takes_version(&self, version: &VersionRow<'_>) -> bool {
        self.takes_tagged(version, version.tags())
    }

    /// The same with these tags in place of the version's own.
    pub(crate) fn takes_tagged(&self, version: &VersionRow<'_>, tags: &BTreeMap<String, String>) -> bool {
        let holds = |(subject, test): &(Subject, Test)| match subject {
            Subject::Name => text_holds(test, Some(version.model())),
            Subject::Tag(key) => text_holds(test, tags.get(key).map(String::as_str)),
            Subject::RunId => text_holds(test, Facts::of_row(version).run_id()),
            Subject::SourcePath => text_holds(test, Some(&Facts::of_row(version).source())),
            Subject::VersionNumber => number_holds(test, version.number()),
        };
        is_prompt(tags) == self.prompts && self.clauses.iter().all(holds)
    }
}

pub(super) fn is_attribute(entity: Option<&str>) -> bool {
    matches!(entity, None | Some("attribute" | "attributes" | "attr"))
}

fn subject(clause: &Clause, valid: &[&str]) -> Result<Subject, ApiError> {
    let key = clause.key.as_str();
    match clause.entity.as_deref() {
        Some("tag" | "tags") => Ok(Subject::Tag(key.to_owned())),
        entity if is_attribute(entity) => match key {
            it if !valid.contains(&it) => Err(ApiError::invalid(format!(
                "Invalid attribute key '{key}' specified. Valid keys are {valid:?}"
            ))),
            "run_id" => Ok(Subject::RunId),
            "source_path" => Ok(Subject::SourcePath),
            "version_number" => Ok(Subject::VersionNumber),
            _ => Ok(Subject::Name),
        },
        Some(entity) => Err(ApiError::invalid(format!(
            "Invalid entity type '{entity}'. Valid values are ['attribute', 'tag']"
        ))),
        None => Err(ApiError::invalid(format!("Invalid attribute key '{key}' specified."))),
    }
}

fn check_test(subject: &Subject, test: &Test) -> Result<(), ApiError> {
    let text = matches!(
        test,
        Test::Equal(_) | Test::NotEqual(_) | Test::Like(_) | Test::ILike(_)
    );
    let list = matches!(test, Test::In(_) | Test::NotIn(_));
    let fits = match subject {
        Subject::Name | Subject::RunId => text || list,
        Subject::Tag(_) | Subject::SourcePath => text,
        Subject::VersionNumber => matches!(test, Test::Number(_, number) if number.fract() == 0.0),
    };
    let wrong = || {
        ApiError::invalid(format!(
            "Invalid comparison for {subject:?}: {test:?} is not possible there."
        ))
    };
    fits.then_some(()).ok_or_else(wrong)
}

/// Whether a clause on the prompt tag asks for prompts or for all else; that holds for rows without the tag, too.
fn asks_for_prompts(test: &Test) -> Option<bool> {
    match test {
        Test::Equal(value) => value.parse().ok(),
        Test::NotEqual(value) => value.parse().ok().map(|it: bool| !it),
        _ => None,
    }
}

fn text_holds(test: &Test, value: Option<&str>) -> bool {
    let Some(value) = value else {
        return matches!(test, Test::IsNull);
    };
    match test {
        Test::Equal(other) => value == other,
        Test::NotEqual(other) => value != other,
        Test::Like(pattern) => like(pattern, value),
        Test::ILike(pattern) => like(&pattern.to_lowercase(), &value.to_lowercase()),
        Test::In(others) => others.iter().any(|it| it == value),
        Test::NotIn(others) => others.iter().all(|it| it != value),
        Test::IsNotNull => true,
        Test::IsNull | Test::Number(..) => false,
    }
}

fn number_holds(test: &Test, value: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "version numbers are small")]
    let value = value as f64;
    match test {
        Test::Number(NumberTest::Equal, other) => value == *other,
        Test::Number(NumberTest::NotEqual, other) => value != *other,
        Test::Number(NumberTest::Less, other) => value < *other,
        Test::Number(NumberTest::LessOrEqual, other) => value <= *other,
        Test::Number(NumberTest::Greater, other) => value > *other,
        Test::Number(NumberTest::GreaterOrEqual, other) => value >= *other,
        _ => false,
    }
}

/// `%` is any text, `_` any character. Walks both once and goes back to the last `%` only.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|it| *it == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_its_two_wildcards() {
        let cases = [
            ("churn", "churn", true),
            ("churn", "Churn", false),
            ("%", "", true),
            ("ch%n", "churn", true),
            ("ch_n", "churn", false),
            ("ch__n", "churn", true),
            ("%a%b", "xaxbxb", true),
            ("%a%b", "xaxbx", false),
            ("_%", "", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_clause_on_prompts_decides_between_prompts_and_all_else() {
        let prompts = |filter: &str| CatalogFilter::of_models(filter).unwrap().prompts;
        assert!(!prompts(""));
        for (test, expected) in [
            ("= 'true'", true),
            ("!= 'false'", true),
            ("!= 'true'", false),
            ("= 'false'", false),
        ] {
            assert_eq!(
                prompts(&format!("tags.`mlflow.prompt.is_prompt` {test}")),
                expected,
                "{test}"
            );
            assert_eq!(
                prompts(&format!("name = 'x' AND tag.\"mlflow.prompt.is_prompt\" {test}")),
                expected,
                "{test}"
            );
        }
    }

    #[test]
    fn what_has_no_meaning_for_models_or_versions_is_refused() {
        for filter in [
            "run_id = 'a'",
            "metrics.a > 1",
            "name > 1",
            "name IS NULL",
            "tags.a IN ('x')",
            "foo = 'x'",
        ] {
            assert!(CatalogFilter::of_models(filter).is_err(), "{filter}");
        }
        for filter in [
            "version_number = '1'",
            "version_number > 1.5",
            "source_path IN ('x')",
            "aliases = 'x'",
        ] {
            assert!(CatalogFilter::of_versions(filter).is_err(), "{filter}");
        }
    }
}
