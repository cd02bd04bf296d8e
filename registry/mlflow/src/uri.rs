//! Addresses as MLflow's clients send them, taken apart without opening anything.

use std::borrow::Cow;

use crate::error::ApiError;

/// Decoding what was encoded more often than this is an attack, not a name.
const DECODINGS: usize = 10;

/// `scheme://authority/path`; a query and a fragment are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    /// In lower case; empty for a plain path.
    pub(crate) scheme: String,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Uri<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (scheme, rest) = match text.split_once(':').filter(|it| is_scheme(it.0)) {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let path = path.split(['?', '#']).next().unwrap_or("");
        Self {
            scheme,
            authority,
            path,
        }
    }

    /// A path of some machine: without a scheme, or `file:` without another host.
    pub(crate) fn is_local(&self) -> bool {
        let host = self.authority.rsplit('@').next().unwrap_or("").to_ascii_lowercase();
        let here = host.is_empty() || host == "." || host.starts_with("localhost") || host.starts_with("127.0.0.1");
        self.scheme.is_empty() || (self.scheme == "file" && here)
    }

    /// An address that an artifacts proxy serves, ours or another one.
    pub(crate) fn is_proxied(&self) -> bool {
        let route = ["api", "2.0", "mlflow-artifacts", "artifacts"];
        let over_http = || {
            let parts = self.parts();
            let parts: Vec<&str> = parts.iter().map(|it| &**it).collect();
            matches!(self.scheme.as_str(), "http" | "https") && parts.windows(route.len()).any(|it| it == route)
        };
        self.scheme == "mlflow-artifacts" || over_http()
    }

    /// The parts of the path, decoded.
    pub(crate) fn parts(&self) -> Vec<Cow<'a, str>> {
        let parts = self.path.split('/').filter(|it| !it.is_empty());
        parts.map(|it| decoded(it).unwrap_or(Cow::Borrowed(it))).collect()
    }

    /// Whether this is `root` or lies under it.
    pub(crate) fn is_within(&self, root: &Uri<'_>) -> bool {
        let (own, root_parts) = (self.parts(), root.parts());
        self.scheme == root.scheme
            && self.authority.eq_ignore_ascii_case(root.authority)
            && !root_parts.is_empty()
            && own.starts_with(&root_parts)
    }
}

/// The text with its percent signs decoded until none is left to decode.
pub(crate) fn decoded(text: &str) -> Result<Cow<'_, str>, ApiError> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    let mut plain = text.to_owned();
    for _ in 0..DECODINGS {
        let next = percent_encoding::percent_decode_str(&plain)
            .decode_utf8_lossy()
            .into_owned();
        if next == plain {
            return Ok(plain.into());
        }
        plain = next;
    }
    Err(ApiError::invalid("Invalid path"))
}

fn is_scheme(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|it| it.is_ascii_alphabetic());
    first && text.chars().all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, scheme, authority, path) in [
            ("s3://bucket/a/b", "s3", "bucket", "/a/b"),
            ("S3://bucket", "s3", "bucket", ""),
            ("runs:/abc/model", "runs", "", "/abc/model"),
            ("mlflow-artifacts:/0/a?x=1#y", "mlflow-artifacts", "", "/0/a"),
            ("/tmp/a:b", "", "", "/tmp/a:b"),
            ("a/b", "", "", "a/b"),
            ("1a:b", "", "", "1a:b"),
        ] {
            let expected = Uri {
                scheme: scheme.into(),
                authority,
                path,
            };
            assert_eq!(Uri::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn local_is_what_names_a_path_of_this_machine() {
        for (text, local) in [
            ("/tmp/a", true),
            ("a/b", true),
            ("file:///tmp/a", true),
            ("file://localhost/tmp/a", true),
            ("FILE:/tmp/a", true),
            ("file://host/tmp/a", false),
            ("s3://bucket/a", false),
            ("http://localhost/a", false),
        ] {
            assert_eq!(Uri::parse(text).is_local(), local, "{text}");
        }
    }

    #[test]
    fn a_proxied_address_is_recognised_however_it_is_written() {
        for (text, proxied) in [
            ("mlflow-artifacts:/0/a", true),
            ("mlflow-artifacts://host:1/0/a", true),
            ("http://h/api/2.0/mlflow-artifacts/artifacts/0", true),
            ("https://h/prefix/api/2.0/mlflow-artifacts/%61rtifacts/0", true),
            ("http://h/api/2.0/mlflow/artifacts", false),
            ("s3://b/api/2.0/mlflow-artifacts/artifacts", false),
        ] {
            assert_eq!(Uri::parse(text).is_proxied(), proxied, "{text}");
        }
    }

    #[test]
    fn within_compares_whole_parts() {
        let root = Uri::parse("mlflow-artifacts:/0/run/artifacts");
        for (text, within) in [
            ("mlflow-artifacts:/0/run/artifacts", true),
            ("mlflow-artifacts:/0/run/%61rtifacts/model", true),
            ("mlflow-artifacts:/0/run/artifacts2", false),
            ("mlflow-artifacts:/0/run", false),
            ("mlflow-artifacts://host/0/run/artifacts", false),
            ("s3:/0/run/artifacts", false),
        ] {
            assert_eq!(Uri::parse(text).is_within(&root), within, "{text}");
        }
        assert!(
            !Uri::parse("s3://b/a").is_within(&Uri::parse("s3://b")),
            "a root is a folder"
        );
    }

    #[test]
    fn what_was_encoded_again_and_again_is_decoded_or_refused() {
        assert_eq!(decoded("a%252525252e").unwrap(), "a.");
        assert_eq!(decoded("100%").unwrap(), "100%");
        assert!(decoded(&format!("%{}2e", "25".repeat(50))).is_err());
    }
}
