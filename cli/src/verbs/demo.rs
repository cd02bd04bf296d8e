//! `foretell demo`: a company's data, five models, a server, and one prediction of each kind with its reasons.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use foretell_features::{Column, Table};
use foretell_features_offline::write_parquet;
use foretell_features_online::{FjallStore, OnlineStore};
use foretell_registry::Registry;
use serde_json::{Value, json};

use super::serve::{Server, wait_for_stop};
use super::train::{Session, Settings, describe};
use super::{features, predict};
use crate::arguments::{Common, Demo};
use crate::demo::ask;
use crate::demo::company::{Company, Size, simulate};
use crate::demo::project_files;
use crate::online;
use crate::output;
use crate::project::Project;

const MODELS: [&str; 5] = ["churn", "ltv", "conversion", "demand", "revenue"];

pub(crate) async fn run(common: &Common, verb: Demo) -> Result<ExitCode> {
    let began = Instant::now();
    let say = |text: &str| match common.json {
        true => eprint!("{text}"),
        false => output::print_text(text),
    };
    if verb.customers < 500 {
        bail!("--customers {} is too few to learn from; take at least 500", verb.customers);
    }
    if verb.products == 0 {
        bail!("--products 0 leaves nothing to sell; take at least 1");
    }
    prepare(&verb.dir)?;
    let company = write_company(&verb, &say)?;
    let common = Common { project: Some(verb.dir.clone()), data: None, json: common.json };
    let project = Project::find(&common)?;
    for address in [verb.listen.http.as_ref(), verb.listen.grpc.as_ref()].into_iter().flatten() {
        free(address)?;
    }
    if verb.listen.http.is_none() {
        free(&project.settings.http)?;
    }
    let checked = project.check()?;
    say(&format!("\n2. project checked: {} views, {} models\n", checked.definitions.views.len(), checked.models.len()));

    let store: Arc<dyn OnlineStore> = Arc::new(FjallStore::open(&project.settings.online)?);
    let reports = features::into_store(&project, checked.definitions.clone(), &*store, &[], None, project.now()).await?;
    say(&format!("\n3. features materialized into the online store\n{}", features::describe(&reports)));

    let session = Session::open(&project, checked, false).await?;
    say("\n4. five models trained, gated, registered\n");
    let mut reached = Vec::new();
    for model in MODELS {
        let settings = Settings { seed: verb.seed, as_of: None, promote: false };
        let outcome = session.train(model, &settings).await.with_context(|| format!("{model} was not trained"))?;
        say(&format!("\n{}", describe(&outcome)));
        let (_, metric, best) = company.best.iter().find(|it| it.0 == model).expect("every model has a best");
        let got = outcome.report.metrics.get(*metric).copied().unwrap_or(f64::NAN);
        say(&format!("best reachable {metric} {best:.4}, reached {got:.4}\n"));
        reached.push(json!({ "model": model, "metric": metric, "best_reachable": best, "reached": got, "report": outcome.report }));
    }
    drop(session);

    let registry = Arc::new(Registry::open(&project.settings.registry)?);
    let server = Server::with_store(&project, &verb.listen, registry, store).await?;
    let (http, grpc) = (server.running.http_addr, server.grpc());
    say(&format!("\n5. serving on http://{http} and grpc://{grpc}; one prediction of each kind from both\n"));
    let questions = questions(&company);
    let mut answers = Vec::new();
    for (model, body) in &questions {
        let answer = online::post(http, &format!("/v1/predict/{model}"), body).await?;
        let over_grpc = ask::over_grpc(grpc, model, body).await?;
        let same = over_grpc.to_bits() == value(&answer).to_bits();
        say(&format!("\n{}", predict::describe(&answer)));
        say(&format!("    gRPC says {over_grpc:.4}{}\n", if same { ", the same to the last bit" } else { ": NOT the same" }));
        anyhow::ensure!(same, "{model}: HTTP and gRPC disagree: {} and {over_grpc}", value(&answer));
        answers.push(answer);
    }
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("\ndone in {seconds:.0} s\n"));
    if common.json {
        output::print_json(&json!({ "models": reached, "predictions": answers, "seconds": seconds }));
    }
    if verb.no_serve {
        server.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    say(&next(&verb.dir, http, &questions));
    wait_for_stop().await?;
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// A new folder, or one that an earlier demo made: that one starts afresh.
fn prepare(dir: &Path) -> Result<()> {
    let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if used && !dir.join(MARK).is_file() {
        bail!("`{}` is not empty and no demo made it; name another folder with --dir", dir.display());
    }
    for old in ["data", ".foretell"] {
        let path = dir.join(old);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove `{}` of an earlier demo", path.display()))?;
        }
    }
    project_files::write(dir).with_context(|| format!("cannot write `{}`", dir.display()))?;
    Ok(std::fs::write(dir.join(MARK), "made by `foretell demo`, which may remove data/ and .foretell/ here\n")?)
}

const MARK: &str = ".foretell-demo";

fn write_company(verb: &Demo, say: &impl Fn(&str)) -> Result<Company> {
    let size = Size { customers: verb.customers, products: verb.products, seed: verb.seed };
    let company = simulate(size);
    let mut rows = vec![vec!["file".to_owned(), "rows".to_owned()]];
    for (name, table) in &company.files {
        let path = verb.dir.join("data").join(format!("{name}.parquet"));
        write_parquet(&path, table)?;
        rows.push(vec![path.display().to_string(), table.n_rows().to_string()]);
    }
    say(&format!("1. a company made up with seed {}\n{}", verb.seed, output::table(&rows)));
    Ok(company)
}

/// One question per model: the first who can be asked, and a product.
fn questions(company: &Company) -> Vec<(&'static str, Value)> {
    let table = |name: &str| &company.files.iter().find(|it| it.0 == name).expect("the company has it").1;
    let customer = last_text(table("invoices"), "customer_id");
    let lead = last_text(table("leads"), "lead_id");
    let product = last_text(table("sales"), "product");
    let customer = json!({ "customer_id": customer });
    vec![
        ("churn", json!({ "entities": [customer], "explain": 3 })),
        ("ltv", json!({ "entities": [customer], "explain": 3 })),
        ("conversion", json!({ "entities": [{ "lead_id": lead }], "explain": 3 })),
        ("demand", json!({ "series": [{ "product": product }] })),
        ("revenue", json!({ "series": [{}] })),
    ]
}

fn last_text(table: &Table, column: &str) -> String {
    match table.column(column) {
        Some(Column::Str(values)) => values.last().cloned().flatten().map(|it| it.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The number that both wires are compared by: the value, or a forecast's total.
fn value(answer: &Value) -> f64 {
    let it = &answer["predictions"][0];
    it["value"].as_f64().or_else(|| it["total"]["value"].as_f64()).unwrap_or(f64::NAN)
}

fn free(address: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{address} cannot be used: {error}; name other addresses with --http and --grpc"),
    }
}

fn next(dir: &Path, http: std::net::SocketAddr, questions: &[(&str, Value)]) -> String {
    let (model, body) = &questions[0];
    let dir = dir.display();
    format!(
        "\ntry next
  curl -s http://{http}/v1/predict/{model} -d '{body}'
  curl -s http://{http}/api/predict/churn -d '{}'
  curl -s http://{http}/v2/models/churn
  curl -s http://{http}/metrics
  foretell models list --project {dir}
  foretell features get churn --project {dir} --entity customer_id={}
Ctrl-C stops the server; `foretell serve --project {dir}` starts it again
",
        body["entities"][0],
        body["entities"][0]["customer_id"].as_str().unwrap_or_default(),
    )
}
