//! The service on the wire: sockets, the task that follows the registry, and an end within a deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::error::ServeError;
use crate::grpc;
use crate::http::{self, App};
use crate::lease::Lease;
use crate::service::{Dependencies, PredictService};

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// HTTP address, `127.0.0.1:8000`; port 0 takes a free one.
    pub http: String,
    /// gRPC address, `127.0.0.1:8001`; `None` for no gRPC.
    pub grpc: Option<String>,
    /// Who may do what; without it everybody on this machine may do everything, and nobody else anything.
    pub access: Option<Arc<Access>>,
    /// What a request may cost.
    pub limits: Limits,
    /// How often the registry is asked for changes.
    pub poll: Duration,
    /// How long requests may go on after [`RunningServer::stop`].
    pub grace: Duration,
}

/// What a request may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Time for a request; materializing has none.
    pub time: Duration,
}

/// A server that answers. Dropping it ends it at once; [`RunningServer::stop`] lets requests finish.
#[derive(Debug)]
pub struct RunningServer {
    /// Where HTTP listens.
    pub http_addr: SocketAddr,
    /// Where gRPC listens.
    pub grpc_addr: Option<SocketAddr>,
    service: PredictService,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    grace: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8000".to_owned(),
            grpc: Some("127.0.0.1:8001".to_owned()),
            access: None,
            limits: Limits {
                body: 64 * 1024 * 1024,
                time: Duration::from_secs(60),
            },
            poll: Duration::from_millis(250),
            grace: Duration::from_secs(10),
        }
    }
}

/// Loads all champions, then listens. `extra` is mounted beside the routes of this crate.
///
/// # Errors
/// An address is taken, is not on this machine only, or is none; or the registry cannot be read. A champion that cannot be
/// loaded is no error: the server starts without it and says so in `/readyz`.
pub async fn start(
    settings: ServerSettings,
    dependencies: Dependencies,
    extra: Router,
) -> Result<RunningServer, ServeError> {
    let ServerSettings { access, limits, .. } = &settings;
    let http = listen(&settings.http, "--http", access.is_some()).await?;
    let grpc = match &settings.grpc {
        Some(address) => Some(listen(address, "--grpc", access.is_some()).await?),
        None => None,
    };
    let http_addr = local(&http)?;
    let grpc_addr = grpc.as_ref().map(local).transpose()?;
    let service = PredictService::new(dependencies).await?;
    service.refresh().await?;
    let lease = Lease::new(&service.dependencies().registry, &http_addr.to_string());
    let (stop, stopped) = watch::channel(false);
    let app = App::new(service.clone(), *limits);
    let mut tasks = vec![
        tokio::spawn(follow(service.clone(), settings.poll, lease, stopped.clone())),
        tokio::spawn(serve_http(
            http,
            http::router(app, access.clone(), extra),
            stopped.clone(),
        )),
    ];
    if let Some(grpc) = grpc {
        tasks.push(tokio::spawn(grpc::serve(
            grpc,
            service.clone(),
            *limits,
            access.clone(),
            stopped,
        )));
    }
    Ok(RunningServer {
        http_addr,
        grpc_addr,
        service,
        stop,
        tasks,
        grace: settings.grace,
    })
}

impl RunningServer {
    /// The predict path behind the sockets.
    pub fn service(&self) -> &PredictService {
        &self.service
    }

    /// Takes no new connections, lets running requests finish within the grace time, ends the rest, writes the request log.
    pub async fn stop(mut self) {
        // Without receivers the tasks have ended already.
        let _ = self.stop.send(true);
        let deadline = tokio::time::Instant::now() + self.grace;
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
        if let Some(log) = self.service.dependencies().request_log.clone() {
            let flushed = tokio::task::spawn_blocking(move || log.flush());
            if tokio::time::timeout(self.grace, flushed).await.is_err() {
                tracing::error!("the request log could not be written in time");
            }
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Without access control the server is for this machine only.
async fn listen(address: &str, flag: &'static str, guarded: bool) -> Result<TcpListener, ServeError> {
    let failed = |reason: String| ServeError::Address {
        address: address.to_owned(),
        reason,
        flag,
    };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let port = address
                .rsplit_once(':')
                .and_then(|it| it.1.parse().ok())
                .unwrap_or_default();
            return Err(ServeError::PortInUse { port, flag });
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let outside = !local(&listener)?.ip().is_loopback();
    if outside && !guarded {
        let advice = "without [access] in foretell.toml the server listens on this machine only; \
                      `foretell access token NAME` prints what to write there";
        return Err(failed(advice.to_owned()));
    }
    if outside {
        tracing::warn!(
            address,
            "tokens travel unencrypted; put a proxy with TLS in front of this address"
        );
    }
    Ok(listener)
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    listener
        .local_addr()
        .map_err(|error| ServeError::Internal(error.to_string()))
}

async fn serve_http(listener: TcpListener, router: Router, stopped: watch::Receiver<bool>) {
    // Small answers must not wait for the other side's acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let serve = axum::serve(listener, router).with_graceful_shutdown(stop_signal(stopped));
    if let Err(error) = serve.await {
        tracing::error!(%error, "HTTP ended");
    }
}

/// Swaps in champions as they move and says what is loaded, until the end.
async fn follow(service: PredictService, poll: Duration, mut lease: Lease, mut stopped: watch::Receiver<bool>) {
    let mut watcher = service.dependencies().registry.watcher();
    let mut ticks = tokio::time::interval(poll);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.changed() => return lease.end().await,
        }
        lease.renew(&service).await;
        if let Err(error) = service.dependencies().online.refresh().await {
            tracing::warn!(%error, "definitions of views cannot be read; those known go on");
        }
        let changed = watcher.poll().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the registry cannot be read; what is served goes on");
            false
        });
        if !changed && !service.snapshot().wants_retry() {
            continue;
        }
        if let Err(error) = service.refresh().await {
            tracing::warn!(%error, "the registry cannot be read; what is served goes on");
            // The watcher said `true` once; a new one says it again.
            watcher = service.dependencies().registry.watcher();
        }
    }
}

/// Ends when the server is to stop, or is gone.
pub(crate) async fn stop_signal(mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        if stopped.changed().await.is_err() {
            return;
        }
    }
}
