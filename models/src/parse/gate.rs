//! `[gate]` and `[decision]`.

use foretell_features::document::{FromItem, Section};
use foretell_features::spelling;
use foretell_inference::{DecisionPolicy, Task};

use crate::spec::GateRule;
use crate::vocabulary::{metrics, task_name};

pub(super) fn gates(root: &Section<'_>, task: Task) -> Vec<GateRule> {
    let Some(section) = root.table("gate") else {
        return Vec::new();
    };
    let mut gates = Vec::new();
    for entry in section.entries() {
        let known = metrics(task);
        let parity = entry.name == GateRule::PARITY && task != Task::Forecast;
        if !parity && !known.contains(&entry.name.as_str()) {
            let nearest = spelling::nearest(&entry.name, known.iter().copied());
            let all = || format!("; use one of {}", spelling::quoted(known));
            let hint = nearest.map_or_else(all, |it| format!("; did you mean `{it}`?"));
            section.problem(
                &entry.name,
                format!("`{}` is no metric of task `{}`{hint}", entry.name, task_name(task)),
            );
        }
        if let Some(rule) = section.table(&entry.name) {
            gates.push(gate(&entry.name, &rule));
        }
    }
    gates
}

fn gate(metric: &str, rule: &Section<'_>) -> GateRule {
    let gate = GateRule {
        metric: metric.to_owned(),
        min: rule.get("min"),
        max: rule.get("max"),
        not_worse_than_champion_by: rule.get("not_worse_than_champion_by"),
        better_than_baseline: rule.get("better_than_baseline").unwrap_or(false),
    };
    rule.refuse_unknown();
    if gate.not_worse_than_champion_by.is_some_and(|it| it < 0.0) {
        rule.problem("not_worse_than_champion_by", "a distance, so at least 0");
    }
    if let (Some(min), Some(max)) = (gate.min, gate.max)
        && min > max
    {
        rule.problem("min", format!("nothing is at least {min} and at most {max}"));
    }
    let compared = gate.not_worse_than_champion_by.is_some() || gate.better_than_baseline || gate.max.is_some();
    if metric == GateRule::PARITY && compared {
        rule.problem("", "parity is a share of equal values; write parity = { min = 1.0 }");
    }
    let keys = ["min", "max", "not_worse_than_champion_by", "better_than_baseline"];
    if !keys.iter().any(|it| rule.has(it)) {
        rule.problem(
            "",
            format!("the gate asks for nothing; write one of {}", spelling::quoted(&keys)),
        );
    }
    gate
}

pub(super) fn decision(root: &Section<'_>) -> Option<DecisionPolicy> {
    let section = root.table("decision")?;
    let levels = levels(&section);
    let mut recommendations = Vec::new();
    if let Some(by_level) = section.table("recommendations") {
        for entry in by_level.entries() {
            let names = levels.iter().map(|(name, _)| name.as_str());
            if !names.clone().any(|it| it == entry.name) {
                let hint = spelling::hint(&entry.name, names);
                by_level.problem(&entry.name, format!("`{}` is not a level{hint}", entry.name));
            }
            if let Some(texts) = by_level.get::<Vec<String>>(&entry.name) {
                recommendations.push((entry.name.clone(), texts));
            }
        }
    }
    section.refuse_unknown();
    Some(DecisionPolicy {
        levels,
        recommendations,
    })
}

/// Highest first.
fn levels(section: &Section<'_>) -> Vec<(String, f64)> {
    let Some(written) = section.need_table("levels") else {
        return Vec::new();
    };
    let mut levels: Vec<(String, f64)> = Vec::new();
    for entry in written.entries() {
        match f64::from_item(&entry.item) {
            Ok(least) if levels.iter().any(|(_, it)| *it == least) => {
                written.problem(&entry.name, format!("another level starts at {least} already"));
            }
            Ok(least) => levels.push((entry.name.clone(), least)),
            Err(message) => written.problem(&entry.name, message),
        }
    }
    if written.entries().is_empty() {
        section.problem(
            "levels",
            "a decision needs levels; write levels = { high = 0.7, low = 0.0 }",
        );
    }
    levels.sort_by(|a, b| b.1.total_cmp(&a.1));
    levels
}
