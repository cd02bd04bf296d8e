//! `foretell serve`: predictions over HTTP and gRPC, until Ctrl-C.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use foretell_features::{Definitions, Offline};
use foretell_features_offline::OfflineEngine;
use foretell_features_online::OnlineFeatures;
use foretell_mlflow::MlflowServer;
use foretell_registry::Registry;
use foretell_serving::{Clock, Dependencies, LogLimits, RequestLog, RunningServer, ServerSettings};
use foretell_tracking::{ExperimentQuery, RunQuery, Tracking, View};
use serde_json::json;

use crate::arguments::{Common, Listen, Serve};
use crate::online::{ServerFile, open_store};
use crate::output;
use crate::project::Project;

pub(crate) async fn run(common: &Common, verb: Serve) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let server = Server::start(&project, &verb.listen, verb.test_reset).await?;
    let (http, grpc) = (server.running.http_addr, server.grpc());
    if common.json {
        output::print_json(&json!({ "http": http.to_string(), "grpc": grpc.to_string() }));
    } else {
        output::print_text(&format!(
            "serving {} on http://{http} and grpc://{grpc}; Ctrl-C stops\n",
            project.settings.name
        ));
    }
    wait_for_stop().await?;
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// A running server and the file that tells other commands where it is.
pub(crate) struct Server {
    pub running: RunningServer,
    file: ServerFile,
    #[cfg(feature = "kafka")]
    events: Option<crate::kafka::Events>,
}

impl Server {
    /// With `test_reset`, clients may empty registry and tracking; only where both are empty.
    async fn start(project: &Project, listen: &Listen, test_reset: bool) -> Result<Self> {
        // A project without models serves its features.
        let registry = Arc::new(project.registry_or_create()?);
        let online = open_store(project).await?;
        let mlflow = mlflow(project, registry.clone()).await?;
        if test_reset {
            check_empty(project, &mlflow).await?;
        }
        let mlflow = MlflowServer { test_reset, ..mlflow };
        Self::listening(project, listen, mlflow, online).await
    }

    /// The same over a store that this process has open already.
    pub(crate) async fn with_store(
        project: &Project,
        listen: &Listen,
        registry: Arc<Registry>,
        online: OnlineFeatures,
    ) -> Result<Self> {
        let mlflow = mlflow(project, registry).await?;
        Self::listening(project, listen, mlflow, online).await
    }

    async fn listening(
        project: &Project,
        listen: &Listen,
        mlflow: MlflowServer,
        online: OnlineFeatures,
    ) -> Result<Self> {
        #[cfg(feature = "kafka")]
        let events = crate::kafka::Events::start(project, &online)?;
        let registry = mlflow.registry.clone();
        let test_reset = mlflow.test_reset;
        let mut dependencies = Dependencies::new(registry, online.clone(), Clock::of(project.settings.as_of));
        if project.settings.request_log {
            let folder = project.state("requests");
            let log = RequestLog::open(&folder, LogLimits::default());
            dependencies.request_log =
                Some(log.with_context(|| format!("cannot log requests to `{}`", folder.display()))?);
        }
        if let Some((definitions, engine)) = offline(project, online) {
            dependencies.definitions = Arc::new(definitions);
            dependencies.offline = engine;
        }
        let settings = ServerSettings {
            http: listen.http.clone().unwrap_or_else(|| project.settings.http.clone()),
            access: project.settings.access.clone(),
            grpc: Some(listen.grpc.clone().unwrap_or_else(|| project.settings.grpc.clone())),
            ..ServerSettings::default()
        };
        if test_reset {
            check_loopback(&settings.http)?;
        }
        let running = foretell_serving::start(settings, dependencies, mlflow.router()).await?;
        let file = ServerFile::write(project, running.http_addr)?;
        Ok(Self {
            running,
            file,
            #[cfg(feature = "kafka")]
            events,
        })
    }

    /// Where gRPC listens: always, the settings above ask for it.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.running.grpc_addr.expect("the command line always starts gRPC")
    }

    pub(crate) async fn stop(self) {
        self.file.remove();
        #[cfg(feature = "kafka")]
        drop(self.events);
        self.running.stop().await;
    }
}

/// What MLflow's clients see of the project.
async fn mlflow(project: &Project, registry: Arc<Registry>) -> Result<MlflowServer> {
    let settings = &project.settings.tracking;
    Ok(MlflowServer {
        registry,
        tracking: Arc::new(Tracking::open(&settings.url, &project.root).await?),
        artifacts: foretell_registry::open_store(&settings.artifacts)?,
        test_reset: false,
    })
}

/// A reset takes everything: what somebody made is not to be at stake.
async fn check_empty(project: &Project, mlflow: &MlflowServer) -> Result<()> {
    let models = mlflow.registry.list_models().await?.len();
    let runs = has_runs(&mlflow.tracking).await?;
    if models > 0 || runs {
        let what = if models > 0 {
            "its registry has models"
        } else {
            "its tracking has runs"
        };
        bail!(
            "--test-reset lets any client empty the project, so it is for an empty one; {what}. `foretell init DIR` makes another. \
             project=`{}`",
            project.root.display()
        );
    }
    Ok(())
}

async fn has_runs(tracking: &Tracking) -> Result<bool> {
    let everywhere = ExperimentQuery {
        view: View::All,
        ..ExperimentQuery::default()
    };
    let experiments = tracking.search_experiments(&everywhere).await?;
    let one = RunQuery {
        experiments: experiments.items.iter().map(|it| it.id).collect(),
        conditions: Vec::new(),
        order: Vec::new(),
        view: View::All,
        limit: 1,
        offset: 0,
    };
    Ok(!tracking.search_runs(&one).await?.items.is_empty())
}

fn check_loopback(address: &str) -> Result<()> {
    let host = address.rsplit_once(':').map_or(address, |it| it.0);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback());
    match here {
        true => Ok(()),
        false => {
            bail!("--test-reset lets any client empty the project, so it is for 127.0.0.1 only. --http=`{address}`")
        }
    }
}

/// Definitions and the offline engine behind `/materialize`, as far as the project's TOML and files are in order.
fn offline(project: &Project, online: OnlineFeatures) -> Option<(Definitions, Option<Arc<dyn Offline>>)> {
    let definitions = match project.check() {
        Ok(checked) => checked.definitions,
        Err(error) => {
            tracing::warn!("features cannot be read or written by name: {error}");
            return None;
        }
    };
    match project.offline(definitions.clone()) {
        Ok(store) => {
            let definitions = store.definitions().clone();
            Some((definitions, Some(Arc::new(OfflineEngine::new(&store, online)))))
        }
        Err(error) => {
            tracing::warn!("materialize is off: {error}");
            Some((definitions, None))
        }
    }
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn wait_for_stop() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for SIGTERM")?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.context("cannot listen for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
