//! `foretell features`: from source files into the online store, and back out.

use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use foretell_features::{
    DataType, Definitions, Entity, EntityFrame, EntityKey, FeatureRead, FeatureRef, MaterializeReport,
    MaterializeRequest, Timestamp, Value,
};
use foretell_features_offline::{OfflineStore, ParityReport, read_table, write_parquet};
use foretell_features_online::OnlineFeatures;
use foretell_models::{GateRule, ModelSpec};
use serde_json::json;

mod erase;
mod parity;
mod stats;
mod validate;

use crate::arguments::{Common, Features, GetFeatures, Historical, Materialize};
use crate::changes;
use crate::online::{self, Online};
use crate::output::{self, Progress};
use crate::project::{Checked, Project};

pub(crate) async fn run(common: &Common, verb: Features) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let checked = project.check()?;
    match verb {
        Features::Materialize(verb) => materialize(common, &project, checked, verb).await,
        Features::Ingest(verb) => super::ingest::run(common, &project, &checked, verb).await,
        Features::Get(verb) => get(common, &project, &checked, verb).await,
        Features::Stats(verb) => stats::run(common, &project, checked, &verb),
        Features::Erase(verb) => erase::run(common, &project, checked, &verb).await,
        Features::Parity(verb) => parity::run(common, &project, checked, &verb).await,
        Features::Validate(verb) => validate::run(common, &project, checked, &verb),
        Features::Historical(verb) => historical(common, &project, checked, &verb),
    }
}

/// Parity of what a model was served, where one of its gates asks for it: the report, or why there is none.
pub(crate) async fn measured_parity(
    project: &Project,
    offline: &OfflineStore,
    model: &ModelSpec,
) -> Option<Result<ParityReport, String>> {
    let asked = model.gates.iter().any(|it| it.metric == GateRule::PARITY);
    if !asked {
        return None;
    }
    let measured = parity::measured(project, offline, model, parity::Sample::default()).await;
    Some(measured.map_err(|error| format!("{error:#}")))
}

async fn materialize(common: &Common, project: &Project, checked: Checked, verb: Materialize) -> Result<ExitCode> {
    let to = verb.to.unwrap_or_else(|| project.now());
    for view in &verb.views {
        known_view(&checked.definitions, view)?;
    }
    let reports = match Online::open(project).await? {
        Online::Server(address) => {
            let body = json!({
                "feature_views": verb.views, "start_ts": verb.from, "end_ts": to, "incremental": verb.incremental
            });
            let answer = online::post(address, "/v1/materialize", &body).await?;
            serde_json::from_value(answer).context("the server's report cannot be read")?
        }
        Online::Store(store) => {
            let offline = Arc::new(project.offline(checked.definitions)?);
            let request = MaterializeRequest {
                views: verb.views,
                from: verb.from,
                to,
                now: project.now(),
                incremental: verb.incremental,
            };
            let reports = into_store(&offline, &store, request).await?;
            let forgotten = changes::forget_unread(project, &store).await?;
            if !common.json {
                output::print_text(&changes::told_forgotten(&forgotten));
            }
            reports
        }
    };
    if common.json {
        output::print_json(&reports);
    } else {
        output::print_text(&describe(&reports));
    }
    Ok(ExitCode::SUCCESS)
}

/// Materializes straight into a store, with a progress bar.
pub(crate) async fn into_store(
    offline: &Arc<OfflineStore>,
    store: &OnlineFeatures,
    request: MaterializeRequest,
) -> Result<Vec<MaterializeReport>> {
    let progress = Progress::new();
    let show = |view: &str, done: u64| progress.count(&format!("materialize {view}"), done);
    Ok(offline.materialize(store, &request, &show).await?)
}

/// All views, all entities, up to now.
pub(crate) fn everything(now: Timestamp) -> MaterializeRequest {
    MaterializeRequest {
        views: Vec::new(),
        from: None,
        to: now,
        now,
        incremental: false,
    }
}

