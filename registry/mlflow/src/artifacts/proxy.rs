//! Files up and down.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use foretell_registry::chunks;
use serde_json::{Value, json};

use super::multipart;
use super::packages::{self, PackagePath};
use super::path::ArtifactPath;
use super::range::Wanted;
use super::store::{Entry, received};
use crate::args::Args;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::facts::quoted;
use crate::{Shared, Stores, page};

/// GET artifacts/<path>
pub(crate) async fn get(
    State(stores): Shared,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = ArtifactPath::parse(&path)?;
    let range = headers.get(header::RANGE).and_then(|it| it.to_str().ok());
    match range {
        Some(range) if PackagePath::of(&path).is_none() => download_part(&stores, &path, range).await,
        _ => download(&stores, &path).await,
    }
}

/// PUT artifacts/<path>
pub(crate) async fn put(State(stores): Shared, Path(path): Path<String>, body: Body) -> ApiResult {
    let place = ArtifactPath::parse(&path)?;
    if place.is_root() || path.ends_with('/') {
        return Err(ApiError::invalid(
            "Artifact path must include a filename (cannot end with '/').",
        ));
    }
    writable(&place)?;
    stores.artifacts.put(&place, received(body)).await?;
    Ok(Json(json!({})))
}

/// DELETE artifacts/<path>
pub(crate) async fn delete(State(stores): Shared, Path(path): Path<String>) -> ApiResult {
    let place = ArtifactPath::parse(&path)?;
    if place.is_root() {
        return Err(ApiError::invalid("Invalid path: the root of all artifacts stays"));
    }
    writable(&place)?;
    stores.artifacts.delete(&place).await?;
    Ok(Json(json!({})))
}

/// GET artifacts?path=<folder>
pub(crate) async fn list(State(stores): Shared, args: Args) -> ApiResult {
    let folder = ArtifactPath::parse(args.text("path")?.unwrap_or(""))?;
    let entries = entries(&stores, &folder).await?;
    Ok(Json(page::answer("files", files(&entries, ""), None)))
}

/// GET presigned/<path>: this server's own address, for clients that read a file in several requests. A package is read
/// in one, since only the whole of a file can be checked.
pub(crate) async fn presigned(State(stores): Shared, Path(path): Path<String>, headers: HeaderMap) -> ApiResult {
    let place = ArtifactPath::parse(&path)?;
    if PackagePath::of(&place).is_some() {
        let message = "Multipart download is not supported for the current artifact repository";
        return Err(ApiError::new(ErrorCode::NotImplemented, message));
    }
    let size = stores.artifacts.open(&place).await?.meta.size;
    let base = multipart::base_address(&headers)?;
    let parts = place.as_str().split('/').map(quoted).collect::<Vec<_>>();
    Ok(Json(json!({
        "url": format!("{base}/artifacts/{}", parts.join("/")),
        "headers": multipart::proof(&headers),
        "file_size": size,
    })))
}

/// POST artifacts/presigned-{upload,download}-url
pub(crate) async fn no_presigned_url_for_proxied() -> ApiError {
    ApiError::invalid(
        "Presigned URLs are not supported for proxied artifact storage (artifact URI scheme: mlflow-artifacts). \
         This endpoint requires a direct cloud storage artifact URI.",
    )
}

/// A file as an attachment: a browser must not run what somebody logged.
pub(crate) async fn download(stores: &Stores, path: &ArtifactPath) -> Result<Response, ApiError> {
    let (size, body) = match PackagePath::of(path) {
        Some(package) => package.open(&stores.registry).await?,
        None => {
            let found = stores.artifacts.open(path).await?;
            (found.meta.size, Body::from_stream(chunks(found)))
        }
    };
    Ok(attached(path, StatusCode::OK, size, body))
}

/// Some bytes of a file in the store.
async fn download_part(stores: &Stores, path: &ArtifactPath, range: &str) -> Result<Response, ApiError> {
    let size = stores.artifacts.open(path).await?.meta.size;
    let part = match Wanted::of(Some(range), size) {
        Wanted::All => return download(stores, path).await,
        Wanted::Nothing => {
            let of = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, of).into_response());
        }
        Wanted::Part(part) => part,
    };
    let found = stores.artifacts.open_part(path, part.clone()).await?;
    let body = Body::from_stream(chunks(found));
    let mut response = attached(path, StatusCode::PARTIAL_CONTENT, part.end - part.start, body);
    let shown = format!("bytes {}-{}/{size}", part.start, part.end - 1);
    let shown = HeaderValue::try_from(shown).expect("digits make a header");
    response.headers_mut().insert(header::CONTENT_RANGE, shown);
    Ok(response)
}

fn attached(path: &ArtifactPath, status: StatusCode, size: u64, body: Body) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path.name())));
    headers.insert(header::CONTENT_DISPOSITION, attachment(path.name()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// What lies in a folder, of a package or of the store.
pub(crate) async fn entries(stores: &Stores, folder: &ArtifactPath) -> Result<Vec<Entry>, ApiError> {
    match PackagePath::of(folder) {
        Some(package) => package.list(&stores.registry).await,
        None => stores.artifacts.list(folder).await,
    }
}

/// Entries as MLflow's `FileInfo`, each under `folder`.
pub(crate) fn files(entries: &[Entry], folder: &str) -> Vec<Value> {
    let file = |it: &Entry| {
        let path = match folder {
            "" => it.name.clone(),
            folder => format!("{folder}/{}", it.name),
        };
        match it.size {
            Some(size) => json!({ "path": path, "is_dir": false, "file_size": size }),
            None => json!({ "path": path, "is_dir": true }),
        }
    };
    entries.iter().map(file).collect()
}

pub(super) fn writable(path: &ArtifactPath) -> Result<(), ApiError> {
    if !packages::is_reserved(path) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::PermissionDenied,
        format!("'{path}' belongs to a published model version; versions do not change"),
    ))
}

/// The type by the name's ending; what MLflow shows as text is text.
fn media_type(name: &str) -> &'static str {
    const TEXT: &[&str] = &[
        "txt",
        "log",
        "err",
        "cfg",
        "conf",
        "cnf",
        "cf",
        "ini",
        "properties",
        "prop",
        "hocon",
        "toml",
        "yaml",
        "yml",
        "xml",
        "json",
        "js",
        "py",
        "py3",
        "csv",
        "tsv",
        "md",
        "rst",
        "ipynb",
        "MLmodel",
        "MLproject",
    ];
    let ending = name.rsplit_once('.').map_or(name, |it| it.1);
    match ending.to_ascii_lowercase().as_str() {
        _ if TEXT.contains(&ending) => "text/plain",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// `filename` for old clients, `filename*` for every name.
fn attachment(name: &str) -> HeaderValue {
    let tame = |c: char| c.is_ascii_alphanumeric() || "._-+ ".contains(c);
    let plain: String = name.chars().map(|c| if tame(c) { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::try_from(text).expect("every character was made a visible ASCII one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_the_ending() {
        for (name, expected) in [
            ("MLmodel", "text/plain"),
            ("conda.yaml", "text/plain"),
            ("plot.PNG", "image/png"),
            ("model.pkl", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            attachment("a\"b;é.txt"),
            "attachment; filename=\"a_b__.txt\"; filename*=UTF-8''a%22b%3B%C3%A9%2Etxt"
        );
    }
}
