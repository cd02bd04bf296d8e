//! Reads `features/*.toml` into [`Definitions`]: all files, all problems at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::definition::{Definitions, DerivedFeature, Entity, FeatureRef, RequestColumn};
use crate::document::{Document, Entry, FromItem, Item, Place, Problem, Problems, Section};
use crate::expression::Expression;
use crate::value::DataType;

mod about;
mod check;
mod expect;
mod service;
mod source;
mod view;

pub(crate) fn definitions(files: &[(PathBuf, String)]) -> Result<Definitions, Problems> {
    let mut reading = Reading::default();
    for (file, text) in files {
        match Document::parse(file, text) {
            Ok(document) => {
                reading.file(&document);
                reading.problems.extend(document.into_problems());
            }
            Err(problem) => reading.problems.push(problem),
        }
    }
    check::references(&mut reading);
    Problems::or(reading.problems, reading.definitions)
}

/// What was read so far, and where.
#[derive(Debug, Default)]
struct Reading {
    definitions: Definitions,
    /// Every `entity.X`, `source.X`, `view.X`, `derived.X.NAME` and `request.X.NAME`, also of definitions that are wrong
    /// otherwise: a reference to one of them is right.
    places: BTreeMap<String, Place>,
    /// Names used, to be looked up once all files are read.
    references: Vec<Reference>,
    /// What services list, to be looked up likewise.
    listed: Vec<Listed>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Reference {
    /// `entity` or `source`.
    kind: &'static str,
    name: String,
    place: Place,
}

/// One reference of a service.
#[derive(Debug)]
struct Listed {
    reference: FeatureRef,
    place: Place,
}

impl Reading {
    fn file(&mut self, document: &Document) {
        let root = document.root();
        for (name, section) in self.named(&root, "entity") {
            if let Some(it) = entity(&name, &section) {
                self.definitions.entities.entry(name).or_insert(it);
            }
        }
        for (name, section) in self.named(&root, "source") {
            if let Some(it) = source::source(&name, &section) {
                self.definitions.sources.entry(name).or_insert(it);
            }
        }
        for (name, section) in self.named(&root, "view") {
            self.refer("entity", &section);
            self.refer("source", &section);
            let (view, referenced) = view::view(&name, &section);
            let named = referenced.into_iter().map(|it| Reference {
                kind: "source",
                name: it.source,
                place: it.place,
            });
            self.references.extend(named);
            if let Some(it) = view {
                self.definitions.views.entry(name).or_insert(it);
            }
        }
        for (name, section) in self.named(&root, "service") {
            let it = service::service(&name, &section);
            self.listed.extend(service::listed(&section));
            self.definitions.services.entry(name).or_insert(it);
        }
        for (entity, section) in tables(&root, "derived") {
            self.derived(&entity, &section);
        }
        for (entity, section) in tables(&root, "request") {
            self.request(&entity, &section);
        }
        root.refuse_unknown();
    }

    /// The tables under `[kind.NAME]`; a name that is taken is refused with both places and read all the same, for what
    /// else is wrong with it.
    fn named<'a>(&mut self, root: &Section<'a>, kind: &str) -> Vec<(String, Section<'a>)> {
        let found = tables(root, kind);
        for (name, section) in &found {
            let plain = !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_' || it == '-');
            if !plain {
                section.problem("", format!("`{name}` is not a name; use letters, digits, `_` and `-`"));
            }
            self.claim(format!("{kind}.{name}"), section.place(""));
        }
        found
    }

    fn claim(&mut self, key: String, place: Place) -> bool {
        if let Some(first) = self.places.get(&key) {
            let message = format!(
                "`{key}` is defined twice, first at {}:{}; rename one",
                first.file.display(),
                first.line
            );
            self.problems.push(place.problem(message));
            return false;
        }
        self.places.insert(key, place);
        true
    }

    fn refer(&mut self, kind: &'static str, section: &Section<'_>) {
        if let Some(Item::Text(name)) = section.item(kind) {
            self.references.push(Reference {
                kind,
                name: name.clone(),
                place: section.place(kind),
            });
        }
    }

    fn derived(&mut self, entity: &str, section: &Section<'_>) {
        self.references.push(Reference {
            kind: "entity",
            name: entity.to_owned(),
            place: section.place(""),
        });
        for entry in section.entries() {
            let Some(expression) = read::<Expression>(section, entry) else {
                continue;
            };
            if self.claim(format!("derived.{entity}.{}", entry.name), section.place(&entry.name)) {
                let feature = DerivedFeature {
                    name: entry.name.clone(),
                    expression,
                };
                self.definitions
                    .derived
                    .entry(entity.to_owned())
                    .or_default()
                    .push(feature);
            }
        }
    }

    fn request(&mut self, entity: &str, section: &Section<'_>) {
        self.references.push(Reference {
            kind: "entity",
            name: entity.to_owned(),
            place: section.place(""),
        });
        for entry in section.entries() {
            let Some(data_type) = read::<DataType>(section, entry) else {
                continue;
            };
            if self.claim(format!("request.{entity}.{}", entry.name), section.place(&entry.name)) {
                let column = RequestColumn {
                    name: entry.name.clone(),
                    data_type,
                };
                self.definitions
                    .request
                    .entry(entity.to_owned())
                    .or_default()
                    .push(column);
            }
        }
    }
}

/// The tables of a table, by name.
fn tables<'a>(root: &Section<'a>, kind: &str) -> Vec<(String, Section<'a>)> {
    let Some(section) = root.table(kind) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in section.entries() {
        match section.section_of(entry) {
            Some(inner) => found.push((entry.name.clone(), inner)),
            None => section.problem(
                &entry.name,
                format!("not a table; write `[{kind}.{}]`. got={}", entry.name, entry.item),
            ),
        }
    }
    found
}

/// An entry of a table with free keys.
fn read<T: FromItem>(section: &Section<'_>, entry: &Entry) -> Option<T> {
    match T::from_item(&entry.item) {
        Ok(it) => Some(it),
        Err(message) => {
            section.problem(&entry.name, message);
            None
        }
    }
}

fn entity(name: &str, section: &Section<'_>) -> Option<Entity> {
    let mut key = Vec::new();
    if let Some(columns) = section.need_table("key") {
        for entry in columns.entries() {
            match read::<DataType>(&columns, entry) {
                Some(it @ (DataType::String | DataType::Int64)) => key.push((entry.name.clone(), it)),
                Some(other) => columns.problem(&entry.name, format!("a key column is string or int64. got=`{other}`")),
                None => {}
            }
        }
        if columns.entries().is_empty() {
            section.problem(
                "key",
                "a key needs at least one column; write key = { customer_id = \"string\" }",
            );
        }
    }
    let about = about::about(section);
    section.refuse_unknown();
    (!key.is_empty()).then(|| Entity {
        name: name.to_owned(),
        key,
        about,
    })
}
