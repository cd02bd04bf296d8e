//! `models list`: one line per version, the newest first.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use foretell_mlflow::VersionFilter;
use foretell_registry::{ModelState, ModelVersion};
use serde_json::Value;

use super::{Desk, summary};
use crate::arguments::List;
use crate::output;

pub(super) async fn run(desk: &Desk, verb: &List) -> Result<ExitCode> {
    let filter = verb.filter.as_deref().map(VersionFilter::parse).transpose();
    let filter = filter.map_err(|error| anyhow!("--filter: {error}"))?;
    let models = desk.registry.list_models().await?;
    let takes = |state: &ModelState, version: &ModelVersion| {
        filter
            .as_ref()
            .is_none_or(|it| it.takes(&with_tags_of_model(state, version)))
    };
    if desk.json {
        let versions = models.iter().flat_map(|state| {
            let versions = state.versions().filter(move |it| takes(state, it));
            versions.map(move |it| summary(state, &it))
        });
        output::print_json(&versions.collect::<Vec<Value>>());
        return Ok(ExitCode::SUCCESS);
    }
    let heading = ["model", "version", "aliases", "by", "algorithm", "metrics"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for state in &models {
        rows.extend(state.versions().rev().filter(|it| takes(state, it)).map(|it| row(&it)));
    }
    match (rows.len(), models.is_empty()) {
        (1, true) => output::print_text("no models yet; `foretell train MODEL` registers one\n"),
        (1, false) => output::print_text("no version is so; without --filter all are shown\n"),
        _ => output::print_text(&output::table(&rows)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The version as a filter sees it: what is said of the model holds for each of its versions that says nothing else.
fn with_tags_of_model(state: &ModelState, version: &ModelVersion) -> ModelVersion {
    let mut tags = state.tags().clone();
    tags.extend(version.tags.clone());
    ModelVersion {
        tags,
        ..version.clone()
    }
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
