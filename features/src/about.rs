//! What people say about a definition. None of it changes a value, so none of it makes a new version.

use std::collections::BTreeMap;

/// `description`, `owner` and `tags` of an entity, a source, a view or a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Whom to ask: a person or a team.
    pub owner: Option<String>,
    /// Free labels, `team = "growth"`.
    pub tags: BTreeMap<String, String>,
}
