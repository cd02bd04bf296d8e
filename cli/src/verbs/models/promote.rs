//! `models promote`: an alias moves once the package loads and, for `champion`, the gates of today hold.

use std::process::ExitCode;

use anyhow::Result;
use foretell_inference::PackageFiles;
use foretell_models::{GateRule, ModelSpec};
use foretell_registry::{Expected, ModelState, ModelVersion, PromoteRequest};
use foretell_training::{GateResult, Metrics, RegateRequest, judge_parity, loads, refusals, regate};
use serde_json::{Value, json};

use super::notes::named;
use super::{CHAMPION, Desk, moved, stamp};
use crate::arguments::Promote;
use crate::output;
use crate::project::Checked;

pub(super) async fn run(desk: &Desk, verb: Promote) -> Result<ExitCode> {
    let version = named(desk, &verb.model, &verb.version).await?;
    let state = desk.registry.model(&verb.model).await?;
    if state.aliases().get(&verb.alias) == Some(&version.version) {
        let document = json!({ "model": verb.model, "alias": verb.alias, "version": version.version });
        let line = format!("{}: {} is version {} already", verb.model, verb.alias, version.version);
        return Ok(desk.say(&document, &line));
    }
    let judged = judge(desk, &state, &version, &verb.alias).await?;
    let refused = refusals(&judged.gates);
    if let Some(note) = &judged.note {
        eprintln!("{note}");
    }
    if !refused.is_empty() && !verb.force {
        return Ok(refuse(desk, &version, &judged.gates, &refused));
    }
    let mut request = PromoteRequest::new(&verb.model, version.version, &verb.alias, stamp(verb.reason));
    // Judged against this champion; if another took its place meanwhile, nothing was judged.
    request.expect = Some(Expected::from([(
        verb.alias.clone(),
        state.aliases().get(&verb.alias).copied(),
    )]));
    request.evidence = evidence(&judged, &version, !refused.is_empty());
    if !refused.is_empty() {
        eprintln!("moved although a gate refuses: {refused}");
    }
    moved(&desk.registry.promote(request).await?, &verb.alias, desk.json)
}

/// What the gates say, and why they say no more.
#[derive(Default)]
struct Judged {
    gates: Vec<GateResult>,
    champion: Option<u64>,
    note: Option<String>,
}

impl Judged {
    fn noted(gates: Vec<GateResult>, note: String) -> Self {
        Self {
            gates,
            note: Some(note),
            ..Self::default()
        }
    }
}

async fn judge(desk: &Desk, state: &ModelState, version: &ModelVersion, alias: &str) -> Result<Judged> {
    desk.registry.check_trust(version).await?;
    let trained_here = version.metadata["report"].is_object() || desk.manifest(version).await?.is_some();
    if !trained_here {
        let note = format!("{version} was not trained here: no gate judges it");
        return Ok(Judged::noted(Vec::new(), note));
    }
    let files = desk.files(version).await?;
    if alias != CHAMPION {
        let gates = vec![loads(&files)];
        return Ok(Judged {
            gates,
            ..Judged::default()
        });
    }
    let Some((checked, spec)) = definition(desk, &version.model)? else {
        let note = format!(
            "the project has no model `{}`: only its package was checked",
            version.model
        );
        return Ok(Judged::noted(vec![loads(&files)], note));
    };
    by_gates(desk, state, version, checked, &spec, &files).await
}

/// The model as the project defines it. A registry without definitions beside it asks for nothing.
fn definition(desk: &Desk, model: &str) -> Result<Option<(Checked, ModelSpec)>> {
    if !desk.project.root.join("models").is_dir() {
        return Ok(None);
    }
    let checked = desk.project.check()?;
    let spec = checked.models.iter().find(|it| it.name == model).cloned();
    Ok(spec.map(|spec| (checked, spec)))
}

async fn by_gates(
    desk: &Desk,
    state: &ModelState,
    version: &ModelVersion,
    checked: Checked,
    spec: &ModelSpec,
    files: &PackageFiles,
) -> Result<Judged> {
    let offline = desk.project.offline(checked.definitions)?;
    let champion = state.alias(CHAMPION).ok().filter(|it| it.version != version.version);
    let champion_files = match &champion {
        Some(champion) if spec.gates.iter().any(|it| it.not_worse_than_champion_by.is_some()) => {
            Some(desk.files(champion).await?)
        }
        _ => None,
    };
    let baseline = baseline(version);
    let mut gates = regate(RegateRequest {
        spec,
        offline: &offline,
        files,
        baseline: baseline.as_ref(),
        champion: champion_files.as_ref(),
    })?;
    if spec.gates.iter().any(|it| it.metric == GateRule::PARITY) {
        let measured = crate::verbs::features::measured_parity(&desk.project, &offline, spec).await;
        let share = measured.as_ref();
        let share = share.map(|it| it.as_ref().map(|it| it.share()).map_err(String::as_str));
        gates.extend(judge_parity(&spec.gates, share));
    }
    Ok(Judged {
        gates,
        champion: champion.map(|it| it.version),
        note: None,
    })
}

/// The baseline's test metrics as training reported them: it is the first candidate.
fn baseline(version: &ModelVersion) -> Option<Metrics> {
    let first = &version.metadata["report"]["candidates"][0]["metrics"];
    serde_json::from_value(first.clone()).ok()
}

fn evidence(judged: &Judged, version: &ModelVersion, forced: bool) -> Value {
    if judged.gates.is_empty() {
        return json!({ "gates": [], "note": judged.note });
    }
    let metrics = &version.metadata["report"]["metrics"];
    let mut evidence = json!({ "gates": judged.gates, "metrics": metrics, "compared_with": judged.champion });
    if let Some(note) = &judged.note {
        evidence["note"] = json!(note);
    }
    if forced {
        evidence["forced"] = json!(true);
    }
    evidence
}

fn refuse(desk: &Desk, version: &ModelVersion, gates: &[GateResult], refused: &str) -> ExitCode {
    if desk.json {
        output::print_json(
            &json!({ "model": version.model, "version": version.version, "promoted": false, "gates": gates }),
        );
    }
    eprintln!("gate refused: {refused}");
    eprintln!("nothing moved; --force --reason \"..\" moves it all the same, and the history says so");
    ExitCode::from(output::GATE_REFUSED)
}
