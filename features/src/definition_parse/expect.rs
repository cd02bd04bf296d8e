//! `[view.X.expect]`: whole-view expectations under their own names, every other key is a column or an expression in quotes.

use crate::document::{Entry, FromItem, Item, Place, Section};
use crate::expectation::{Bounds, Check, Expectation, OnFailure, Rule};
use crate::expression::{Expression, pattern_problem};
use crate::spelling;
use crate::time::Span;
use crate::value::Value;

/// Keys that are not columns. A column of such a name is written as an expression, `'"rows"' = {..}`.
const OF_VIEW: [&str; 5] = ["rows", "fresh_within", "unique", "references", "on_failure"];
const ACTIONS: [&str; 3] = ["refuse", "warn", "quarantine"];

/// A source named by `references`, and where.
pub(super) struct Referenced {
    pub(super) source: String,
    pub(super) place: Place,
}

pub(super) fn expectations(view: &Section<'_>) -> (Vec<Expectation>, Vec<Referenced>) {
    let Some(section) = view.table("expect") else {
        return Default::default();
    };
    let mut reading = Reading {
        usual: on_failure(&section).unwrap_or_default(),
        found: Vec::new(),
        referenced: Vec::new(),
    };
    reading.of_view(&section);
    for entry in section.rest() {
        if !OF_VIEW.contains(&entry.name.as_str()) {
            reading.column(&section, entry);
        }
    }
    (reading.found, reading.referenced)
}

struct Reading {
    usual: OnFailure,
    found: Vec<Expectation>,
    referenced: Vec<Referenced>,
}

impl Reading {
    fn of_view(&mut self, section: &Section<'_>) {
        if let Some(rows) = section.table("rows") {
            let action = on_failure(&rows);
            if let Some(bounds) = bounds(&rows) {
                self.whole(section, "rows", Check::Rows(bounds), action);
            }
            rows.refuse_unknown();
        }
        if let Some((inner, action)) = self.plain_or_table(section, "fresh_within", "within")
            && let Some(span) = value_of::<Span>(section, "fresh_within", &inner)
        {
            self.whole(section, "fresh_within", Check::FreshWithin(span), action);
        }
        if let Some((inner, action)) = self.plain_or_table(section, "unique", "columns")
            && let Some(columns) = value_of::<Vec<String>>(section, "unique", &inner)
        {
            let columns: Option<Vec<_>> = columns.iter().map(|it| expression(section, "unique", it)).collect();
            match columns {
                Some(columns) if columns.is_empty() => section.problem("unique", "name at least one column"),
                Some(columns) => self.whole(section, "unique", Check::Unique(columns), action),
                None => {}
            }
        }
        if let Some(references) = section.table("references") {
            for entry in references.entries() {
                self.reference(&references, entry);
            }
        }
    }

    /// `name = value`, or `name = { key = value, on_failure = ".." }`.
    fn plain_or_table(&self, section: &Section<'_>, name: &str, key: &str) -> Option<(Item, Option<OnFailure>)> {
        match section.item(name)? {
            Item::Table(_) => {
                let inner = section.table(name)?;
                let action = on_failure(&inner);
                let item = inner.item(key).cloned();
                if item.is_none() {
                    inner.problem(key, format!("`{key}` is missing"));
                }
                inner.refuse_unknown();
                Some((item?, action))
            }
            other => Some((other.clone(), None)),
        }
    }

    fn reference(&mut self, section: &Section<'_>, entry: &Entry) {
        let Some(value) = expression(section, &entry.name, &entry.name) else {
            return;
        };
        let Some((item, action)) = self.plain_or_table(section, &entry.name, "to") else {
            return;
        };
        let Some(to) = value_of::<String>(section, &entry.name, &item) else {
            return;
        };
        let Some((source, column)) = to.split_once('.') else {
            section.problem(&entry.name, format!("write it as \"source.column\". got=`{to}`"));
            return;
        };
        self.referenced.push(Referenced {
            source: source.to_owned(),
            place: section.place(&entry.name),
        });
        let check = Check::References {
            value,
            source: source.to_owned(),
            column: column.to_owned(),
        };
        self.whole(section, &entry.name, check, action);
    }

    /// `amount = { .. }`, or `amount = [{ .. }, { .. }]` where one column has several actions.
    fn column(&mut self, section: &Section<'_>, entry: &Entry) {
        match &entry.item {
            Item::Table(_) => {
                if let (Some(value), Some(inner)) =
                    (expression(section, &entry.name, &entry.name), section.section_of(entry))
                {
                    self.of_column(&value, &inner);
                }
            }
            Item::List(_) => {
                let value = expression(section, &entry.name, &entry.name);
                for inner in section.tables(&entry.name) {
                    value.iter().for_each(|value| self.of_column(value, &inner));
                }
            }
            other => {
                let hint = spelling::nearest(&entry.name, OF_VIEW).map(|it| format!("; did you mean `{it}`?"));
                let hint = hint.unwrap_or_else(|| "; write { not_null = true, min = 0, .. }".to_owned());
                section.problem(
                    &entry.name,
                    format!("`{}` is not an expectation{hint} got={other}", entry.name),
                );
            }
        }
    }

