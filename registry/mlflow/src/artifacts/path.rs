//! Where an artifact lies: a path under the root of the artifacts, safe whatever a client sent.

use object_store::path::{Path, PathPart};

use crate::error::ApiError;
use crate::facts::quoted;
use crate::uri::{Uri, decoded};

/// What a file system takes as one name, in bytes; longer ones are told to the client before anything is written.
const MAX_PART: usize = 255;

/// Parts joined by `/`, none of them empty, `.` or `..`; the root is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArtifactPath(String);

impl ArtifactPath {
    /// Reads a path that a client sent, however often it is encoded.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let path = decoded(text)?;
        let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes().get(2) == Some(&b'/');
        let odd = path.contains(['#', '\\']) || path.chars().any(char::is_control);
        if odd || drive || path.starts_with('/') {
            return Err(ApiError::invalid("Invalid path"));
        }
        let parts = path.split('/').filter(|it| !it.is_empty() && *it != ".");
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"..") {
            return Err(ApiError::invalid("Invalid path"));
        }
        if let Some(long) = parts.iter().find(|it| PathPart::from(**it).as_ref().len() > MAX_PART) {
            let start: String = long.chars().take(40).collect();
            return Err(ApiError::invalid(format!(
                "Invalid path: the name '{start}...' is longer than {MAX_PART} bytes"
            )));
        }
        Ok(Self(parts.join("/")))
    }

    /// The place that an address means, if it is one of this server: `mlflow-artifacts:/<path>`.
    pub(crate) fn of_uri(uri: &str) -> Option<Self> {
        let uri = Uri::parse(uri);
        let ours = uri.scheme == "mlflow-artifacts" && uri.authority.is_empty();
        ours.then(|| Self::parse(uri.path.trim_start_matches('/')).ok())?
    }

    /// The address by which clients name it.
    pub(crate) fn uri(&self) -> String {
        let parts: Vec<String> = self.0.split('/').map(quoted).collect();
        format!("mlflow-artifacts:/{}", parts.join("/"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last part.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// What lies at `inner` under this.
    pub(crate) fn join(&self, inner: &Self) -> Self {
        match (self.is_root(), inner.is_root()) {
            (true, _) => inner.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{self}/{inner}")),
        }
    }

    /// The object's key.
    pub(crate) fn key(&self) -> Path {
        Path::from(self.as_str())
    }
}

impl std::fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_leads_outside(text in r"([a./\\%#:\x00é ]|%2e|%2F|%25|\.\./){0,24}") {
            let Ok(path) = ArtifactPath::parse(&text) else { return Ok(()) };
            prop_assert!(path.is_root() || path.as_str().split('/').all(|it| !["", ".", ".."].contains(&it)));
            let key = path.key();
            prop_assert!(key.parts().all(|it| ![".", ".."].contains(&it.as_ref())) && !key.as_ref().starts_with('/'));
            prop_assert_eq!(ArtifactPath::parse(path.as_str()).unwrap(), path.clone(), "a read path reads as itself");
            prop_assert_eq!(ArtifactPath::of_uri(&path.uri()), Some(path));
        }
    }

    #[test]
    fn a_path_is_normal_whatever_was_sent() {
        for (text, expected) in [
            ("0/run/artifacts/a.txt", "0/run/artifacts/a.txt"),
            ("a//b/./c/", "a/b/c"),
            ("a%20b/c%2Fd", "a b/c/d"),
            ("100%.txt", "100%.txt"),
            ("é/ü", "é/ü"),
            ("", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(ArtifactPath::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for text in [
            "..",
            "../a",
            "a/../b",
            "a/%2e%2e/b",
            "a/%252e%252e/b",
            "%252525252e%252525252e/a",
            "/etc/passwd",
            "%2Fetc/passwd",
            "a\\b",
            "a%5Cb",
            "a#b",
            "a%23b",
            "C:/windows",
            "a\0b",
            "a%00",
            "a%0Ab",
            &"x".repeat(256),
            &"é".repeat(100),
        ] {
            assert!(ArtifactPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_addresses_of_this_server_mean_a_place_here() {
        let check = |uri: &str, expected: Option<&str>| {
            let got = ArtifactPath::of_uri(uri);
            assert_eq!(got.as_ref().map(ArtifactPath::as_str), expected, "{uri}");
        };
        check("mlflow-artifacts:/0/run/artifacts", Some("0/run/artifacts"));
        check("mlflow-artifacts:///0/run", Some("0/run"));
        check("mlflow-artifacts://host/0/run", None);
        check("mlflow-artifacts:/0/../run", None);
        check("s3://bucket/0", None);
    }
}
