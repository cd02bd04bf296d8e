//! Entity and features of a model of rows.

use std::collections::BTreeMap;

use foretell_features::document::Section;
use foretell_features::{Definitions, FeatureKind, FeatureRef, LabelSpec, View, spelling};
use foretell_inference::Task;

use super::{check_name, label, population};
use crate::spec::TabularSpec;

pub(super) fn tabular(root: &Section<'_>, task: Task, definitions: &Definitions) -> Option<TabularSpec> {
    let entity = root.need::<String>("entity");
    let known = entity
        .as_deref()
        .is_some_and(|it| check_name(root, "entity", it, "an entity", definitions.entities.keys()));
    let features = references(root, "features");
    let except = references(root, "except");
    match &features {
        None => {
            root.need::<Vec<String>>("features");
        }
        Some(it) if it.is_empty() => {
            root.problem("features", "a model needs features; write features = [\"purchases:*\"]")
        }
        Some(_) => {}
    }
    let (features, except) = (features.unwrap_or_default(), except.unwrap_or_default());
    let label = label::label(root, task, definitions);
    let (cutoffs, population, segment) = population::training(root, label.as_ref(), task, definitions);
    let split = population::split(root, cutoffs.as_ref(), label.as_ref());
    if let (true, Some(entity)) = (known, &entity) {
        let scope = Scope {
            root,
            entity,
            definitions,
        };
        scope.check("features", &features);
        scope.check("except", &except);
        scope.refuse_collisions(&features, &except);
        if let Some(LabelSpec::Column { source, column, .. }) = &label {
            scope.refuse_label(&features, &except, source.as_deref(), column);
        }
        if let Some(filter) = &population.filter {
            scope.check_filter(&filter.columns());
        }
    }
    Some(TabularSpec {
        entity: entity?,
        features,
        except,
        cutoffs,
        population,
        label: label?,
        split,
        segment,
    })
}

fn references(root: &Section<'_>, key: &str) -> Option<Vec<FeatureRef>> {
    let written = if root.has(key) {
        root.get::<Vec<String>>(key)?
    } else {
        return None;
    };
    let mut references: Vec<FeatureRef> = Vec::new();
    for text in &written {
        let reference: FeatureRef = text.parse().unwrap_or_else(|never| match never {});
        if references.contains(&reference) {
            root.problem_in_list(key, text, format!("`{text}` is there twice; leave one out"));
        } else {
            references.push(reference);
        }
    }
    Some(references)
}

/// What a model of one entity may refer to.
struct Scope<'a> {
    root: &'a Section<'a>,
    entity: &'a str,
    definitions: &'a Definitions,
}

