//! The source of a version to be: what kind of place it names, and whether a client may name it.
//!
//! A source was how clients read files of MLflow's server that were not theirs, so the rules are MLflow's newest ones.
//! Nothing here is opened: what is read later lies in our own stores under keys that were checked.

use foretell_registry::VersionRef;

use crate::error::ApiError;
use crate::uri::{Uri, decoded};

/// Longer sources mean nothing and cost much.
const MAX_SOURCE: usize = 10_000;

/// What a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path of some machine.
    Local,
    /// `runs:/<run>/<path>`
    Run {
        run: String,
        /// Under the run's artifacts.
        path: String,
    },
    /// `models:/m-<id>`
    LoggedModel { id: String },
    /// `models:/<name>/<version>`, `models:/<name>@<alias>`
    Version { name: String, version: Wanted },
    /// An address of an artifacts proxy.
    Proxied,
    /// A bucket or another host: taken as it is.
    Elsewhere,
}

/// Which version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Ref(VersionRef),
    /// The newest in this stage.
    Stage(String),
}

impl Source {
    /// Reads a source; one with an odd path is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.chars().count() > MAX_SOURCE {
            return Err(ApiError::invalid(format!(
                "'source' exceeds the maximum length of {MAX_SOURCE} characters"
            )));
        }
        let uri = Uri::parse(text);
        if uri.is_local() {
            return Ok(Self::Local);
        }
        check_normal(text)?;
        match uri.scheme.as_str() {
            "runs" => run(text, &uri),
            "models" => model(text, &uri),
            _ if uri.is_proxied() => Ok(Self::Proxied),
            _ => Ok(Self::Elsewhere),
        }
    }
}

/// The parameter does not say whose the source is.
pub(crate) fn not_of(source: &str, parameter: &str) -> ApiError {
    ApiError::invalid(format!(
        "Invalid model version source: '{source}'. The {parameter} request parameter must identify the resource that \
         contains the source."
    ))
}

fn run(text: &str, uri: &Uri<'_>) -> Result<Source, ApiError> {
    let (run, path) = uri.path.trim_start_matches('/').split_once('/').unwrap_or_default();
    if !uri.authority.is_empty() || run.is_empty() {
        return Err(not_of(text, "run_id"));
    }
    Ok(Source::Run {
        run: run.to_owned(),
        path: path.to_owned(),
    })
}

/// As MLflow reads `models:` addresses, one or two parts.
fn model(text: &str, uri: &Uri<'_>) -> Result<Source, ApiError> {
    if !uri.authority.is_empty() {
        return Err(ApiError::invalid(format!(
            "Invalid model version source: '{text}'. Registered model sources must use the active model registry."
        )));
    }
    let path = uri.path.trim_start_matches('/');
    let version = |name: &str, version| Source::Version {
        name: name.to_owned(),
        version,
    };
    let source = match path.split('/').collect::<Vec<_>>()[..] {
        [name, "latest"] => version(name, Wanted::Ref(VersionRef::Latest)),
        [name, word] if !word.trim().is_empty() => match word.parse() {
            Ok(number) => version(name, Wanted::Ref(VersionRef::Version(number))),
            Err(_) => version(name, Wanted::Stage(word.to_owned())),
        },
        [one] => match one.rsplit_once('@') {
            Some((name, "latest")) => version(name, Wanted::Ref(VersionRef::Latest)),
            Some((name, alias)) if !alias.trim().is_empty() => {
                version(name, Wanted::Ref(VersionRef::Alias(alias.to_owned())))
            }
            _ => Source::LoggedModel { id: one.to_owned() },
        },
        _ => return Err(not_of(text, "model_id")),
    };
    let nameless = match &source {
        Source::Version { name, .. } | Source::LoggedModel { id: name } => name.trim().is_empty(),
        _ => false,
    };
    if nameless {
        Err(not_of(text, "model_id"))
    } else {
        Ok(source)
    }
}