/// One line per view.
pub(crate) fn describe(reports: &[MaterializeReport]) -> String {
    let mut rows = vec![
        ["view", "version", "entities", "unchanged", "source rows", "as of"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for it in reports {
        rows.push(vec![
            it.view.clone(),
            it.version.chars().take(8).collect(),
            it.entities.to_string(),
            it.skipped.to_string(),
            it.rows_read.to_string(),
            it.to.to_string(),
        ]);
    }
    output::table(&rows)
}

async fn get(common: &Common, project: &Project, checked: &Checked, verb: GetFeatures) -> Result<ExitCode> {
    let (entity, views) = what(checked, &verb.of)?;
    let key = key_of(entity, &verb.entity)?;
    let now = project.now();
    let mut reads = Vec::new();
    match Online::open(project).await? {
        Online::Server(address) => {
            let columns = entity
                .key
                .iter()
                .zip(&key.0)
                .map(|((name, _), part)| (name.clone(), json!([part.value()])));
            let columns: serde_json::Map<String, serde_json::Value> = columns.collect();
            for view in views {
                let body = json!({ "entities": columns, "features": [format!("{view}:*")] });
                let answer = online::post(address, "/get-online-features", &body).await?;
                let of_view = read_answer(&answer, &entity.key)?;
                reads.extend(of_view.into_iter().map(|(name, read)| (format!("{view}:{name}"), read)));
            }
        }
        Online::Store(store) => {
            for view in views {
                reads.extend(read_view(&store, view, &key, now).await?);
            }
        }
    }
    show(common, &reads, now);
    Ok(ExitCode::SUCCESS)
}

/// Which entity and which views a view's or a model's name means.
fn what<'a>(checked: &'a Checked, name: &str) -> Result<(&'a Entity, Vec<&'a str>)> {
    let definitions = &checked.definitions;
    let (entity, views) = match definitions.views.get_key_value(name) {
        Some((view, it)) => {
            let entity = it
                .entity
                .as_ref()
                .ok_or_else(|| anyhow!("view `{name}` has no entity"))?;
            (entity, vec![view.as_str()])
        }
        None => match checked.model(name).ok().and_then(|it| it.tabular()) {
            Some(model) => (&model.entity, views_of(&model.features)),
            None => {
                let views = definitions.views.keys().map(String::as_str);
                let models = checked.models.iter().map(|it| it.name.as_str());
                let hint = foretell_features::spelling::hint(name, views.chain(models));
                bail!("unknown view or model `{name}`{hint}")
            }
        },
    };
    let entity = definitions
        .entities
        .get(entity)
        .ok_or_else(|| anyhow!("unknown entity `{entity}`"))?;
    Ok((entity, views))
}

fn views_of(features: &[FeatureRef]) -> Vec<&str> {
    let mut views: Vec<&str> = Vec::new();
    for it in features {
        if let FeatureRef::All(view) | FeatureRef::One(view, _) = it
            && !views.contains(&view.as_str())
        {
            views.push(view);
        }
    }
    views
}

/// The key that `--entity column=value` spells.
pub(crate) fn key_of(entity: &Entity, given: &[(String, String)]) -> Result<EntityKey> {
    let names: Vec<&str> = entity.key.iter().map(|(name, _)| name.as_str()).collect();
    if let Some((wrong, _)) = given.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        bail!(
            "`{wrong}` is no key column of entity `{}`; give --entity {}=..",
            entity.name,
            names.join("=.. --entity ")
        );
    }
    let mut parts: Vec<(&str, DataType, Value)> = Vec::new();
    for (name, data_type) in &entity.key {
        let value = given
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| Value::text(value.as_str()));
        let value = value.with_context(|| format!("key column `{name}` is missing; add --entity {name}=.."))?;
        parts.push((name, *data_type, value));
    }
    Ok(EntityKey::from_values(parts)?)
}

async fn read_view(
    store: &OnlineFeatures,
    view: &str,
    key: &EntityKey,
    now: Timestamp,
) -> Result<Vec<(String, FeatureRead)>> {
    let stored = store.view(view, None).await?;
    let read = store
        .read(&stored, std::slice::from_ref(key), &stored.project_all(), now)
        .await?;
    let names = stored.columns().iter().map(|(name, _)| format!("{view}:{name}"));
    Ok(names.zip(read.reads).collect())
}

/// Feast's answer shape: one result per name, key columns first.
fn read_answer(answer: &serde_json::Value, key: &[(String, DataType)]) -> Result<Vec<(String, FeatureRead)>> {
    let names = answer["metadata"]["feature_names"]
        .as_array()
        .context("the server's answer has no feature names")?;
    let mut reads = Vec::new();
    for (at, name) in names.iter().filter_map(serde_json::Value::as_str).enumerate() {
        if key.iter().any(|(column, _)| column == name) {
            continue;
        }
        let result = &answer["results"][at];
        let time = result["event_timestamps"][0]
            .as_str()
            .and_then(|it| Timestamp::from_str(it).ok());
        let status =
            serde_json::from_value(result["statuses"][0].clone()).context("the server's answer has no status")?;
        let value = serde_json::from_value(result["values"][0].clone())?;
        let event_time = time.filter(|it| it.0 != 0);
        reads.push((
            name.to_owned(),
            FeatureRead {
                value,
                status,
                event_time,
            },
        ));
    }
    Ok(reads)
}

