//! `models history`: every record of a model, and where each alias moved from.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};
use foretell_features::spelling::hint;
use foretell_registry::{ModelOp, Record};
use serde::Serialize;
use serde_json::Value;

use super::{Desk, time};
use crate::arguments::History;
use crate::output;

pub(super) async fn run(desk: &Desk, verb: &History) -> Result<ExitCode> {
    let mut events = events(&desk.registry.history(&verb.model).await?);
    if let Some(alias) = &verb.alias {
        let known: Vec<String> = events.iter().filter_map(|it| it.alias.clone()).collect();
        events.retain(|it| it.alias.as_ref() == Some(alias));
        if events.is_empty() {
            let hint = hint(alias, known.iter().map(String::as_str));
            bail!("model `{}` never had the alias `{alias}`{hint}", verb.model);
        }
    }
    if desk.json {
        output::print_json(&events);
        return Ok(ExitCode::SUCCESS);
    }
    let heading = ["time", "who", "what", "why"].map(str::to_owned).to_vec();
    let row = |it: &Event| vec![it.time.clone(), it.actor.clone(), it.what.clone(), it.why()];
    let rows: Vec<_> = std::iter::once(heading).chain(events.iter().map(row)).collect();
    output::print_text(&output::table(&rows));
    Ok(ExitCode::SUCCESS)
}

/// One change of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Event {
    seq: u64,
    time: String,
    actor: String,
    reason: Option<String>,
    what: String,
    /// The alias that moved, from where to where.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    evidence: Option<Value>,
}

impl Event {
    /// The reason; that it was forced belongs to it.
    fn why(&self) -> String {
        let reason = self.reason.clone().unwrap_or_default();
        let forced = self
            .evidence
            .as_ref()
            .is_some_and(|it| it["forced"] == Value::Bool(true));
        match forced {
            true => format!("FORCED: {reason}"),
            false => reason,
        }
    }
}

/// Folds the log: an alias's record says where it goes, the records before it where it was.
fn events(records: &[Record<ModelOp>]) -> Vec<Event> {
    let (mut places, mut events) = (BTreeMap::new(), Vec::new());
    for record in records {
        for op in &record.ops {
            let said = match op {
                // A model without versions begins with its description, even an empty one.
                ModelOp::SetDescription { version: None, .. } if record.seq == 1 => {
                    vec![("created the model".to_owned(), None)]
                }
                _ => said(op, &mut places),
            };
            events.extend(said.into_iter().map(|(what, moved)| event(record, what, moved)));
        }
    }
    events
}

type Move = (String, Option<u64>, Option<u64>);

fn said(op: &ModelOp, places: &mut BTreeMap<String, u64>) -> Vec<(String, Option<Move>)> {
    let of = |version: &Option<u64>| version.map_or_else(|| "the model".to_owned(), |it| format!("version {it}"));
    let plain = |what: String| vec![(what, None)];
    match op {
        ModelOp::CreateVersion { version, .. } => plain(format!("published version {version}")),
        ModelOp::DeleteVersion { version } => {
            let gone: Vec<String> = places
                .iter()
                .filter(|it| it.1 == version)
                .map(|it| it.0.clone())
                .collect();
            let lost = gone.into_iter().map(|alias| moved(places, &alias, None, ""));
            let lost: Vec<_> = lost.collect();
            plain(format!("deleted version {version}"))
                .into_iter()
                .chain(lost)
                .collect()
        }
        ModelOp::SetAlias { alias, version } => vec![moved(places, alias, Some(*version), "")],
        ModelOp::DeleteAlias { alias } => vec![moved(places, alias, None, "")],
        ModelOp::RollBackAlias { alias, version } => vec![moved(places, alias, Some(*version), " (rolled back)")],
        ModelOp::SetTag { version, key, value } => plain(format!("tagged {}: {key}={value}", of(version))),
        ModelOp::DeleteTag { version, key } => plain(format!("took the tag {key} from {}", of(version))),
        ModelOp::SetDescription { version, description } if description.is_empty() => {
            plain(format!("took the description from {}", of(version)))
        }
        ModelOp::SetDescription { version, description } => plain(format!("described {}: {description}", of(version))),
        ModelOp::SetStage { version, stage } => plain(format!("stage of version {version} is {stage}")),
        ModelOp::AddSignature { version, signature } => {
            plain(format!("signed version {version} with {}", signature.key_id))
        }
    }
}

fn moved(places: &mut BTreeMap<String, u64>, alias: &str, to: Option<u64>, how: &str) -> (String, Option<Move>) {
    let from = match to {
        Some(to) => places.insert(alias.to_owned(), to),
        None => places.remove(alias),
    };
    let place = |it: Option<u64>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let what = format!("{alias}: {} -> {}{how}", place(from), place(to));
    (what, Some((alias.to_owned(), from, to)))
}

fn event(record: &Record<ModelOp>, what: String, moved: Option<Move>) -> Event {
    let (alias, from, to) = moved.map_or((None, None, None), |(alias, from, to)| (Some(alias), from, to));
    Event {
        seq: record.seq,
        time: time(record.time),
        actor: record.actor.clone(),
        reason: record.reason.clone(),
        what,
        alias,
        from,
        to,
        evidence: record.evidence.clone(),
    }
}
