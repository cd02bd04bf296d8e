//! `[label]`: what happens after the cutoff, or a column of the row.

use foretell_features::document::{Item, Section};
use foretell_features::{Ahead, Definitions, Expression, LabelSpec, spelling};
use foretell_inference::Task;

use super::check_name;
use crate::vocabulary::task_name;

const KINDS: [&str; 4] = ["absence", "occurrence", "total", "column"];

pub(super) fn label(root: &Section<'_>, task: Task, definitions: &Definitions) -> Option<LabelSpec> {
    let section = root.need_table("label")?;
    let named: Vec<&str> = KINDS.into_iter().filter(|it| section.has(it)).collect();
    let label = match named.as_slice() {
        ["column"] => column(&section, task, definitions),
        [kind] => section.table(kind).and_then(|inner| event(&inner, kind, definitions)),
        [] => {
            section.problem("", format!("a label is one of {}", spelling::quoted(&KINDS)));
            None
        }
        several => {
            section.problem("", format!("a label is one thing, not {}", spelling::quoted(several)));
            None
        }
    };
    // Where no kind is named, its misspelling is an unknown key.
    section.refuse_unknown();
    fits(&section, &named, task);
    label
}

/// Events after the cutoff: none, some, or their sum.
fn event(section: &Section<'_>, kind: &str, definitions: &Definitions) -> Option<LabelSpec> {
    let value = if kind == "total" {
        section.need::<Expression>("value")
    } else {
        None
    };
    let ahead = ahead(section, definitions);
    section.refuse_unknown();
    match kind {
        "absence" => ahead.map(LabelSpec::Absence),
        "occurrence" => ahead.map(LabelSpec::Occurrence),
        _ => ahead.zip(value).map(|(ahead, value)| LabelSpec::Total { ahead, value }),
    }
}

fn ahead(section: &Section<'_>, definitions: &Definitions) -> Option<Ahead> {
    let source = section.need::<String>("source");
    let horizon = section.need("horizon");
    let filter = section.get("where");
    let source = source?;
    check_name(section, "source", &source, "a source", definitions.sources.keys());
    if definitions
        .sources
        .get(&source)
        .is_some_and(|it| it.event_time.is_none())
    {
        section.problem(
            "source",
            format!("a label ahead needs times, and source `{source}` has no `event_time`"),
        );
    }
    Some(Ahead {
        source,
        horizon: horizon?,
        filter,
    })
}

fn column(section: &Section<'_>, task: Task, definitions: &Definitions) -> Option<LabelSpec> {
    let column = section.need("column");
    let source = section.get::<String>("source");
    if let Some(source) = &source {
        check_name(section, "source", source, "a source", definitions.sources.keys());
    }
    // `positive = 1` is as good as `positive = "1"`: it is compared with the text in the file.
    let positive = match section.item("positive") {
        None => None,
        Some(Item::Integer(it)) => Some(it.to_string()),
        Some(Item::Boolean(it)) => Some(it.to_string()),
        Some(_) => section.get("positive"),
    };
    if positive.is_some() && task != Task::BinaryClassification {
        section.problem(
            "positive",
            format!(
                "a model of task `{}` predicts the number itself; leave it out",
                task_name(task)
            ),
        );
    }
    Some(LabelSpec::Column {
        source,
        column: column?,
        positive,
    })
}

/// A probability needs a yes or no, a number a number.
fn fits(section: &Section<'_>, named: &[&str], task: Task) {
    let classifies = task == Task::BinaryClassification;
    match named {
        ["total"] if classifies => {
            section.problem("total", "a classification needs `absence`, `occurrence` or `column`")
        }
        [kind @ ("absence" | "occurrence")] if !classifies => {
            section.problem(
                kind,
                format!("a model of task `{}` needs `total` or `column`", task_name(task)),
            );
        }
        _ => {}
    }
}