fn show(common: &Common, reads: &[(String, FeatureRead)], now: Timestamp) {
    let age = |read: &FeatureRead| read.age(now).map(|it| it.as_seconds());
    if common.json {
        let rows = reads.iter().map(|(name, it)| {
            json!({ "feature": name, "value": it.value, "status": it.status, "event_time": it.event_time, "age_seconds": age(it) })
        });
        output::print_json(&rows.collect::<Vec<_>>());
        return;
    }
    let mut rows = vec![["feature", "value", "status", "age"].map(str::to_owned).to_vec()];
    for (name, it) in reads {
        let status = serde_json::to_value(it.status)
            .ok()
            .and_then(|it| it.as_str().map(str::to_owned));
        let days = age(it).map_or_else(String::new, |it| format!("{:.1} d", it / 86_400.0));
        rows.push(vec![
            name.clone(),
            it.value.to_string(),
            status.unwrap_or_default(),
            days,
        ]);
    }
    output::print_text(&output::table(&rows));
}

fn historical(common: &Common, project: &Project, checked: Checked, verb: &Historical) -> Result<ExitCode> {
    let offline = project.offline(checked.definitions)?;
    let features: Vec<FeatureRef> = verb
        .features
        .iter()
        .map(|it| it.parse().expect("every text is a reference"))
        .collect();
    let entities = read_table(&verb.entities)?;
    let frame = frame(offline.definitions(), &features, &entities, &verb.key)?;
    let joined = offline.historical(&frame, &features, &[])?;
    let mut answer = entities.clone();
    for (name, column) in joined.iter() {
        let taken = answer.column(name).is_some();
        answer.push(
            if taken {
                format!("feature__{name}")
            } else {
                name.to_owned()
            },
            column.clone(),
        );
    }
    write_parquet(&verb.out, &answer)?;
    let (rows, out) = (answer.n_rows(), verb.out.display());
    if common.json {
        output::print_json(&json!({ "rows": rows, "columns": answer.names(), "out": verb.out }));
    } else {
        output::print_text(&format!(
            "{rows} rows, {} columns written to {out}\n",
            answer.names().len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Keys and times of an entity table, for the entity of the features asked for.
fn frame(
    definitions: &Definitions,
    features: &[FeatureRef],
    table: &foretell_features::Table,
    renamed: &[(String, String)],
) -> Result<EntityFrame> {
    const TIME: &str = "event_timestamp";
    let view = views_of(features)
        .into_iter()
        .next()
        .context("name at least one view:feature")?;
    let view = known_view(definitions, view)?;
    let entity = view.entity.as_ref().and_then(|it| definitions.entities.get(it));
    let entity = entity.with_context(|| format!("view `{}` has no entity", view.name))?;
    let times = table
        .column(TIME)
        .with_context(|| format!("the entities have no column `{TIME}`"))?;
    if let Some((wrong, _)) = renamed
        .iter()
        .find(|(key, _)| entity.key.iter().all(|(name, _)| name != key))
    {
        bail!("`{wrong}` is no key column of entity `{}`", entity.name);
    }
    let columns = entity.key.iter().map(|(name, data_type)| {
        let given = renamed
            .iter()
            .find(|(key, _)| key == name)
            .map_or(name, |(_, column)| column);
        match table.column(given) {
            Some(column) => Ok((name, *data_type, column)),
            None => bail!(
                "the entities have no column `{given}`, a key column of entity `{}`; name it with --key {name}=COLUMN",
                entity.name
            ),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let mut frame = EntityFrame {
        keys: Vec::new(),
        times: Vec::new(),
        request: Some(table.clone()),
    };
    for row in 0..table.n_rows() {
        let parts = columns
            .iter()
            .map(|(name, data_type, column)| (name.as_str(), *data_type, column.value(row)));
        frame.keys.push(EntityKey::from_values(parts).ok());
        match times.value(row).cast(DataType::Timestamp) {
            Ok(Value::Time(time)) => frame.times.push(time),
            Ok(_) => bail!("`{TIME}` of row {row} is null"),
            Err(error) => bail!("`{TIME}` of row {row} is {error}"),
        }
    }
    Ok(frame)
}

fn known_view<'a>(definitions: &'a Definitions, name: &str) -> Result<&'a foretell_features::View> {
    definitions.views.get(name).ok_or_else(|| {
        let hint = foretell_features::spelling::hint(name, definitions.views.keys().map(String::as_str));
        anyhow!("unknown view `{name}`{hint}")
    })
}
