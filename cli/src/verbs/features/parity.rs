//! `foretell features parity`: logged requests replayed through the offline join at the instants they were answered for; where
//! none is logged, some entities read online now.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use foretell_features::{EntityKey, Table, Timestamp, Value};
use foretell_features_offline::{OfflineStore, ParityReport, ServedFeature, ServedRow, read_table};
use foretell_models::ModelSpec;
use serde_json::json;

mod sampled;

use crate::arguments::{Common, Parity};
use crate::online::Online;
use crate::output;
use crate::project::{Checked, Project};

/// Which logged rows to replay, or which entities to ask about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) rows: usize,
    pub(crate) seed: u64,
    /// Only what was answered for this instant or later.
    pub(crate) since: Option<Timestamp>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            rows: 1000,
            seed: 42,
            since: None,
        }
    }
}

pub(super) async fn run(common: &Common, project: &Project, checked: Checked, verb: &Parity) -> Result<ExitCode> {
    let model = checked.model(&verb.model)?.clone();
    let offline = project.offline(checked.definitions)?;
    let sample = Sample {
        rows: verb.sample,
        seed: verb.seed,
        since: verb.since,
    };
    let report = measured(project, &offline, &model, sample).await?;
    if common.json {
        let (share, unequal) = (report.share(), report.unequal());
        output::print_json(&json!({
            "model": model.name, "rows": report.rows, "share": share, "unequal": unequal, "features": report.features
        }));
    } else {
        output::print_text(&describe(&model.name, &report));
    }
    Ok(if report.unequal() <= verb.max_mismatch {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(output::GATE_REFUSED)
    })
}

/// Replays a sample of a model's logged requests; where there is none, compares a sample of entities as they read now.
///
/// # Errors
/// A damaged segment, an online store that lacks a view or belongs to a running server, whatever the join refuses.
pub(crate) async fn measured(
    project: &Project,
    offline: &OfflineStore,
    model: &ModelSpec,
    sample: Sample,
) -> Result<ParityReport> {
    let spec = model
        .tabular()
        .ok_or_else(|| anyhow!("model `{}` forecasts series; it reads no features", model.name))?;
    let selection = offline.select(&spec.entity, &spec.features, &spec.except)?;
    let entity = offline
        .definitions()
        .entities
        .get(&spec.entity)
        .context("the entity is defined")?;
    let features: Vec<ServedFeature> = selection
        .reads
        .iter()
        .map(|it| ServedFeature {
            name: it.name.clone(),
            view: it.view.clone(),
            feature: it.feature.clone(),
        })
        .collect();
    let folder = project.state("requests");
    let mut logged = Vec::new();
    for path in segments(&folder) {
        let table = read_table(&path)?;
        logged.extend(of_segment(&table, &model.name, sample.since)?);
    }
    if logged.is_empty() {
        let Online::Store(online) = Online::open(project).await? else {
            bail!(
                "no request of `{}` is logged in `{}` and a server has the online store; ask it some predictions by entity first (the log is written every few seconds)",
                model.name,
                folder.display()
            );
        };
        let rows = sampled::rows(&online, offline, &features, sample, project.now()).await?;
        return Ok(offline.parity(&features, &rows)?);
    }
    let chosen = chosen(logged, sample);
    // A feature that no logged request has is not an input of the model that served (a derived one is made from it).
    let served = |it: &ServedFeature| chosen.iter().any(|row| row.inputs.get(&it.name).is_some());
    let features: Vec<ServedFeature> = features.into_iter().filter(served).collect();
    let row = |it: &Logged| ServedRow {
        key: key_of(entity, &it.entity),
        at: it.at,
        values: features.iter().map(|feature| it.value(&feature.name)).collect(),
    };
    let rows: Vec<ServedRow> = chosen.iter().map(row).collect();
    Ok(offline.parity(&features, &rows)?)
}

/// A row of the request log.
struct Logged {
    id: String,
    at: Timestamp,
    entity: serde_json::Value,
    inputs: serde_json::Value,
}

impl Logged {
    fn value(&self, name: &str) -> Value {
        serde_json::from_value(self.inputs[name]["value"].clone()).unwrap_or_default()
    }
}

/// The model's rows that were asked by entity and read from the store: others have no status of their own.
fn of_segment(table: &Table, model: &str, since: Option<Timestamp>) -> Result<Vec<Logged>> {
    let column = |name: &str| {
        table
            .column(name)
            .with_context(|| format!("a segment of the request log has no column `{name}`"))
    };
    let (models, instants, entities) = (column("model")?, column("as_of")?, column("entity")?);
    let (inputs, ids, rows) = (column("inputs")?, column("request_id")?, column("row")?);
    let mut found = Vec::new();
    for row in (0..table.n_rows()).filter(|row| models.value(*row).as_str() == Some(model)) {
        let Value::Time(at) = instants.value(row) else { continue };
        let parsed = |value: Value| value.as_str().and_then(|it| serde_json::from_str(it).ok());
        let both = parsed(entities.value(row)).zip(parsed(inputs.value(row)));
        if let (Some((entity, inputs)), true) = (both, since.is_none_or(|it| at >= it)) {
            let logged = Logged {
                id: format!("{}/{}", ids.value(row), rows.value(row)),
                at,
                entity,
                inputs,
            };
            found.extend(Some(logged).filter(was_read));
        }
    }
    Ok(found)
}

/// Features that the caller sent have no status: there is nothing to compare them with.
fn was_read(it: &Logged) -> bool {
    let inputs = it.inputs.as_object();
    inputs.is_some_and(|all| all.values().any(|input| !input["status"].is_null()))
}

/// The rows with the least hashes, in their order: the same seed takes the same rows.
fn chosen(logged: Vec<Logged>, sample: Sample) -> Vec<Logged> {
    let hash = |it: &Logged| {
        let mut hasher = DefaultHasher::new();
        (sample.seed, &it.id).hash(&mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = logged.iter().map(hash).collect();
    hashes.sort_unstable();
    let last = hashes.get(sample.rows.saturating_sub(1)).copied().unwrap_or(u64::MAX);
    logged.into_iter().filter(|it| hash(it) <= last).collect()
}

fn key_of(entity: &foretell_features::Entity, logged: &serde_json::Value) -> Option<EntityKey> {
    let parts = entity.key.iter().map(|(name, data_type)| {
        let value = serde_json::from_value(logged[name].clone()).unwrap_or_default();
        (name.as_str(), *data_type, value)
    });
    EntityKey::from_values(parts).ok()
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|it| it.path()).collect();
    paths.retain(|it| it.extension().is_some_and(|it| it == "parquet"));
    paths.sort();
    paths
}

fn describe(model: &str, report: &ParityReport) -> String {
    let mut rows = vec![
        ["feature", "equal", "mismatch", "missing", "extra", "for example"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for it in &report.features {
        let example = it.examples.first();
        let example = example.map(|it| format!("served {}, files say {} at {}", it.online, it.offline, it.at));
        let mut row = vec![it.feature.clone()];
        row.extend([it.equal, it.mismatch, it.missing, it.extra].map(|it| it.to_string()));
        row.push(example.unwrap_or_default());
        rows.push(row);
    }
    format!(
        "{model}: {} rows, {} of {} values equal ({:.4} %)\n",
        report.rows,
        report.values() - report.unequal(),
        report.values(),
        100.0 * report.share()
    ) + &output::table(&rows)
}
