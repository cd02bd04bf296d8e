//! `[view.X]` and its features.

use super::about;
use super::expect::{Referenced, expectations};
use crate::definition::{Aggregation, Feature, FeatureKind, View};
use crate::document::{Entry, FromItem, Item, Section};
use crate::expression::Expression;
use crate::spelling;
use crate::time::Span;
use crate::window::Window;

/// What a feature can be, by the key that names it.
const KINDS: [&str; 13] = [
    "latest",
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "std",
    "count_distinct",
    "first",
    "last",
    "since_last",
    "since_first",
    "trend",
];

/// The view, and the sources that its expectations refer to.
pub(super) fn view(name: &str, section: &Section<'_>) -> (Option<View>, Vec<Referenced>) {
    let (expect, referenced) = expectations(section);
    let view = read(name, section).map(|view| View { expect, ..view });
    (view, referenced)
}

fn read(name: &str, section: &Section<'_>) -> Option<View> {
    let entity = section.get("entity");
    let source = section.need("source");
    let max_age = section.get("max_age");
    let retention = section.get("retention");
    let (all_columns, mut features) = latest(section);
    if let Some(written) = section.table("features") {
        for entry in written.entries() {
            features.extend(feature(&written, entry));
        }
    }
    let empty = !all_columns && !section.has("features") && !section.has("latest");
    if empty || written_empty(section) {
        section.problem(
            "",
            "a view needs features; write `latest = \"*\"`, `latest = [..]` or `[view.X.features]`",
        );
    }
    refuse_twice(section, &features);
    let about = about::about(section);
    section.refuse_unknown();
    Some(View {
        name: name.to_owned(),
        entity,
        source: source?,
        max_age,
        retention,
        all_columns,
        features,
        expect: Vec::new(),
        about,
    })
}

/// `features = {}` or `latest = []` and nothing else.
fn written_empty(section: &Section<'_>) -> bool {
    let empty = |item: &Item| match item {
        Item::Table(it) => it.is_empty(),
        Item::List(it) => it.is_empty(),
        _ => false,
    };
    let written = [section.item("features"), section.item("latest")];
    let mut written = written.into_iter().flatten().peekable();
    written.peek().is_some() && written.all(empty)
}

fn refuse_twice(section: &Section<'_>, features: &[Feature]) {
    for (at, it) in features.iter().enumerate() {
        if features[..at].iter().any(|earlier| earlier.name == it.name) {
            section.problem(
                "features",
                format!("feature `{}` is there twice; leave one out", it.name),
            );
        }
    }
}

/// `latest = "*"`, `latest = "plan"` or `latest = ["plan", "region"]`: latest values under the columns' own names.
fn latest(section: &Section<'_>) -> (bool, Vec<Feature>) {
    let names = match section.item("latest") {
        None => return (false, Vec::new()),
        Some(Item::Text(it)) if it == "*" => return (true, Vec::new()),
        Some(Item::Text(it)) => vec![it.clone()],
        Some(_) => section.get::<Vec<String>>("latest").unwrap_or_default(),
    };
    if names.iter().any(|it| it == "*") {
        section.problem("latest", "`*` stands alone; write latest = \"*\"");
    }
    let feature = |name: String| Feature {
        kind: FeatureKind::Latest {
            value: Expression::column(&name),
        },
        name,
    };
    (false, names.into_iter().map(feature).collect())
}

fn feature(features: &Section<'_>, entry: &Entry) -> Option<Feature> {
    let kind = match &entry.item {
        Item::Text(text) => match column_or_expression(text) {
            Ok(value) => Some(FeatureKind::Latest { value }),
            Err(message) => {
                features.problem(&entry.name, message);
                None
            }
        },
        Item::Table(_) => features.table(&entry.name).and_then(|it| kind(&it)),
        other => {
            let forms = "write { count = \"*\", window = \"90d\" } or the column whose latest value it is";
            features.problem(&entry.name, format!("not a feature; {forms}. got={other}"));
            None
        }
    };
    Some(Feature {
        name: entry.name.clone(),
        kind: kind?,
    })
}

/// A name that is no expression (`Call  Failure`, `default %`) is a column, verbatim; a call that cannot be read stays wrong.
pub(super) fn column_or_expression(text: &str) -> Result<Expression, String> {
    match Expression::parse(text) {
        Ok(it) => Ok(it),
        Err(_) if looks_like_a_name(text) => Ok(Expression::column(text)),
        Err(error) => Err(error.to_string()),
    }
}

