//! `foretell doctor`: what this machine and this project are like, and what would not work.

use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::Result;
use foretell_registry::Registry;
use serde_json::json;

use crate::arguments::Common;
use crate::data::findings as findings_of;
use crate::online::{open_store, running_server};
use crate::output;
use crate::project::Project;

/// One thing looked at.
struct Finding {
    what: &'static str,
    ok: bool,
    says: String,
}

pub(crate) async fn run(common: &Common) -> Result<ExitCode> {
    let findings = findings(common).await;
    let ok = findings.iter().all(|it| it.ok);
    if common.json {
        let rows = findings
            .iter()
            .map(|it| json!({ "what": it.what, "ok": it.ok, "says": it.says }));
        output::print_json(&json!({ "ok": ok, "findings": rows.collect::<Vec<_>>() }));
    } else {
        let row = |it: &Finding| {
            vec![
                if it.ok { "ok" } else { "!!" }.to_owned(),
                it.what.to_owned(),
                it.says.clone(),
            ]
        };
        output::print_text(&output::table(&findings.iter().map(row).collect::<Vec<_>>()));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn findings(common: &Common) -> Vec<Finding> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = vec![Finding {
        what: "machine",
        ok: true,
        says: format!(
            "foretell {}, {cores} cores, {} {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ),
    }];
    let project = match Project::find(common) {
        Ok(project) => project,
        Err(error) => {
            all.push(Finding {
                what: "project",
                ok: false,
                says: output::sentence(&error),
            });
            return all;
        }
    };
    let clock = project
        .settings
        .as_of
        .map_or_else(|| "the real clock".to_owned(), |it| format!("clock {it}"));
    let says = format!("{} in {}, {clock}", project.settings.name, project.root.display());
    all.push(Finding {
        what: "project",
        ok: true,
        says,
    });
    all.extend(data(&project));
    all.push(registry(&project).await);
    all.push(online(&project).await);
    for (what, address) in [("http", &project.settings.http), ("grpc", &project.settings.grpc)] {
        let free = TcpListener::bind(address.as_str());
        let says = free
            .as_ref()
            .map_or_else(|error| format!("{address}: {error}"), |_| format!("{address} is free"));
        let serving = running_server(&project).await.is_some();
        all.push(Finding {
            what,
            ok: free.is_ok() || serving,
            says: if serving { format!("{address}: serving") } else { says },
        });
    }
    all
}

fn data(project: &Project) -> Vec<Finding> {
    let checked = match project.check() {
        Ok(checked) => checked,
        Err(error) => {
            return vec![Finding {
                what: "definitions",
                ok: false,
                says: error.to_string(),
            }];
        }
    };
    let models: Vec<&str> = checked.models.iter().map(|it| it.name.as_str()).collect();
    let definitions = Finding {
        what: "definitions",
        ok: true,
        says: format!("models {}", models.join(", ")),
    };
    let findings = findings_of(&checked.definitions, &project.settings.data);
    let place = project.settings.data.display();
    let says = match findings.as_slice() {
        [] => format!("{place}: every source is there"),
        [first] => first.says.clone(),
        [first, rest @ ..] => format!("{} (and {} more, see `foretell check`)", first.says, rest.len()),
    };
    vec![
        definitions,
        Finding {
            what: "data",
            ok: findings.is_empty(),
            says,
        },
    ]
}

async fn registry(project: &Project) -> Finding {
    let looked = match Registry::open(&project.settings.registry.url) {
        Ok(registry) => registry.list_models().await,
        Err(error) if error.is_not_found() => {
            return Finding {
                what: "registry",
                ok: true,
                says: "none yet; `foretell train MODEL` makes it".to_owned(),
            };
        }
        Err(error) => Err(error),
    };
    match looked {
        Ok(models) => Finding {
            what: "registry",
            ok: true,
            says: format!("{} models", models.len()),
        },
        Err(error) => Finding {
            what: "registry",
            ok: false,
            says: error.to_string(),
        },
    }
}

async fn online(project: &Project) -> Finding {
    let place = &project.settings.online;
    if place.is_shared() {
        let opened = open_store(project).await;
        return Finding {
            what: "online store",
            ok: opened.is_ok(),
            says: opened.map_or_else(
                |error| error.to_string(),
                |it| format!("shared, {} view versions", it.views().len()),
            ),
        };
    }
    let says = match running_server(project).await {
        Some(address) => format!("held by the server at http://{address}"),
        None if place.is_there() => "there, no server runs".to_owned(),
        None => "none yet; `foretell features materialize` fills it".to_owned(),
    };
    Finding {
        what: "online store",
        ok: true,
        says,
    }
}
