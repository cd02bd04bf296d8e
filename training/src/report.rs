//! What a training run says to people and programs: the report, and the model card that travels in the package.

use std::fmt::Write as _;

use foretell_inference::{Lineage, Manifest};
use foretell_models::{ModelSpec, SplitSpec};
use serde::{Deserialize, Serialize};

use crate::explain::Importance;
use crate::gate::GateResult;
use crate::metrics::{CalibrationBin, Metrics};

/// One model of `train --json` (DESIGN §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The model's name.
    pub model: String,
    /// The version it became; `None` when it was not registered.
    pub version: Option<u64>,
    /// The task.
    pub task: String,
    /// The winner's algorithm.
    pub algorithm: String,
    /// The winner's test metrics.
    pub metrics: Metrics,
    /// All candidates, the baseline first.
    pub candidates: Vec<CandidateReport>,
    /// Training rows, or values before the test.
    pub n_train: usize,
    /// Test rows, or judged test steps.
    pub n_test: usize,
    /// Wall-clock seconds of the whole run.
    pub seconds: f64,
}

/// One candidate on the same test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    /// Its algorithm.
    pub algorithm: String,
    /// Its test metrics.
    pub metrics: Metrics,
    /// Seconds of its fits, summed over threads.
    pub fit_seconds: f64,
}

/// What a card tells beside the manifest. Nothing of it depends on the clock.
#[derive(Debug, Clone)]
pub struct CardFacts<'a> {
    /// The model's TOML, as meant.
    pub spec: &'a ModelSpec,
    /// What chose the winner.
    pub chosen_by: &'a str,
    /// Algorithm, loss it was chosen by, test metrics.
    pub candidates: Vec<(String, f64, Metrics)>,
    /// Gates of this run.
    pub gates: &'a [GateResult],
    /// Strongest first; empty for forecasts.
    pub importances: &'a [Importance],
    /// For probabilities, on the test rows.
    pub calibration: Vec<CalibrationBin>,
    /// What was left out or changed.
    pub notes: &'a [String],
}

const TOP_INPUTS: usize = 20;

/// `card.md`.
pub fn card(manifest: &Manifest, facts: &CardFacts<'_>) -> String {
    let sections = [
        head(manifest, facts),
        candidates(facts),
        gates(facts),
        importances(facts),
        calibration(facts),
        limits(manifest, facts),
        origin(&manifest.lineage),
    ];
    sections
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn head(manifest: &Manifest, facts: &CardFacts<'_>) -> String {
    let Lineage { n_train, n_test, .. } = &manifest.lineage;
    let subject = match (facts.spec.tabular(), facts.spec.series()) {
        (Some(it), _) => format!("entity `{}`, split by {}", it.entity, split_words(it.split)),
        (_, Some(it)) => format!("series of `{}`, {} steps of {} ahead", it.source, it.horizon, it.step),
        _ => String::new(),
    };
    format!(
        "# {}\n\nTask {}, {subject}. Algorithm `{}`, {n_train} training and {n_test} test rows.\n",
        manifest.model, manifest.task, manifest.algorithm
    )
}

fn split_words(split: SplitSpec) -> String {
    match split {
        SplitSpec::Time => "time (the last cutoff is the test)".to_owned(),
        SplitSpec::RowHash { test_fraction } => format!("row hash ({test_fraction} test)"),
        SplitSpec::EntityHash { test_fraction } => format!("entity hash ({test_fraction} test)"),
    }
}

fn candidates(facts: &CardFacts<'_>) -> String {
    let names: Vec<&String> = facts.candidates.iter().flat_map(|it| it.2.keys()).collect();
    let mut columns: Vec<&String> = Vec::new();
    for name in names {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let mut text = format!(
        "## Candidates\n\nChosen by `{}` on rows that were not fitted; the other columns are of the test rows.\n\n",
        facts.chosen_by
    );
    let title: Vec<&str> = columns.iter().map(|it| it.as_str()).collect();
    let _ = writeln!(text, "| algorithm | chosen by | {} |", title.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(columns.len()));
    for (algorithm, validation, metrics) in &facts.candidates {
        let values: Vec<String> = columns
            .iter()
            .map(|it| metrics.get(*it).map_or_else(|| "–".to_owned(), |it| number(*it)))
            .collect();
        let _ = writeln!(
            text,
            "| {algorithm} | {} | {} |",
            number(*validation),
            values.join(" | ")
        );
    }
    text
}

fn gates(facts: &CardFacts<'_>) -> String {
    if facts.gates.is_empty() {
        return String::new();
    }
    let mut text = "## Gates\n\n| metric | rule | value | passed |\n|---|---|---|---|\n".to_owned();
    for gate in facts.gates {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            gate.metric,
            gate.rule,
            number(gate.value),
            if gate.passed { "yes" } else { "no" }
        );
    }
    text
}

fn importances(facts: &CardFacts<'_>) -> String {
    if facts.importances.is_empty() {
        return String::new();
    }
    let mut text = "## What matters\n\n| input | mean contribution |\n|---|---|\n".to_owned();
    for it in facts.importances.iter().take(TOP_INPUTS) {
        let _ = writeln!(text, "| {} | {} |", it.feature, number(it.mean_contribution));
    }
    text
}

fn calibration(facts: &CardFacts<'_>) -> String {
    if facts.calibration.is_empty() {
        return String::new();
    }
    let mut text =
        "## Calibration on the test rows\n\n| from | rows | predicted | observed |\n|---|---|---|---|\n".to_owned();
    for bin in &facts.calibration {
        let _ = writeln!(
            text,
            "| {:.3} | {} | {:.3} | {:.3} |",
            bin.from, bin.rows, bin.predicted, bin.observed
        );
    }
    text
}

fn limits(manifest: &Manifest, facts: &CardFacts<'_>) -> String {
    let mut text = "## Limits\n\n".to_owned();
    for note in facts.notes {
        let _ = writeln!(text, "- {note}");
    }
    if manifest.conformal.is_some() {
        text.push_str("- Intervals hold on average over rows like the training rows, not for each kind of row.\n");
    }
    text.push_str("- A category that was not in the training rows counts as \"other\"; contributions are parts of the raw score, not causes.\n");
    text
}

fn origin(lineage: &Lineage) -> String {
    let Lineage {
        data,
        definitions,
        code,
        seed,
        as_of,
        ..
    } = lineage;
    format!("## Origin\n\nData `{data}`, definitions `{definitions}`, {code}, seed {seed}, as of {as_of}.\n")
}

fn number(it: f64) -> String {
    if it.abs() >= 1000.0 {
        format!("{it:.1}")
    } else {
        format!("{it:.4}")
    }
}
