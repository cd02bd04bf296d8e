//! The embedded online store belongs to one process: a running server has it, and commands go through that server. A shared
//! store is open to all.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use foretell_features_online::OnlineFeatures;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::Project;

/// How a command reaches the online store.
#[derive(Debug)]
pub(crate) enum Online {
    /// No server has it: the store itself.
    Store(OnlineFeatures),
    /// Through the server at this address.
    Server(SocketAddr),
}

impl Online {
    /// Asks the server that the project's lock file names, if it is alive; else opens the store.
    pub(crate) async fn open(project: &Project) -> Result<Self> {
        if !project.settings.online.is_shared()
            && let Some(address) = running_server(project).await
        {
            return Ok(Online::Server(address));
        }
        Ok(Online::Store(open_store(project).await?))
    }
}

/// The project's online store, in this process.
pub(crate) async fn open_store(project: &Project) -> Result<OnlineFeatures> {
    let store = project.settings.online.open().await?;
    Ok(OnlineFeatures::open(store).await?)
}

/// The server of this project, where one answers.
pub(crate) async fn running_server(project: &Project) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(ServerFile::path(project)).ok()?;
    let address = serde_json::from_str::<Running>(&text).ok()?.http;
    let alive = get(address, "/healthz").await.is_ok();
    alive.then_some(address)
}

/// `.foretell/server.json`, there while a server runs. A killed server leaves it; whoever reads it asks before believing.
#[derive(Debug)]
pub(crate) struct ServerFile(PathBuf);

#[derive(Debug, Serialize, Deserialize)]
struct Running {
    http: SocketAddr,
}

impl ServerFile {
    fn path(project: &Project) -> PathBuf {
        project.state("server.json")
    }

    pub(crate) fn write(project: &Project, http: SocketAddr) -> Result<Self> {
        let path = Self::path(project);
        let text = serde_json::to_string(&Running { http })?;
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// GET a JSON document of a local server.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Value> {
    send(address, Request::get(format!("http://{address}{path}")), Bytes::new()).await
}

/// POST a JSON document to a local server.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<Value> {
    let request = Request::post(format!("http://{address}{path}")).header("content-type", "application/json");
    send(address, request, serde_json::to_vec(body)?.into()).await
}

/// With the caller's token, where FORETELL_TOKEN holds one.
fn with_token(request: hyper::http::request::Builder) -> hyper::http::request::Builder {
    match std::env::var("FORETELL_TOKEN") {
        Ok(token) if !token.is_empty() => request.header("authorization", format!("Bearer {token}")),
        _ => request,
    }
}

async fn send(address: SocketAddr, request: hyper::http::request::Builder, body: Bytes) -> Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = with_token(request).body(Full::new(body))?;
    let response = client
        .request(request)
        .await
        .with_context(|| format!("the server at {address} does not answer"))?;
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .context("the server's answer broke off")?
        .to_bytes();
    let answer = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    };
    match status.is_success() {
        true => Ok(answer),
        false => match error_of(&answer) {
            Some(error) => bail!("{error}"),
            None => Err(anyhow!("the server at {address} answered {status}")),
        },
    }
}

/// `{"error": ".."}`; or, from the feature server's routes, a text that holds `{"message": ".."}`, or what the body lacks.
fn error_of(answer: &Value) -> Option<String> {
    let raised = answer.as_str().and_then(|it| serde_json::from_str::<Value>(it).ok());
    let message = raised.as_ref().map(|it| &it["message"]);
    let message = message.unwrap_or(&answer["error"]).as_str();
    message
        .or_else(|| answer["detail"][0]["msg"].as_str())
        .map(str::to_owned)
}
