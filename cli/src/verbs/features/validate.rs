//! `foretell features validate`: views' expectations held against their files, nothing written.

use std::process::ExitCode;

use anyhow::Result;
use foretell_features::OnFailure;
use foretell_features_offline::{CheckReport, ValidationReport};

use super::known_view;
use crate::arguments::{Common, Validate};
use crate::output;
use crate::project::{Checked, Project};

pub(super) fn run(common: &Common, project: &Project, checked: Checked, verb: &Validate) -> Result<ExitCode> {
    let to = verb.to.unwrap_or_else(|| project.now());
    for view in &verb.views {
        known_view(&checked.definitions, view)?;
    }
    let expecting = checked.definitions.views.values().filter(|it| !it.expect.is_empty());
    let views: Vec<String> = match verb.views.is_empty() {
        true => expecting.map(|it| it.name.clone()).collect(),
        false => verb.views.clone(),
    };
    let offline = project.offline(checked.definitions)?;
    let reports = views.iter().map(|it| offline.validate(it, to));
    let reports: Vec<ValidationReport> = reports.collect::<Result<_, _>>()?;
    if common.json {
        output::print_json(&reports);
    } else {
        output::print_text(&describe(&reports));
    }
    let refused = reports.iter().any(ValidationReport::refuses);
    Ok(if refused {
        ExitCode::from(output::GATE_REFUSED)
    } else {
        ExitCode::SUCCESS
    })
}

fn describe(reports: &[ValidationReport]) -> String {
    if reports.is_empty() {
        return "no view expects anything; write [view.X.expect], `foretell init` shows how\n".to_owned();
    }
    let mut rows = vec![
        [
            "",
            "view",
            "column",
            "check",
            "bound",
            "found",
            "rows",
            "action",
            "file rows",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for report in reports {
        rows.extend(report.checks.iter().map(|it| row(report, it)));
    }
    let mut text = output::table(&rows);
    for it in reports {
        text.push_str(&summary(it));
    }
    text
}

fn row(report: &ValidationReport, it: &CheckReport) -> Vec<String> {
    let mark = match (it.passed, it.action) {
        (true, _) => "ok",
        (false, OnFailure::Warn) => "WARN",
        (false, _) => "FAIL",
    };
    let share = match it.failed_rows {
        0 => String::new(),
        n => format!("{n} ({:.2} %)", 100.0 * n as f64 / report.rows.max(1) as f64),
    };
    let examples: Vec<String> = it.examples.iter().map(u64::to_string).collect();
    vec![
        mark.to_owned(),
        report.view.clone(),
        it.column.clone().unwrap_or_default(),
        it.name.clone(),
        shortened(&it.bound),
        shortened(&number(&it.observed)),
        share,
        it.action.to_string(),
        examples.join(" "),
    ]
}

/// A mean with all its digits tells nobody more.
fn number(value: &foretell_features::Value) -> String {
    match value {
        foretell_features::Value::Null => String::new(),
        foretell_features::Value::Float(it) if it.fract() != 0.0 => format!("{it:.4}"),
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 28;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}

fn summary(it: &ValidationReport) -> String {
    let failed = it.checks.iter().filter(|it| !it.passed).count();
    let verdict = match (it.refuses(), it.quarantined) {
        (true, _) => "would not be written".to_owned(),
        (false, 0) => "may be written".to_owned(),
        (false, n) => format!("may be written without {n} rows"),
    };
    format!(
        "{}: {} rows to {}, {failed} of {} checks failed; {verdict}\n",
        it.view,
        it.rows,
        it.to,
        it.checks.len()
    )
}
