//! MLflow's stages: deprecated since aliases, and still sent by clients.

use foretell_registry::{ModelVersion, VersionRow};

use crate::error::ApiError;

/// Where a version is on its way to production, in the old sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// The stage of this name, in any case.
    pub(crate) fn parse(word: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(word));
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            ApiError::invalid(format!(
                "Invalid Model Version stage: {word}. Value must be one of {all}."
            ))
        })
    }

    /// Where the version is; what no client set is `None`.
    pub(crate) fn of(version: &ModelVersion) -> Self {
        Self::of_word(version.stage.as_deref())
    }

    pub(crate) fn of_row(row: &VersionRow<'_>) -> Self {
        Self::of_word(row.stage())
    }

    fn of_word(word: Option<&str>) -> Self {
        word.and_then(|it| Self::parse(it).ok()).unwrap_or(Self::None)
    }

    /// Whether the versions that were there before can be archived by a move to it.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}
