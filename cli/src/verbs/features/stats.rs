//! `foretell features stats`: what a view's features look like, and how far they have moved.

use std::process::ExitCode;

use anyhow::{Result, bail};
use foretell_features::Value;
use foretell_features_offline::{FeatureDrift, FeatureStatistics, ViewStatistics, drift};
use serde_json::json;

use super::known_view;
use crate::arguments::{Common, Stats};
use crate::output;
use crate::project::{Checked, Project};

pub(super) fn run(common: &Common, project: &Project, checked: Checked, verb: &Stats) -> Result<ExitCode> {
    known_view(&checked.definitions, &verb.view)?;
    let offline = project.offline(checked.definitions)?;
    let mut kept = offline.kept_statistics(&verb.view)?;
    if verb.compare {
        let (Some(now), Some(before)) = (kept.pop(), kept.pop()) else {
            let view = &verb.view;
            bail!("there are no two materializations of `{view}` to compare; materialize it at two instants");
        };
        let moved = drift(&before, &now);
        if common.json {
            output::print_json(&json!({ "view": now.view, "before": before.at, "at": now.at, "features": moved }));
        } else {
            output::print_text(&compared(&before, &now, &moved));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let statistics = match (verb.at, kept.pop()) {
        (None, Some(last)) => last,
        (at, _) => offline.statistics(&verb.view, at.unwrap_or_else(|| project.now()))?,
    };
    if common.json {
        output::print_json(&statistics);
    } else {
        output::print_text(&describe(&statistics));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(it: &ViewStatistics) -> String {
    let mut rows = vec![
        [
            "feature", "type", "nulls", "distinct", "mean", "std", "min", "median", "max", "",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(it.features.iter().map(row));
    format!("{} at {}: {} entities\n", it.view, it.at, it.entities) + &output::table(&rows)
}

fn row(it: &FeatureStatistics) -> Vec<String> {
    let numbers = it.numbers.as_ref();
    let of = |value: Option<f64>| value.map(short).unwrap_or_default();
    let median = numbers.and_then(|it| it.quantiles.iter().find(|(q, _)| *q == 0.5).map(|(_, value)| *value));
    let estimated = if it.distinct_exact { "" } else { "~" };
    vec![
        it.name.clone(),
        it.data_type.to_string(),
        percent(it.nulls, it.nulls + it.count),
        format!("{estimated}{}", it.distinct),
        of(numbers.map(|it| it.mean)),
        of(numbers.and_then(|it| it.std)),
        end(&it.least),
        of(median),
        end(&it.greatest),
        picture(it),
    ]
}

/// The histogram as bars, or the most frequent values with their shares.
fn picture(it: &FeatureStatistics) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const SHOWN: usize = 3;
    match &it.numbers {
        Some(numbers) => {
            let most = numbers.histogram.iter().map(|it| it.count).max().unwrap_or(0).max(1);
            // An empty bin is a blank, the least of the others a line.
            let bar = |count: u64| match count {
                0 => ' ',
                n => BARS[((n * 8).div_ceil(most) as usize - 1).min(7)],
            };
            let bars: String = numbers.histogram.iter().map(|it| bar(it.count)).collect();
            format!("|{bars}|")
        }
        None => {
            let shown = it.top.iter().take(SHOWN);
            let shown: Vec<String> = shown
                .map(|top| format!("{} {}", top.value, percent(top.count, it.count)))
                .collect();
            let more = if it.distinct > SHOWN as u64 && !shown.is_empty() {
                ", .."
            } else {
                ""
            };
            shown.join(", ") + more
        }
    }
}

fn end(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Float(it) => short(*it),
        Value::Str(_) => String::new(),
        other => other.to_string(),
    }
}

/// Four digits that count.
fn short(number: f64) -> String {
    let size = number.abs();
    match () {
        () if number == 0.0 => "0".to_owned(),
        () if !(1e-3..1e7).contains(&size) => format!("{number:.3e}"),
        () if number.fract() == 0.0 => format!("{number}"),
        () if size >= 1000.0 => format!("{number:.1}"),
        () if size >= 10.0 => format!("{number:.2}"),
        () => format!("{number:.4}"),
    }
}

fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => "0 %".to_owned(),
        _ => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

fn compared(before: &ViewStatistics, now: &ViewStatistics, moved: &[FeatureDrift]) -> String {
    let mut rows = vec![["feature", "psi", "", "nulls", "mean"].map(str::to_owned).to_vec()];
    let change = |before: String, now: String| format!("{before} -> {now}");
    for it in moved {
        let verdict = match it.psi {
            Some(psi) if psi > 0.25 => "moved",
            Some(psi) if psi > 0.1 => "moving",
            Some(_) => "stable",
            None => "",
        };
        let rate = |it: f64| format!("{:.1} %", 100.0 * it);
        let mean = it.mean_before.zip(it.mean);
        rows.push(vec![
            it.name.clone(),
            it.psi.map(|it| format!("{it:.3}")).unwrap_or_default(),
            verdict.to_owned(),
            change(rate(it.null_rate_before), rate(it.null_rate)),
            mean.map(|(a, b)| change(short(a), short(b))).unwrap_or_default(),
        ]);
    }
    let head = format!(
        "{}: {} ({} entities) -> {} ({} entities)\n",
        now.view, before.at, before.entities, now.at, now.entities
    );
    head + &output::table(&rows)
}
