//! Columns as Feast's clients send them, and the keys in them.

use std::fmt;

use axum::http::StatusCode;
use foretell_features::{DataType, Definitions, EntityKey, ReferenceError, Source, Value, View};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::failure::Failure;
use crate::error::{ServeError, hint};

/// `{column: [values]}`, in the order of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns(Vec<(String, Vec<Value>)>);

impl Columns {
    pub(crate) fn get(&self, name: &str) -> Option<&[Value]> {
        self.0.iter().find(|it| it.0 == name).map(|it| it.1.as_slice())
    }

    /// A column that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<&[Value], Failure> {
        let missing = || {
            let hint = hint(name, self.0.iter().map(|it| it.0.as_str()));
            Failure::request(format!("missing column `{name}`{hint}"))
        };
        self.get(name).ok_or_else(missing)
    }

    /// Adds a column; its name is not there yet.
    pub(crate) fn push(&mut self, name: &str, values: Vec<Value>) {
        self.0.push((name.to_owned(), values));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[Value])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The number of rows, the same in every column; `None` where there is no column.
    pub(crate) fn n_rows(&self) -> Result<Option<usize>, Failure> {
        let Some((first, values)) = self.0.first() else {
            return Ok(None);
        };
        let n = values.len();
        match self.0.iter().find(|it| it.1.len() != n) {
            None => Ok(Some(n)),
            Some((name, other)) => {
                let m = other.len();
                Err(Failure::request(format!(
                    "column `{name}` has {m} values, `{first}` has {n}"
                )))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Order)
    }
}

struct Order;

impl<'de> Visitor<'de> for Order {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("columns, {\"name\": [values]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut columns = Columns::default();
        while let Some((name, values)) = map.next_entry::<String, Vec<Value>>()? {
            if columns.get(&name).is_some() {
                return Err(A::Error::custom(format!("column `{name}` is there twice")));
            }
            columns.0.push((name, values));
        }
        Ok(columns)
    }
}

/// A view by the name that a client gives it: `purchases`, or `purchases@v2` with whatever version.
pub(crate) fn view<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a View, Failure> {
    let name = unversioned(name);
    let unknown = || ReferenceError::View {
        name: name.to_owned(),
        hint: hint(name, definitions.views.keys().map(String::as_str)),
    };
    definitions.views.get(name).ok_or_else(|| unknown().into())
}

/// A source that rows are pushed to.
pub(crate) fn source<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a Source, Failure> {
    let unknown = || {
        let hint = hint(name, definitions.sources.keys().map(String::as_str));
        Failure {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: tonic::Code::NotFound,
            class: "PushSourceNotFoundException",
            message: format!("Unable to find push source '{name}'{hint}"),
        }
    };
    definitions.sources.get(name).ok_or_else(unknown)
}

/// Feast numbers the versions of a view and may pin one, `purchases@v2`; ours go by their definition, and the current one is
/// what a client reads.
pub(crate) fn unversioned(view: &str) -> &str {
    view.split_once('@').map_or(view, |it| it.0)
}

/// The key columns of a view; none for a global view.
pub(crate) fn key_columns<'a>(definitions: &'a Definitions, view: &View) -> Result<&'a [(String, DataType)], Failure> {
    view.entity.as_ref().map_or(Ok(&[]), |it| entity_key(definitions, it))
}

/// The key columns of an entity.
pub(crate) fn entity_key<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a [(String, DataType)], Failure> {
    let undefined = || ServeError::Internal(format!("the undefined entity `{name}` is used"));
    let entity = definitions.entities.get(name).ok_or_else(undefined)?;
    Ok(&entity.key)
}

/// One key per row; `None` where a part is null, which never matches.
pub(crate) fn keys(key: &[(String, DataType)], columns: &Columns, n: usize) -> Result<Vec<Option<EntityKey>>, Failure> {
    let parts = key
        .iter()
        .map(|(name, data_type)| Ok((name.as_str(), *data_type, columns.need(name)?)));
    let parts = parts.collect::<Result<Vec<_>, Failure>>()?;
    let of_row = |row: usize| {
        let values = parts
            .iter()
            .map(|(name, data_type, values)| (*name, *data_type, values[row].clone()));
        match EntityKey::from_values(values) {
            Ok(key) => Ok(Some(key)),
            Err(foretell_features::row::KeyError::Null { .. }) => Ok(None),
            Err(error) => Err(Failure::request(format!("row {row}: {error}"))),
        }
    };
    (0..n).map(of_row).collect()
}
