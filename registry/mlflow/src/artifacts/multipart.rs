//! Uploads in several requests, for clients that ask for them: each part is a file of its own until all are there.
//!
//! The addresses that clients get are this server's own, so that the access layer sees every part; the plain upload goes to
//! the store in parts as well and writes each byte once, so nobody is told to prefer this.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::path::ArtifactPath;
use super::proxy::writable;
use super::store::received;
use crate::args::Args;
use crate::error::{ApiError, ApiResult};
use crate::{Shared, Stores, now_micros};

/// Where parts lie until the last one is there.
const UPLOADS: &str = "foretell/uploads";
const MAX_PARTS: i64 = 10_000;
/// An upload that was begun so long ago is not going on, in microseconds.
const UPLOAD_LIFE: i64 = 24 * 3600 * 1_000_000;

/// POST mpu/create/<folder>
pub(crate) async fn create(
    State(stores): Shared,
    Path(folder): Path<String>,
    headers: HeaderMap,
    args: Args,
) -> ApiResult {
    target(&folder, &args)?;
    let parts = args.integer("num_parts")?.unwrap_or(1);
    if !(1..=MAX_PARTS).contains(&parts) {
        return Err(ApiError::invalid(format!(
            "Invalid value {parts} for parameter 'num_parts' supplied: it must be from 1 to {MAX_PARTS}"
        )));
    }
    forget_old(&stores).await?;
    let id = foretell_registry::TxId::random().to_string();
    let base = base_address(&headers)?;
    let proof = proof(&headers);
    let credential =
        |part| json!({ "url": format!("{base}/mpu/part/{id}/{part}"), "part_number": part, "headers": proof });
    let credentials: Vec<Value> = (1..=parts).map(credential).collect();
    Ok(Json(json!({ "upload_id": id, "credentials": credentials })))
}

/// PUT mpu/part/<upload>/<number>
pub(crate) async fn put_part(
    State(stores): Shared,
    Path((id, number)): Path<(String, i64)>,
    body: Body,
) -> Result<(StatusCode, HeaderMap), ApiError> {
    let place = part(&id, number)?;
    stores.artifacts.put(&place, received(body)).await?;
    let tag = format!("\"{id}-{number}\"");
    let tag = tag
        .parse()
        .expect("an id of letters and digits and a number make a header");
    Ok((StatusCode::OK, HeaderMap::from_iter([(header::ETAG, tag)])))
}

/// POST mpu/complete/<folder>: the parts become the file, then they go.
pub(crate) async fn complete(State(stores): Shared, Path(folder): Path<String>, args: Args) -> ApiResult {
    let (target, id) = (target(&folder, &args)?, args.required("upload_id")?);
    let count = i64::try_from(args.messages("parts")?.len()).unwrap_or(i64::MAX);
    if !(1..=MAX_PARTS).contains(&count) {
        return Err(ApiError::missing("parts"));
    }
    let places = (1..=count).map(|it| part(id, it)).collect::<Result<Vec<_>, _>>()?;
    let whole = stores.artifacts.clone().one_after_another(places);
    stores.artifacts.put(&target, whole).await?;
    stores.artifacts.delete(&upload(id)?).await?;
    Ok(Json(json!({})))
}

/// POST mpu/abort/<folder>
pub(crate) async fn abort(State(stores): Shared, Path(folder): Path<String>, args: Args) -> ApiResult {
    target(&folder, &args)?;
    stores.artifacts.delete(&upload(args.required("upload_id")?)?).await?;
    Ok(Json(json!({})))
}

/// The address of the proxy, as the client reached us.
pub(super) fn base_address(headers: &HeaderMap) -> Result<String, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let host = text("x-forwarded-host").or(text("host"));
    let host = host.ok_or_else(|| ApiError::invalid("Bad Request. Host header is missing."))?;
    let scheme = text("x-forwarded-proto").unwrap_or("http");
    let prefix = text("x-forwarded-prefix").unwrap_or("").trim_end_matches('/');
    Ok(format!("{scheme}://{host}{prefix}/api/2.0/mlflow-artifacts"))
}

/// What the client's further requests have to bring along: it is the same one, and proves so in the same way.
pub(super) fn proof(headers: &HeaderMap) -> Value {
    let sent = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    sent.map_or_else(|| json!({}), |it| json!({ "Authorization": it }))
}

/// The file that is to be: the folder is in the path, the name in the body.
fn target(folder: &str, args: &Args) -> Result<ArtifactPath, ApiError> {
    let local = args.required("path")?;
    let name = local.rsplit(['/', '\\']).next().unwrap_or("");
    let name = ArtifactPath::parse(name)?;
    if name.is_root() {
        return Err(ApiError::invalid(
            "Artifact path must include a filename (cannot end with '/').",
        ));
    }
    let target = ArtifactPath::parse(folder)?.join(&name);
    writable(&target)?;
    Ok(target)
}

fn upload(id: &str) -> Result<ArtifactPath, ApiError> {
    let known = !id.is_empty() && id.len() <= 64 && id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    match known {
        true => ArtifactPath::parse(&format!("{UPLOADS}/{id}")),
        false => Err(ApiError::absent(format!("No such upload: '{id}'"))),
    }
}

fn part(id: &str, number: i64) -> Result<ArtifactPath, ApiError> {
    if !(1..=MAX_PARTS).contains(&number) {
        return Err(ApiError::absent(format!("No such part: {number}")));
    }
    Ok(upload(id)?.join(&ArtifactPath::parse(&format!("{number:05}"))?))
}

/// Clients that died leave parts; the next upload sweeps them.
async fn forget_old(stores: &Stores) -> Result<(), ApiError> {
    let root = ArtifactPath::parse(UPLOADS)?;
    let now = now_micros();
    for file in stores.artifacts.files(&root).await? {
        if now - file.object.last_modified.timestamp_micros() > UPLOAD_LIFE {
            stores
                .artifacts
                .delete(&root.join(&ArtifactPath::parse(&file.path)?))
                .await?;
        }
    }
    Ok(())
}