    fn of_column(&mut self, value: &Expression, section: &Section<'_>) {
        let action = on_failure(section);
        if let Some(true) = section.get::<bool>("not_null") {
            self.row(value, Rule::NotNull, action);
        }
        if let Some(bound) = section.get::<Value>("min") {
            self.row(value, Rule::Min(bound), action);
        }
        if let Some(bound) = section.get::<Value>("max") {
            self.row(value, Rule::Max(bound), action);
        }
        match section.get::<Vec<Value>>("in") {
            Some(list) if list.is_empty() => section.problem("in", "name at least one value"),
            Some(list) => self.row(value, Rule::In(list), action),
            None => {}
        }
        if let Some(pattern) = section.get::<String>("matches") {
            match pattern_problem(&pattern) {
                None => self.row(value, Rule::Matches(pattern), action),
                Some(message) => section.problem("matches", message),
            }
        }
        if let Some(true) = section.get::<bool>("unique") {
            self.whole(section, "unique", Check::Unique(vec![value.clone()]), action);
        }
        if let Some(true) = section.get::<bool>("increasing") {
            self.whole(section, "increasing", Check::Increasing(value.clone()), action);
        }
        self.numbers(value, section, action);
        section.refuse_unknown();
    }

    fn numbers(&mut self, value: &Expression, section: &Section<'_>, action: Option<OnFailure>) {
        for name in ["null_rate", "mean", "quantile"] {
            let Some(inner) = section.table(name) else { continue };
            let own = on_failure(&inner).or(action);
            let q = (name == "quantile").then(|| inner.need::<f64>("q"));
            let bounds = bounds(&inner);
            inner.refuse_unknown();
            let (Some(bounds), value) = (bounds, value.clone()) else {
                continue;
            };
            let check = match q {
                None if name == "mean" => Check::Mean(value, bounds),
                None => Check::NullRate(value, bounds),
                Some(Some(q)) if (0.0..=1.0).contains(&q) => Check::Quantile { value, q, bounds },
                Some(Some(q)) => {
                    inner.problem("q", format!("a quantile is between 0 and 1. got=`{q}`"));
                    continue;
                }
                Some(None) => continue,
            };
            self.whole(section, name, check, own);
        }
    }

    fn row(&mut self, value: &Expression, rule: Rule, action: Option<OnFailure>) {
        let value = value.clone();
        self.found.push(Expectation {
            check: Check::EachRow { value, rule },
            on_failure: action.unwrap_or(self.usual),
        });
    }

    /// An expectation that no single row meets or misses: there is nothing to put aside.
    fn whole(&mut self, section: &Section<'_>, name: &str, check: Check, action: Option<OnFailure>) {
        let on_failure = action.unwrap_or(self.usual);
        if on_failure == OnFailure::Quarantine {
            let message = format!(
                "`{}` is about all rows together, which cannot be quarantined; give it on_failure = \"refuse\" or \"warn\"",
                check.name()
            );
            section.problem(name, message);
        }
        self.found.push(Expectation { check, on_failure });
    }
}

fn on_failure(section: &Section<'_>) -> Option<OnFailure> {
    let text = section.get::<String>("on_failure")?;
    match text.as_str() {
        "refuse" => Some(OnFailure::Refuse),
        "warn" => Some(OnFailure::Warn),
        "quarantine" => Some(OnFailure::Quarantine),
        other => {
            let hint = spelling::hint(other, ACTIONS);
            section.problem("on_failure", format!("unknown action `{other}`{hint}"));
            None
        }
    }
}

/// `{ min = .., max = .. }`, at least one of them.
fn bounds(section: &Section<'_>) -> Option<Bounds> {
    let bounds = Bounds {
        min: section.get("min"),
        max: section.get("max"),
    };
    let written = section.has("min") || section.has("max");
    if !written {
        section.problem("", "there is nothing to hold it against; write `min` or `max`");
    }
    let empty = bounds.min.zip(bounds.max).is_some_and(|(min, max)| min > max);
    if empty {
        section.problem("min", format!("nothing lies between. got=`{bounds}`"));
    }
    (written && !empty).then_some(bounds)
}

fn value_of<T: FromItem>(section: &Section<'_>, name: &str, item: &Item) -> Option<T> {
    T::from_item(item)
        .map_err(|message| section.problem(name, message))
        .ok()
}

fn expression(section: &Section<'_>, name: &str, text: &str) -> Option<Expression> {
    super::view::column_or_expression(text)
        .map_err(|message| section.problem(name, message))
        .ok()
}

#[cfg(test)]
mod tests;
