//! Columns as Feast's clients send them, and the keys in them.

use std::collections::BTreeMap;

use foretell_features::{DataType, Definitions, EntityKey, Value, View};

use crate::error::{ServeError, hint};

/// `{column: [values]}`.
pub(super) type Columns = BTreeMap<String, Vec<Value>>;

/// The number of rows, the same in every column.
pub(super) fn n_rows(columns: &Columns) -> Result<usize, ServeError> {
    let mut lengths = columns.iter().map(|(name, values)| (name, values.len()));
    let Some((first, n)) = lengths.next() else {
        return Err(ServeError::request("no columns; send at least the key"));
    };
    match lengths.find(|it| it.1 != n) {
        None => Ok(n),
        Some((name, m)) => Err(ServeError::request(format!(
            "column `{name}` has {m} values, `{first}` has {n}"
        ))),
    }
}

pub(super) fn column<'a>(columns: &'a Columns, name: &str) -> Result<&'a [Value], ServeError> {
    let missing = || {
        let hint = hint(name, columns.keys().map(String::as_str));
        ServeError::request(format!("missing column `{name}`{hint}"))
    };
    columns.get(name).map(Vec::as_slice).ok_or_else(missing)
}

pub(super) fn view<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a View, ServeError> {
    let unknown = || {
        let hint = hint(name, definitions.views.keys().map(String::as_str));
        ServeError::NotFound(format!("unknown feature view `{name}`{hint}"))
    };
    definitions.views.get(name).ok_or_else(unknown)
}

/// The key columns of a view; none for a global view.
pub(super) fn key_columns<'a>(
    definitions: &'a Definitions,
    view: &View,
) -> Result<&'a [(String, DataType)], ServeError> {
    let Some(entity) = &view.entity else { return Ok(&[]) };
    let undefined = || ServeError::Internal(format!("view `{}` has the undefined entity `{entity}`", view.name));
    definitions
        .entities
        .get(entity)
        .map(|it| it.key.as_slice())
        .ok_or_else(undefined)
}

/// One key per row; `None` where a part is null, which never matches.
pub(super) fn keys(
    key: &[(String, DataType)],
    columns: &Columns,
    n: usize,
) -> Result<Vec<Option<EntityKey>>, ServeError> {
    let parts = key
        .iter()
        .map(|(name, data_type)| Ok((name.as_str(), *data_type, column(columns, name)?)));
    let parts = parts.collect::<Result<Vec<_>, ServeError>>()?;
    let of_row = |row: usize| {
        let values = parts
            .iter()
            .map(|(name, data_type, values)| (*name, *data_type, values[row].clone()));
        match EntityKey::from_values(values) {
            Ok(key) => Ok(Some(key)),
            Err(foretell_features::row::KeyError::Null { .. }) => Ok(None),
            Err(error) => Err(ServeError::request(format!("row {row}: {error}"))),
        }
    };
    (0..n).map(of_row).collect()
}
