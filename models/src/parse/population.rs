//! `[training]` and `[split]`: when training looks back, at whom, and which rows it keeps for the test.

use foretell_features::document::Section;
use foretell_features::{Cutoffs, Definitions, LabelSpec, Population, Span, Timestamp, spelling};
use foretell_inference::Task;

use super::check_name;
use crate::spec::SplitSpec;

/// Share of test rows where a model names none.
const TEST_FRACTION: f64 = 0.2;

pub(super) fn training(
    root: &Section<'_>,
    label: Option<&LabelSpec>,
    task: Task,
    definitions: &Definitions,
) -> (Option<Cutoffs>, Population, Option<String>) {
    let section = root.table("training");
    let cutoffs = section.as_ref().and_then(cutoffs);
    let population = section
        .as_ref()
        .map(|it| population(it, definitions))
        .unwrap_or_default();
    let written = section.as_ref().is_some_and(|it| it.has("cutoffs"));
    match label {
        Some(LabelSpec::Absence(_) | LabelSpec::Occurrence(_) | LabelSpec::Total { .. }) if !written => {
            root.problem(
                "training",
                "a label ahead needs cutoffs; write [training] cutoffs = { every = \"30d\", count = 6 }",
            );
        }
        Some(LabelSpec::Column { .. }) if population.active_within.is_some() && population.source.is_none() => {
            root.problem(
                "training",
                "`active_within` needs a `source` where the label is a column",
            );
        }
        _ => {}
    }
    let segment = section.as_ref().and_then(|it| segment(it, task));
    if let Some(section) = section {
        section.refuse_unknown();
    }
    (cutoffs, population, segment)
}

/// The feature that intervals are by.
fn segment(training: &Section<'_>, task: Task) -> Option<String> {
    let segment = training.get("intervals_by");
    if segment.is_some() && task == Task::BinaryClassification {
        training.problem("intervals_by", "a probability has no interval; leave it out");
    }
    segment
}

fn cutoffs(training: &Section<'_>) -> Option<Cutoffs> {
    let section = training.table("cutoffs")?;
    let cutoffs = if section.has("at") {
        for key in ["every", "count"].into_iter().filter(|it| section.has(it)) {
            section.problem(key, "cutoffs are `at` given times, or `every` some time: not both");
        }
        let mut at = section.get::<Vec<Timestamp>>("at")?;
        if at.is_empty() {
            section.problem("at", "no cutoff given; write at = [\"2026-01-01\"]");
        }
        at.sort_unstable();
        at.dedup();
        Some(Cutoffs::At(at))
    } else {
        let (every, count) = (section.need("every"), section.need("count"));
        every.zip(count).map(|(every, count)| Cutoffs::Every { every, count })
    };
    section.refuse_unknown();
    cutoffs
}

fn population(training: &Section<'_>, definitions: &Definitions) -> Population {
    let Some(section) = training.table("population") else {
        return Population::default();
    };
    let population = Population {
        active_within: section.get("active_within"),
        source: section.get("source"),
        filter: section.get("where"),
    };
    if let Some(source) = &population.source {
        check_name(&section, "source", source, "a source", definitions.sources.keys());
        if !section.has("active_within") {
            section.problem(
                "source",
                "`source` says where `active_within` looks; write that as well",
            );
        }
    }
    section.refuse_unknown();
    population
}

pub(super) fn split(root: &Section<'_>, cutoffs: Option<&Cutoffs>, label: Option<&LabelSpec>) -> SplitSpec {
    let n_cutoffs = match cutoffs {
        None => 0,
        Some(Cutoffs::Every { count, .. }) => *count,
        Some(Cutoffs::At(at)) => at.len(),
    };
    let usual = match n_cutoffs {
        0 => SplitSpec::RowHash {
            test_fraction: TEST_FRACTION,
        },
        1 => SplitSpec::EntityHash {
            test_fraction: TEST_FRACTION,
        },
        _ => SplitSpec::Time,
    };
    let Some(section) = root.table("split") else {
        if usual == SplitSpec::Time {
            refuse_overlap(root, cutoffs, label);
        }
        return usual;
    };
    let by = section.need::<String>("by");
    let test_fraction = fraction(&section);
    let split = match by.as_deref() {
        None => usual,
        Some("time") => {
            if section.has("test_fraction") {
                section.problem(
                    "test_fraction",
                    "a split by time tests on the last cutoff; leave it out",
                );
            }
            if n_cutoffs < 2 {
                section.problem(
                    "by",
                    format!("a split by time needs two cutoffs or more. got=`{n_cutoffs}`"),
                );
            }
            refuse_overlap(root, cutoffs, label);
            SplitSpec::Time
        }
        Some("row_hash") => SplitSpec::RowHash { test_fraction },
        Some("entity_hash") => SplitSpec::EntityHash { test_fraction },
        Some(other) => {
            let hint = spelling::hint(other, ["time", "row_hash", "entity_hash"]);
            section.problem("by", format!("unknown split `{other}`{hint}"));
            usual
        }
    };
    section.refuse_unknown();
    split
}

/// Training may only use labels that were complete at the test's cutoff, the last one; with none there is nothing to learn from.
fn refuse_overlap(root: &Section<'_>, cutoffs: Option<&Cutoffs>, label: Option<&LabelSpec>) {
    let horizon = match label {
        Some(LabelSpec::Absence(ahead) | LabelSpec::Occurrence(ahead) | LabelSpec::Total { ahead, .. }) => {
            ahead.horizon
        }
        _ => return,
    };
    let reach = match cutoffs {
        Some(Cutoffs::Every { every, count }) if *count >= 2 => {
            let steps = i64::try_from(count - 1).unwrap_or(i64::MAX);
            Span(every.0.saturating_mul(steps))
        }
        Some(Cutoffs::At(at)) if at.len() >= 2 => at[at.len() - 1].since(at[0]),
        _ => return,
    };
    if let (true, Some(training)) = (reach < horizon, root.table("training")) {
        let fix = "take more cutoffs, further apart ones, or [split] by = \"entity_hash\"";
        let message = format!(
            "the cutoffs reach {reach} back, so no label of {horizon} ends before the last one, the test; {fix}"
        );
        training.problem("cutoffs", message);
    }
}

fn fraction(section: &Section<'_>) -> f64 {
    let fraction = section.get("test_fraction").unwrap_or(TEST_FRACTION);
    let within = fraction > 0.0 && fraction < 1.0;
    if !within {
        section.problem("test_fraction", format!("not between 0 and 1. got=`{fraction}`"));
    }
    fraction
}
