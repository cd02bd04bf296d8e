//! `models list`: one line per version, the newest first.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use foretell_mlflow::VersionFilter;
use foretell_registry::{ModelState, ModelVersion, VersionRow};
use serde_json::Value;

use super::{Desk, summary};
use crate::arguments::List;
use crate::output;

pub(super) async fn run(desk: &Desk, verb: &List) -> Result<ExitCode> {
    let filter = verb.filter.as_deref().map(VersionFilter::parse).transpose();
    let filter = filter.map_err(|error| anyhow!("--filter: {error}"))?;
    let models = desk.registry.list_models().await?;
    let takes = |state: &ModelState, row: &VersionRow<'_>| filter.as_ref().is_none_or(|it| it.takes(state, row));
    let of = |state: &ModelState| -> Vec<ModelVersion> {
        let rows = state.rows().filter(|it| takes(state, it));
        rows.map(|it| it.version()).collect()
    };
    if desk.json {
        let versions = models.iter().flat_map(|state| {
            let versions = of(state).into_iter();
            versions.map(|it| summary(state, &it)).collect::<Vec<Value>>()
        });
        output::print_json(&versions.collect::<Vec<Value>>());
        return Ok(ExitCode::SUCCESS);
    }
    let heading = ["model", "version", "aliases", "by", "algorithm", "metrics"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for state in &models {
        rows.extend(of(state).iter().rev().map(row));
    }
    match (rows.len(), models.is_empty()) {
        (1, true) => output::print_text("no models yet; `foretell train MODEL` registers one\n"),
        (1, false) => output::print_text("no version is so; without --filter all are shown\n"),
        _ => output::print_text(&output::table(&rows)),
    }
    Ok(ExitCode::SUCCESS)
}

fn row(version: &ModelVersion) -> Vec<String> {
    let report = &version.metadata["report"];
    vec![
        version.model.clone(),
        version.version.to_string(),
        version.aliases.join(", "),
        version.actor.clone(),
        report["algorithm"].as_str().unwrap_or("").to_owned(),
        metrics(&report["metrics"]),
    ]
}

fn metrics(metrics: &Value) -> String {
    let Value::Object(metrics) = metrics else {
        return String::new();
    };
    let known = ["roc_auc", "log_loss", "mae", "spearman", "wape", "rmspe", "coverage_90"];
    let shown = known.iter().filter_map(|name| {
        metrics
            .get(*name)
            .and_then(Value::as_f64)
            .map(|it| format!("{name} {it:.4}"))
    });
    shown.take(3).collect::<Vec<_>>().join("  ")
}
