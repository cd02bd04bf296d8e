//! `foretell serve`: predictions over HTTP and gRPC, until Ctrl-C.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use foretell_features::{Definitions, Offline};
use foretell_features_offline::OfflineEngine;
use foretell_features_online::OnlineFeatures;
use foretell_mlflow::MlflowServer;
use foretell_registry::Registry;
use foretell_serving::{Clock, Dependencies, LogLimits, RequestLog, RunningServer, ServerSettings};
use foretell_tracking::Tracking;
use serde_json::json;

use crate::arguments::{Common, Listen, Serve};
use crate::online::{ServerFile, open_store};
use crate::output;
use crate::project::Project;

pub(crate) async fn run(common: &Common, verb: Serve) -> Result<ExitCode> {
    let project = Project::find(common)?;
    let server = Server::start(&project, &verb.listen).await?;
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
    pub(crate) async fn start(project: &Project, listen: &Listen) -> Result<Self> {
        // A project without models serves its features.
        let registry = Arc::new(project.registry_or_create()?);
        let online = open_store(project).await?;
        Self::with_store(project, listen, registry, online).await
    }

    /// The same over a store that this process has open already.
    pub(crate) async fn with_store(
        project: &Project,
        listen: &Listen,
        registry: Arc<Registry>,
        online: OnlineFeatures,
    ) -> Result<Self> {
        #[cfg(feature = "kafka")]
        let events = crate::kafka::Events::start(project, &online)?;
        let tracking = Arc::new(Tracking::open(&project.settings.tracking.url, &project.root).await?);
        let mlflow = MlflowServer {
            registry: registry.clone(),
            tracking,
            artifacts: foretell_registry::open_store(&project.settings.tracking.artifacts)?,
            test_reset: false,
        };
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