impl<'a> Scope<'a> {
    /// The entity's views, and those that hold one row for all.
    fn views(&self) -> impl Iterator<Item = &'a View> {
        let entity = self.entity;
        self.definitions
            .views
            .values()
            .filter(move |it| it.entity.as_deref().is_none_or(|it| it == entity))
    }

    /// Derived features and request values.
    fn on_demand(&self) -> Vec<&'a str> {
        let derived = self
            .definitions
            .derived
            .get(self.entity)
            .into_iter()
            .flatten()
            .map(|it| it.name.as_str());
        let request = self
            .definitions
            .request
            .get(self.entity)
            .into_iter()
            .flatten()
            .map(|it| it.name.as_str());
        derived.chain(request).collect()
    }

    fn check(&self, key: &str, references: &[FeatureRef]) {
        for reference in references {
            let problem = match reference {
                FeatureRef::All(view) => self.view(view).err(),
                FeatureRef::One(view, feature) => self.view(view).and_then(|view| known_feature(view, feature)).err(),
                FeatureRef::Bare(name) => self.bare(name).err(),
            };
            if let Some(message) = problem {
                self.root.problem_in_list(key, &reference.to_string(), message);
            }
        }
    }

    fn view(&self, name: &str) -> Result<&'a View, String> {
        if let Some(view) = self.views().find(|it| it.name == name) {
            return Ok(view);
        }
        Err(
            match self.definitions.views.get(name).and_then(|it| it.entity.as_deref()) {
                Some(other) => format!(
                    "view `{name}` describes `{other}`, the model predicts for `{}`",
                    self.entity
                ),
                None => {
                    let hint = spelling::hint(name, self.views().map(|it| it.name.as_str()));
                    format!("`{name}` is not a view of `{}`{hint}", self.entity)
                }
            },
        )
    }

    fn bare(&self, name: &str) -> Result<(), String> {
        let on_demand = self.on_demand();
        if on_demand.contains(&name) {
            return Ok(());
        }
        if let Some(view) = self
            .views()
            .find(|it| it.features.iter().any(|feature| feature.name == name))
        {
            return Err(format!("`{name}` is a feature of a view; write `{}:{name}`", view.name));
        }
        let views: Vec<String> = self.views().map(|it| format!("{}:*", it.name)).collect();
        let names = on_demand.into_iter().chain(views.iter().map(String::as_str));
        let hint = spelling::hint(name, names);
        Err(format!(
            "`{name}` is no derived feature and no request value of `{}`{hint}",
            self.entity
        ))
    }

    /// Two inputs of one name could not be told apart.
    fn refuse_collisions(&self, features: &[FeatureRef], except: &[FeatureRef]) {
        let mut seen: BTreeMap<String, FeatureRef> = BTreeMap::new();
        for reference in self.expanded(features).into_iter().filter(|it| !left_out(it, except)) {
            let name = match &reference {
                FeatureRef::All(_) => continue,
                FeatureRef::One(_, name) | FeatureRef::Bare(name) => name.clone(),
            };
            match seen.get(&name) {
                Some(first) if *first != reference => {
                    let message =
                        format!("`{first}` and `{reference}` have one name; rename one or leave one out with `except`");
                    self.root.problem("features", message);
                }
                _ => {
                    seen.insert(name, reference);
                }
            }
        }
    }

    /// `view:*` as the features known without the file.
    fn expanded(&self, features: &[FeatureRef]) -> Vec<FeatureRef> {
        let mut all = Vec::new();
        for reference in features {
            match reference {
                FeatureRef::All(name) => {
                    let view = self.views().find(|it| it.name == *name);
                    let features = view.into_iter().flat_map(|it| &it.features);
                    all.extend(features.map(|it| FeatureRef::One(name.clone(), it.name.clone())));
                }
                other => all.push(other.clone()),
            }
        }
        all
    }

    /// A label column among the features would tell the answer.
    fn refuse_label(&self, features: &[FeatureRef], except: &[FeatureRef], source: Option<&str>, column: &str) {
        let first = features.iter().find_map(|it| match it {
            FeatureRef::All(view) | FeatureRef::One(view, _) => self.views().find(|known| known.name == *view),
            FeatureRef::Bare(_) => None,
        });
        let Some(source) = source.or(first.map(|it| it.source.as_str())) else {
            return;
        };
        for view in self.views().filter(|it| it.source == source) {
            let mut shown: Vec<FeatureRef> = Vec::new();
            if view.all_columns {
                shown.push(FeatureRef::One(view.name.clone(), column.to_owned()));
            }
            let same = view.features.iter().filter(|it| match &it.kind {
                FeatureKind::Latest { value } => value.columns().contains(&column),
                FeatureKind::Aggregate { .. } => false,
            });
            shown.extend(same.map(|it| FeatureRef::One(view.name.clone(), it.name.clone())));
            let all = FeatureRef::All(view.name.clone());
            for it in shown {
                let used = features.contains(&all) || features.contains(&it);
                if used && !left_out(&it, except) {
                    self.root
                        .problem("features", format!("`{it}` tells the label; write except = [\"{it}\"]"));
                }
            }
        }
    }

    fn check_filter(&self, columns: &[&str]) {
        if self.views().any(|it| it.all_columns) {
            return;
        }
        let stored = self.views().flat_map(|it| &it.features).map(|it| it.name.as_str());
        let known: Vec<&str> = stored.chain(self.on_demand()).collect();
        for column in columns.iter().filter(|it| !known.contains(it)) {
            let hint = spelling::hint(column, known.iter().copied());
            let population = self.root.table("training").and_then(|it| it.table("population"));
            if let Some(population) = population {
                population.problem(
                    "where",
                    format!("unknown feature `{column}` of `{}`{hint}", self.entity),
                );
            }
        }
    }
}

fn known_feature(view: &View, name: &str) -> Result<(), String> {
    // Only the file knows the columns behind `latest = "*"`.
    if view.all_columns || view.features.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let hint = spelling::hint(name, view.features.iter().map(|it| it.name.as_str()));
    Err(format!("view `{}` has no feature `{name}`{hint}", view.name))
}

fn left_out(reference: &FeatureRef, except: &[FeatureRef]) -> bool {
    let whole = match reference {
        FeatureRef::One(view, _) => except.contains(&FeatureRef::All(view.clone())),
        _ => false,
    };
    whole || except.contains(reference)
}
