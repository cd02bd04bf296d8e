//! What an MLflow client said of a version besides its files: the entry `mlflow` of the version's metadata.

use std::borrow::Cow;
use std::fmt::Write as _;

use foretell_registry::{Digest, ModelVersion, VersionRow};
use serde_json::{Map, Value, json};

/// The entry of a version's metadata.
const KEY: &str = "mlflow";

/// The facts of one version, read where they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    metadata: &'a Value,
    digest: Digest,
}

/// The facts of a version to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewFacts {
    /// Where its files come from, as the client said it.
    pub(crate) source: String,
    /// The address that clients download from, where it is not the version's own package.
    pub(crate) location: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) run_link: Option<String>,
    pub(crate) model_id: Option<String>,
    /// What became of the files, in words, unless all of them are in the package.
    pub(crate) files: Option<String>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(version: &'a ModelVersion) -> Self {
        let (metadata, digest) = (&*version.metadata, version.digest);
        Self { metadata, digest }
    }

    pub(crate) fn of_row(row: &VersionRow<'a>) -> Self {
        let (metadata, digest) = (row.metadata(), row.digest());
        Self { metadata, digest }
    }

    /// Where the files come from: what the client said, else the package by its digest.
    pub(crate) fn source(self) -> Cow<'a, str> {
        match self.said("source") {
            Some(source) => source.into(),
            None => format!("foretell:/{}", self.digest).into(),
        }
    }

    /// Where clients find the files, if that is not the version's own package.
    pub(crate) fn location(self) -> Option<&'a str> {
        self.said("location")
    }

    /// The run that made the version; training says it in its own place.
    pub(crate) fn run_id(self) -> Option<&'a str> {
        let trained = || self.metadata.get("run_id").and_then(Value::as_str);
        self.said("run_id").or_else(trained)
    }

    pub(crate) fn run_link(self) -> Option<&'a str> {
        self.said("run_link")
    }

    pub(crate) fn model_id(self) -> Option<&'a str> {
        self.said("model_id")
    }

    fn said(self, key: &str) -> Option<&'a str> {
        self.metadata.get(KEY)?.get(key)?.as_str()
    }
}

impl NewFacts {
    /// The metadata of the version: what was there, as of a copied version, with these facts.
    pub(crate) fn into_metadata(self, before: Option<&Value>) -> Value {
        let texts = [
            ("source", Some(self.source)),
            ("location", self.location),
            ("run_id", self.run_id),
            ("run_link", self.run_link),
            ("model_id", self.model_id),
            ("files", self.files),
        ];
        let said = texts
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?))));
        let mut metadata = before.and_then(Value::as_object).cloned().unwrap_or_default();
        metadata.insert(KEY.to_owned(), Value::Object(said.collect::<Map<_, _>>()));
        json!(metadata)
    }
}

/// Packages are read through the artifacts proxy under this folder: `<folder>/<model>/<version>/<file>`.
pub(crate) const PACKAGES: &str = "foretell/models";

/// The address under which a version's own package can be downloaded.
pub(crate) fn package_uri(version: &ModelVersion) -> String {
    format!(
        "mlflow-artifacts:/{PACKAGES}/{}/{}",
        quoted(&version.model),
        version.version
    )
}

/// A name as a part of a URI's path.
pub(crate) fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copied_version_said_stays_beside_the_facts() {
        let facts = NewFacts {
            source: "models:/churn/1".into(),
            run_id: Some("abc".into()),
            ..NewFacts::default()
        };
        let before = json!({"task": "binary_classification", "mlflow": {"source": "s3://old", "model_id": "m-1"}});
        assert_eq!(
            facts.clone().into_metadata(Some(&before)),
            json!({"task": "binary_classification", "mlflow": {"source": "models:/churn/1", "run_id": "abc"}})
        );
        assert_eq!(
            facts.into_metadata(None),
            json!({"mlflow": {"source": "models:/churn/1", "run_id": "abc"}})
        );
    }

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_it_holds() {
        for (name, expected) in [("churn", "churn"), ("a b%", "a%20b%25"), ("é#?", "%C3%A9%23%3F")] {
            assert_eq!(quoted(name), expected);
        }
    }
}