fn looks_like_a_name(text: &str) -> bool {
    let call = |(at, _): (usize, &str)| text[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_');
    let signs = text.is_empty() || text.contains(['\'', '"', '=', '<', '>', '*', '+']);
    !signs && !text.match_indices('(').any(call)
}

fn kind(section: &Section<'_>) -> Option<FeatureKind> {
    let named: Vec<&str> = KINDS.into_iter().filter(|it| section.has(it)).collect();
    let window = window(section);
    let filter = section.get::<Expression>("where");
    let unit = section.get::<Span>("unit");
    let kind = match named.as_slice() {
        [name] => of_kind(section, name, filter, window, unit),
        [] => {
            // With an unknown key this is its problem: say the nearest kind there.
            let unknown = section.rest().first().map(|it| it.name.as_str());
            match unknown {
                Some(name) => {
                    let hint = spelling::nearest(name, KINDS).map(|it| format!("; did you mean `{it}`?"));
                    section.problem(
                        name,
                        format!("unknown aggregation `{name}`{}", hint.unwrap_or_else(kinds)),
                    );
                }
                None => section.problem("", format!("the feature does not say what it is{}", kinds())),
            }
            None
        }
        several => {
            section.problem(
                "",
                format!("a feature is one of {}; make two features", spelling::quoted(several)),
            );
            None
        }
    };
    section.refuse_unknown();
    kind
}

fn kinds() -> String {
    format!("; use one of {}", spelling::quoted(&KINDS))
}

fn of_kind(
    section: &Section<'_>,
    name: &str,
    filter: Option<Expression>,
    window: Option<Window>,
    unit: Option<Span>,
) -> Option<FeatureKind> {
    if unit.is_some() && !name.starts_with("since_") && name != "trend" {
        section.problem(
            "unit",
            format!("`{name}` has no unit; only `since_last`, `since_first` and `trend` do"),
        );
    }
    let text = section.get::<String>(name)?;
    if name == "latest" {
        for key in ["where", "window", "hop"].into_iter().filter(|it| section.has(it)) {
            section.problem(
                key,
                format!("`latest` takes no `{key}`; use `last`, or the source's `where`"),
            );
        }
        let value = column_or_expression(&text)
            .map_err(|message| section.problem("latest", message))
            .ok()?;
        return Some(FeatureKind::Latest { value });
    }
    let value = match text.as_str() {
        "*" if name == "count" || name.starts_with("since_") => None,
        "*" => {
            section.problem(
                name,
                format!("`{name}` needs a column; `*` is for `count`, `since_last` and `since_first`"),
            );
            return None;
        }
        text => Some(
            column_or_expression(text)
                .map_err(|message| section.problem(name, message))
                .ok()?,
        ),
    };
    let aggregation = aggregation(name, unit.unwrap_or(Span::DAY))?;
    Some(FeatureKind::Aggregate {
        aggregation,
        value,
        filter,
        window,
    })
}

fn aggregation(name: &str, unit: Span) -> Option<Aggregation> {
    Some(match name {
        "count" => Aggregation::Count,
        "sum" => Aggregation::Sum,
        "mean" => Aggregation::Mean,
        "min" => Aggregation::Min,
        "max" => Aggregation::Max,
        "std" => Aggregation::Std,
        "count_distinct" => Aggregation::CountDistinct,
        "first" => Aggregation::First,
        "last" => Aggregation::Last,
        "since_last" => Aggregation::SinceLast { unit },
        "since_first" => Aggregation::SinceFirst { unit },
        "trend" => Aggregation::Trend { unit },
        _ => return None,
    })
}

/// `window = "90d"`, rounded to the usual hop unless `hop = "exact"`; no window is all history.
fn window(section: &Section<'_>) -> Option<Window> {
    let exact = match section.item("hop") {
        None => false,
        Some(Item::Text(it)) if it == "exact" => true,
        Some(other) => {
            section.problem(
                "hop",
                format!("the only hop to ask for is \"exact\"; the usual one follows from the window. got={other}"),
            );
            false
        }
    };
    let item = section.item("window");
    if item.is_none() && exact {
        section.problem("hop", "`hop` needs a `window`");
    }
    if let Some(Item::Text(it)) = item
        && it.parse() == Ok(Span(0))
    {
        section.problem("window", "a window of zero length never holds an event; make it longer");
        return None;
    }
    let length = Span::from_item(item?)
        .map_err(|message| section.problem("window", message))
        .ok()?;
    Some(if exact {
        Window::exact(length)
    } else {
        Window::of(length)
    })
}
