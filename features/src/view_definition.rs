//! A view with all that its values depend on, and the version that names exactly this.
//!
//! The online store keeps one set of rows per version: a model trained on `purchases@3f9a..` goes on reading those rows
//! after somebody has changed what `purchases` means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::definition::{Aggregation, Definitions, Entity, FeatureKind, Source, View};
use crate::expression::{BinaryOperator, Expression};
use crate::value::DataType;
use crate::window::Window;

/// A view, its source and entity, and the file columns it needs with their types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewDefinition {
    /// The view; its features in slot order.
    pub view: View,
    /// Where its rows come from.
    pub source: Source,
    /// Whom it describes; `None` is a global view.
    pub entity: Option<Entity>,
    /// File columns that keys, times, computed columns, `where` and features use, with their types.
    pub inputs: Vec<(String, DataType)>,
}

/// `purchases@3f9a0c51d2e47b88`: a view in one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId {
    /// The view.
    pub view: String,
    /// Its version: 16 hex digits.
    pub version: String,
}

/// Text that is not `view@version`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a view with its version, write `purchases@3f9a0c51d2e47b88`. got=`{0}`")]
pub struct ViewIdError(String);

/// What changes one feature's value, in words, for a plan of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeatureChange {
    /// The feature.
    pub feature: String,
    /// What it was; `None` where it is new.
    pub was: Option<String>,
    /// What it is; `None` where it is gone.
    pub is: Option<String>,
}

impl ViewDefinition {
    /// The definition of a view, `None` where the view, its source or its entity is not there.
    pub fn of(definitions: &Definitions, view: &str, inputs: Vec<(String, DataType)>) -> Option<Self> {
        let view = definitions.views.get(view)?;
        let source = definitions.sources.get(&view.source)?;
        let entity = match &view.entity {
            Some(name) => Some(definitions.entities.get(name)?.clone()),
            None => None,
        };
        // What the view lets in decides its values as `where` does: one condition, in the version, for files and pushes alike.
        let filter = source.filter.iter().cloned().chain(view.admits());
        let filter = filter.reduce(|all, it| Expression::Binary(BinaryOperator::And, Box::new(all), Box::new(it)));
        Some(Self {
            view: View {
                expect: Vec::new(),
                ..view.clone()
            },
            source: Source {
                filter,
                ..source.clone()
            },
            entity,
            inputs,
        })
    }

    /// The view in its version. What does not change a value (where the files lie, ages and retention, words about it, the
    /// order of features) is no part of it.
    pub fn id(&self) -> ViewId {
        let mut parts: Vec<String> = self
            .view
            .features
            .iter()
            .map(|it| format!("feature {}={}", it.name, json(&it.kind)))
            .collect();
        parts.sort();
        let mut inputs: Vec<String> = self
            .inputs
            .iter()
            .map(|it| format!("input {}={}", it.0, it.1))
            .collect();
        inputs.sort();
        let source = &self.source;
        parts.extend(inputs);
        parts.push(format!("key {}", json(&self.entity.as_ref().map(|it| &it.key))));
        parts.push(format!("time {}", json(&(&source.event_time, &source.known_time))));
        parts.push(format!("columns {}", json(&source.columns)));
        parts.push(format!("where {}", json(&source.filter)));
        parts.push(format!("shape {}", json(&(&source.key, &source.wide))));
        let digest = Sha256::digest(parts.join("\n"));
        ViewId {
            view: self.view.name.clone(),
            version: digest[..8].iter().map(|it| format!("{it:02x}")).collect(),
        }
    }

    /// The key columns; none for a global view.
    pub fn key(&self) -> &[(String, DataType)] {
        self.entity.as_ref().map_or(&[], |it| &it.key)
    }

    /// What another version of the view computes differently, feature by feature.
    pub fn changes_from(&self, before: &ViewDefinition) -> Vec<FeatureChange> {
        let of = |it: &ViewDefinition, name: &str| {
            let found = it.view.features.iter().find(|it| it.name == name);
            found.map(|it| it.kind.to_string())
        };
        let mut names: Vec<&str> = [self, before]
            .iter()
            .flat_map(|it| it.view.features.iter().map(|it| it.name.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| FeatureChange {
                feature: name.to_owned(),
                was: of(before, name),
                is: of(self, name),
            })
            .filter(|it| it.was != it.is)
            .collect()
    }
}

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.view, self.version)
    }
}

