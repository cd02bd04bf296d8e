//! `foretell demo`: a company's data, five models, a server, and one prediction of each kind with its reasons.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use foretell_features::{Column, Table};
use foretell_features_offline::write_parquet;
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
    let say = |text: &str| {
        if common.json {
            eprint!("{text}")
        } else {
            output::print_text(text)
        }
    };
    check(&verb)?;
    prepare(&verb.dir)?;
    let company = write_company(&verb, &say)?;
    let project = Project::find(&Common {
        project: Some(verb.dir.clone()),
        data: None,
        json: common.json,
    })?;
    let checked = project.check()?;
    say(&format!(
        "\n2. project checked: {} views, {} models\n",
        checked.definitions.views.len(),
        checked.models.len()
    ));

    let store = online::open_store(&project).await?;
    // The files are read once: training asks the same offline store.
    let session = Session::open(&project, checked, false).await?;
    let reports = features::into_store(&session.offline, &store, features::everything(project.now())).await?;
    say(&format!(
        "\n3. features materialized into the online store\n{}",
        features::describe(&reports)
    ));

    say("\n4. five models trained, gated, registered\n");
    let reached = train_all(&session, &company, verb.seed, &say).await?;
    drop(session);

    let registry = Arc::new(project.registry()?);
    let server = Server::with_store(&project, &verb.listen, registry, store).await?;
    let questions = questions(&company);
    let answers = ask_all(&server, &questions, &say).await?;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("\ndone in {seconds:.0} s\n"));
    if common.json {
        output::print_json(&json!({ "models": reached, "predictions": answers, "seconds": seconds }));
    }
    if !verb.no_serve {
        say(&next(&verb.dir, server.running.http_addr, &questions));
        wait_for_stop().await?;
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// What would fail only at the end is looked at first: sizes, and ports that an earlier demo may still hold.
fn check(verb: &Demo) -> Result<()> {
    if verb.customers < 500 {
        bail!(
            "--customers {} is too few to learn from; take at least 500",
            verb.customers
        );
    }
    if verb.products == 0 {
        bail!("--products 0 leaves nothing to sell; take at least 1");
    }
    for (flag, given, usual) in [
        ("--http", &verb.listen.http, "127.0.0.1:8000"),
        ("--grpc", &verb.listen.grpc, "127.0.0.1:8001"),
    ] {
        let address = given.as_deref().unwrap_or(usual);
        if let Err(error) = TcpListener::bind(address) {
            bail!("{address} cannot be used: {error}; name another address with {flag} HOST:PORT");
        }
    }
    Ok(())
}

/// Trains the five models; says of each what it reached and what could be reached.
async fn train_all(session: &Session, company: &Company, seed: u64, say: &impl Fn(&str)) -> Result<Vec<Value>> {
    let mut reached = Vec::new();
    for model in MODELS {
        let settings = Settings {
            seed,
            as_of: None,
            promote: false,
        };
        let outcome = session
            .train(model, &settings)
            .await
            .with_context(|| format!("{model} was not trained"))?;
        say(&format!("\n{}", describe(&outcome)));
        let (_, metric, best) = company
            .best
            .iter()
            .find(|it| it.0 == model)
            .expect("every model has a best");
        let got = outcome.report.metrics.get(*metric).copied().unwrap_or(f64::NAN);
        say(&format!("best reachable {metric} {best:.4}, reached {got:.4}\n"));
        let report = &outcome.report;
        reached.push(
            json!({ "model": model, "metric": metric, "best_reachable": best, "reached": got, "report": report }),
        );
    }
    Ok(reached)
}

/// Asks HTTP and gRPC the same; they must give the same number.
async fn ask_all(server: &Server, questions: &[(&str, Value)], say: &impl Fn(&str)) -> Result<Vec<Value>> {
    let (http, grpc) = (server.running.http_addr, server.grpc());
    say(&format!(
        "\n5. serving on http://{http} and grpc://{grpc}; one prediction of each kind from both\n"
    ));
    let mut answers = Vec::new();
    for (model, body) in questions {
        let answer = online::post(http, &format!("/v1/predict/{model}"), body).await?;
        let over_grpc = ask::over_grpc(grpc, model, body).await?;
        say(&format!("\n{}", predict::describe(&answer)));
        let same = over_grpc.to_bits() == value(&answer).to_bits();
        ensure!(same, "{model}: HTTP says {}, gRPC {over_grpc}", value(&answer));
        say(&format!("    gRPC says {over_grpc:.4}, the same to the last bit\n"));
        answers.push(answer);
    }
    Ok(answers)
}

/// A new folder, or one that an earlier demo made: that one starts afresh.
fn prepare(dir: &Path) -> Result<()> {
    let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if used && !dir.join(MARK).is_file() {
        bail!(
            "`{}` is not empty and no demo made it; name another folder with --dir",
            dir.display()
        );
    }
    for old in ["data", ".foretell"] {
        let path = dir.join(old);
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove `{}` of an earlier demo", path.display()))?;
        }
    }
    project_files::write(dir).with_context(|| format!("cannot write `{}`", dir.display()))?;
    Ok(std::fs::write(
        dir.join(MARK),
        "made by `foretell demo`, which may remove data/ and .foretell/ here\n",
    )?)
}

const MARK: &str = ".foretell-demo";

fn write_company(verb: &Demo, say: &impl Fn(&str)) -> Result<Company> {
    let size = Size {
        customers: verb.customers,
        products: verb.products,
        seed: verb.seed,
    };
    let company = simulate(size);
    let mut rows = vec![vec!["file".to_owned(), "rows".to_owned()]];
    for (name, table) in &company.files {
        let path = verb.dir.join("data").join(format!("{name}.parquet"));
        write_parquet(&path, table)?;
        rows.push(vec![path.display().to_string(), table.n_rows().to_string()]);
    }
    say(&format!(
        "1. a company made up with seed {}\n{}",
        verb.seed,
        output::table(&rows)
    ));
    Ok(company)
}

/// One question per model: the first who can be asked, and a product.
fn questions(company: &Company) -> Vec<(&'static str, Value)> {
    let table = |name: &str| {
        &company
            .files
            .iter()
            .find(|it| it.0 == name)
            .expect("the company has it")
            .1
    };
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
        Some(Column::Str(values)) => values
            .last()
            .cloned()
            .flatten()
            .map(|it| it.to_string())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

/// The number that both wires are compared by: the value, or a forecast's total.
fn value(answer: &Value) -> f64 {
    let it = &answer["predictions"][0];
    it["value"]
        .as_f64()
        .or_else(|| it["total"]["value"].as_f64())
        .unwrap_or(f64::NAN)
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
