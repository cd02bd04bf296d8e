//! `[source.X]`.

use super::{about, read};
use crate::definition::{Format, Source, SourceKey, WideColumns};
use crate::document::{Item, Section};
use crate::expression::Expression;
use crate::value::DataType;

pub(super) fn source(name: &str, section: &Section<'_>) -> Option<Source> {
    let path = section.need::<String>("path");
    let separator = separator(section);
    let null_values = section.get::<Vec<String>>("null_values");
    let format = path
        .as_deref()
        .and_then(|path| format(section, path, separator, null_values));
    let source = Source {
        name: name.to_owned(),
        path: path.clone().unwrap_or_default(),
        format: format.clone().unwrap_or(Format::Parquet),
        rename: rename(section),
        event_time: section.get("event_time"),
        known_time: section.get("known_time"),
        columns: columns(section),
        types: types(section),
        filter: section.get("where"),
        key: key(section),
        wide: wide(section),
        about: about::about(section),
    };
    if source.known_time.is_some() && source.event_time.is_none() {
        section.problem("known_time", "a source with `known_time` also needs `event_time`");
    }
    section.refuse_unknown();
    format.map(|_| source)
}

/// What the path says, or `format` where it says nothing (a folder, a name without extension).
fn format(
    section: &Section<'_>,
    path: &str,
    separator: Option<u8>,
    null_values: Option<Vec<String>>,
) -> Option<Format> {
    let lower = path.to_lowercase();
    let by_name = match () {
        () if lower.ends_with(".parquet") => Some("parquet"),
        () if lower.ends_with(".csv") || lower.ends_with(".csv.gz") => Some("csv"),
        () => None,
    };
    let said = section.get::<String>("format");
    match said.as_deref().or(by_name) {
        Some("parquet") => {
            for key in ["separator", "null_values"].into_iter().filter(|it| section.has(it)) {
                section.problem(key, "only CSV files have this; a Parquet file needs none");
            }
            Some(Format::Parquet)
        }
        Some("csv") => Some(Format::Csv {
            separator: separator.unwrap_or(b','),
            null_values: null_values.unwrap_or_default(),
        }),
        Some(other) => {
            section.problem("format", format!("a source is \"parquet\" or \"csv\". got=`{other}`"));
            None
        }
        None => {
            let fix = "for a folder say what is in it, format = \"parquet\" or format = \"csv\"";
            section.problem("path", format!("`{path}` is not .csv, .csv.gz or .parquet; {fix}"));
            None
        }
    }
}

fn separator(section: &Section<'_>) -> Option<u8> {
    let text = section.get::<String>("separator")?;
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Some(*byte),
        _ => {
            section.problem(
                "separator",
                format!("not one ASCII character like \",\", \";\" or \"\\t\". got=`{text}`"),
            );
            None
        }
    }
}

fn columns(section: &Section<'_>) -> Vec<(String, Expression)> {
    let Some(columns) = section.table("columns") else {
        return Vec::new();
    };
    let named = columns
        .entries()
        .iter()
        .filter_map(|it| Some((it.name.clone(), read(&columns, it)?)));
    named.collect()
}

fn types(section: &Section<'_>) -> Vec<(String, DataType)> {
    let Some(types) = section.table("types") else {
        return Vec::new();
    };
    let named = types
        .entries()
        .iter()
        .filter_map(|it| Some((it.name.clone(), read(&types, it)?)));
    named.collect()
}

/// `rename = { cust_no = "customer_id" }`: a file's column under the name that views, keys and expressions use.
fn rename(section: &Section<'_>) -> Vec<(String, String)> {
    let Some(renamed) = section.table("rename") else {
        return Vec::new();
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for it in renamed.entries() {
        let Some(name) = read::<String>(&renamed, it) else {
            continue;
        };
        if pairs.iter().any(|(_, other)| *other == name) {
            renamed.problem(
                &it.name,
                format!("two columns are renamed to `{name}`; choose another name for one"),
            );
        }
        pairs.push((it.name.clone(), name));
    }
    pairs
}

fn key(section: &Section<'_>) -> SourceKey {
    match section.get::<String>("key").as_deref() {
        None => SourceKey::Columns,
        Some("row") => SourceKey::Row,
        Some(other) => {
            let fix = "a source's key is \"row\" (the file row is the entity) or left out (columns named as the entity's key)";
            section.problem("key", format!("{fix}. got=`{other}`"));
            SourceKey::Columns
        }
    }
}

fn wide(section: &Section<'_>) -> Option<WideColumns> {
    let wide = section.table("wide")?;
    let id = match wide.item("id") {
        Some(Item::Text(it)) => Some(vec![it.clone()]),
        _ => wide.need("id"),
    };
    let value = wide.get("value").unwrap_or_else(|| "value".to_owned());
    let step = wide.get("step").unwrap_or_else(|| "step".to_owned());
    wide.refuse_unknown();
    Some(WideColumns { id: id?, value, step })
}
