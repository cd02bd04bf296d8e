//! `foretell predict`: the server's own path, for one entity, one series or the rows of a file.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use foretell_features_offline::read_table;
use foretell_features_online::{MemoryStore, OnlineFeatures};
use foretell_registry::{ModelRef, Registry, RegistryError, VersionRef};
use foretell_serving::{Clock, Dependencies, PredictService};
use serde_json::{Map, Value, json};

use crate::arguments::{Common, Predict};
use crate::online::{self, Online};
use crate::output;
use crate::project::Project;

pub(crate) async fn run(common: &Common, verb: Predict) -> Result<ExitCode> {
    if verb.entity.is_empty() && verb.rows.is_none() {
        bail!("whom to predict for? give --entity column=value, or --rows FILE");
    }
    let project = Project::find(common)?;
    let model: ModelRef = verb.model.parse()?;
    let registry = Arc::new(project.registry()?);
    let version = registry.resolve(&model.name, &model.version_or_champion()).await?;
    let manifest: Value = match registry.fetch_file(&version, "manifest.json").await {
        Ok(manifest) => serde_json::from_slice(&manifest.bytes).context("the package's manifest is damaged")?,
        // A model that an MLflow client registered predicts rows.
        Err(RegistryError::UnknownFile { .. }) => Value::Null,
        Err(error) => return Err(error.into()),
    };
    let body = body(&verb, &model, !manifest["series"].is_null())?;
    let answer = ask(&project, registry, &model.name, &body, verb.rows.is_some()).await?;
    match &verb.out {
        Some(out) => write(out, &answer)?,
        None if common.json => output::print_json(&answer),
        None => output::print_text(&describe(&answer)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Through the running server, which has the online store; else in this process. Rows need no store at all.
async fn ask(project: &Project, registry: Arc<Registry>, model: &str, body: &Value, rows: bool) -> Result<Value> {
    let online = match rows {
        true => OnlineFeatures::open(Arc::new(MemoryStore::default())).await?,
        false => match Online::open(project).await? {
            Online::Server(address) => return online::post(address, &format!("/v1/predict/{model}"), body).await,
            Online::Store(store) => store,
        },
    };
    let service = PredictService::new(Dependencies::new(registry, online, Clock::of(project.settings.as_of))).await?;
    let request = serde_json::from_value(body.clone())?;
    Ok(serde_json::to_value(service.predict(model, request).await?)?)
}

fn body(verb: &Predict, model: &ModelRef, series: bool) -> Result<Value> {
    let mut body = json!({ "explain": verb.explain });
    match &verb.rows {
        Some(file) => body["rows"] = Value::Array(read_rows(file)?),
        None => body[if series { "series" } else { "entities" }] = json!([object(&verb.entity)]),
    }
    match &model.version {
        Some(VersionRef::Version(version)) => body["version"] = json!(version.to_string()),
        Some(VersionRef::Alias(alias)) => body["alias"] = json!(alias),
        Some(VersionRef::Latest) => body["version"] = json!("latest"),
        None => {}
    }
    if !verb.request.is_empty() {
        body["request"] = object(&verb.request);
    }
    if let Some(level) = verb.interval {
        body["interval"] = json!(level);
    }
    if let Some(horizon) = verb.horizon {
        body["horizon"] = json!(horizon);
    }
    Ok(body)
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// Rows as maps: a JSON array of objects, or a table's rows.
pub(crate) fn read_rows(file: &Path) -> Result<Vec<Value>> {
    if file.extension().is_some_and(|it| it == "json") {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let rows =
            serde_json::from_str(&text).with_context(|| format!("`{}` is not a JSON array of rows", file.display()))?;
        return Ok(rows);
    }
    let table = read_table(file)?;
    let row = |at: usize| {
        table
            .iter()
            .map(|(name, column)| (name.to_owned(), json!(column.value(at))))
            .collect::<Map<_, _>>()
    };
    Ok((0..table.n_rows()).map(|at| row(at).into()).collect())
}

fn write(out: &Path, answer: &Value) -> Result<()> {
    let text = match out.extension().and_then(|it| it.to_str()) {
        Some("json") => serde_json::to_string_pretty(answer)? + "\n",
        Some("csv") => csv(answer),
        _ => bail!("`{}` is neither .json nor .csv", out.display()),
    };
    std::fs::write(out, text).with_context(|| format!("cannot write `{}`", out.display()))
}

/// One line per prediction, one per step for forecasts.
fn csv(answer: &Value) -> String {
    let cell = |value: &Value| {
        value.as_str().map_or_else(
            || {
                if value.is_null() {
                    String::new()
                } else {
                    value.to_string()
                }
            },
            str::to_owned,
        )
    };
    let predictions = answer["predictions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if predictions.iter().any(|it| it["steps"].is_array()) {
        let mut text = "series,time,value,lower,upper\n".to_owned();
        for (at, it) in predictions.iter().enumerate() {
            for step in it["steps"].as_array().into_iter().flatten() {
                let cells = ["time", "value", "lower", "upper"].map(|name| cell(&step[name]));
                text.push_str(&format!("{at},{}\n", cells.join(",")));
            }
        }
        return text;
    }
    let mut text = "row,status,value,lower,upper,level\n".to_owned();
    for (at, it) in predictions.iter().enumerate() {
        let cells = [
            &it["status"],
            &it["value"],
            &it["lower"],
            &it["upper"],
            &it["decision"]["level"],
        ]
        .map(cell);
        text.push_str(&format!("{at},{}\n", cells.join(",")));
    }
    text
}

/// The answer for people.
pub(crate) fn describe(answer: &Value) -> String {
    let mut text = format!("{}@{}\n", plain(&answer["model"]), plain(&answer["version"]));
    let predictions = answer["predictions"].as_array().map(Vec::as_slice).unwrap_or_default();
    const SHOWN: usize = 20;
    for it in predictions.iter().take(SHOWN) {
        text.push_str(&prediction(it));
    }
    if predictions.len() > SHOWN {
        text.push_str(&format!(
            "... and {} more; --json or --out FILE has them all\n",
            predictions.len() - SHOWN
        ));
    }
    text
}

fn prediction(it: &Value) -> String {
    let key = ["entity", "series"]
        .iter()
        .find_map(|name| it[*name].as_object())
        .map(|key| {
            key.iter()
                .map(|(name, value)| format!("{name}={}", plain(value)))
                .collect::<Vec<_>>()
                .join(" ")
        });
    let key = key.filter(|it| !it.is_empty()).map(|it| it + "  ").unwrap_or_default();
    if it["steps"].is_array() {
        return forecast(&key, it);
    }
    let Some(value) = it["value"].as_f64() else {
        let message = it["message"].as_str().map(|it| format!(": {it}")).unwrap_or_default();
        return format!("  {key}{}{message}\n", plain(&it["status"]));
    };
    let mut text = format!("  {key}{value:.4}");
    if let (Some(lower), Some(upper)) = (it["lower"].as_f64(), it["upper"].as_f64()) {
        text.push_str(&format!("  [{lower:.2}, {upper:.2}]"));
    }
    if let Some(level) = it["decision"]["level"].as_str() {
        let actions = it["decision"]["recommendations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(plain)
            .collect::<Vec<_>>();
        let arrow = if actions.is_empty() {
            String::new()
        } else {
            format!(": {}", actions.join(", "))
        };
        text.push_str(&format!("  {level}{arrow}"));
    }
    text.push('\n');
    for reason in it["reasons"].as_array().into_iter().flatten() {
        let contribution = reason["contribution"].as_f64().unwrap_or(f64::NAN);
        text.push_str(&format!(
            "    {contribution:+.3}  {} = {}\n",
            plain(&reason["feature"]),
            plain(&reason["value"])
        ));
    }
    text
}

fn forecast(key: &str, it: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or_else(|| "?".to_owned(), |it| format!("{it:.1}"));
    let steps = it["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let total = &it["total"];
    let mut text = format!(
        "  {key}{} steps, total {} [{}, {}]\n",
        steps.len(),
        number(&total["value"]),
        number(&total["lower"]),
        number(&total["upper"])
    );
    for step in steps.iter().take(5) {
        let time = plain(&step["time"]);
        let day = time.strip_suffix("T00:00:00Z").unwrap_or(&time);
        let [value, lower, upper] = ["value", "lower", "upper"].map(|name| number(&step[name]));
        text.push_str(&format!("    {day}  {value}  [{lower}, {upper}]\n"));
    }
    let components = it["components"].as_object().into_iter().flatten();
    let first: Vec<String> = components
        .map(|(name, steps)| format!("{name} {}", number(&steps[0])))
        .collect();
    if !first.is_empty() {
        text.push_str(&format!("    first step: {}\n", first.join(", ")));
    }
    text
}

/// A JSON value without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
