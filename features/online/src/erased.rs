//! Who was erased, and until when: what happened to them before is never written again.

use std::collections::{BTreeMap, HashMap};

use foretell_features::row::KeyPart;
use foretell_features::{DataType, EntityKey, Timestamp};
use serde::{Deserialize, Serialize};

/// Everybody whose key has these parts is erased. Events up to the instant are refused for ever, later ones are a new life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Key columns and their values.
    pub key: BTreeMap<String, KeyPart>,
    /// Events up to here, inclusive.
    pub until: Timestamp,
}

/// All erasures by the columns they name: a handful of look-ups for each key, however many were erased.
#[derive(Debug, Clone, Default)]
pub(crate) struct Erased {
    by_columns: BTreeMap<Vec<String>, HashMap<Vec<KeyPart>, Timestamp>>,
}

impl Erasure {
    /// The erasure's name: the same columns and values have the same.
    pub(crate) fn name(&self) -> String {
        serde_json::to_string(&self.key).expect("key parts are text and numbers")
    }

    /// Whether an entity with these key columns can be meant: it has them all.
    pub fn concerns(&self, columns: &[(String, DataType)]) -> bool {
        self.key.keys().all(|name| columns.iter().any(|it| it.0 == *name))
    }

    /// Whether the key is meant.
    pub fn matches(&self, columns: &[(String, DataType)], key: &EntityKey) -> bool {
        let part = |name: &str| {
            let at = columns.iter().position(|it| it.0 == name)?;
            key.0.get(at)
        };
        self.key.iter().all(|(name, value)| part(name) == Some(value))
    }
}

impl Erased {
    pub(crate) fn of(erasures: Vec<Erasure>) -> Self {
        erasures.into_iter().fold(Self::default(), |all, it| all.with(it))
    }

    pub(crate) fn with(&self, erasure: Erasure) -> Self {
        let mut all = self.clone();
        let (columns, parts): (Vec<String>, Vec<KeyPart>) = erasure.key.into_iter().unzip();
        let until = all.by_columns.entry(columns).or_default().entry(parts);
        let until = until.or_insert(erasure.until);
        *until = (*until).max(erasure.until);
        all
    }

    /// Until when nothing of this entity may be written; `None` where it was never erased.
    pub(crate) fn until(&self, columns: &[(String, DataType)], key: &EntityKey) -> Option<Timestamp> {
        let part = |name: &String| {
            let at = columns.iter().position(|it| it.0 == *name)?;
            key.0.get(at).cloned()
        };
        let found = self.by_columns.iter().filter_map(|(names, erased)| {
            let parts: Vec<KeyPart> = names.iter().map(part).collect::<Option<_>>()?;
            erased.get(&parts).copied()
        });
        found.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_meets_every_key_with_its_parts_and_the_latest_counts() {
        let erasure = |columns: &[(&str, &str)], until| Erasure {
            key: columns
                .iter()
                .map(|(name, value)| ((*name).to_owned(), KeyPart::Str((*value).into())))
                .collect(),
            until: Timestamp(until),
        };
        let erased = Erased::of(vec![
            erasure(&[("customer", "ann")], 5),
            erasure(&[("customer", "ann")], 3),
            erasure(&[("customer", "bob"), ("shop", "1")], 7),
        ]);
        let columns = [("shop", DataType::String), ("customer", DataType::String)].map(|(it, of)| (it.to_owned(), of));
        let key =
            |shop: &str, customer: &str| EntityKey(vec![KeyPart::Str(shop.into()), KeyPart::Str(customer.into())]);
        for (shop, customer, until) in [
            ("1", "ann", Some(Timestamp(5))),
            ("2", "ann", Some(Timestamp(5))),
            ("1", "bob", Some(Timestamp(7))),
            ("2", "bob", None),
        ] {
            assert_eq!(erased.until(&columns, &key(shop, customer)), until, "{shop} {customer}");
        }
        let one = erasure(&[("customer", "ann")], 5);
        assert!(one.concerns(&columns) && !one.concerns(&columns[..1]));
        assert!(one.matches(&columns, &key("9", "ann")) && !one.matches(&columns, &key("ann", "9")));
    }
}
