//! `models compare`: what two versions say of themselves, side by side; what is the same is only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Result;
use foretell_registry::ModelVersion;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Desk, time};
use crate::output;

/// In the order in which people ask.
const SECTIONS: [&str; 9] = [
    "version",
    "metrics",
    "hyperparameters",
    "features",
    "outputs",
    "decision",
    "data",
    "tags",
    "files",
];

pub(super) async fn run(desk: &Desk, a: &str, b: &str) -> Result<ExitCode> {
    let (a, b) = (desk.version(a).await?, desk.version(b).await?);
    let lines = lines(&facts(desk, &a).await?, &facts(desk, &b).await?);
    let (different, same): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(Line::differs);
    let metrics: Vec<&Line> = same.iter().filter(|it| it.section == "metrics").collect();
    if desk.json {
        let equal = a.digest == b.digest;
        output::print_json(&json!({
            "a": a.to_string(), "b": b.to_string(), "equal": equal, "differences": different, "same": same.len(),
            "same_metrics": metrics,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = table(&a, &b, &different);
    if a.digest == b.digest {
        text.push_str("the packages are the same, byte for byte\n");
    }
    text.push_str(&format!("{} further facts are the same\n", same.len()));
    output::print_text(&text);
    Ok(ExitCode::SUCCESS)
}

/// What a version says of itself, by section and name.
type Facts = BTreeMap<(&'static str, String), Value>;

/// One fact of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    section: &'static str,
    name: String,
    a: Value,
    b: Value,
    /// b less a, of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<f64>,
}

impl Line {
    fn differs(&self) -> bool {
        self.a != self.b
    }
}

fn lines(a: &Facts, b: &Facts) -> Vec<Line> {
    let all: BTreeSet<&(&str, String)> = a.keys().chain(b.keys()).collect();
    let line = |key: &(&'static str, String)| {
        let of = |facts: &Facts| facts.get(key).cloned().unwrap_or(Value::Null);
        let (a, b) = (of(a), of(b));
        // A seed is a name: how far two are apart means nothing.
        let numbers = a.as_f64().zip(b.as_f64()).filter(|_| key.1 != "seed");
        let difference = numbers.map(|(a, b)| b - a);
        let (section, name) = (key.0, key.1.clone());
        Line {
            section,
            name,
            a,
            b,
            difference,
        }
    };
    let mut lines: Vec<Line> = all.into_iter().map(line).collect();
    let rank = |it: &Line| SECTIONS.iter().position(|section| *section == it.section);
    lines.sort_by_key(rank);
    lines
}

fn table(a: &ModelVersion, b: &ModelVersion, lines: &[Line]) -> String {
    let mut rows = vec![vec![
        String::new(),
        String::new(),
        a.to_string(),
        b.to_string(),
        String::new(),
    ]];
    let mut section = "";
    for line in lines {
        let heading = if line.section == section { "" } else { line.section };
        section = line.section;
        let difference = line.difference.map_or_else(String::new, |it| format!("{it:+.4}"));
        rows.push(vec![
            heading.to_owned(),
            line.name.clone(),
            cell(&line.a),
            cell(&line.b),
            difference,
        ]);
    }
    output::table(&rows)
}

fn cell(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(it) => it.clone(),
        Value::Number(it) if it.is_f64() => format!("{:.4}", it.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    };
    match text.chars().count() > LONGEST {
        true => text.chars().take(LONGEST - 2).chain("..".chars()).collect(),
        false => text,
    }
}

async fn facts(desk: &Desk, version: &ModelVersion) -> Result<Facts> {
    let mut facts = Facts::new();
    let mut say = |section, name: &str, value: Value| {
        if !value.is_null() {
            facts.insert((section, name.to_owned()), value);
        }
    };
    say("version", "published", json!(time(version.created_at)));
    say("version", "by", json!(version.actor));
    say("version", "aliases", json!(version.aliases.join(", ")));
    if let Some(Value::Object(said)) = version.metadata.get("mlflow") {
        said.iter()
            .for_each(|(name, value)| say("version", name, value.clone()));
    }
    version
        .tags
        .iter()
        .for_each(|(key, value)| say("tags", key, json!(value)));
    each(&version.metadata["hyperparameters"], |name, value| {
        say("hyperparameters", name, value.clone())
    });
    for file in desk.looking().manifest(version).await?.files {
        let sha256 = &file.sha256.hex()[..12];
        say(
            "files",
            &file.path,
            json!(format!("{} bytes, sha256 {sha256}", file.size)),
        );
    }
    if let Some(manifest) = desk.manifest(version).await? {
        of_manifest(&manifest, &mut say);
    }
    Ok(facts)
}

fn of_manifest(manifest: &Value, say: &mut impl FnMut(&'static str, &str, Value)) {
    for name in ["task", "algorithm"] {
        say("version", name, manifest[name].clone());
    }
    each(&manifest["metrics"], |name, value| say("metrics", name, value.clone()));
    each(&manifest["parameters"], |name, value| {
        say("hyperparameters", name, value.clone())
    });
    for input in manifest["inputs"].as_array().into_iter().flatten() {
        say(
            "features",
            input["name"].as_str().unwrap_or_default(),
            input["data_type"].clone(),
        );
    }
    let reads = manifest["plan"]["reads"].as_array();
    for read in reads.into_iter().flatten() {
        let name = format!("{} is read from", read["name"].as_str().unwrap_or_default());
        let view = read["view"].as_str().unwrap_or_default();
        let version = read["version"].as_str().unwrap_or_default();
        say("features", &name, json!(format!("{view} {version}")));
    }
    each(&manifest["series"], |name, value| say("features", name, value.clone()));
    for output in manifest["outputs"].as_array().into_iter().flatten() {
        say(
            "outputs",
            output["name"].as_str().unwrap_or_default(),
            output["field"].clone(),
        );
    }
    each(&manifest["decision"], |name, value| {
        say("decision", name, value.clone())
    });
    each(&manifest["lineage"], |name, value| say("data", name, value.clone()));
}

/// The fields of an object; of anything else none.
fn each(object: &Value, mut take: impl FnMut(&str, &Value)) {
    if let Value::Object(fields) = object {
        fields.iter().for_each(|(name, value)| take(name, value));
    }
}
