//! A version judged again when it is to be promoted: by the gates of today, against the champion of today.

use foretell_features_offline::OfflineStore;
use foretell_inference::manifest::MANIFEST_FILE;
use foretell_inference::{Manifest, Model, PackageFiles};
use foretell_models::{GateRule, ModelSpec, Subject, TabularSpec};

use crate::champion::{recorded, rescore};
use crate::dataset::labels;
use crate::error::TrainError;
use crate::gate::{GateResult, Rivals, judge, own_rules};
use crate::metrics::Metrics;
use crate::split::split;
use crate::train::{outside_runtime, training_set_spec};

/// The version, and what it is judged by.
#[derive(Clone, Copy)]
pub struct RegateRequest<'a> {
    /// The model as it is defined now.
    pub spec: &'a ModelSpec,
    /// Where test rows come from, where they are needed.
    pub offline: &'a OfflineStore,
    /// The version's package.
    pub files: &'a PackageFiles,
    /// The baseline's test metrics when the version was trained.
    pub baseline: Option<&'a Metrics>,
    /// The champion's package, where another version is champion.
    pub champion: Option<&'a PackageFiles>,
}

/// Judges a version that was trained before. Whether its package loads comes first; one that does not is judged by nothing
/// else.
///
/// # Errors
/// A rule names a metric that the version was not measured by.
pub fn regate(request: RegateRequest<'_>) -> Result<Vec<GateResult>, TrainError> {
    let loaded = loads(request.files);
    if !loaded.passed {
        return Ok(vec![loaded]);
    }
    let manifest = manifest(request.files).map_err(|reason| TrainError::Request {
        model: request.spec.name.clone(),
        reason,
    })?;
    let RegateRequest { spec, baseline, .. } = request;
    let rivals = Rivals {
        baseline,
        champion: None,
    };
    let mut results = vec![loaded];
    results.extend(judge(
        &spec.name,
        spec.task,
        &own_rules(&spec.gates),
        &manifest.metrics,
        rivals,
    )?);
    results.extend(against_champion(&request, &manifest)?);
    Ok(results)
}

/// Whether a package can be served: it loads, and answers its golden rows as its trainer did.
pub fn loads(files: &PackageFiles) -> GateResult {
    let loaded = Model::load(files);
    let (value, reason) = match &loaded {
        Ok(_) => (1.0, "the package loads and answers its golden rows".to_owned()),
        Err(error) => (0.0, format!("the package cannot be served: {error}")),
    };
    GateResult {
        metric: "package".to_owned(),
        rule: "loads and answers its golden rows".to_owned(),
        value,
        passed: loaded.is_ok(),
        reason,
    }
}

fn manifest(files: &PackageFiles) -> Result<Manifest, String> {
    let bytes = files
        .get(MANIFEST_FILE)
        .ok_or_else(|| format!("its package has no {MANIFEST_FILE}"))?;
    serde_json::from_slice(bytes).map_err(|error| format!("its {MANIFEST_FILE} cannot be read: {error}"))
}

fn against_champion(request: &RegateRequest<'_>, manifest: &Manifest) -> Result<Vec<GateResult>, TrainError> {
    let rules: Vec<GateRule> = request.spec.gates.iter().filter_map(rival_rule).collect();
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let spec = request.spec;
    let Some(champion) = request.champion else {
        return judge(&spec.name, spec.task, &rules, &manifest.metrics, Rivals::default());
    };
    let (ours, theirs) = match both_measured(request, manifest, champion) {
        Ok((ours, theirs)) => (ours, Ok(theirs)),
        Err(why) => (manifest.metrics.clone(), Err(why)),
    };
    let rivals = Rivals {
        baseline: None,
        champion: Some(theirs.as_ref().map_err(String::as_str)),
    };
    judge(&spec.name, spec.task, &rules, &ours, rivals)
}

/// The part of a rule that is about the champion.
fn rival_rule(rule: &GateRule) -> Option<GateRule> {
    rule.not_worse_than_champion_by?;
    Some(GateRule {
        min: None,
        max: None,
        better_than_baseline: false,
        ..rule.clone()
    })
}

/// Metrics of the version and of the champion on the same test rows: those recorded, where both were trained from the same
/// data; else both are scored on the test rows of today.
fn both_measured(
    request: &RegateRequest<'_>,
    manifest: &Manifest,
    champion: &PackageFiles,
) -> Result<(Metrics, Metrics), String> {
    let theirs = self::manifest(champion)?;
    if theirs.lineage.data == manifest.lineage.data {
        return Ok((manifest.metrics.clone(), recorded(champion, manifest.task)?));
    }
    match &request.spec.subject {
        // A forecast's states have seen test steps of their own, so that it cannot be scored on others.
        Subject::Series(_) => Ok((manifest.metrics.clone(), recorded(champion, manifest.task)?)),
        Subject::Tabular(tabular) => outside_runtime(|| rescored(request, manifest, tabular, champion)),
    }
}

fn rescored(
    request: &RegateRequest<'_>,
    manifest: &Manifest,
    tabular: &TabularSpec,
    champion: &PackageFiles,
) -> Result<(Metrics, Metrics), String> {
    let RegateRequest { spec, offline, .. } = *request;
    let asked = training_set_spec(tabular, manifest.lineage.as_of);
    let set = offline.training_set(&asked).map_err(|error| error.to_string())?;
    let split = split(&spec.name, &set, tabular.split).map_err(|error| error.to_string())?;
    let (labels, _) = labels(&spec.name, spec.task, &set.label).map_err(|error| error.to_string())?;
    let y: Vec<f64> = split.test.iter().map(|&row| labels[row]).collect();
    let score = |files: &PackageFiles| rescore(files, spec.task, &set, &y, &split.test);
    let ours =
        score(request.files).map_err(|why| format!("the version itself cannot be scored on today's rows: {why}"))?;
    Ok((ours, score(champion)?))
}
