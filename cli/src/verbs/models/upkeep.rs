//! `models gc` and `models sign`: what an operator does now and then.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use foretell_registry::GcRequest;
use serde_json::json;

use super::{Desk, stamp};
use crate::arguments::Gc;

pub(super) async fn gc(desk: &Desk, verb: Gc) -> Result<ExitCode> {
    // A name that does not exist would keep nothing and say nothing.
    for model in &verb.models {
        desk.registry.model(model).await?;
    }
    let age =
        u64::try_from(verb.older_than.0).map_err(|_| anyhow!("--older-than is a time from now back, like 30d"))?;
    let request = GcRequest {
        keep_last: verb.keep_last,
        older_than: Duration::from_micros(age),
        models: verb.models,
        dry_run: verb.dry_run,
        stamp: stamp(verb.reason),
    };
    let report = desk.registry.gc(request).await?;
    Ok(desk.say(&json!(report), &report.to_string()))
}

pub(super) async fn sign(desk: &Desk, model: &str) -> Result<ExitCode> {
    let key = desk.project.signing_key()?;
    let key = key.ok_or_else(|| {
        anyhow!("the project has no key to sign with; `foretell registry keygen FILE` makes one, `[registry] signing_key` names it")
    })?;
    let version = desk.version(model).await?;
    // Whoever signs vouches for what is there, so it must be whole; it need not be trusted yet.
    let open = desk.registry.clone().trusting(Vec::new());
    open.fetch(&version).await?;
    let signed = open.sign(&version.model, version.version, &key, &stamp(None)).await?;
    let id = key.public().id();
    let document = json!({
        "model": signed.model, "version": signed.version, "digest": signed.digest, "signatures": signed.signatures
    });
    Ok(desk.say(&document, &format!("{signed} is signed by {id}")))
}
