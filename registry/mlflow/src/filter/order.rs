//! Orders of registered models and model versions. Each ends with what no two of them share, so no order has ties.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use foretell_registry::{ModelState, VersionRow};

use super::catalog::is_attribute;
use super::parse;
use crate::error::ApiError;

type Compare<T> = fn(&T, &T) -> Ordering;

/// By the keys, then by name.
pub(crate) fn registered_order(
    order_by: &[String],
) -> Result<impl Fn(&ModelState, &ModelState) -> Ordering + use<>, ApiError> {
    let updated: Compare<ModelState> = |a, b| a.updated_at().cmp(&b.updated_at());
    let known: [(&str, Compare<ModelState>); 3] = [
        ("name", |a, b| a.name.cmp(&b.name)),
        ("timestamp", updated),
        ("last_updated_timestamp", updated),
    ];
    let keys = keys(order_by, &known)?;
    Ok(move |a: &ModelState, b: &ModelState| by(&keys, a, b).then_with(|| a.name.cmp(&b.name)))
}

/// By the keys (newest change first without any), then by name, then newest version first.
pub(crate) fn version_order<'a>(
    order_by: &[String],
) -> Result<impl Fn(&VersionRow<'a>, &VersionRow<'a>) -> Ordering + use<'a>, ApiError> {
    let known: [(&str, Compare<VersionRow<'a>>); 4] = [
        ("name", |a, b| a.model().cmp(b.model())),
        ("version_number", |a, b| a.number().cmp(&b.number())),
        ("creation_timestamp", |a, b| a.created_at().cmp(&b.created_at())),
        ("last_updated_timestamp", |a, b| a.updated_at().cmp(&b.updated_at())),
    ];
    let mut keys = keys(order_by, &known)?;
    if keys.is_empty() {
        keys.push((known[3].1, true));
    }
    Ok(move |a: &VersionRow<'a>, b: &VersionRow<'a>| {
        by(&keys, a, b)
            .then_with(|| a.model().cmp(b.model()))
            .then_with(|| b.number().cmp(&a.number()))
    })
}

fn by<T>(keys: &[(Compare<T>, bool)], a: &T, b: &T) -> Ordering {
    let each = keys.iter().map(|(compare, descending)| match compare(a, b) {
        ordering if *descending => ordering.reverse(),
        ordering => ordering,
    });
    each.into_iter().find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
}

/// The comparisons that the keys name, and whether each goes down.
fn keys<T>(order_by: &[String], known: &[(&str, Compare<T>)]) -> Result<Vec<(Compare<T>, bool)>, ApiError> {
    let (mut keys, mut fields) = (Vec::new(), BTreeSet::new());
    for text in order_by {
        let it = parse::order_key(text)?;
        let found = known.iter().find(|(name, _)| *name == it.key);
        let Some((name, compare)) = found.filter(|_| is_attribute(it.entity.as_deref())) else {
            let valid: Vec<_> = known.iter().map(|it| it.0).collect();
            return Err(ApiError::invalid(format!(
                "Invalid order by key '{}' specified. Valid keys are {valid:?}",
                it.key
            )));
        };
        // Two names of one field.
        if !fields.insert(name.trim_start_matches("last_updated_")) {
            return Err(ApiError::invalid(format!(
                "`order_by` contains duplicate fields: {order_by:?}"
            )));
        }
        keys.push((*compare, it.descending));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_known_fields_once() {
        let check = |order: &[&str], says: &str| {
            let order: Vec<String> = order.iter().map(|it| (*it).to_owned()).collect();
            let said = registered_order(&order).err().map(|it| it.message).unwrap_or_default();
            assert!(
                said.starts_with(says) && said.is_empty() == says.is_empty(),
                "{order:?}: {said}"
            );
        };
        check(&[], "");
        check(&["name DESC", "timestamp"], "");
        check(&["attribute.name"], "");
        check(&["flavour"], "Invalid order by key 'flavour' specified.");
        check(&["tags.name"], "Invalid order by key 'name' specified.");
        check(&["name", "name DESC"], "`order_by` contains duplicate fields");
        check(
            &["timestamp", "last_updated_timestamp"],
            "`order_by` contains duplicate fields",
        );
        assert!(version_order(&["timestamp".to_owned()]).is_err());
    }
}
