//! `[[endpoint]]`.

use foretell_features::document::Section;
use foretell_features::spelling;
use foretell_inference::{AnswerField, Endpoint, KeySource, Method, Task};

use super::check_name;
use crate::vocabulary::{ANSWER_FIELDS, task_name};

/// `key` holds the key columns where they are known.
pub(super) fn endpoints(root: &Section<'_>, task: Task, decides: bool, key: Option<&[String]>) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for section in root.tables("endpoint") {
        let Some(endpoint) = endpoint(&section, task, decides, key) else {
            continue;
        };
        if endpoints
            .iter()
            .any(|it| it.method == endpoint.method && it.path == endpoint.path)
        {
            section.problem(
                "path",
                format!("`{}` is there twice; leave one endpoint out", endpoint.path),
            );
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn endpoint(section: &Section<'_>, task: Task, decides: bool, key: Option<&[String]>) -> Option<Endpoint> {
    let method = method(section);
    let path = section.need::<String>("path");
    let from = path.as_deref().map(|path| key_source(section, path, key));
    let answer = answer(section, task, decides);
    if let (Some(Method::Get), Some(KeySource::Body)) = (method, &from) {
        let column = key.and_then(<[String]>::first).map_or("customer_id", String::as_str);
        section.problem(
            "path",
            format!("a GET has no body; put the key into the path like `/{{{column}}}`, or use POST"),
        );
    }
    section.refuse_unknown();
    Some(Endpoint {
        method: method?,
        path: path?,
        key: from?,
        answer,
    })
}

fn method(section: &Section<'_>) -> Option<Method> {
    match section.need::<String>("method")?.as_str() {
        "GET" => Some(Method::Get),
        "POST" => Some(Method::Post),
        other => {
            section.problem("method", format!("not GET or POST. got=`{other}`"));
            None
        }
    }
}

/// The path holds the whole key in `{column}` segments, or nothing of it.
fn key_source(section: &Section<'_>, path: &str, key: Option<&[String]>) -> KeySource {
    let sound = path.starts_with('/') && path.len() > 1 && !path.contains("//") && !path.contains(['?', '#', ' ', '*']);
    if !sound {
        section.problem("path", format!("not a path like `/api/predict/churn`. got=`{path}`"));
    }
    let columns = columns(section, path);
    let source = if columns.is_empty() {
        KeySource::Body
    } else {
        KeySource::Path
    };
    if let (KeySource::Path, Some(key)) = (&source, key) {
        for column in &columns {
            check_name(section, "path", column, "a key column of the model", key.iter());
        }
        for column in key.iter().filter(|it| !columns.contains(&it.as_str())) {
            section.problem("path", format!("the path holds a part of the key; add `{{{column}}}`"));
        }
    }
    match section.get::<String>("key").as_deref() {
        Some("path") if source == KeySource::Body => {
            section.problem("key", "key = \"path\" needs a `{column}` in the path");
        }
        Some("body") if source == KeySource::Path => {
            section.problem("key", "the path holds the key; leave `key` out");
        }
        None | Some("path" | "body") => {}
        Some(other) => section.problem("key", format!("not \"path\" or \"body\". got=`{other}`")),
    }
    source
}

fn columns<'a>(section: &Section<'_>, path: &'a str) -> Vec<&'a str> {
    let mut columns = Vec::new();
    for segment in path.split('/') {
        match segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(column) => columns.push(column),
            None if segment.contains(['{', '}']) => {
                section.problem(
                    "path",
                    format!("a key column is a whole segment like `/{{customer_id}}/`. got=`{segment}`"),
                );
            }
            None => {}
        }
    }
    columns
}

fn answer(section: &Section<'_>, task: Task, decides: bool) -> Vec<(String, AnswerField)> {
    let Some(answer) = section.need_table("answer") else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for entry in answer.entries() {
        let Some(part) = answer.get::<String>(&entry.name) else {
            continue;
        };
        let Some((_, field)) = ANSWER_FIELDS.iter().find(|(it, _)| *it == part) else {
            let nearest = spelling::nearest(&part, ANSWER_FIELDS.map(|(it, _)| it));
            let all = || format!("; use one of {}", spelling::quoted(&ANSWER_FIELDS.map(|(it, _)| it)));
            let hint = nearest.map_or_else(all, |it| format!("; did you mean `{it}`?"));
            answer.problem(&entry.name, format!("`{part}` is no part of a prediction{hint}"));
            continue;
        };
        if let Some(reason) = absent(*field, task, decides) {
            answer.problem(&entry.name, format!("`{part}` is not there: {reason}"));
        }
        fields.push((entry.name.clone(), *field));
    }
    if answer.entries().is_empty() {
        section.problem(
            "answer",
            "an answer needs fields; write answer = { probability = \"value\" }",
        );
    }
    fields
}

/// Why a prediction of this model has no such part.
fn absent(field: AnswerField, task: Task, decides: bool) -> Option<String> {
    let named = task_name(task);
    match field {
        AnswerField::Steps | AnswerField::Total | AnswerField::Components if task != Task::Forecast => {
            Some(format!("only a forecast has it, this model is `{named}`"))
        }
        AnswerField::Class | AnswerField::Probabilities if task != Task::MulticlassClassification => {
            Some(format!("only a multiclass model has it, this model is `{named}`"))
        }
        AnswerField::Score100 if task != Task::BinaryClassification => {
            Some(format!("only a probability has it, this model is `{named}`"))
        }
        AnswerField::Value | AnswerField::Lower | AnswerField::Upper | AnswerField::Interval
            if task == Task::Forecast =>
        {
            Some("a forecast answers with `steps` and `total`".to_owned())
        }
        AnswerField::Level | AnswerField::Recommendations | AnswerField::Recommendation if !decides => {
            Some("the model has no `[decision]`".to_owned())
        }
        _ => None,
    }
}
