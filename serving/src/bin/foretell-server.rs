//! `foretell-server`: serves a project's registry and online store, and nothing else. No training, no offline engine:
//! `/materialize` answers 501. For replicas; `foretell serve` is the whole server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use foretell_features::{Definitions, Timestamp};
use foretell_features_online::{Durability, OnlineFeatures, StorePlace};
use foretell_registry::{PublicKey, Registry};
use foretell_serving::{
    Access, AccessToken, Clock, Dependencies, LogLimits, RequestLog, RunningServer, ServerSettings, start,
};
use serde::Deserialize;

const USAGE: &str = "foretell-server [--project DIR] [--http HOST:PORT] [--grpc HOST:PORT]
Serves the models of a project; without --project the one of this folder.";

/// What the command line says.
#[derive(Debug, Default)]
struct Arguments {
    project: Option<PathBuf>,
    http: Option<String>,
    grpc: Option<String>,
}

/// What this program reads of `foretell.toml`; `foretell check` checks the rest.
#[derive(Debug, Deserialize)]
struct Settings {
    project: Project,
    #[serde(default)]
    online: Online,
    #[serde(default)]
    registry: RegistryTable,
    #[serde(default)]
    serving: Serving,
    access: Option<AccessTable>,
}

/// `[access.tokens.NAME]`.
#[derive(Debug, Deserialize)]
struct AccessTable {
    tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Deserialize)]
struct Token {
    sha256: String,
    roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Project {
    as_of: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
struct Online {
    store: Option<String>,
    durability: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct RegistryTable {
    url: Option<String>,
    #[serde(default)]
    trusted_keys: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Serving {
    http: Option<String>,
    grpc: Option<String>,
    request_log: Option<bool>,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(arguments) = Arguments::read(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<()> {
    let root = arguments.project.clone().unwrap_or_else(|| PathBuf::from("."));
    let server = open(&root, arguments).await?;
    println!("serving on http://{}", server.http_addr);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        _ = terminate.recv() => {}
    }
    server.stop().await;
    Ok(())
}

async fn open(root: &Path, arguments: Arguments) -> Result<RunningServer> {
    let file = root.join("foretell.toml");
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!(
            "no project: cannot read `{}`; name its folder with --project DIR",
            file.display()
        )
    })?;
    let settings: Settings = toml::from_str(&text).with_context(|| format!("`{}` is not right", file.display()))?;
    let registry = settings.registry.open(root)?;
    let place = settings.online.place(root.join(".foretell/online"))?;
    let online = OnlineFeatures::open(place.open().await?).await?;
    let mut dependencies = Dependencies::new(Arc::new(registry), online, Clock::of(settings.project.as_of));
    dependencies.definitions = Arc::new(definitions(&root.join("features"))?);
    if settings.serving.request_log.unwrap_or(true) {
        let folder = root.join(".foretell/requests");
        let log = RequestLog::open(&folder, LogLimits::default());
        dependencies.request_log = Some(log.with_context(|| format!("cannot log requests to `{}`", folder.display()))?);
    }
    let usual = ServerSettings::default();
    let settings = ServerSettings {
        http: arguments.http.or(settings.serving.http).unwrap_or(usual.http),
        grpc: arguments.grpc.or(settings.serving.grpc).or(usual.grpc),
        access: settings.access.map(AccessTable::read).transpose()?,
        ..ServerSettings::default()
    };
    Ok(start(settings, dependencies, axum::Router::new()).await?)
}

fn definitions(folder: &Path) -> Result<Definitions> {
    let mut texts = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "toml") {
                let text =
                    std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
                texts.push((path, text));
            }
        }
    }
    texts.sort();
    Ok(Definitions::parse(&texts)?)
}

impl RegistryTable {
    fn open(&self, root: &Path) -> Result<Registry> {
        let url = self.url.as_deref().unwrap_or(".foretell/registry");
        let is_url = url.contains("://") || url.starts_with("memory:");
        let place = if is_url {
            url.to_owned()
        } else {
            root.join(url).display().to_string()
        };
        let keys = self.trusted_keys.iter().map(|it| it.parse());
        let keys = keys
            .collect::<Result<Vec<PublicKey>, _>>()
            .context("`[registry] trusted_keys`")?;
        Ok(Registry::open_or_create(&place)?.trusting(keys))
    }
}

impl AccessTable {
    fn read(self) -> Result<Arc<Access>> {
        let token = |(actor, token): (String, Token)| {
            let place = format!("`[access.tokens.{actor}]`");
            let sha256 = token.sha256.parse().map_err(|reason| anyhow!("{place}: {reason}"))?;
            let roles = token.roles.iter().map(|it| it.parse());
            let roles = roles
                .collect::<Result<_, String>>()
                .map_err(|reason| anyhow!("{place}: {reason}"))?;
            Ok(AccessToken { actor, sha256, roles })
        };
        let tokens = self.tokens.into_iter().map(token).collect::<Result<Vec<_>>>()?;
        let access = Access::new(tokens).map_err(|reason| anyhow!("`[access]`: {reason}"))?;
        Ok(Arc::new(access))
    }
}

impl Online {
    fn place(&self, folder: PathBuf) -> Result<StorePlace> {
        let durability = match self.durability.as_deref() {
            None | Some("buffer") => Durability::Buffer,
            Some("sync") => Durability::Sync,
            Some(other) => bail!("unknown durability `{other}` in `[online]`; use \"buffer\" or \"sync\""),
        };
        let store = self.store.as_deref().unwrap_or("embedded");
        StorePlace::parse(store, folder, durability).map_err(|reason| anyhow!("`[online] store`: {reason}"))
    }
}

impl Arguments {
    /// `None` asks for help.
    fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut read = Self::default();
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--project" => read.project = Some(value()?.into()),
                "--http" => read.http = Some(value()?),
                "--grpc" => read.grpc = Some(value()?),
                _ => bail!("unknown argument `{word}`\n{USAGE}"),
            }
        }
        Ok(Some(read))
    }
}