/// Refuses what does not name one place, however it is encoded: `..`, `.`, NUL, an empty path.
fn check_normal(source: &str) -> Result<(), ApiError> {
    let plain = decoded(&source.replace('+', " ")).map(std::borrow::Cow::into_owned);
    let normal = plain.is_ok_and(|plain| {
        let path = Uri::parse(&plain).path.trim_end_matches('/').to_owned();
        let inner = path.split('/').all(|it| it != ".") && path.starts_with('/');
        inner && !plain.chars().any(char::is_control) && plain.split('/').all(|it| it != "..")
    });
    if normal {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, \
         objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references \
         present. Please provide an absolute path."
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_source_with_a_step_upwards_is_taken(
            scheme in "(s3|http|mlflow-artifacts|runs|models|dbfs)",
            before in "[a-z/]{0,8}",
            up in r"(\.\.|%2e%2e|%2E\.|%252e%252e|\.%2e)",
            slash in "(/|%2f|%2F|%252F)",
            after in "[a-z/]{0,8}",
        ) {
            let text = format!("{scheme}://host/{before}/{up}{slash}{after}");
            prop_assert!(Source::parse(&text).is_err(), "{text}");
        }

        #[test]
        fn any_text_is_a_source_or_refused(text in any::<String>()) {
            let _ = Source::parse(&text);
        }
    }

    #[test]
    fn a_source_names_a_kind_of_place() {
        let version = |name: &str, version| Source::Version {
            name: name.into(),
            version: Wanted::Ref(version),
        };
        let cases = [
            ("/tmp/model", Source::Local),
            ("model", Source::Local),
            ("file:///tmp/model", Source::Local),
            (
                "runs:/abc/a/b",
                Source::Run {
                    run: "abc".into(),
                    path: "a/b".into(),
                },
            ),
            ("models:/m-12", Source::LoggedModel { id: "m-12".into() }),
            ("models:/churn/3", version("churn", VersionRef::Version(3))),
            ("models:/churn/latest", version("churn", VersionRef::Latest)),
            ("models:/churn@best", version("churn", VersionRef::Alias("best".into()))),
            (
                "models:/churn/Staging",
                Source::Version {
                    name: "churn".into(),
                    version: Wanted::Stage("Staging".into()),
                },
            ),
            ("mlflow-artifacts:/0/a", Source::Proxied),
            ("http://h/api/2.0/mlflow-artifacts/artifacts/0/a", Source::Proxied),
            ("https://h/a/b", Source::Elsewhere),
            ("s3://bucket/a b/c", Source::Elsewhere),
            ("dbfs:/a", Source::Elsewhere),
        ];
        for (text, expected) in cases {
            assert_eq!(Source::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_source_that_leads_elsewhere_is_refused() {
        for text in [
            "mlflow-artifacts://host:9000/../../../../",
            "http://host:9000/api/2.0/mlflow-artifacts/artifacts/../../../../",
            "s3:/my_bucket/models/path/../../other/path",
            "s3://bucket/models/..%2f..%2fother",
            "s3://bucket/models/%252e%252e/other",
            "http://host:9000/api/2.0/mlflow-artifacts/artifacts%00",
            "http://host/%0aa",
            "mlflow-artifacts://host:9000/..%2f..%2f..%2f..%2f",
            "file://other.host/path/../../a",
            "s3://bucket",
            "s3:a",
            "s3://bucket/./a",
            "s3://bucket/a?x=/../b",
        ] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.message.starts_with("Invalid model version source: '"), "{text}");
        }
        assert!(Source::parse(&format!("s3://b/{}", "a".repeat(10_001))).is_err());
        assert!(Source::parse(&format!("s3://b/%{}", "25".repeat(4_000))).is_err());
    }

    #[test]
    fn an_address_of_a_model_that_is_none_is_refused() {
        for text in [
            "models:/",
            "models:/a/b/c",
            "models://host/churn/1",
            "models:/@best",
            "runs:/",
            "runs://host/abc/model",
        ] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
