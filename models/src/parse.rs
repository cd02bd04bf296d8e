//! Reads one `model.toml`: every problem at once, each name checked against the project's definitions.

use std::path::PathBuf;

use foretell_features::document::{Document, Section};
use foretell_features::{Definitions, Problems, Value, spelling};
use foretell_inference::Task;

use crate::spec::{CandidateSpec, ModelSpec, Subject};
use crate::vocabulary::{TASKS, algorithms, task_name};

mod answer;
mod gate;
mod label;
mod population;
mod series;
mod tabular;

pub(crate) fn model(file: PathBuf, text: &str, definitions: &Definitions) -> Result<ModelSpec, Problems> {
    let document = Document::parse(&file, text).map_err(|problem| Problems(vec![problem]))?;
    let root = document.root();
    let spec = read(&root, file, definitions);
    root.refuse_unknown();
    let problems = document.into_problems();
    match spec {
        Some(spec) => Problems::or(problems, spec),
        None => Err(Problems::or(problems, ()).err().unwrap_or_default()),
    }
}

fn read(root: &Section<'_>, file: PathBuf, definitions: &Definitions) -> Option<ModelSpec> {
    let name = name(root);
    let task = task(root);
    let kind = task.unwrap_or(if root.has("series") {
        Task::Forecast
    } else {
        Task::Regression
    });
    let subject = match kind {
        Task::Forecast => series::series(root, definitions).map(Subject::Series),
        _ => tabular::tabular(root, kind, definitions).map(Subject::Tabular),
    };
    misplaced(root, kind);
    let candidates = task.map(|task| candidates(root, task));
    let gates = gate::gates(root, kind);
    let decision = gate::decision(root);
    let key = key_columns(root, subject.as_ref(), definitions);
    let endpoints = answer::endpoints(root, kind, decision.is_some(), key.as_deref());
    Some(ModelSpec {
        name: name?,
        task: task?,
        subject: subject?,
        candidates: candidates?,
        gates,
        decision,
        endpoints,
        file,
    })
}

/// Names go into URLs and registries: letters, digits, `_` and `-`.
fn name(root: &Section<'_>) -> Option<String> {
    let name = root.need::<String>("name")?;
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-');
    if !plain {
        root.problem(
            "name",
            format!("`{name}` is not a name; use letters, digits, `_` and `-`"),
        );
    }
    Some(name)
}

fn task(root: &Section<'_>) -> Option<Task> {
    let name = root.need::<String>("task")?;
    let found = TASKS.iter().find(|(it, _)| *it == name).map(|(_, task)| *task);
    if name == task_name(Task::MulticlassClassification) {
        root.problem(
            "task",
            format!("a `{name}` model is not trained here; bring one with `foretell models import`"),
        );
    } else if found.is_none() {
        let hint = spelling::hint(&name, TASKS.map(|(it, _)| it));
        root.problem("task", format!("unknown task `{name}`{hint}"));
    }
    found
}

/// Keys of the other kind of model: they are known, but not here.
fn misplaced(root: &Section<'_>, task: Task) {
    let (others, fix): (&[&str], _) = match task {
        Task::Forecast => (
            &["entity", "features", "except", "training", "label", "split"],
            "a forecast names its series in `[series]` instead",
        ),
        _ => (&["series"], "`[series]` is for task = \"forecast\""),
    };
    for key in others.iter().filter(|it| root.has(it)) {
        root.problem(
            key,
            format!(
                "`{key}` does not belong to a model of task `{}`; {fix}",
                task_name(task)
            ),
        );
    }
}

fn candidates(root: &Section<'_>, task: Task) -> Vec<CandidateSpec> {
    let known = algorithms(task);
    let sections = root.tables("candidate");
    if sections.is_empty() {
        let bare = |it: &&str| CandidateSpec {
            algorithm: (*it).to_owned(),
            parameters: Default::default(),
        };
        return known.iter().map(bare).collect();
    }
    let mut candidates = Vec::new();
    for section in &sections {
        let Some(algorithm) = section.need::<String>("algorithm") else {
            continue;
        };
        if !known.contains(&algorithm.as_str()) {
            let hint = spelling::hint(&algorithm, known.iter().copied());
            section.problem(
                "algorithm",
                format!("`{algorithm}` is no algorithm of task `{}`{hint}", task_name(task)),
            );
        }
        let names: Vec<String> = section.rest().iter().map(|it| it.name.clone()).collect();
        let parameters = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), section.get::<Value>(&name)?)));
        candidates.push(CandidateSpec {
            algorithm,
            parameters: parameters.collect(),
        });
    }
    candidates
}

/// The columns that a path may hold: the entity's or the series' key. Unknown where those are wrong themselves.
fn key_columns(root: &Section<'_>, subject: Option<&Subject>, definitions: &Definitions) -> Option<Vec<String>> {
    if let Some(Subject::Series(series)) = subject {
        return Some(series.key.clone());
    }
    let entity = definitions.entities.get(&root.get::<String>("entity")?)?;
    Some(entity.key.iter().map(|(name, _)| name.clone()).collect())
}

/// Refuses a name that is not among `known`; `what` says what it should be: `a source`.
fn check_name<'a>(
    section: &Section<'_>,
    key: &str,
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'a String>,
) -> bool {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let there = known.contains(&name);
    if !there {
        let hint = if known.is_empty() {
            "; there is none in features/*.toml".to_owned()
        } else {
            spelling::hint(name, known)
        };
        section.problem(key, format!("`{name}` is not {what}{hint}"));
    }
    there
}

#[cfg(test)]
mod tests;
