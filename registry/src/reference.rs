//! How a person names a version: `churn`, `churn@3`, `churn@champion`, `churn@latest`.

use std::fmt;
use std::str::FromStr;

use crate::error::RegistryError;
use crate::names::{check_alias, check_model_name};

/// Which version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionRef {
    /// The one that an alias points to now.
    Alias(String),
    /// This one.
    Version(u64),
    /// The highest live version number.
    Latest,
}

/// A model, and which version of it if that was said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The model's name.
    pub name: String,
    /// What followed `@`.
    pub version: Option<VersionRef>,
}

impl ModelRef {
    /// The version asked for, or the champion.
    pub fn version_or_champion(&self) -> VersionRef {
        let champion = || VersionRef::Alias("champion".to_owned());
        self.version.clone().unwrap_or_else(champion)
    }
}

impl FromStr for VersionRef {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
            let version = text.parse().ok().filter(|it| *it > 0);
            let wrong = || RegistryError::invalid(format!("Version '{text}' does not exist: versions count from 1."));
            return version.map(Self::Version).ok_or_else(wrong);
        }
        check_alias(text)?;
        Ok(Self::Alias(text.to_owned()))
    }
}

impl FromStr for ModelRef {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let (name, version) = match text.rsplit_once('@') {
            Some((name, version)) => (name, Some(version.parse()?)),
            None => (text, None),
        };
        check_model_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => f.write_str(alias),
            Self::Version(version) => write!(f, "{version}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_with_an_optional_version_number_or_alias() {
        for (text, version) in [
            ("churn", None),
            ("churn@3", Some(VersionRef::Version(3))),
            ("churn@champion", Some(VersionRef::Alias("champion".to_owned()))),
            ("churn@latest", Some(VersionRef::Latest)),
        ] {
            let parsed: ModelRef = text.parse().unwrap();
            assert_eq!(
                parsed,
                ModelRef {
                    name: "churn".to_owned(),
                    version
                }
            );
            assert_eq!(parsed.to_string(), text);
        }
        for bad in [
            "",
            "@3",
            "churn@",
            "churn@v3",
            "churn@0",
            "churn@99999999999999999999",
            "a/b@1",
            "churn@a b",
        ] {
            assert!(bad.parse::<ModelRef>().is_err(), "{bad}");
        }
    }
}
