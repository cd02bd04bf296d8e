//! What only all files together can tell: names that nothing defines, and names that mean two things.

use std::collections::BTreeSet;

use super::{Listed, Reading};
use crate::definition::{Definitions, DerivedFeature, FeatureRef, SourceKey, View};
use crate::document::{Place, Problem};
use crate::service::Service;
use crate::spelling;
use crate::value::DataType;

pub(super) fn references(reading: &mut Reading) {
    let mut problems = Vec::new();
    for it in &reading.references {
        let prefix = format!("{}.", it.kind);
        let mut known = reading.places.keys().filter_map(|key| key.strip_prefix(&prefix));
        if known.clone().all(|name| name != it.name) {
            let article = if it.kind == "entity" { "an entity" } else { "a source" };
            let hint = match known.next() {
                None => format!("; define `[{}.{}]`", it.kind, it.name),
                Some(first) => spelling::hint(&it.name, known.chain([first])),
            };
            problems.push(it.place.problem(format!("`{}` is not {article}{hint}", it.name)));
        }
    }
    let at = |key: String| reading.places.get(&key);
    let definitions = &reading.definitions;
    for name in definitions.entities.keys() {
        problems.extend(on_demand(definitions, name, &at));
    }
    problems.extend(views(definitions, &at));
    problems.extend(services(reading));
    reading.problems.extend(problems);
}

/// Derived features may use the entity's features, its request values and earlier derived features, and be none of them.
fn on_demand<'a>(definitions: &Definitions, entity: &str, at: &dyn Fn(String) -> Option<&'a Place>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (mut known, open) = stored(definitions, entity);
    for column in definitions.request.get(entity).into_iter().flatten() {
        let place = at(format!("request.{entity}.{}", column.name));
        let taken = known.contains(&column.name.as_str());
        if let (true, Some(place)) = (taken, place) {
            problems.push(place.problem(format!(
                "`{}` is a stored feature of `{entity}` already; rename one",
                column.name
            )));
        }
        known.push(&column.name);
    }
    let all_derived = definitions.derived.get(entity).map_or(&[][..], Vec::as_slice);
    for (position, feature) in all_derived.iter().enumerate() {
        let Some(place) = at(format!("derived.{entity}.{}", feature.name)) else {
            continue;
        };
        if known.contains(&feature.name.as_str()) {
            let message = format!(
                "`{}` is a feature or a request value of `{entity}` already; rename one",
                feature.name
            );
            problems.push(place.problem(message));
        }
        for column in feature.expression.columns() {
            let later = all_derived[position..].iter().any(|it| it.name == column);
            if !known.contains(&column)
                && let Some(cycle) = cycle(all_derived, &feature.name, column)
            {
                problems.push(place.problem(format!("it is computed from itself: {cycle}; break the circle")));
            } else if !known.contains(&column) && later {
                problems.push(place.problem(format!("uses `{column}`, which is derived later; move that one up")));
            } else if !known.contains(&column) && !open {
                let hint = spelling::hint(column, known.iter().copied());
                problems.push(place.problem(format!("unknown feature `{column}` of `{entity}`{hint}")));
            }
        }
        known.push(&feature.name);
    }
    problems
}

/// The way from a derived feature over `column` back to itself, `a <- b <- a`, if there is one.
fn cycle(derived: &[DerivedFeature], feature: &str, column: &str) -> Option<String> {
    let named = |name: &str| derived.iter().find(|it| it.name == name);
    // Each step of a way is one feature further on; a way longer than all features goes in a circle of its own.
    let mut ways = vec![vec![column]];
    for _ in 0..derived.len() {
        if let Some(way) = ways.iter().find(|it| it.last() == Some(&feature)) {
            return Some(format!("{feature} <- {}", way.join(" <- ")));
        }
        let mut seen = BTreeSet::new();
        let longer = ways.iter().flat_map(|way| {
            let next = way.last().and_then(|it| named(it));
            let columns = next.into_iter().flat_map(|it| it.expression.columns());
            columns.map(move |it| [way.as_slice(), &[it]].concat())
        });
        ways = longer
            .filter(|way| way.last().is_some_and(|it| seen.insert(*it)))
            .collect();
    }
    None
}

/// The entity's stored features by name, and whether there are more that only the files tell (`latest = "*"`).
fn stored<'a>(definitions: &'a Definitions, entity: &str) -> (Vec<&'a str>, bool) {
    let views = || {
        definitions
            .views
            .values()
            .filter(|it| it.entity.as_deref().is_none_or(|it| it == entity))
    };
    let names = views().flat_map(|it| &it.features).map(|it| it.name.as_str());
    (names.collect(), views().any(|it| it.all_columns))
}

fn views<'a>(definitions: &Definitions, at: &dyn Fn(String) -> Option<&'a Place>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for view in definitions.views.values() {
        let entity = view.entity.as_ref().and_then(|it| definitions.entities.get(it));
        let (Some(place), Some(source)) = (at(format!("view.{}", view.name)), definitions.sources.get(&view.source))
        else {
            continue;
        };
        let row = source.key == SourceKey::Row;
        match entity {
            Some(entity) if row && !matches!(entity.key.as_slice(), [(_, DataType::Int64)]) => {
                let fix = format!("give `{}` one int64 key column", entity.name);
                problems.push(place.problem(format!("source `{}` has key = \"row\", a number; {fix}", source.name)));
            }
            None if row && view.entity.is_none() => {
                problems.push(place.problem(format!(
                    "source `{}` has key = \"row\"; name the view's `entity`",
                    source.name
                )));
            }
            _ => {}
        }
        let windows = view
            .features
            .iter()
            .any(|it| matches!(it.kind, crate::definition::FeatureKind::Aggregate { .. }));
        if windows && source.event_time.is_none() {
            let message = format!(
                "aggregates need times, and source `{}` has no `event_time`",
                source.name
            );
            problems.push(place.problem(message));
        }
    }
    problems
}

/// What services list must be there. A view that is wrong otherwise is there: its own problem is told already.
fn services(reading: &Reading) -> Vec<Problem> {
    let definitions = &reading.definitions;
    let told = |it: &FeatureRef| match it {
        FeatureRef::All(view) | FeatureRef::One(view, _) => {
            reading.places.contains_key(&format!("view.{view}")) && !definitions.views.contains_key(view)
        }
        FeatureRef::Bare(_) => false,
    };
    let listed = reading.listed.iter().filter(|it| !told(&it.reference));
    let wrong = |it: &Listed| {
        let error = definitions.found(&it.reference).err()?;
        Some(it.place.problem(error.to_string()))
    };
    let empty = |it: &Service| {
        let place = reading.places.get(&format!("service.{}", it.name))?;
        gives_nothing(definitions, it).then(|| place.problem("`except` leaves no feature; take something out of it"))
    };
    listed
        .filter_map(wrong)
        .chain(definitions.services.values().filter_map(empty))
        .collect()
}

/// Whether `except` takes away all features, as far as the definitions tell.
fn gives_nothing(definitions: &Definitions, service: &Service) -> bool {
    // A view of all columns has at least one, whatever its name.
    let columns = |view: &View| {
        let unnamed = view.all_columns.then(String::new);
        view.features.iter().map(|it| it.name.clone()).chain(unnamed).collect()
    };
    let given = definitions.expand(&service.features, &service.except, &columns);
    !service.except.is_empty() && given.is_ok_and(|it| it.is_empty())
}

#[cfg(test)]
mod tests;
