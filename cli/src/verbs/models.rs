//! `foretell models`: what is registered, and who is champion.

use std::process::ExitCode;

use anyhow::Result;
use foretell_models::GateRule;
use foretell_registry::{
    ModelRef, ModelState, ModelVersion, PromoteRequest, Registry, RollbackRequest, Stamp, VerifyReport,
};
use foretell_serving::Clock;
use foretell_training::{GateResult, judge_parity, refusals};
use serde_json::{Value, json};

use crate::arguments::{Common, Models};
use crate::output;
use crate::project::Project;

pub(crate) async fn run(common: &Common, verb: Models) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let registry = Registry::open(&project.settings.registry.url)?;
    match verb {
        Models::List => list(&registry, common.json).await,
        Models::Show { model } => show(&registry, &model, common.json).await,
        Models::Promote {
            model,
            version,
            alias,
            reason,
        } => {
            let mut request = PromoteRequest::new(model, version, &alias, stamp(reason));
            let gates = parity_gates(&project, &request).await?;
            if gates.iter().any(|it| !it.passed) {
                eprintln!("gate refused: {}", refusals(&gates));
                return Ok(ExitCode::from(output::GATE_REFUSED));
            }
            if !gates.is_empty() {
                request.evidence = json!({ "gates": gates });
            }
            moved(&registry.promote(request).await?, &alias, common.json)
        }
        Models::Rollback { model, alias, reason } => {
            let request = RollbackRequest::new(model, &alias, stamp(reason));
            moved(&registry.rollback(request).await?, &alias, common.json)
        }
        Models::Verify => verify(&registry.verify().await?, common.json),
    }
}

/// A model whose definition asks for parity becomes champion only if what it is served shows it.
async fn parity_gates(project: &Project, request: &PromoteRequest) -> Result<Vec<GateResult>> {
    // A registry without definitions beside it asks for nothing; nor does a model that only the registry has.
    if request.alias != "champion" || !project.root.join("models").is_dir() {
        return Ok(Vec::new());
    }
    let checked = project.check()?;
    let Some(model) = checked.models.iter().find(|it| it.name == request.model).cloned() else {
        return Ok(Vec::new());
    };
    if !model.gates.iter().any(|it| it.metric == GateRule::PARITY) {
        return Ok(Vec::new());
    }
    let offline = project.offline(checked.definitions)?;
    let measured = super::features::measured_parity(project, &offline, &model).await;
    let share = measured
        .as_ref()
        .map(|it| it.as_ref().map(|it| it.share()).map_err(String::as_str));
    Ok(judge_parity(&model.gates, share))
}

async fn list(registry: &Registry, as_json: bool) -> Result<ExitCode> {
    let models = registry.list_models().await?;
    if as_json {
        let versions: Vec<Value> = models
            .iter()
            .flat_map(|state| state.versions().map(|it| summary(state, &it)))
            .collect();
        output::print_json(&versions);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        ["model", "version", "aliases", "algorithm", "metrics"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for state in &models {
        for version in state.versions().rev() {
            let report = &version.metadata["report"];
            let algorithm = report["algorithm"].as_str().unwrap_or("").to_owned();
            let aliases = aliases(state, version.version).join(", ");
            rows.push(vec![
                state.name.clone(),
                version.version.to_string(),
                aliases,
                algorithm,
                metrics(&report["metrics"]),
            ]);
        }
    }
    match rows.len() {
        1 => output::print_text("no models yet; `foretell train MODEL` registers one\n"),
        _ => output::print_text(&output::table(&rows)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(registry: &Registry, model: &str, as_json: bool) -> Result<ExitCode> {
    let version = registry.resolve_ref(&model.parse::<ModelRef>()?).await?;
    let state = registry.model(&version.model).await?;
    let manifest = registry.fetch_file(&version, "manifest.json").await?;
    let manifest: Value = serde_json::from_slice(&manifest.bytes)?;
    if as_json {
        let mut document = summary(&state, &version);
        document["manifest"] = manifest;
        output::print_json(&document);
        return Ok(ExitCode::SUCCESS);
    }
    let card = registry.fetch_file(&version, "card.md").await?;
    let aliases = aliases(&state, version.version);
    let head = format!(
        "{}@{}  {}  {}\n\n",
        version.model,
        version.version,
        aliases.join(", "),
        version.digest
    );
    output::print_text(&(head + &String::from_utf8_lossy(&card.bytes)));
    Ok(ExitCode::SUCCESS)
}

fn moved(version: &ModelVersion, alias: &str, as_json: bool) -> Result<ExitCode> {
    if as_json {
        output::print_json(&json!({ "model": version.model, "alias": alias, "version": version.version }));
    } else {
        output::print_text(&format!(
            "{}: {alias} is now version {}\n",
            version.model, version.version
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(report: &VerifyReport, as_json: bool) -> Result<ExitCode> {
    if as_json {
        output::print_json(report);
    } else {
        output::print_text(&format!("{report}\n"));
    }
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// DESIGN §3's shape of a version, with its aliases.
fn summary(state: &ModelState, version: &ModelVersion) -> Value {
    let mut document = match &version.metadata["report"] {
        Value::Object(fields) => Value::Object(fields.clone()),
        _ => json!({}),
    };
    document["model"] = json!(state.name);
    document["version"] = json!(version.version);
    document["digest"] = json!(version.digest.to_string());
    document["aliases"] = json!(aliases(state, version.version));
    document
}

fn aliases(state: &ModelState, version: u64) -> Vec<String> {
    state
        .aliases()
        .iter()
        .filter(|(_, at)| **at == version)
        .map(|(alias, _)| alias.clone())
        .collect()
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

/// Who moves aliases from the command line: the user's name.
pub(crate) fn actor() -> String {
    std::env::var("USER")
        .ok()
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| "foretell".to_owned())
}

fn stamp(reason: Option<String>) -> Stamp {
    let stamp = Stamp::new(actor(), Clock::Real.now().0);
    match reason {
        Some(reason) => stamp.because(reason),
        None => stamp,
    }
}
