//! `[series]`: what a forecast looks at.

use foretell_features::document::{Item, Section};
use foretell_features::{Definitions, ForecastTest, SeriesSpec};

use super::check_name;

pub(super) fn series(root: &Section<'_>, definitions: &Definitions) -> Option<SeriesSpec> {
    let section = root.need_table("series")?;
    let source = section.need::<String>("source");
    if let Some(source) = &source {
        check_name(&section, "source", source, "a source", definitions.sources.keys());
    }
    let statics_from = section.get::<String>("statics_from");
    if let Some(source) = &statics_from {
        check_name(&section, "statics_from", source, "a source", definitions.sources.keys());
        if !section.has("static") {
            section.problem(
                "statics_from",
                "`statics_from` says where `static` columns are; name them in `static`",
            );
        }
    }
    let (time, value, step) = (section.need("time"), section.need("value"), section.need("step"));
    let spec = SeriesSpec {
        source: source.unwrap_or_default(),
        key: section.get("key").unwrap_or_default(),
        time: time.unwrap_or_default(),
        value: value.unwrap_or_default(),
        step: step.unwrap_or_default(),
        horizon: section.need("horizon").unwrap_or_default(),
        known: section.get("known").unwrap_or_default(),
        statics: section.get("static").unwrap_or_default(),
        statics_from,
        judged: section.get("judged"),
        seasons: seasons(&section),
        test: test(&section, definitions),
    };
    refuse_twice(&section, &spec);
    section.refuse_unknown();
    // An empty required text was recorded as missing above.
    Some(spec)
}

/// One column has one role: a value among the known columns would tell the future.
fn refuse_twice(section: &Section<'_>, spec: &SeriesSpec) {
    let one = |key: &'static str, name: &String| (key, name.clone());
    let mut roles = vec![one("time", &spec.time), one("value", &spec.value)];
    roles.extend(spec.key.iter().map(|it| one("key", it)));
    roles.extend(spec.known.iter().map(|it| one("known", it)));
    roles.extend(spec.statics.iter().map(|it| one("static", it)));
    for (at, (key, name)) in roles.iter().enumerate() {
        let first = roles[..at].iter().find(|(_, it)| it == name && !it.is_empty());
        if let Some((other, _)) = first {
            section.problem(
                key,
                format!("`{name}` is the series' `{other}` already; a column has one role"),
            );
        }
    }
}

fn seasons(section: &Section<'_>) -> Vec<usize> {
    let seasons: Vec<usize> = section.get("seasons").unwrap_or_default();
    if seasons.contains(&1) {
        section.problem("seasons", "a season has at least 2 steps; write seasons = [7]");
    }
    seasons
}

/// `"last"`, `{ file = "a source" }` or `{ column = "split", value = "test" }`.
fn test(section: &Section<'_>, definitions: &Definitions) -> ForecastTest {
    match section.item("test") {
        None => ForecastTest::Last,
        Some(Item::Text(it)) if it == "last" => ForecastTest::Last,
        Some(Item::Table(_)) => table_test(section, definitions).unwrap_or(ForecastTest::Last),
        Some(other) => {
            let forms = "write \"last\", { file = \"test_source\" } or { column = \"split\", value = \"test\" }";
            section.problem("test", format!("not a test; {forms}. got={other}"));
            ForecastTest::Last
        }
    }
}

fn table_test(section: &Section<'_>, definitions: &Definitions) -> Option<ForecastTest> {
    let test = section.table("test")?;
    let file = test.get::<String>("file");
    let column = test.get::<String>("column");
    let value = match test.item("value") {
        Some(Item::Integer(it)) => Some(it.to_string()),
        _ => test.get::<String>("value"),
    };
    test.refuse_unknown();
    match (file, column, value) {
        (Some(file), None, None) => {
            check_name(
                &test,
                "file",
                &file,
                "a source (a file with the same columns, as a `[source.X]`)",
                definitions.sources.keys(),
            );
            Some(ForecastTest::File(file))
        }
        (None, Some(column), Some(value)) => Some(ForecastTest::Column { column, value }),
        _ => {
            test.problem("", "a test is { file = .. } or { column = .., value = .. }");
            None
        }
    }
}
