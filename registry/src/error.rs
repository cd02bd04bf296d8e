//! What can go wrong, said so that the reader knows what to do next.

use std::fmt;

/// The result of everything in this crate.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// What can go wrong in the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Nothing was ever published there.
    #[error("no registry at `{url}`; run `foretell train MODEL` first or set [registry] url")]
    NoRegistry {
        /// The place as it was given.
        url: String,
    },
    /// No model has this name now.
    #[error("unknown model `{name}`{nearest}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names that exist.
        nearest: Nearest,
    },
    /// The model has no such version, or it was deleted.
    #[error("unknown version `{version}` of model `{model}`{nearest}")]
    UnknownVersion {
        /// The model's name.
        model: String,
        /// The version asked for.
        version: u64,
        /// Versions that exist.
        nearest: Nearest,
    },
    /// The model has no such alias.
    #[error("unknown alias `{alias}` of model `{model}`{nearest}")]
    UnknownAlias {
        /// The model's name.
        model: String,
        /// The alias asked for.
        alias: String,
        /// Aliases that exist.
        nearest: Nearest,
    },
    /// The model exists but has no live version, so there is no latest one.
    #[error("model `{model}` has no version; publish one with `foretell train`")]
    NoVersion {
        /// The model's name.
        model: String,
    },
    /// The package has no such file.
    #[error("unknown file `{path}` in package `{package}`{nearest}")]
    UnknownFile {
        /// The version it was looked for in.
        package: String,
        /// The path asked for.
        path: String,
        /// Files that exist.
        nearest: Nearest,
    },
    /// The alias has never pointed anywhere else that still exists.
    #[error("alias `{alias}` of model `{model}` has no earlier live version to roll back to; promote one instead")]
    NothingToRollBack {
        /// The model's name.
        model: String,
        /// The alias.
        alias: String,
    },
    /// A name, alias, tag or path breaks the rules; the message is MLflow's where MLflow has one.
    #[error("{message}")]
    InvalidName {
        /// What is wrong and what is allowed.
        message: String,
    },
    /// The name is taken.
    #[error("model `{name}` already exists")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// The registry is not in the state that the caller expected, or other writers won every race.
    #[error("{reason}; look at the new state and decide again. log=`{log}`, seq=`{seq}`")]
    Conflict {
        /// What was expected and what is there.
        reason: String,
        /// The model or log.
        log: String,
        /// Number of the record that won.
        seq: u64,
    },
    /// Stored bytes are not what was stored.
    #[error(
        "stored bytes are damaged; restore this object from a backup. what=`{what}`, at=`{at}`, expected=`{expected}`, got=`{got}`"
    )]
    Corrupt {
        /// What the bytes should be, e.g. a file of a version.
        what: String,
        /// The object's key in the store.
        at: String,
        /// Digest, size or property that was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// Nobody who is trusted vouches for the package.
    #[error(
        "{package} may not be loaded: {found}, and none of the trusted keys signed it; sign it with `foretell models sign {package}` or add the key to [registry] trusted_keys"
    )]
    Untrusted {
        /// The version.
        package: String,
        /// Who signed it.
        found: String,
    },
    /// The file that an archive is read from or written to failed.
    #[error("cannot {doing} the archive: {source}")]
    Archive {
        /// Read or write.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store below failed.
    #[error("cannot {doing}; {advice}. at=`{at}`")]
    Storage {
        /// What was tried.
        doing: &'static str,
        /// What the reader can do.
        advice: &'static str,
        /// The object's key, or the store.
        at: String,
        /// What the store said.
        source: Box<object_store::Error>,
    },
    /// This build, or this call, cannot do that.
    #[error("{what}")]
    Unsupported {
        /// What, and what to do instead.
        what: String,
    },
}

impl RegistryError {
    /// Whether the thing asked for does not exist (HTTP 404).
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::NoRegistry { .. }
                | Self::UnknownModel { .. }
                | Self::UnknownVersion { .. }
                | Self::UnknownAlias { .. }
                | Self::UnknownFile { .. }
                | Self::NoVersion { .. }
        )
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidName {
            message: message.into(),
        }
    }
}

/// The valid names nearest to a wrong one; displays as the tail of an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Likely meant, best first.
    pub close: Vec<String>,
    /// Some names that exist, when none is close.
    pub known: Vec<String>,
}

impl Nearest {
    /// Few enough to read in one line.
    const SHOWN: usize = 8;

    pub(crate) fn to<T: AsRef<str>>(wrong: &str, valid: impl IntoIterator<Item = T>) -> Self {
        let wrong = wrong.to_lowercase();
        let limit = (wrong.chars().count() / 3).max(1);
        let mut known = Vec::new();
        let mut close = Vec::new();
        for name in valid {
            let name = name.as_ref();
            let distance = strsim::damerau_levenshtein(&wrong, &name.to_lowercase());
            if distance <= limit {
                close.push((distance, name.to_owned()));
            }
            if known.len() < Self::SHOWN {
                known.push(name.to_owned());
            }
        }
        close.sort();
        close.truncate(3);
        Self {
            close: close.into_iter().map(|it| it.1).collect(),
            known,
        }
    }

    /// The newest of `valid`, for numbers, where a small distance in spelling means nothing.
    pub(crate) fn among(valid: impl DoubleEndedIterator<Item = u64>) -> Self {
        let mut known: Vec<_> = valid.rev().take(Self::SHOWN).map(|it| it.to_string()).collect();
        known.reverse();
        Self {
            close: Vec::new(),
            known,
        }
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &[String], with: &str| {
            let names: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
            names.join(with)
        };
        match (&self.close[..], &self.known[..]) {
            ([], []) => write!(f, "; there is none yet"),
            ([], known) => write!(f, "; there is {}", quoted(known, ", ")),
            (close, _) => write!(f, "; did you mean {}?", quoted(close, " or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_right_ones() {
        for (wrong, valid, said) in [
            ("chrun", vec!["churn", "demand"], "; did you mean `churn`?"),
            ("Churn", vec!["churn"], "; did you mean `churn`?"),
            ("ltv", vec!["churn", "demand"], "; there is `churn`, `demand`"),
            ("ltv", vec![], "; there is none yet"),
            (
                "aab",
                vec!["aaa", "aac", "aab1"],
                "; did you mean `aaa` or `aab1` or `aac`?",
            ),
        ] {
            assert_eq!(Nearest::to(wrong, valid).to_string(), said);
        }
        assert_eq!(Nearest::among(1..=20).known.join(" "), "13 14 15 16 17 18 19 20");
    }
}