impl FromStr for ViewId {
    type Err = ViewIdError;

    fn from_str(text: &str) -> Result<Self, ViewIdError> {
        let (view, version) = text.split_once('@').ok_or_else(|| ViewIdError(text.to_owned()))?;
        let is_version = version.len() == 16 && version.bytes().all(|it| it.is_ascii_hexdigit());
        if view.is_empty() || !is_version {
            return Err(ViewIdError(text.to_owned()));
        }
        Ok(Self {
            view: view.to_owned(),
            version: version.to_owned(),
        })
    }
}

/// As one would write it: `sum(amount) where status = 'paid' over 90d`.
impl fmt::Display for FeatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureKind::Latest { value } => write!(f, "latest({value})"),
            FeatureKind::Aggregate {
                aggregation,
                value,
                filter,
                window,
            } => {
                write!(f, "{aggregation}(")?;
                match value {
                    Some(value) => write!(f, "{value})")?,
                    None => f.write_str("*)")?,
                }
                if let Some(filter) = filter {
                    write!(f, " where {filter}")?;
                }
                match window {
                    Some(window) => write!(f, " over {}", told(window)),
                    None => f.write_str(" over all history"),
                }
            }
        }
    }
}

/// By the key that writes it.
impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = json(self);
        let name = written
            .split('"')
            .nth(1)
            .expect("an aggregation is written by its name");
        f.write_str(name)
    }
}

fn told(window: &Window) -> String {
    match window.hop {
        Some(hop) if Window::of(window.length).hop == Some(hop) => window.length.to_string(),
        Some(hop) => format!("{} by {hop}", window.length),
        None => format!("{} exactly", window.length),
    }
}

fn json<T: Serialize>(it: &T) -> String {
    serde_json::to_string(it).expect("definitions have text keys, so they are always JSON")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const TOML: &str = r#"
        [entity.customer]
        key = { customer_id = "string" }
        [source.orders]
        path = "orders/*.parquet"
        event_time = "at"
        columns = { amount = "quantity * unit_price" }
        where = "status <> 'void'"
        [view.purchases]
        entity = "customer"
        source = "orders"
        max_age = "30d"
        [view.purchases.features]
        spend_90d = { sum = "amount", where = "\"odd name\" = 'x'", window = "90d" }
        last_channel = { latest = "channel" }
        orders = { count = "*" }
    "#;

    fn definition(text: &str) -> ViewDefinition {
        let definitions = Definitions::parse(&[(PathBuf::from("a.toml"), text.to_owned())]).unwrap();
        ViewDefinition::of(&definitions, "purchases", Vec::new()).unwrap()
    }

    #[test]
    fn a_definition_reads_back_from_its_text() {
        let before = definition(TOML);
        let after: ViewDefinition = serde_json::from_str(&json(&before)).unwrap();
        assert_eq!(after, before);
        assert_eq!(before.id().to_string().parse(), Ok(before.id()));
    }

    #[test]
    fn only_what_changes_a_value_changes_the_version() {
        let version = definition(TOML).id();
        for (what, with, same) in [
            ("orders/*.parquet", "elsewhere/*.parquet", true),
            ("30d", "31d", true),
            ("orders = { count = \"*\" }", "", false),
            ("90d\" }", "91d\" }", false),
            ("status <> 'void'", "status <> 'open'", false),
            ("quantity * unit_price", "quantity + unit_price", false),
            ("event_time = \"at\"", "event_time = \"when\"", false),
        ] {
            let changed = definition(&TOML.replace(what, with)).id();
            assert_eq!(changed == version, same, "{what} -> {with}");
        }
    }

    #[test]
    fn changes_are_told_feature_by_feature() {
        let now = definition(&TOML.replace("90d\" }", "60d\" }").replace("last_channel", "channel"));
        let changes = now.changes_from(&definition(TOML));
        let told: Vec<_> = changes
            .iter()
            .map(|it| (it.feature.as_str(), it.was.as_deref(), it.is.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("channel", None, Some("latest(\"channel\")")),
                ("last_channel", Some("latest(\"channel\")"), None),
                (
                    "spend_90d",
                    Some("sum(amount) where \"odd name\" = 'x' over 90d"),
                    Some("sum(amount) where \"odd name\" = 'x' over 60d")
                ),
            ]
        );
    }
}
